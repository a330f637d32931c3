//! Options of one command that are no settings, and its words, as `argv` takes them out before argh sees the others.

use super::UsageError;

/// What a command has beside settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Its name.
    pub(super) command: &'static str,
    /// Options without a value.
    pub(super) switches: &'static [&'static str],
    /// Options with one value.
    pub(super) values: &'static [&'static str],
    /// Options that may be repeated, or have several values with commas between them.
    pub(super) lists: &'static [&'static str],
    /// It takes words that belong to no option.
    pub(super) takes_words: bool,
}

impl Shape {
    /// All of its options.
    pub(super) fn options(&self) -> impl Iterator<Item = &'static str> {
        let (switches, values) = (self.switches.iter(), self.values.iter());
        switches.chain(values).chain(self.lists).copied()
    }
}

/// What was typed, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed {
    options: Vec<(&'static str, String)>,
    words: Vec<String>,
}

impl Typed {
    /// Reads an option, and its value, or a word; `false` if it is none of this command.
    pub(super) fn read(
        &mut self,
        shape: &Shape,
        word: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<bool, UsageError> {
        if !word.starts_with('-') {
            // A word that asks for help is left to argh.
            let is_taken = shape.takes_words && word != "help";
            self.words.extend(is_taken.then(|| word.to_owned()));
            return Ok(is_taken);
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let Some(option) = shape.options().find(|option| *option == name) else {
            return Ok(false);
        };
        if !shape.lists.contains(&option) && self.has(option) {
            return Err(UsageError(format!("{option} is given twice")));
        }
        let value = if shape.switches.contains(&option) {
            if value.is_some() {
                return Err(UsageError(format!("{option} takes no value")));
            }
            String::new()
        } else {
            let value = value.or_else(|| rest.next());
            value.ok_or_else(|| UsageError(format!("{option} needs a value")))?
        };
        self.options.push((option, value));
        Ok(true)
    }

    /// Whether an option was given.
    pub(super) fn has(&self, option: &str) -> bool {
        self.all(option).next().is_some()
    }

    /// The values of an option, as they were typed.
    pub(super) fn all<'t>(&'t self, option: &'t str) -> impl Iterator<Item = &'t str> {
        let all = self.options.iter().filter(move |(name, _)| *name == option);
        all.map(|(_, value)| value.as_str())
    }

    /// The value of an option that has one.
    pub(super) fn one<'t>(&'t self, option: &'t str) -> Option<&'t str> {
        self.all(option).next()
    }

    /// The values of an option that may have several.
    pub(super) fn list<'t>(&'t self, option: &'t str) -> impl Iterator<Item = &'t str> {
        self.all(option)
            .flat_map(|text| text.split(','))
            .map(str::trim)
    }

    /// The words that belong to no option.
    #[cfg_attr(
        not(any(feature = "query", test)),
        expect(dead_code, reason = "only the commands of that feature take words")
    )]
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        command: "look",
        switches: &["--all"],
        values: &["-x"],
        lists: &["--at"],
        takes_words: true,
    };

    fn read(line: &str) -> Result<(Typed, Vec<String>), UsageError> {
        let (mut typed, mut others) = (Typed::default(), Vec::new());
        let mut rest = line.split_whitespace().map(str::to_owned);
        while let Some(word) = rest.next() {
            if !typed.read(&SHAPE, &word, &mut rest)? {
                others.push(word);
            }
        }
        Ok((typed, others))
    }

    #[test]
    fn options_and_words_of_a_command_are_told_apart_from_those_of_others() {
        let (typed, others) =
            read("a.test --at=1,2 --listen MX --all --at -3 help -x ::1").unwrap();
        assert_eq!(typed.words(), ["a.test", "MX"]);
        assert_eq!(typed.list("--at").collect::<Vec<_>>(), ["1", "2", "-3"]);
        assert!(typed.has("--all") && !typed.has("--none"));
        assert_eq!(typed.one("-x"), Some("::1"));
        assert_eq!(others, ["--listen", "help"]);
    }

    #[test]
    fn what_is_missing_or_too_much_is_named() {
        for (line, expected) in [
            ("-x", "-x needs a value"),
            ("-x 1 -x 2", "-x is given twice"),
            ("--all --all", "--all is given twice"),
            ("--all=yes", "--all takes no value"),
        ] {
            assert_eq!(read(line).unwrap_err().to_string(), expected);
        }
    }
}
