//! What settings are read from: arguments, environment variables and files.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::UsageError;
use super::file::{File, find, usual_places};
use super::given::Given;
use super::options::Options;
use super::origin::PREFIX;

/// All that settings are read from. They can be read again, for example when the file has changed.
#[derive(Clone, Debug)]
pub struct Sources {
    arguments: Vec<OsString>,
    /// This program's own.
    variables: Vec<(OsString, OsString)>,
    /// Where the configuration file is looked for that nobody names.
    usual: Vec<PathBuf>,
    /// Below which the files of this host are.
    root: Option<PathBuf>,
}

impl Sources {
    /// Arguments, without the program's name, and environment variables, of which only `DOTWARD_*` matter. No file is looked for.
    pub fn new(
        arguments: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let is_own = |(name, _): &(OsString, OsString)| {
            name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
        };
        Self {
            arguments: arguments.into_iter().collect(),
            variables: variables.into_iter().filter(is_own).collect(),
            usual: Vec::new(),
            root: None,
        }
    }

    /// The first of these files that there is counts, unless another one is named.
    #[must_use]
    pub fn with_usual_files(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.usual = files.into_iter().collect();
        self
    }

    /// The files of this host, which say which name servers it uses, are below this folder. Without one it has no name servers.
    #[must_use]
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = Some(root.into());
        self
    }

    /// Those of this process.
    pub fn of_process() -> Self {
        let usual = usual_places(
            env::var_os("XDG_CONFIG_HOME").as_deref(),
            env::var_os("HOME").as_deref(),
            is_root(),
        );
        Self::new(env::args_os().skip(1), env::vars_os())
            .with_usual_files(usual)
            .with_root("/")
    }

    /// The arguments, as they were typed.
    pub(super) fn arguments(&self) -> impl Iterator<Item = OsString> {
        self.arguments.iter().cloned()
    }

    pub(super) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// What they say, joined.
    pub(super) fn given(&self, options: Options) -> Result<Given, UsageError> {
        let variables = self.variables.iter().cloned();
        let given = Given::join(Options::KNOWN, options.into_texts(), variables)?;
        let named = given
            .values("config")
            .and_then(|values| values.texts.last());
        Ok(match find(named, &self.usual)? {
            Some((name, octets)) => {
                let file = File::read(&name, &octets, Options::KNOWN)?;
                given.with_file(file)
            }
            None => given,
        })
    }
}

fn is_root() -> bool {
    #[cfg(unix)]
    let is_root = rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    let is_root = false;
    is_root
}
