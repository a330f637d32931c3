//! Numbers, and words of which one is chosen.
//!
//! An error is the reason alone; the caller adds the setting and the value.

use std::num::NonZeroU16;
use std::ops::RangeInclusive;

use log::LevelFilter;

use crate::config::{ClientSubnet, Config, hint};
use crate::logger::Format;
use crate::transports::RUNTIMES;

/// Reads a number in decimal digits within these bounds.
pub(super) fn number(text: &str, range: &RangeInclusive<usize>) -> Result<usize, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok();
    number
        .filter(|number| plain && range.contains(number))
        .ok_or_else(|| format!("is not a number from {} to {}", range.start(), range.end()))
}

/// Reads a number of octets to a multiple of which queries are padded, or `off`.
pub(super) fn padding(text: &str) -> Result<Option<NonZeroU16>, String> {
    if text == "off" {
        return Ok(None);
    }
    let block = number(text, &Config::PADDINGS).map_err(|why| format!("{why}, or off"))?;
    Ok(NonZeroU16::new(block as u16))
}

/// Reads what becomes of client subnets.
pub(super) fn client_subnet(text: &str) -> Result<ClientSubnet, String> {
    const WORDS: [(&str, ClientSubnet); 3] = [
        ("keep", ClientSubnet::Keep),
        ("strip", ClientSubnet::Strip),
        ("forbid", ClientSubnet::Forbid),
    ];
    let found = WORDS.into_iter().find(|(word, _)| *word == text);
    found.map(|(_, meant)| meant).ok_or_else(|| {
        let words = WORDS.map(|(word, _)| word);
        let hint = hint(text, words.into_iter());
        format!("is none of {}{hint}", words.join(", "))
    })
}

/// Reads the least level of the log.
pub(super) fn level(text: &str) -> Result<LevelFilter, String> {
    const LEVELS: [&str; 5] = ["off", "error", "warn", "info", "debug"];
    let level = text.parse().ok();
    let unused = LevelFilter::Trace;
    level.filter(|level| *level != unused).ok_or_else(|| {
        let hint = hint(text, LEVELS.into_iter());
        format!("is not a level; those are {}{hint}", LEVELS.join(", "))
    })
}

/// Reads the format of the log.
pub(super) fn log_format(text: &str) -> Result<Format, String> {
    const FORMATS: [Format; 2] = [Format::Text, Format::Json];
    let found = FORMATS.into_iter().find(|one| one.to_string() == text);
    found.ok_or_else(|| {
        let names = FORMATS.map(|one| one.to_string());
        let hint = hint(text, names.iter().map(String::as_str));
        format!("is none of {}{hint}", names.join(", "))
    })
}

/// Reads the name of a runtime that this program has.
pub(super) fn runtime(text: &str) -> Result<String, String> {
    if RUNTIMES.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "is not a runtime of this program; it was built with {}{}",
        RUNTIMES.join(", "),
        hint(text, RUNTIMES.iter().copied())
    ))
}
