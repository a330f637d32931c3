//! Domain names on the wire: measuring one that is not compressed, and showing it. `compression` follows pointers.

use std::fmt::{self, Write as _};

use super::integers::u16_at;

/// Octets in the longest name, length octets and root included (RFC 1035 §2.3.4).
pub(super) const MAX_NAME: usize = 255;

/// The most octets in a label; the two bits above are the label's type (RFC 1035 §4.1.4).
pub(super) const MAX_LABEL: u8 = 63;

/// Octets of the uncompressed name at `start`, root included.
///
/// `None` when it does not end within the message, is too long, or uses compression or another label type.
pub(super) fn plain_len(message: &[u8], start: usize) -> Option<usize> {
    let name = message.get(start..)?;
    let mut len = 0;
    loop {
        let label = *name.get(len)?;
        if label > MAX_LABEL {
            return None;
        }
        len += 1 + usize::from(label);
        if len > MAX_NAME {
            return None;
        }
        if label == 0 {
            return Some(len);
        }
    }
}

/// The target of the compression pointer that ends the name at `start`; `None` if the root ends it. For a name that was walked before: only
/// bounds are checked here.
pub(super) fn pointer_target(message: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match *message.get(at)? {
            0 => return None,
            label if label <= MAX_LABEL => at += 1 + usize::from(label),
            _ => return u16_at(message, at).map(|pointer| usize::from(pointer & 0x3FFF)),
        }
    }
}

/// The name at `start` in lower case, with its compression pointers followed. `None` when it does not end within the message or is too long.
/// For a name that was walked before: a pointer that does not lead backwards ends the reading, and no more is checked.
pub fn uncompressed(message: &[u8], start: usize) -> Option<Vec<u8>> {
    let (mut name, mut at) = (Vec::new(), start);
    loop {
        let label = *message.get(at)?;
        if label > MAX_LABEL {
            let target = usize::from(u16_at(message, at)? & 0x3FFF);
            at = Some(target).filter(|target| *target < at)?;
            continue;
        }
        let next = at + 1 + usize::from(label);
        name.extend_from_slice(message.get(at..next)?);
        if name.len() > MAX_NAME {
            return None;
        }
        if label == 0 {
            // Length octets are below 64, so they are no letters.
            name.make_ascii_lowercase();
            return Some(name);
        }
        at = next;
    }
}

/// Displays a name: labels in letters, `\.` and `\\` for those two, `\DDD` for what is not printable
/// (RFC 1035 §5.1). So no octet of a client's name can corrupt a log.
#[derive(Clone, Copy, Debug)]
pub struct NameDisplay<'a>(&'a [u8]);

/// Displays the uncompressed name at the start of `name_wire`. A name that breaks off is displayed as far as it goes.
pub fn display(name_wire: &[u8]) -> NameDisplay<'_> {
    NameDisplay(name_wire)
}

impl fmt::Display for NameDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut labels = labels(self.0).peekable();
        if labels.peek().is_none() {
            return f.write_char('.');
        }
        for label in labels {
            for &octet in label {
                match octet {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(octet))?,
                    b'!'..=b'~' => f.write_char(char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_char('.')?;
        }
        Ok(())
    }
}

/// The labels of an uncompressed name, without the root.
pub(super) fn labels(name_wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = name_wire;
    std::iter::from_fn(move || {
        let (&len, tail) = rest.split_first()?;
        if len == 0 || len > MAX_LABEL {
            return None;
        }
        let (label, tail) = tail.split_at_checked(usize::from(len))?;
        rest = tail;
        Some(label)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{name_octets, name_of_len};
    use super::*;

    // req 4
    #[test]
    fn a_plain_name_is_measured_with_its_root() {
        assert_eq!(plain_len(&name_octets("."), 0), Some(1));
        assert_eq!(plain_len(&name_octets("www.example."), 0), Some(13));
        assert_eq!(plain_len(b"xx\x01a\x00rest", 2), Some(3));
    }

    // req 4, fault 58
    #[test]
    fn labels_and_names_have_their_limits() {
        let label = |len: u8| [vec![len], vec![b'a'; usize::from(len)], vec![0]].concat();
        assert_eq!(plain_len(&label(63), 0), Some(65));
        assert_eq!(plain_len(&label(64), 0), None);
        assert_eq!(plain_len(&name_of_len(255), 0), Some(255));
        assert_eq!(plain_len(&name_of_len(256), 0), None);
    }

    // req 4, fault 58
    #[test]
    fn label_types_that_nobody_defined_are_errors() {
        for octet in [0x40, 0x7F, 0x80, 0xBF] {
            assert_eq!(plain_len(&[octet; 300], 0), None, "{octet:#x}");
        }
    }

    #[test]
    fn a_name_that_breaks_off_is_an_error() {
        for broken in [&b""[..], b"\x03ab", b"\x03abc", b"\x01a\xC0"] {
            assert_eq!(plain_len(broken, 0), None);
        }
        assert_eq!(plain_len(b"\x00", 5), None);
    }

    #[test]
    fn the_pointer_that_ends_a_name_is_found() {
        let message = b"\x03www\xC0\x0C\x00";
        assert_eq!(pointer_target(message, 0), Some(12));
        assert_eq!(pointer_target(message, 4), Some(12));
        assert_eq!(pointer_target(message, 6), None);
        assert_eq!(pointer_target(message, 99), None);
    }

    #[test]
    fn a_name_is_put_together_from_where_its_pointers_lead() {
        let message = b"\x04Test\x00\x01A\xC0\x00\x03www\xC0\x06";
        assert_eq!(uncompressed(message, 0), Some(name_octets("test.")));
        assert_eq!(uncompressed(message, 10), Some(name_octets("www.a.test.")));
        // Loops, by a pointer or through labels, and what runs past the end.
        for broken in [
            &b"\xC0\x00"[..],
            b"\x01a\xC0\x00",
            b"\xC0\x02\x00",
            b"\x02a",
            b"\xC0",
            b"",
        ] {
            assert_eq!(uncompressed(broken, 0), None, "{broken:?}");
        }
        assert_eq!(uncompressed(&name_of_len(255), 0), Some(name_of_len(255)));
        assert_eq!(uncompressed(&name_of_len(256), 0), None);
    }

    // req 11
    #[test]
    fn any_octet_is_shown_and_none_disturbs_a_log() {
        let shown = |wire: &[u8]| display(wire).to_string();
        assert_eq!(shown(&name_octets(".")), ".");
        assert_eq!(shown(&name_octets("www.Example.")), "www.Example.");
        assert_eq!(shown(b"\x05a.b\\c\x00"), "a\\.b\\\\c.");
        assert_eq!(shown(b"\x05_a\x00b\xFF\x00"), "_a\\000b\\255.");
        assert_eq!(shown(b"\x04\n\x1B \x7F\x00"), "\\010\\027\\032\\127.");
        assert_eq!(shown(b"\x01a\x09cut"), "a.");
        assert_eq!(shown(b""), ".");
    }
}
