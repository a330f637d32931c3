//! A reply: a line of JSON.

use super::request::{Refusal, VERSION};
use crate::json::Json;

/// The line for what came of a request, with its end.
pub fn line(outcome: Result<Json, Refusal>) -> String {
    let version = i64::try_from(VERSION).unwrap_or_default();
    let mut members = vec![
        ("version", Json::Number(version)),
        ("ok", Json::Bool(outcome.is_ok())),
    ];
    match outcome {
        Ok(result) => members.push(("result", result)),
        Err(Refusal { code, text }) => members.push((
            "error",
            Json::Object(vec![
                ("code", Json::text(code)),
                ("message", Json::text(text)),
            ]),
        )),
    }
    format!("{}\n", Json::Object(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    // req 123
    #[test]
    fn a_reply_says_the_version_and_whether_it_is_good() {
        assert_eq!(
            line(Ok(Json::Object(vec![("flushed", Json::Number(3))]))),
            "{\"version\":1,\"ok\":true,\"result\":{\"flushed\":3}}\n"
        );
        assert_eq!(
            line(Err(Refusal::new("busy", "a\nb"))),
            "{\"version\":1,\"ok\":false,\"error\":{\"code\":\"busy\",\"message\":\"a\\u000ab\"}}\n"
        );
    }
}
