//! The private authority, and the certificates that it signs.

use super::Order;
use crate::transports::CertificateNames;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// For how long the authority is valid. Devices are made to trust it by hand, which nobody wants to do each year.
const AUTHORITY_DAYS: u32 = 3_650;
/// By how much clocks of devices may be behind.
const BEFORE: Duration = Duration::from_secs(60 * 60);
/// The most characters of a common name (RFC 5280 appendix A.1, `ub-common-name`).
const MOST_COMMON_NAME: usize = 64;
/// What stands before the common name in the DER of a subject that is nothing else: the set, the sequence, `id-at-commonName`, and the
/// string, with `0` for the lengths (RFC 5280 section 4.1.2.4).
const COMMON_NAME: [u8; 11] = [0x31, 0, 0x30, 0, 0x06, 3, 0x55, 4, 3, 0x0C, 0];
/// Where these lengths are.
const LENGTHS: [usize; 3] = [1, 3, 10];

/// An authority that can sign.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
    common_name: String,
}

/// A certificate of a server.
pub(super) struct Server(rcgen::Certificate);

/// A key of the kind that costs least in handshakes: ECDSA with P-256.
pub(super) fn new_key() -> Result<KeyPair, String> {
    KeyPair::generate().map_err(|why| format!("a key cannot be made: {why}"))
}

/// The private key in a PEM file.
pub(super) fn key(pem: &str) -> Result<KeyPair, String> {
    KeyPair::from_pem(pem).map_err(|why| format!("is no private key that can be used ({why})"))
}

impl Authority {
    /// A new one, which may sign for these names and addresses alone (RFC 5280 section 4.2.1.10): who gets hold of its key can pretend to be
    /// this resolver, and nobody else.
    pub(super) fn new(
        names: &[String],
        addresses: &[IpAddr],
        now: Duration,
    ) -> Result<Self, String> {
        let error = |why: rcgen::Error| format!("an authority cannot be made: {why}");
        let first = names.first().map_or("", String::as_str);
        let [a, b, c, d, ..] = random()?;
        // With a part that is random, since programs confuse two authorities of one name.
        let id = format!("{a:02x}{b:02x}{c:02x}{d:02x}");
        let long = format!("dotward authority {id} for {first}");
        let common_name = if long.len() <= MOST_COMMON_NAME {
            long
        } else {
            format!("dotward authority {id}")
        };
        let mut params = issuer_params(&common_name);
        set_validity(
            &mut params,
            now.saturating_sub(BEFORE),
            now + DAY * AUTHORITY_DAYS,
        );
        params.serial_number = Some(serial()?);
        params.name_constraints = Some(constraints(names, addresses));
        let key = new_key()?;
        let certificate = params.self_signed(&key).map_err(error)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            der: certificate.der().clone(),
            pem: certificate.pem(),
            common_name,
        })
    }

    /// One that was made here, with its key.
    pub(super) fn read(pem: &str, key: KeyPair) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| "there is no certificate in the file".to_owned())?;
        let anchor = anchor_from_trusted_cert(&der)
            .map_err(|why| format!("its certificate cannot be read ({why})"))?;
        let common_name = common_name(&anchor.subject)
            .ok_or("its certificate is not one that dotward certificate has made")?
            .to_owned();
        Ok(Self {
            issuer: Issuer::new(issuer_params(&common_name), key),
            pem: pem.to_owned(),
            der,
            common_name,
        })
    }

    /// A certificate for this key. An error says why clients would refuse it.
    pub(super) fn sign(
        &self,
        order: &Order,
        key: &KeyPair,
        now: Duration,
    ) -> Result<Server, String> {
        let made = |why: rcgen::Error| format!("a certificate cannot be made: {why}");
        let mut params = CertificateParams::default();
        for name in &order.names {
            let name = name.as_str().try_into().map_err(made)?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        let addresses = order.addresses.iter();
        params
            .subject_alt_names
            .extend(addresses.map(|ip| SanType::IpAddress(*ip)));
        // Nobody goes by the subject.
        params.distinguished_name = named("dotward");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial()?);
        let start = now.saturating_sub(BEFORE);
        let end = start + DAY * order.days;
        set_validity(&mut params, start, end);
        let server = params.signed_by(key, &self.issuer).map_err(made)?;
        let of_authority = CertificateNames::of(self.der.clone());
        let ends = of_authority
            .and_then(|names| names.end())
            .unwrap_or_default();
        if ends < end.as_secs() {
            return Err("this authority ends before the certificate would".to_owned());
        }
        self.verify(server.der(), now)?;
        Ok(Server(server))
    }

    /// As a client verifies it.
    fn verify(&self, server: &CertificateDer<'_>, now: Duration) -> Result<(), String> {
        let verified = || -> Result<(), webpki::Error> {
            let anchors = [anchor_from_trusted_cert(&self.der)?];
            let (now, usage) = (UnixTime::since_unix_epoch(now), KeyUsage::server_auth());
            let algorithms = webpki::ALL_VERIFICATION_ALGS;
            let server = EndEntityCert::try_from(server)?;
            server
                .verify_for_usage(algorithms, &anchors, &[], now, usage, None, None)
                .map(drop)
        };
        verified().map_err(|error| match error {
            webpki::Error::NameConstraintViolation => {
                "this authority was made for other names and addresses, and may not sign for all of these"
                    .to_owned()
            }
            webpki::Error::InvalidSignatureForPublicKey | webpki::Error::UnknownIssuer => {
                "the key beside it is not the one of this authority".to_owned()
            }
            other => format!("what it signs is refused ({other})"),
        })
    }

    /// Its name, for people.
    pub(super) fn common_name(&self) -> &str {
        &self.common_name
    }

    /// Its certificate.
    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its certificate as PEM.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// Its private key as PEM.
    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }
}

