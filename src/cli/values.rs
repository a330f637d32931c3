//! The values of one setting, as they were written.

use std::fmt::Write as _;

use super::UsageError;
use super::known::{Kind, Known};
use super::origin::{Origin, key, option};
use super::units::switch;
use crate::config::ConfigError;

/// One value.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) origin: Origin,
    /// What is said of this upstream alone: whether it may be one that is not encrypted.
    pub(super) allow_plaintext: Option<bool>,
    /// Further parameters of this upstream alone, by the names of their settings.
    pub(super) parameters: Vec<(&'static str, String)>,
}

impl Written {
    pub(super) fn new(text: impl Into<String>, origin: Origin) -> Self {
        Self {
            text: text.into(),
            origin,
            allow_plaintext: None,
            parameters: Vec::new(),
        }
    }

    /// As one would write it on the command line, for errors.
    pub(super) fn shown(&self) -> String {
        let mut shown = self.text.clone();
        for (name, value) in &self.parameters {
            let mark = if shown.contains('?') { '&' } else { '?' };
            // Writing to a string does not fail.
            let _ = write!(shown, "{mark}{}={value}", key(name));
        }
        shown
    }

    /// An error about this value of a setting. The value is shown as it was written.
    pub(super) fn error(&self, setting: &str, error: &ConfigError) -> UsageError {
        let remedy = error.remedy.map_or_else(String::new, |setting| {
            let name = match self.origin {
                Origin::File(_) => key(setting),
                Origin::Option | Origin::Variable | Origin::Default => option(setting),
            };
            format!(" ({name})")
        });
        let name = self.origin.name(setting);
        UsageError(format!(
            "{name} {:?}: {}{remedy}",
            self.shown(),
            error.reason
        ))
    }
}

/// All values of a setting, all from the same source.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pub(super) origin: Origin,
    pub(super) texts: Vec<Written>,
}

impl Values {
    pub(super) fn new(texts: impl IntoIterator<Item = String>, origin: &Origin) -> Self {
        let text = |text| Written::new(text, origin.clone());
        Self {
            texts: texts.into_iter().map(text).collect(),
            origin: origin.clone(),
        }
    }

    /// Whether these are the values that the setting has anyway.
    pub(super) fn are_default(&self, known: &Known) -> bool {
        let form = |text: &str| match known.kind {
            Kind::Switch => switch(text).map_or_else(|_| text.to_owned(), |set| set.to_string()),
            _ => text.to_owned(),
        };
        let texts = self.texts.iter().map(|text| form(&text.shown()));
        texts.eq(known.default.iter().map(|text| form(text)))
    }

    /// All values, read.
    pub(super) fn all<T>(
        &self,
        setting: &str,
        read: impl Fn(&Written) -> Result<T, ConfigError>,
    ) -> Result<Vec<T>, UsageError> {
        let texts = self.texts.iter();
        texts
            .map(|text| read(text).map_err(|error| text.error(setting, &error)))
            .collect()
    }

    /// The last value, read. An error of `read` is only the reason.
    pub(super) fn last<T>(
        &self,
        setting: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, UsageError> {
        let read = |text: &Written| {
            read(&text.text).map_err(|reason| ConfigError::new(setting, &text.text, reason))
        };
        Ok(self.all(setting, read)?.pop())
    }
}
