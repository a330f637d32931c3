//! The optional parts that this program was built with.

/// Those that people choose, in the order of `docs/install.md`, and whether they are there.
const ALL: [(&str, bool); 18] = [
    ("cli", cfg!(feature = "cli")),
    ("async-std", cfg!(feature = "async-std")),
    ("smol", cfg!(feature = "smol")),
    ("tokio", cfg!(feature = "tokio")),
    ("mio", cfg!(feature = "mio")),
    ("wasi", cfg!(feature = "wasi")),
    ("split", cfg!(feature = "split")),
    ("isolate", cfg!(feature = "isolate")),
    ("doh", cfg!(feature = "doh")),
    ("doq", cfg!(feature = "doq")),
    ("listen-tls", cfg!(feature = "listen-tls")),
    ("listen-https", cfg!(feature = "listen-https")),
    ("certificate", cfg!(feature = "certificate")),
    ("admin", cfg!(feature = "admin")),
    ("control", cfg!(feature = "control")),
    ("captive", cfg!(feature = "captive")),
    ("query", cfg!(feature = "query")),
    ("import", cfg!(feature = "import")),
];

/// The program's name and version, and its features.
pub(super) fn version() -> String {
    let built = ALL.iter().filter(|(_, is_built)| *is_built);
    let names: Vec<&str> = built.map(|(name, _)| *name).collect();
    let program = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    format!("{program}\nfeatures: {}\n", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features that others bring, or that stand for several.
    const NOT_CHOSEN: [&str; 4] = ["default", "full", "sockets", "tls"];

    // req 106
    #[test]
    fn each_feature_of_the_package_is_told() {
        let manifest = include_str!("../../Cargo.toml");
        let (_, features) = manifest.split_once("\n[features]\n").unwrap();
        let (features, _) = features.split_once("\n\n").unwrap();
        let rows = features.lines().filter(|line| !line.starts_with('#'));
        let rows = rows.filter_map(|line| line.split_once(" = "));
        let mut declared: Vec<&str> = rows
            .map(|(name, _)| name)
            .filter(|name| !NOT_CHOSEN.contains(name))
            .collect();
        let mut told = ALL.map(|(name, _)| name);
        declared.sort_unstable();
        told.sort_unstable();
        assert_eq!(declared, told);
        let version = version();
        let (program, built) = version.split_once('\n').unwrap();
        assert_eq!(program, "dotward 0.1.0");
        let built = built.strip_prefix("features: ").unwrap();
        let built: Vec<&str> = built.trim_end().split(", ").collect();
        assert_eq!(built.contains(&"doh"), cfg!(feature = "doh"));
        assert!(built.contains(&"cli"));
    }
}
