//! A private authority and a certificate for the encrypted listeners, with what makes the devices of a household trust them: what
//! `dotward certificate` makes.

mod authority;
mod files;
mod profile;
mod steps;

use super::UsageError;
use super::commands::CertificateOptions;
use crate::config::{Config, Host, TLS_PORT, registrable_domain};
use authority::Authority;
use files::{Folder, KEY_MODE, MARK, PUBLIC_MODE};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// The most days for which a server's certificate is valid. Apple's systems refuse one of a private authority after 825 days, and one of a
/// public authority after 398, which other programs may come to ask of all.
const MOST_DAYS: u32 = 398;
/// A day less, so that nobody who counts otherwise counts too many.
const DAYS: u32 = 397;
/// The most names and addresses of one certificate, which is sent in each handshake.
const MOST_NAMES: usize = 100;

/// The files, in the folder.
const AUTHORITY: &str = "ca.pem";
const AUTHORITY_DER: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca-key.pem";
const CHAIN: &str = "chain.pem";
const KEY: &str = "key.pem";
const PROFILE: &str = "dotward.mobileconfig";

/// What stands before the names in the first line of the certificate's file.
const OF: &str = "# The certificate of ";

/// By what devices speak to the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Tls,
    Https,
}

/// What is to be made.
#[derive(Clone, Debug)]
pub struct Order {
    /// At least one; the first is the one that devices are given.
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    folder: PathBuf,
    days: u32,
    protocol: Protocol,
    /// Files that something else has made are replaced.
    force: bool,
}

