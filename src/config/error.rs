//! Errors about settings.

use std::fmt;

/// A setting that has a wrong value, alone or beside another setting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The name of the setting, such as `max_in_flight`.
    pub setting: &'static str,
    /// The value, as it was written where that is known. Empty if there is none.
    pub value: String,
    /// What is wrong with the value, and what to write instead where that is known.
    pub reason: String,
    /// The name of another setting by which this value would be right.
    pub remedy: Option<&'static str>,
}

impl ConfigError {
    /// An error about one value of one setting.
    pub fn new(
        setting: &'static str,
        value: &(impl ToString + ?Sized),
        reason: impl Into<String>,
    ) -> Self {
        Self {
            setting,
            value: value.to_string(),
            reason: reason.into(),
            remedy: None,
        }
    }

    /// Names another setting by which this value would be right.
    #[must_use]
    pub fn with_remedy(mut self, setting: &'static str) -> Self {
        self.remedy = Some(setting);
        self
    }
}

/// The error of a check.
#[cold]
pub(super) fn invalid(
    setting: &'static str,
    value: &dyn fmt::Display,
    reason: &dyn fmt::Display,
) -> Result<(), ConfigError> {
    Err(ConfigError::new(setting, value, reason.to_string()))
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => write!(f, "{}: {}", self.setting, self.reason),
            value => write!(f, "{} {value:?}: {}", self.setting, self.reason),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use crate::config::Listen;

    #[test]
    fn errors_escape_what_they_quote() {
        let error = "127.0.0.1\n\u{1b}[2J"
            .parse::<Listen>()
            .unwrap_err()
            .to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}
