//! A configuration profile for Apple's systems: the authority, and the resolver. Apple's documentation calls the payloads `com.apple.security.root`
//! and `com.apple.dnsSettings.managed`.

use super::authority::Authority;
use super::{AUTHORITY_DER, MARK, Order, Protocol};
use data_encoding::BASE64;
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use std::fmt::Write as _;
use std::hash::Hasher as _;

/// The profile as a property list in XML. For the same order and authority it is the same, so that devices see no change.
pub(super) fn profile(order: &Order, authority: &Authority) -> String {
    let name = order.names.first().map_or("", String::as_str);
    let id = format!("dotward.{name}");
    let uuid = |part: &str| {
        uuid(
            authority.der(),
            &format!("{id} {part} {:?}", order.protocol),
        )
    };
    let (protocol, server) = match order.protocol {
        Protocol::Tls => (
            "TLS",
            format!("<key>ServerName</key><string>{name}</string>"),
        ),
        Protocol::Https => (
            "HTTPS",
            format!("<key>ServerURL</key><string>https://{name}/dns-query</string>"),
        ),
    };
    let mut addresses = String::new();
    if !order.addresses.is_empty() {
        addresses.push_str("\n        <key>ServerAddresses</key>\n        <array>");
        for ip in &order.addresses {
            // Writing to a string does not fail.
            let _ = write!(addresses, "<string>{ip}</string>");
        }
        addresses.push_str("</array>");
    }
    let certificate = BASE64.encode(authority.der());
    let (common_name, root, dns, all) = (
        authority.common_name(),
        uuid("authority"),
        uuid("dns"),
        uuid("profile"),
    );
    // Host names, addresses and what is made here have no character that XML would take for its own.
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- A configuration profile for Apple's systems, {MARK}. -->
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>PayloadType</key><string>Configuration</string>
  <key>PayloadVersion</key><integer>1</integer>
  <key>PayloadIdentifier</key><string>{id}</string>
  <key>PayloadUUID</key><string>{all}</string>
  <key>PayloadDisplayName</key><string>Encrypted DNS by {name}</string>
  <key>PayloadDescription</key><string>Trusts the private authority of this resolver, and asks the resolver with encryption.</string>
  <key>PayloadContent</key>
  <array>
    <dict>
      <key>PayloadType</key><string>com.apple.security.root</string>
      <key>PayloadVersion</key><integer>1</integer>
      <key>PayloadIdentifier</key><string>{id}.authority</string>
      <key>PayloadUUID</key><string>{root}</string>
      <key>PayloadDisplayName</key><string>{common_name}</string>
      <key>PayloadCertificateFileName</key><string>{AUTHORITY_DER}</string>
      <key>PayloadContent</key>
      <data>{certificate}</data>
    </dict>
    <dict>
      <key>PayloadType</key><string>com.apple.dnsSettings.managed</string>
      <key>PayloadVersion</key><integer>1</integer>
      <key>PayloadIdentifier</key><string>{id}.dns</string>
      <key>PayloadUUID</key><string>{dns}</string>
      <key>PayloadDisplayName</key><string>Encrypted DNS by {name}</string>
      <key>DNSSettings</key>
      <dict>
        <key>DNSProtocol</key><string>{protocol}</string>
        {server}{addresses}
      </dict>
    </dict>
  </array>
</dict>
</plist>
"#
    )
}

/// A UUID that follows from what it is for (RFC 9562 section 5.8).
fn uuid(authority: &[u8], part: &str) -> String {
    let mut hasher = SipHasher24::new();
    hasher.write(authority);
    hasher.write(part.as_bytes());
    let hash = hasher.finish128().as_u128();
    let version = hash & !(0xF << 76) | 8 << 76;
    let octets = version & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{octets:032X}");
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}
