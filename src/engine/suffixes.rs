//! A table of domains that finds the longest one in which a name lies.
//!
//! It is a tree of labels from the top, whose edges are in one hash table: a look-up costs a hash of each label that the table knows, and
//! most names leave the tree at their top-level domain. The hash need not be secret. Only the configuration adds to the table, so that
//! whoever asks can meet the collisions that it has, and cannot make more.

use crate::config::Domain;

/// The node of the root domain.
const ROOT: u32 = 0;
/// No edge.
const NONE: u32 = u32::MAX;
/// An odd number with bits all over (the golden ratio): one multiplication spreads them over the upper half.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// The bit by which the letters of ASCII differ in their case.
const CASE: u64 = 0x2020_2020_2020_2020;

/// Values by domain.
pub struct Suffixes<T> {
    /// Each leads to the node that has its place in the list plus one.
    edges: Vec<Edge>,
    /// Edges by hash; each that finds its slot taken has the next free one. At most half of them are taken.
    slots: Box<[u32]>,
    /// By node.
    values: Vec<Option<T>>,
}

/// A label below a node.
struct Edge {
    node: u32,
    label: Box<[u8]>,
}

/// The longest domain in which a name lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Longest<T> {
    pub value: T,
    /// Octets that its name has on the wire, root included.
    pub octets: usize,
}