impl Order {
    /// What is written on the command line.
    pub(super) fn read(options: CertificateOptions) -> Result<Self, UsageError> {
        let list = |texts: Vec<String>| -> Vec<String> {
            let split = texts.iter().flat_map(|text| text.split(','));
            split.map(|text| text.trim().to_owned()).collect()
        };
        let error = |option: &str, value: &str, why: &str| {
            UsageError(format!("--{option} {value:?}: {why}"))
        };
        let mut names = Vec::new();
        for text in list(options.name) {
            if address(&text).is_ok() {
                let why = "is an IP address: write --address, beside the --name of this resolver";
                return Err(error("name", &text, why));
            }
            let host =
                Host::new(&text, TLS_PORT).map_err(|why| error("name", &text, &why.reason))?;
            if host.name().len() > Config::MAX_LISTENER_NAME {
                let most = Config::MAX_LISTENER_NAME;
                return Err(error(
                    "name",
                    &text,
                    &format!("has more than {most} characters"),
                ));
            }
            if registrable_domain(host.name()).is_none() {
                let why = "is a domain below which others have names, and the authority could sign for all of them: name this resolver in a \
                           domain of your own, or in home.arpa, as dns.home.arpa";
                return Err(error("name", &text, why));
            }
            if !names.contains(&host.name().to_owned()) {
                names.push(host.name().to_owned());
            }
        }
        if names.is_empty() {
            return Err(UsageError(
                "--name is missing: the name that devices are to know this resolver by, as in dotward certificate --name dns.home.example"
                    .to_owned(),
            ));
        }
        let mut addresses: Vec<IpAddr> = Vec::new();
        for text in list(options.address) {
            let ip = address(&text).map_err(|why| error("address", &text, &why))?;
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
        if names.len() + addresses.len() > MOST_NAMES {
            let why = format!("{MOST_NAMES} names and addresses are the most for one certificate");
            return Err(UsageError(why));
        }
        let days = match &options.days {
            None => DAYS,
            Some(text) => text
                .parse()
                .ok()
                .filter(|days| (1..=MOST_DAYS).contains(days))
                .ok_or_else(|| {
                    let why = format!("is not a number of days from 1 to {MOST_DAYS}");
                    error("days", text, &why)
                })?,
        };
        let protocol = match options.protocol.as_deref() {
            None | Some("tls") => Protocol::Tls,
            Some("https") => Protocol::Https,
            Some(other) => return Err(error("protocol", other, "is neither tls nor https")),
        };
        let folder = options.directory.unwrap_or_else(|| ".".to_owned());
        if folder.is_empty() {
            return Err(error("directory", &folder, "is empty; . is this folder"));
        }
        Ok(Self {
            names,
            addresses,
            folder: folder.into(),
            days,
            protocol,
            force: options.force,
        })
    }

    /// Makes it. The text says what was made, and what is to be done with it; an error names the file.
    pub fn carry_out(&self) -> Result<String, String> {
        let now = SystemTime::UNIX_EPOCH.elapsed();
        let now = now.map_err(|_| "this machine's clock is before 1970: set it".to_owned())?;
        self.carry_out_at(now)
    }

    /// At this time, counted from 1970.
    fn carry_out_at(&self, now: Duration) -> Result<String, String> {
        let folder = Folder::open(&self.folder, self.force)?;
        let (authority, is_new) = self.authority(&folder, now)?;
        let key = match folder.own_text(KEY)? {
            Some(pem) => authority::key(&pem).map_err(|why| {
                let path = folder.path(KEY);
                format!("{path}: {why}: remove it, and a new key is made")
            })?,
            None => authority::new_key()?,
        };
        let server = authority.sign(self, &key, now).map_err(|why| {
            let (path, key) = (folder.path(AUTHORITY), folder.path(AUTHORITY_KEY));
            format!("{path}: {why}: name another --directory, or remove {path} and {key} for a new authority, which devices have to be made to trust again")
        })?;
        // All that can be refused is refused before the first file is written.
        let profile = profile::profile(self, &authority);
        for (name, marked) in [(CHAIN, true), (PROFILE, true), (AUTHORITY_DER, false)] {
            let is_same = folder
                .octets(name)?
                .is_some_and(|there| there == authority.der());
            if marked || !is_same {
                folder.may_write(name)?;
            }
        }
        let all = self.all();
        if let Some(before) = folder.own_text(CHAIN)?
            && !self.force
        {
            let before = before.lines().next().and_then(|it| it.strip_prefix(OF));
            let before = before.and_then(|it| it.strip_suffix(MARK)).unwrap_or("");
            let mut before = before.split(", ").filter(|it| !it.is_empty());
            if let Some(gone) = before.find(|it| !all.iter().any(|one| one == it)) {
                return Err(format!(
                    "{}: is for {gone} as well, which devices may know this resolver by: name it, too, or leave it out with --force",
                    folder.path(CHAIN)
                ));
            }
        }
        let note = |what: &str| format!("# {what}, {MARK}\n");
        if is_new {
            let text = note("The key of the private authority, which is to be secret");
            folder.write(AUTHORITY_KEY, &(text + &authority.key_pem()), KEY_MODE)?;
            let text = note("The certificate of the private authority");
            folder.write(AUTHORITY, &(text + authority.pem()), PUBLIC_MODE)?;
        }
        folder.write_octets(AUTHORITY_DER, authority.der(), PUBLIC_MODE)?;
        let text = note("The key of the certificate, which is to be secret");
        folder.write_if_absent(KEY, &(text + &key.serialize_pem()), KEY_MODE)?;
        let text = format!("{OF}{}, {MARK}\n", all.join(", "));
        folder.write(CHAIN, &(text + &server.pem()), PUBLIC_MODE)?;
        folder.write(PROFILE, &profile, PUBLIC_MODE)?;
        Ok(steps::steps(
            self,
            &folder,
            &authority,
            is_new,
            server.end(),
        ))
    }

    /// All names and addresses that the certificate is for.
    fn all(&self) -> Vec<String> {
        let addresses = self.addresses.iter().map(ToString::to_string);
        self.names.iter().cloned().chain(addresses).collect()
    }

    /// The authority that is there, or else a new one, and whether it is new.
    fn authority(&self, folder: &Folder, now: Duration) -> Result<(Authority, bool), String> {
        let (path, key_path) = (folder.path(AUTHORITY), folder.path(AUTHORITY_KEY));
        match (folder.own_text(AUTHORITY)?, folder.own_text(AUTHORITY_KEY)?) {
            (None, None) => Ok((Authority::new(&self.names, &self.addresses, now)?, true)),
            (Some(certificate), Some(key)) => {
                let key = authority::key(&key).map_err(|why| format!("{key_path}: {why}"))?;
                let known = Authority::read(&certificate, key);
                let known = known.map_err(|why| format!("{path}: {why}"))?;
                Ok((known, false))
            }
            (Some(_), None) => Err(format!(
                "{key_path}: is not there, so that the authority of {path} can sign nothing: bring it back, or remove {path} for a new authority"
            )),
            (None, Some(_)) => Err(format!(
                "{path}: is not there, but its key is: bring it back, or remove {key_path} for a new authority"
            )),
        }
    }
}

/// An address that one host can have.
fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let ip: IpAddr = bare.unwrap_or(text).parse().map_err(|_| {
        let hint = match text.split_once('%') {
            Some((ip, _)) => format!("; write {ip}, without the interface"),
            None => String::new(),
        };
        format!("is not an IP address{hint}")
    })?;
    let ip = ip.to_canonical();
    if ip.is_unspecified() || ip.is_multicast() {
        return Err("is not the address of one host".to_owned());
    }
    Ok(ip)
}

#[cfg(test)]
mod tests;
