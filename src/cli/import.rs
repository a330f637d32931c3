//! `dotward import`: what was made of another program's configuration, checked as `dotward check` does it.

use super::UsageError;
use super::commands::ImportOptions;
use super::file::{File, Missing, read_limited};
use super::given::Given;
use super::options::Options;
use super::settings::Settings;
use super::sources::Sources;
use crate::config::Modes;
use crate::import::{Format, Page, translate};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// No configuration of people is larger; a device or an image that is named by mistake is not read to its end.
const MOST_OCTETS: u64 = 1 << 20;

/// How the text is named while it is checked: errors begin with this, and the line.
const CHECKED: &str = "dotward.toml";

/// The word for standard input.
const STANDARD_INPUT: &str = "-";

/// A configuration file that is to be written.
#[derive(Debug)]
pub struct Import {
    text: String,
    remarks: Vec<String>,
    /// None is standard output.
    output: Option<PathBuf>,
    force: bool,
}

impl Import {
    /// Reads the other program's file, and makes one of dotward of it that `dotward check` accepts.
    pub(super) fn read(options: ImportOptions, sources: &Sources) -> Result<Self, UsageError> {
        let format = options.from.as_deref().map(str::parse::<Format>);
        let format = format.transpose().map_err(|why| {
            let from = options.from.as_deref().unwrap_or_default();
            UsageError(format!("--from {from:?}: {why}"))
        })?;
        let output = options.output.map(PathBuf::from);
        if options.force && output.is_none() {
            let why = "--force replaces the file of --output, which is missing";
            return Err(UsageError(why.to_owned()));
        }
        let octets = octets(&options.file)?;
        let name = match options.file.as_str() {
            STANDARD_INPUT => "standard input",
            file => file,
        };
        let draft = translate(name, &octets, format);
        let draft = draft.map_err(|error| UsageError(error.to_string()))?;
        let page = accepted(Page::from(draft), name, sources)?;
        Ok(Self {
            text: page.text(),
            remarks: page.remarks(),
            output,
            force: options.force,
        })
    }

    /// What is printed.
    pub(super) fn text(&self) -> Option<String> {
        self.output.is_none().then(|| self.text.clone())
    }

    /// What is different, one line each.
    pub(super) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Writes the file, if one was named. An error names it.
    pub fn write(&self) -> Result<(), String> {
        let Some(path) = &self.output else {
            return Ok(());
        };
        let shown = path.display();
        let written = if self.force {
            replace(path, &self.text)
        } else {
            create(path, &self.text)
        };
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!("{shown}: is there already: name another file, or replace it with --force")
            }
            _ => format!("{shown}: cannot be written: {error}"),
        })
    }
}

fn octets(file: &str) -> Result<Vec<u8>, UsageError> {
    if file == STANDARD_INPUT {
        let mut octets = Vec::new();
        let read = io::stdin().take(MOST_OCTETS + 1).read_to_end(&mut octets);
        return match read {
            Ok(_) if octets.len() as u64 > MOST_OCTETS => {
                let why = format!("standard input: has more than {MOST_OCTETS} octets");
                Err(UsageError(why))
            }
            Ok(_) => Ok(octets),
            Err(error) => Err(UsageError(format!("standard input: {error}"))),
        };
    }
    let octets = read_limited(Path::new(file), MOST_OCTETS);
    octets.map_err(|why| UsageError(format!("{}: {why}", file.escape_debug())))
}

/// Makes comments of what dotward refuses, until it accepts the rest. An error says that no upstream is left, or what cannot be left out.
fn accepted(mut page: Page, name: &str, sources: &Sources) -> Result<Page, UsageError> {
    loop {
        let why = match check(&page.text(), sources) {
            Ok(warnings) => {
                for warning in warnings {
                    page.remark(&format!("dotward check warns: {warning}"));
                }
                return Ok(page);
            }
            Err(why) => why.to_string(),
        };
        let place = why.strip_prefix(CHECKED).and_then(|rest| {
            let (line, rest) = rest.strip_prefix(':')?.split_once(':')?;
            let (_, why) = rest.split_once(": ")?;
            Some((line.parse().ok()?, why.to_owned()))
        });
        let refused = place.is_some_and(|(line, why): (usize, String)| page.refuse(line, &why));
        if !refused {
            return Err(UsageError(format!(
                "{name}: dotward refuses what comes of it: {why}"
            )));
        }
        if !page.has_upstreams() {
            // Without one the default would take its place, which nobody chose.
            return Err(UsageError(format!("{name}: no upstream is left: {why}")));
        }
    }
}

/// What `dotward check` says of this text as its file, without options and variables.
fn check(text: &str, sources: &Sources) -> Result<Vec<String>, UsageError> {
    let file = File::read(CHECKED, text.as_bytes(), Options::KNOWN)?;
    let given = Given::join(Options::KNOWN, BTreeMap::new(), [])?.with_file(file);
    let settings = Settings::read(Modes::UdpAndTcp, &given, sources, Missing::CouldBeMade)?;
    Ok(settings.warnings)
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = file.write_all(text.as_bytes());
    if written.is_err() {
        // Half a file is of no use; the first error is the one that counts.
        let _ = fs::remove_file(path);
    }
    written
}

/// In the place of what was there, at once: nobody reads half a file.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".new-{}", std::process::id()));
    let new = PathBuf::from(new);
    create(&new, text)?;
    let renamed = fs::rename(&new, path);
    if renamed.is_err() {
        let _ = fs::remove_file(&new); // As above.
    }
    renamed
}
