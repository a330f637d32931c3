//! A build that makes no certificates. Stands in for `src/cli/certificate.rs`.

use super::UsageError;
use super::commands::CertificateOptions;
use std::convert::Infallible;

/// There is none.
#[derive(Clone, Debug)]
pub struct Order(Infallible);

impl Order {
    /// An error names the feature.
    pub(super) fn read(_options: CertificateOptions) -> Result<Self, UsageError> {
        Err(UsageError(
            "this build of dotward makes no certificates (feature certificate)".to_owned(),
        ))
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
        let expected = "this build of dotward makes no certificates (feature certificate)";
        assert_eq!(error, expected);
    }
}
