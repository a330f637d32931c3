//! Names and addresses of the user's own: those of the hosts file, and those of the configuration file, which replace the same names there.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use super::UsageError;
use super::file::{HostTexts, NONE, read_limited};
use super::given::Given;
use super::known::misplaced;
use super::options::Options;
use super::values::Written;
use crate::config::{ConfigError, Domain, Hosts};

/// Larger than the lists of names to block that people keep in such files.
const FILE_OCTETS: u64 = 16 << 20;

/// A list of names to block may have thousands of lines that are left out for the same reason.
const MOST_REMARKS: usize = 3;

/// All hosts, and what was left out of the hosts file.
pub(super) fn read_hosts(given: &Given) -> Result<(Hosts, Vec<String>), UsageError> {
    let read = given.all("hosts_file", read_file)?.pop();
    let (file, left_out) = read.unwrap_or_default();
    let remarks = remarks(given, &left_out);
    if given.hosts.is_empty() {
        return Ok((file, remarks));
    }
    let mut hosts = Hosts::default();
    let mut own = BTreeSet::new();
    for texts in &given.hosts {
        let name = host(texts, &mut hosts)?;
        own.insert(name.name().to_owned());
    }
    let error = |error: ConfigError| given.usage_error(&error);
    for (name, addresses) in file.iter().filter(|(name, _)| !own.contains(name)) {
        let name: Domain = name.parse().map_err(error)?;
        for address in addresses {
            hosts.insert(&name, address).map_err(error)?;
        }
    }
    Ok((hosts, remarks))
}

/// Adds the addresses of one name of the configuration file.
fn host(texts: &HostTexts, hosts: &mut Hosts) -> Result<Domain, UsageError> {
    let error = |what: &str| UsageError(format!("{}: {:?}: {what}", texts.place, texts.name));
    let name = texts.name.parse::<Domain>();
    let name = name.map_err(|wrong| error(&wrong.reason))?;
    if texts.addresses.texts.is_empty() {
        return Err(error("has no address"));
    }
    for text in &texts.addresses.texts {
        let Ok(address) = text.text.parse::<IpAddr>() else {
            let place = text.origin.place().unwrap_or(&texts.place);
            return Err(UsageError(format!(
                "{place}: {:?} {:?}: is not an IP address{}",
                texts.name,
                text.text,
                misplaced(&texts.name, Options::KNOWN)
            )));
        };
        let inserted = hosts.insert(&name, address);
        inserted.map_err(|wrong| error(&wrong.reason))?;
    }
    Ok(name)
}

fn read_file(text: &Written) -> Result<(Hosts, Vec<String>), ConfigError> {
    let mut hosts = Hosts::default();
    if text.text == NONE {
        return Ok((hosts, Vec::new()));
    }
    let error = |reason: String| ConfigError::new("hosts_file", &text.text, reason);
    let octets = read_limited(Path::new(&text.text), FILE_OCTETS);
    let octets = octets.map_err(|why| error(why.to_string()))?;
    let content = String::from_utf8(octets);
    let content = content.map_err(|_| error("the file is not valid UTF-8".to_owned()))?;
    let left_out = hosts
        .read(&content)
        .map_err(|wrong| error(format!("{:?} in {}", wrong.value, wrong.reason)))?;
    Ok((hosts, left_out))
}

fn remarks(given: &Given, left_out: &[String]) -> Vec<String> {
    let source = given.source("hosts_file").unwrap_or_default();
    let shown = left_out.iter().take(MOST_REMARKS);
    let mut remarks: Vec<String> = shown
        .map(|line| format!("{source}: {}", line.escape_debug()))
        .collect();
    if let Some(more) = left_out
        .len()
        .checked_sub(MOST_REMARKS)
        .filter(|more| *more > 0)
    {
        remarks.push(format!(
            "{source}: {more} more of its lines are left out in part"
        ));
    }
    remarks
}
