//! What is answered here instead of being forwarded.

/// Which names leave for nobody. By default all those of special use, and the server's version is not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalNames {
    /// Names of special use (`localhost`, `onion`, `home.arpa`, `local`, `invalid`, `resolver.arpa`, and the reverse zones of private
    /// addresses) are forwarded like any other.
    pub forward_special: bool,
    /// `version.bind` and `version.server` of class CH tell the version, instead of REFUSED.
    pub show_version: bool,
}
