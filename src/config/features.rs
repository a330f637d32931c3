//! Parts of the program that a build may lack.

/// The reason why a setting is refused whose part this build lacks, with what to do about it.
pub(crate) fn lacking(feature: &str) -> String {
    format!(
        "takes the feature {feature}, which this build of dotward lacks: `cargo build --release --features {feature}` makes one that has it, and \
         `cargo install --locked --path . --features {feature}` installs it"
    )
}