impl Server {
    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// When it ends, in seconds since 1970.
    pub(super) fn end(&self) -> Option<u64> {
        CertificateNames::of(self.0.der().clone())?.end()
    }
}

fn issuer_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(common_name);
    // No authority is below it.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Without an address there is none for which it may sign. Of a kind that is not constrained it could sign all.
fn constraints(names: &[String], addresses: &[IpAddr]) -> NameConstraints {
    let names = names.iter().cloned().map(GeneralSubtree::DnsName);
    let single = |ip: &IpAddr| {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*ip, bits))
    };
    let all: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let all = all.map(|ip| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(ip, 0)));
    NameConstraints {
        permitted_subtrees: names.chain(addresses.iter().map(single)).collect(),
        excluded_subtrees: if addresses.is_empty() {
            all.into()
        } else {
            Vec::new()
        },
    }
}

/// The common name, if the subject is nothing else.
fn common_name(subject: &[u8]) -> Option<&str> {
    let (head, text) = subject.split_at_checked(COMMON_NAME.len())?;
    let mut expected = COMMON_NAME;
    for at in LENGTHS {
        *expected.get_mut(at)? = u8::try_from(subject.len().checked_sub(at + 1)?).ok()?;
    }
    let is_it = head == expected && text.len() <= MOST_COMMON_NAME;
    is_it.then(|| str::from_utf8(text).ok()).flatten()
}

/// A number that no other certificate of the authority has: programs refuse two with one number.
fn serial() -> Result<SerialNumber, String> {
    let mut octets = random()?;
    // It is positive, and has no octet that could be left out.
    octets[0] = octets[0] & 0x7F | 0x40;
    Ok(SerialNumber::from_slice(&octets))
}

fn random() -> Result<[u8; 16], String> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(|why| format!("this system has no randomness: {why}"))?;
    Ok(octets)
}

/// Between these times, counted from 1970.
fn set_validity(params: &mut CertificateParams, start: Duration, end: Duration) {
    let whole = |time: Duration| Duration::from_secs(time.as_secs());
    params.not_before = date_time_ymd(1970, 1, 1) + whole(start);
    params.not_after = date_time_ymd(1970, 1, 1) + whole(end);
}