impl<T: Copy> Suffixes<T> {
    /// A table of these domains. Of two values for one domain the later one counts.
    pub fn new<'d>(domains: impl IntoIterator<Item = (&'d Domain, T)>) -> Self {
        let mut table = Self {
            edges: Vec::new(),
            slots: [NONE; 2].into(),
            values: vec![None],
        };
        for (domain, value) in domains {
            let labels = domain.labels_from_top().map(str::as_bytes);
            let node = labels.fold(ROOT, |node, label| table.child_or_new(node, label));
            if let Some(slot) = table.values.get_mut(node as usize) {
                *slot = Some(value);
            }
        }
        table
    }

    /// The longest domain in which the name with these labels, the topmost first, lies.
    pub fn find<'n>(&self, labels: impl IntoIterator<Item = &'n [u8]>) -> Option<Longest<T>> {
        let (mut node, mut octets) = (ROOT, 1);
        let longest = |node: u32, octets| {
            let value = (*self.values.get(node as usize)?)?;
            Some(Longest { value, octets })
        };
        let mut found = longest(node, octets);
        for label in labels {
            let Some(child) = self.child(node, label) else {
                break;
            };
            node = child;
            octets += 1 + label.len();
            found = longest(node, octets).or(found);
        }
        found
    }

    fn child(&self, node: u32, label: &[u8]) -> Option<u32> {
        let mut at = self.home(node, label);
        loop {
            let number = *self.slots.get(at)?;
            let edge = self.edges.get(number as usize)?;
            if edge.node == node && edge.label.eq_ignore_ascii_case(label) {
                return Some(number + 1);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    fn child_or_new(&mut self, node: u32, label: &[u8]) -> u32 {
        if let Some(child) = self.child(node, label) {
            return child;
        }
        self.edges.push(Edge {
            node,
            label: label.into(),
        });
        self.values.push(None);
        if 2 * self.edges.len() > self.slots.len() {
            self.slots = vec![NONE; 2 * self.slots.len()].into();
            (0..self.edges.len()).for_each(|edge| self.place(edge));
        } else {
            self.place(self.edges.len() - 1);
        }
        self.edges.len() as u32
    }

    /// Puts an edge into its slot.
    fn place(&mut self, number: usize) {
        let edge = &self.edges[number];
        let mut at = self.home(edge.node, &edge.label);
        while self.slots[at] != NONE {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = number as u32;
    }

    /// The slot where a label below a node is looked for first. The same in any letter case.
    fn home(&self, node: u32, label: &[u8]) -> usize {
        let mut hash = u64::from(node);
        let mut mix = |word: u64| hash = (hash.rotate_left(23) ^ word).wrapping_mul(SPREAD);
        let mut words = label.chunks_exact(8);
        for word in words.by_ref() {
            mix(u64::from_le_bytes(word.try_into().unwrap_or_default()) | CASE);
        }
        // What is left, and how much that is.
        let rest = words.remainder().iter();
        let length = rest.len() as u64;
        mix(rest.fold(length, |word, octet| word << 8 | u64::from(*octet)) | CASE);
        (hash >> 32) as usize & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn domain(text: &str) -> Domain {
        text.parse().unwrap()
    }

    fn table(domains: &[&str]) -> Suffixes<usize> {
        let domains: Vec<Domain> = domains.iter().map(|text| domain(text)).collect();
        let numbered = domains.iter().enumerate();
        Suffixes::new(numbered.map(|(number, domain)| (domain, number)))
    }

    fn find(table: &Suffixes<usize>, name: &str) -> Option<(usize, usize)> {
        let labels = name.rsplit('.').filter(|label| !label.is_empty());
        let found = table.find(labels.map(str::as_bytes));
        found.map(|found| (found.value, found.octets))
    }

    #[test]
    fn the_longest_domain_counts_in_any_letter_case() {
        let table = table(&["corp.example", "lab.corp.example", "10.in-addr.arpa"]);
        assert_eq!(find(&table, "corp.example"), Some((0, 14)));
        assert_eq!(find(&table, "A.b.CORP.eXample"), Some((0, 14)));
        assert_eq!(find(&table, "x.Lab.corp.example"), Some((1, 18)));
        assert_eq!(find(&table, "3.2.1.10.in-addr.arpa"), Some((2, 17)));
        for outside in ["", "example", "xcorp.example", "corp.example.net", "arpa"] {
            assert_eq!(find(&table, outside), None, "{outside}");
        }
    }

    #[test]
    fn the_root_is_every_name() {
        let table = table(&[".", "test"]);
        assert_eq!(find(&table, ""), Some((0, 1)));
        assert_eq!(find(&table, "example"), Some((0, 1)));
        assert_eq!(find(&table, "a.test"), Some((1, 6)));
    }

    #[test]
    fn an_empty_table_has_nothing() {
        assert_eq!(find(&table(&[]), "a.test"), None);
        assert_eq!(find(&table(&[]), ""), None);
    }

    #[test]
    fn labels_with_the_same_hash_are_told_apart() {
        // They differ in the bit of the letter case alone, and are no letters; the length of the rest tells others.
        let table = table(&["a_b.test", "aaaaaaaa.test", "aaaaaaaaa.test"]);
        let labels = |label: &'static [u8]| [&b"test"[..], label];
        let found = |label| table.find(labels(label)).map(|found| found.value);
        assert_eq!(found(b"a_b"), Some(0));
        assert_eq!(found(b"a\x7fb"), None);
        assert_eq!(found(b"AAAAAAAA"), Some(1));
        assert_eq!(found(b"aaaaaaaaA"), Some(2));
        assert_eq!(found(b"aaaaaaaaaa"), None);
        assert_eq!(found(b"aaaaaaa"), None);
    }

    /// Names of few labels, so that many lie in the same domains.
    fn names() -> impl Strategy<Value = String> {
        let label = prop_oneof!["[ab]", "[ABc]{1,2}", "aaaaaaaa[ab]?"];
        vec(label, 0..5).prop_map(|labels| labels.join("."))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        // Against a search through all domains.
        #[test]
        fn it_agrees_with_a_search_through_all_domains(
            domains in vec(names(), 0..40), asked in vec(names(), 1..20),
        ) {
            let domains: Vec<Domain> = domains
                .iter()
                .map(|name| domain(if name.is_empty() { "." } else { name }))
                .collect();
            let numbered = domains.iter().enumerate();
            let table = Suffixes::new(numbered.map(|(number, domain)| (domain, number)));
            for name in asked {
                let lower = format!(".{}", name.to_ascii_lowercase());
                let holds = |domain: &Domain| {
                    let name = domain.name();
                    name.is_empty() || lower.ends_with(&format!(".{name}"))
                };
                let holding = domains.iter().enumerate().filter(|(_, domain)| holds(domain));
                let longest = holding.max_by_key(|(_, domain)| domain.name().len());
                let expected = longest.map(|(number, domain)| {
                    let dots = domain.name().len();
                    (number, if dots == 0 { 1 } else { dots + 2 })
                });
                prop_assert_eq!(find(&table, &name), expected);
            }
        }
    }
}
