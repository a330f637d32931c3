//! A draft as a configuration file of dotward, in pieces.

use super::draft::{Draft, Target};
use super::options::rank;
use super::remark::Remark;
use super::server::Server;
use super::text::{quoted, quoted_list, shown};

/// What a piece of the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Setting,
    /// An item of the list of upstreams.
    Upstream,
    Route,
    Host,
}

/// Lines that belong together, and can be made a comment together.
#[derive(Debug)]
struct Piece {
    kind: Kind,
    /// In the other program's file.
    line: usize,
    lines: Vec<String>,
    /// On it alone.
    remarks: Vec<Remark>,
    /// Why it is a comment.
    refused: Option<String>,
    /// What stands in its place then: names with servers of their own are not forwarded to others.
    instead: Vec<String>,
}

/// The file that is written.
#[derive(Debug)]
pub(crate) struct Page {
    file: String,
    program: &'static str,
    pieces: Vec<Piece>,
    remarks: Vec<Remark>,
}

impl From<Draft> for Page {
    fn from(draft: Draft) -> Self {
        let mut settings = draft.settings;
        settings.sort_by_key(|setting| rank(setting.key));
        let piece = |kind, line, lines, remarks| Piece {
            kind,
            line,
            lines,
            remarks,
            refused: None,
            instead: Vec::new(),
        };
        let mut pieces: Vec<Piece> = Vec::new();
        for setting in settings {
            let lines = vec![setting.written()];
            pieces.push(piece(Kind::Setting, setting.line, lines, Vec::new()));
        }
        for server in draft.servers {
            let line = format!("    {},", server.item());
            pieces.push(piece(
                Kind::Upstream,
                server.line,
                vec![line],
                server.remarks,
            ));
        }
        for way in draft.ways {
            let mut remarks = way.remarks;
            let domain = match way.domains.as_slice() {
                [domain] => quoted(domain),
                domains => quoted_list(domains),
            };
            let mut lines = vec!["[[route]]".to_owned(), format!("domain = {domain}")];
            match way.target {
                Target::Word(word) => lines.push(format!("to = {}", quoted(word))),
                Target::Servers(servers, policy) => {
                    let items: Vec<String> = servers.iter().map(Server::item).collect();
                    remarks.extend(servers.into_iter().flat_map(|server| server.remarks));
                    lines.push(match items.as_slice() {
                        [item] => format!("upstreams = {item}"),
                        items => format!("upstreams = [{}]", items.join(", ")),
                    });
                    lines.extend(policy.map(|policy| format!("policy = {}", quoted(policy))));
                }
            }
            let mut route = piece(Kind::Route, way.line, lines, remarks);
            if route.lines.iter().any(|line| line.starts_with("upstreams")) {
                let to = "to = \"refuse\"".to_owned();
                route.instead.extend(route.lines.iter().take(2).cloned());
                route.instead.push(to);
            }
            pieces.push(route);
        }
        for (line, name, addresses) in draft.hosts {
            let mut texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            texts.dedup();
            let value = match texts.as_slice() {
                [text] => quoted(text),
                texts => quoted_list(texts),
            };
            let lines = vec![format!("{} = {value}", quoted(&name))];
            pieces.push(piece(Kind::Host, line, lines, Vec::new()));
        }
        Self {
            file: draft.file,
            program: draft.format.name(),
            pieces,
            remarks: draft.remarks,
        }
    }
}

impl Page {
    /// Makes a comment of what stands in this line of the text, since dotward refuses it. `false` if nothing there can be left out.
    pub(crate) fn refuse(&mut self, line: usize, why: &str) -> bool {
        let (_, places) = self.write();
        let piece = places.get(line.wrapping_sub(1)).copied().flatten();
        let Some(piece) = piece.and_then(|index| self.pieces.get_mut(index)) else {
            return false;
        };
        if piece.refused.is_some() {
            // What stood in its place is refused as well.
            piece.instead.clear();
        }
        piece.refused = Some(shown(why));
        true
    }

    /// Adds what is to be said of the whole.
    pub(crate) fn remark(&mut self, text: &str) {
        self.remarks.push(Remark::new(0, text));
    }

    /// Whether it has an upstream left, if it had one.
    pub(crate) fn has_upstreams(&self) -> bool {
        let mut upstreams = self.of(Kind::Upstream).peekable();
        let is_of_routes = upstreams.peek().is_none();
        // A route for all names may stand in their place, but only if it was there from the beginning.
        is_of_routes || upstreams.any(|piece| piece.refused.is_none())
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(move |piece| piece.kind == kind)
    }

    /// All that is different, one line each, in the order of the file.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut told = Vec::new();
        for piece in &self.pieces {
            told.extend(piece.remarks.iter().map(|remark| remark.told(&self.file)));
            told.extend(piece.refused.as_ref().map(|why| self.refusal(piece, why)));
        }
        told.extend(self.remarks.iter().map(|remark| remark.told(&self.file)));
        told
    }

    fn refusal(&self, piece: &Piece, why: &str) -> String {
        let text = format!("what comes of this is a comment, since dotward refuses it: {why}");
        Remark::new(piece.line, &text).told(&self.file)
    }

    /// The whole text.
    pub(crate) fn text(&self) -> String {
        let (lines, _) = self.write();
        lines.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// The lines, and of which piece each is.
    fn write(&self) -> (Vec<String>, Vec<Option<usize>>) {
        let mut out = Out::default();
        out.line(&format!(
            "# Made by `dotward import` of {}, a file of {}. What stands behind # says what is different.",
            self.file, self.program
        ));
        out.line("# `dotward check --config FILE` says what dotward does with it; docs/import.md in its source says more.");
        out.line("");
        self.write_kind(&mut out, Kind::Setting);
        if self.of(Kind::Upstream).next().is_some() {
            out.line("upstream = [");
            self.write_kind(&mut out, Kind::Upstream);
            out.line("]");
        }
        if !self.remarks.is_empty() {
            out.line("");
            out.line("# What is different, or was left out:");
            for remark in &self.remarks {
                out.line(&format!("# {}", remark.told(&self.file)));
            }
        }
        self.write_kind(&mut out, Kind::Route);
        if self.of(Kind::Host).next().is_some() {
            out.line("");
            out.line("[hosts]");
            self.write_kind(&mut out, Kind::Host);
        }
        (out.lines, out.places)
    }

    fn write_kind(&self, out: &mut Out, kind: Kind) {
        let indent = if kind == Kind::Upstream { "    " } else { "" };
        for (index, piece) in self.pieces.iter().enumerate() {
            if piece.kind != kind {
                continue;
            }
            if kind == Kind::Route {
                out.line("");
            }
            for remark in &piece.remarks {
                out.line(&format!("{indent}# {}", remark.told(&self.file)));
            }
            if let Some(why) = &piece.refused {
                out.line(&format!("{indent}# {}", self.refusal(piece, why)));
            }
            for line in &piece.lines {
                if piece.refused.is_some() {
                    out.line(&format!("{indent}# {}", line.trim_start()));
                } else {
                    out.line_of(index, line);
                }
            }
            if piece.refused.is_some() {
                for line in &piece.instead {
                    out.line_of(index, line);
                }
            }
        }
    }
}

#[derive(Default)]
struct Out {
    lines: Vec<String>,
    places: Vec<Option<usize>>,
}

impl Out {
    fn line(&mut self, text: &str) {
        self.lines.push(text.to_owned());
        self.places.push(None);
    }

    fn line_of(&mut self, piece: usize, text: &str) {
        self.lines.push(text.to_owned());
        self.places.push(Some(piece));
    }
}
