//! A build that makes no certificates. Stands in for `src/cli/certificate.rs`.

use super::UsageError;
use super::commands::CertificateOptions;
use crate::config::lacking;
use std::convert::Infallible;

/// There is none.
#[derive(Clone, Debug)]
pub struct Order(Infallible);

impl Order {
    /// An error names the feature.
    pub(super) fn read(_options: CertificateOptions) -> Result<Self, UsageError> {
        let why = lacking("certificate");
        Err(UsageError(format!("dotward certificate {why}")))
    }

    /// Never called.
    pub fn carry_out(&self) -> Result<String, String> {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::parse;

    #[test]
    fn a_certificate_is_refused_with_the_feature_that_it_takes() {
        let words = ["certificate", "--name", "a.test"].map(Into::into);
        let error = parse(words, []).unwrap_err().to_string();
        let expected = "dotward certificate takes the feature certificate, which this build of";
        assert!(error.starts_with(expected), "{error}");
    }
}
