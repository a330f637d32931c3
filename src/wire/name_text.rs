//! Names as people write them (RFC 1035 §5.1).

use super::name::{MAX_LABEL, MAX_NAME};

/// The name on the wire, in lower case, of what people write: labels with dots between them and perhaps behind them; `\.` and `\DDD` stand for
/// an octet. `None` if a label is empty or too long, or the name is.
pub fn name_from_text(text: &str) -> Option<Vec<u8>> {
    let (mut name, mut label) = (Vec::new(), Vec::new());
    let mut octets = text.bytes().peekable();
    let mut end = |label: &mut Vec<u8>| {
        let len = u8::try_from(label.len()).ok();
        let len = len.filter(|len| (1..=MAX_LABEL).contains(len))?;
        name.push(len);
        name.append(label);
        Some(())
    };
    if text != "." {
        while let Some(octet) = octets.next() {
            match octet {
                b'.' => end(&mut label)?,
                b'\\' => label.push(escaped(&mut octets)?),
                // RFC 1035 leaves it to the reader what other octets are; here they are those of UTF-8.
                octet => label.push(octet.to_ascii_lowercase()),
            }
        }
        if !label.is_empty() {
            end(&mut label)?;
        }
        if name.is_empty() {
            return None;
        }
    }
    name.push(0);
    (name.len() <= MAX_NAME).then_some(name)
}

/// What follows a backslash.
fn escaped(octets: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = octets.next()?;
    if !first.is_ascii_digit() {
        return Some(first.to_ascii_lowercase());
    }
    let digits = [first, octets.next()?, octets.next()?];
    let digits = std::str::from_utf8(&digits).ok()?;
    let octet = digits.parse::<u8>().ok()?;
    Some(octet.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::super::name::display;
    use super::super::testing::name_octets;
    use super::*;

    #[test]
    fn a_name_is_read_as_people_write_it() {
        for (text, expected) in [
            (".", &b"\0"[..]),
            ("www.Example.", b"\x03www\x07example\0"),
            ("www.Example", b"\x03www\x07example\0"),
            ("a\\.b.c", b"\x03a.b\x01c\0"),
            ("_a\\000\\255.c", b"\x04_a\0\xff\x01c\0"),
        ] {
            let name = name_from_text(text);
            assert_eq!(name.as_deref(), Some(expected), "{text}");
            let shown = display(expected).to_string();
            assert_eq!(name_from_text(&shown).as_deref(), Some(expected), "{shown}");
        }
        let long = "a".repeat(63);
        let name = format!("{long}.{long}.{long}.{}", "a".repeat(61));
        assert_eq!(
            name_from_text(&name),
            Some(name_octets(&format!("{name}.")))
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(63);
        let name = format!("{long}.{long}.{long}.{}", "a".repeat(62));
        for text in [
            "",
            "..",
            ".a",
            "a..b",
            "a\\",
            "a\\25",
            "a\\256",
            "a\\2x0",
            &"a".repeat(64),
            &name,
        ] {
            assert_eq!(name_from_text(text), None, "{text}");
        }
    }
}
