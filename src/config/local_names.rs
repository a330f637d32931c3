//! Queries that are answered here instead of being forwarded.

/// Which names are answered here. By default all special-use names are, and the version is not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalNames {
    /// Special-use names (RFC 6761: `localhost`, `onion`, `home.arpa`, `local`, `internal`, `invalid`, `alt`, `resolver.arpa`, `service.arpa`,
    /// and the reverse zones of private addresses) are forwarded like any other.
    pub forward_special: bool,
    /// `version.bind` and `version.server` of class CH are answered with the version, instead of REFUSED.
    pub show_version: bool,
}
