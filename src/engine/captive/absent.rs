//! In the place of the captive mode, in a build without the feature `captive`: nothing is ever asked in the clear.

/// What event loops share of it: nothing.
#[derive(Debug, Default)]
pub struct CaptiveMode;
