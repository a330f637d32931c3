//! What is to be done with the files, for people.

use super::authority::Authority;
use super::files::Folder;
use super::{AUTHORITY, AUTHORITY_DER, AUTHORITY_KEY, CHAIN, KEY, Order, PROFILE, Protocol};
use crate::cli::effective::quoted;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

/// What was made, and how it is used.
pub(super) fn steps(
    order: &Order,
    folder: &Folder,
    authority: &Authority,
    is_new: bool,
    end: Option<u64>,
) -> String {
    let name = order.names.first().map_or("", String::as_str);
    let end = end.map_or_else(String::new, |end| {
        let at = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(end));
        format!(" until {at}")
    });
    let made = if is_new {
        "A new private authority was made"
    } else {
        "The private authority that was there has signed"
    };
    let mut text = format!("{made}: {}.\n\n", authority.common_name());
    for (file, what) in [
        (AUTHORITY, "the certificate of the authority"),
        (AUTHORITY_DER, "the same as DER, for devices"),
        (AUTHORITY_KEY, "its key: keep it secret, and keep it"),
        (CHAIN, "the certificate of the resolver"),
        (KEY, "the key of that, for dotward alone"),
        (PROFILE, "a profile for iPhone, iPad and Mac"),
    ] {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {}  {what}", folder.path(file));
    }
    let all = order.all().join(", ");
    let _ = write!(
        text,
        "\nThe certificate is for {all},{end}.\nCall this again before that, as by a timer each month: devices need no new step.\n\n"
    );
    text.push_str(&configuration(order, folder, name));
    text.push_str(&devices(order, folder, name));
    text
}

/// The lines of the configuration file.
fn configuration(order: &Order, folder: &Folder, name: &str) -> String {
    let is_of_a_link = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let mut listen: Vec<String> = order
        .addresses
        .iter()
        .filter(|ip| !is_of_a_link(ip))
        .map(|ip| quoted(&ip.to_string()))
        .collect();
    if listen.is_empty() {
        listen = ["0.0.0.0", "::"].map(quoted).into();
    }
    let listen = listen.join(", ");
    let (chain, key) = (quoted(&folder.path(CHAIN)), quoted(&folder.path(KEY)));
    let setting = match order.protocol {
        Protocol::Tls => "listen-tls",
        Protocol::Https => "listen-https",
    };
    let mut text = format!(
        "# In dotward.toml; `listen` has the addresses that devices ask without encryption:\n{setting} = [{listen}]\ncertificate = {chain}\ncertificate-key = {key}\nlistener-name = {}\n\n",
        quoted(name)
    );
    text.push_str(
        "The user that dotward runs as must be able to read both files, or systemd\npasses them (LoadCredential=).\n\n",
    );
    text
}

fn devices(order: &Order, folder: &Folder, name: &str) -> String {
    let (root, profile, ca) = (
        folder.path(AUTHORITY_DER),
        folder.path(PROFILE),
        folder.path(AUTHORITY),
    );
    let needs_https = match order.protocol {
        Protocol::Tls => "It is by DNS over TLS, on port 853.",
        Protocol::Https => "It is by DNS over HTTPS, and takes such a listener on port 443.",
    };
    let mut text = format!(
        "iPhone, iPad, Mac: open {profile} there
  and install it in Settings; on a Mac, under Profiles. On iPhone and iPad
  also switch on Settings, General, About, Certificate Trust Settings.
  {needs_https}

Android: Private DNS \"automatic\" (the default) uses the encrypted listener of
  a resolver that it gets by DHCP, on port 853, and does not verify it.
  A \"provider hostname\" is verified, against the authorities of the system
  alone: one that you install does not count there, so that {name}
  is refused. That setting takes a certificate of a public authority.

Windows 11: as administrator: certutil -addstore Root ca.crt
  Windows knows DNS over HTTPS, and looks for it by itself if the address is
  in the certificate. DNS over TLS is not in every version of it.

Firefox, Chromium: their own setting is DNS over HTTPS,
  https://{name}/dns-query, which takes such a listener.
  Chromium trusts what the system trusts, and so does Firefox on Windows and
  Mac; elsewhere import {root}
  in the settings of the browser, under Certificates, as an authority.

Linux: systemd-resolved asks over TLS (DNSOverTLS=yes, DNS=ADDRESS#{name})
  once the system trusts the authority. On Debian:
  cp {ca} /usr/local/share/ca-certificates/dotward.crt
  update-ca-certificates

Another dotward: --upstream ddr://ADDRESS --ca-file {ca}
"
    );
    if order.addresses.is_empty() {
        text.push_str(
            "\nThe certificate has no address, so that devices which look for encryption by\nthemselves (RFC 9462) will refuse it: name with --address each one that they\nask without encryption.\n",
        );
    }
    text
}
