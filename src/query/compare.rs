//! The answers of several servers side by side. Pure.

use super::asking::Asked;
use super::records::Record;
use super::response::Response;
use crate::wire::Rcode;
use std::fmt;

/// How the answers of several servers compare. TTLs and the order of records do not count: caches change both.
#[derive(Debug)]
pub struct Comparison {
    rows: Vec<Row>,
    /// Those that have responded, by their place.
    responded: Vec<bool>,
    /// Their responses have the same code and the same records. `None`: fewer than two have responded.
    pub same: Option<bool>,
}

/// A record, and who has it.
#[derive(Debug)]
struct Row {
    record: Record,
    found: Vec<bool>,
}

impl Comparison {
    /// Compares these.
    pub fn of(asked: &[Asked]) -> Self {
        let responses: Vec<Option<&Response>> = asked.iter().map(Asked::response).collect();
        Self::new(&responses)
    }

    fn new(responses: &[Option<&Response>]) -> Self {
        let responded: Vec<bool> = responses.iter().map(Option::is_some).collect();
        let mut rows: Vec<Row> = Vec::new();
        for (place, response) in responses.iter().enumerate() {
            for record in response.map_or(&[][..], compared) {
                let known = rows.iter().position(|row| is_same(&row.record, record));
                let at = known.unwrap_or_else(|| {
                    let (record, found) = (record.clone(), vec![false; responses.len()]);
                    rows.push(Row { record, found });
                    rows.len() - 1
                });
                if let Some(row) = rows.get_mut(at) {
                    row.record.ttl = row.record.ttl.min(record.ttl);
                    row.found
                        .iter_mut()
                        .skip(place)
                        .take(1)
                        .for_each(|it| *it = true);
                }
            }
        }
        let mut codes: Vec<Rcode> = responses.iter().flatten().map(|it| it.rcode).collect();
        let count = codes.len();
        codes.dedup();
        let is_same = codes.len() == 1 && rows.iter().all(|row| row.found == responded);
        Self {
            rows,
            responded,
            same: (count > 1).then_some(is_same),
        }
    }
}

/// The records of an answer that are compared: those of the answer section, or where there are none those that say so, with their SOA.
fn compared(response: &Response) -> &[Record] {
    let [answer, authority, _] = &response.sections;
    if answer.is_empty() { authority } else { answer }
}

fn is_same(one: &Record, other: &Record) -> bool {
    one.name.eq_ignore_ascii_case(&other.name)
        && (&one.class, &one.rtype, &one.data) == (&other.class, &other.rtype, &other.data)
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_common = |row: &&Row| row.found == self.responded;
        let (common, others): (Vec<&Row>, Vec<&Row>) = self.rows.iter().partition(is_common);
        if !common.is_empty() {
            writeln!(f, ";; from all that have responded")?;
        }
        for row in common {
            writeln!(f, "{}", row.record)?;
        }
        if others.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            ";; from some alone: + has it, - has it not, . has not responded"
        )?;
        let width = self.responded.len().to_string().len();
        write!(f, ";;")?;
        for number in 1..=self.responded.len() {
            write!(f, " {number:>width$}")?;
        }
        writeln!(f)?;
        for row in others {
            write!(f, ";;")?;
            for (found, responded) in row.found.iter().zip(&self.responded) {
                let mark = match (found, responded) {
                    (true, _) => '+',
                    (false, true) => '-',
                    (false, false) => '.',
                };
                write!(f, " {mark:>width$}")?;
            }
            writeln!(f, "  {}", row.record)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{query, response_to};

    fn response(rcode: u16, ttl: u32, hosts: &[u8]) -> Response {
        let asked = query("a.test", 1).build();
        let built = response_to(&asked).rcode(rcode);
        let built = hosts
            .iter()
            .fold(built, |it, host| it.a(ttl, [192, 0, 2, *host]));
        Response::read(&built.build(), &asked).unwrap()
    }

    #[test]
    fn neither_ttls_nor_the_order_make_a_difference() {
        let (one, other) = (response(0, 300, &[1, 2]), response(0, 20, &[2, 1]));
        let compared = Comparison::new(&[Some(&one), Some(&other), None]);
        assert_eq!(compared.same, Some(true));
        assert_eq!(
            compared.to_string(),
            ";; from all that have responded\n\
             a.test.\t20\tIN\tA\t192.0.2.1\n\
             a.test.\t20\tIN\tA\t192.0.2.2\n"
        );
        assert_eq!(Comparison::new(&[Some(&one), None]).same, None);
    }

    #[test]
    fn what_only_some_have_stands_in_columns() {
        let (one, other) = (response(0, 300, &[1, 2]), response(0, 300, &[1, 3]));
        let compared = Comparison::new(&[Some(&one), None, Some(&other)]);
        assert_eq!(compared.same, Some(false));
        let text = compared.to_string();
        assert!(
            text.ends_with(
                ";; 1 2 3\n;; + . -  a.test.\t300\tIN\tA\t192.0.2.2\n;; - . +  a.test.\t300\tIN\tA\t192.0.2.3\n"
            ),
            "{text}"
        );
        let (no_name, nothing) = (response(3, 0, &[]), response(0, 0, &[]));
        let compared = Comparison::new(&[Some(&no_name), Some(&nothing)]);
        assert_eq!(compared.same, Some(false));
        assert_eq!(compared.to_string(), "");
    }
}
