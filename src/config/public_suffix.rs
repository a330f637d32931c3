//! The Public Suffix List, as the crate psl has it.

use psl::{List, Psl as _};

/// Whether this build has the list.
pub(crate) const IS_KNOWN: bool = true;

/// How many octets the public suffix of a name has in text, with the dots between its labels: `com` of `a.com`. The labels are in lower case,
/// the topmost first. Without a rule of the list it is the topmost label.
pub(crate) fn suffix_octets<'n>(mut from_top: impl Iterator<Item = &'n [u8]>) -> usize {
    // The list is code, which is generic over the labels: by one type for all of them it is in the program once.
    let labels: &mut dyn Iterator<Item = &'n [u8]> = &mut from_top;
    List.find(labels).len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_those_of_the_list() {
        for (name, suffix) in [
            ("www.example.com", "com"),
            ("www.example.co.uk", "co.uk"),
            ("a.user.github.io", "github.io"),
            ("a.city.kawasaki.jp", "kawasaki.jp"),
            ("a.b.kawasaki.jp", "b.kawasaki.jp"),
            ("www.xn--85x722f.xn--55qx5d.cn", "xn--55qx5d.cn"),
            ("a.b.nosuchsuffix", "nosuchsuffix"),
            ("", ""),
        ] {
            let labels = name.rsplit('.').filter(|label| !label.is_empty());
            let octets = suffix_octets(labels.map(str::as_bytes));
            assert_eq!(&name[name.len() - octets..], suffix, "{name}");
        }
    }
}
