//! A build that imports nothing. Stands in for `src/cli/import.rs`.

use super::UsageError;
use super::commands::ImportOptions;
use super::sources::Sources;
use crate::config::lacking;
use std::convert::Infallible;

/// There is none.
#[derive(Debug)]
pub struct Import(Infallible);

impl Import {
    /// An error names the feature.
    pub(super) fn read(_options: ImportOptions, _sources: &Sources) -> Result<Self, UsageError> {
        let why = lacking("import");
        Err(UsageError(format!("dotward import {why}")))
    }

    /// Never called.
    pub(super) fn text(&self) -> Option<String> {
        match self.0 {}
    }

    /// Never called.
    pub(super) fn remarks(&self) -> &[String] {
        match self.0 {}
    }

    /// Never called.
    pub fn write(&self) -> Result<(), String> {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::parse;

    #[test]
    fn an_import_is_refused_with_the_feature_that_it_takes() {
        let error = parse(["import", "stubby.yml"].map(Into::into), []);
        let error = error.unwrap_err().to_string();
        let expected = "dotward import takes the feature import, which this build of";
        assert!(error.starts_with(expected), "{error}");
    }
}
