//! Filter patterns of CloudWatch Logs on lines of JSON, read as its user guide describes them: no emulator fires metric filters.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html>

use serde_json::Value as Json;

/// Whether a pattern matches an event.
///
/// # Panics
/// When it is no pattern.
pub fn matches(pattern: &str, event: &Json) -> bool {
    let inner = pattern.strip_prefix("{ ").and_then(|rest| rest.strip_suffix(" }")).expect("braces around it");
    let mut reader = Reader { rest: inner, event };
    let found = reader.either();
    assert_eq!(reader.rest, "", "the rest of {pattern}");
    found
}

/// Whether a pattern of EventBridge, of fields that must have one of several values, matches an event.
pub fn matches_rule(pattern: &Json, event: &Json) -> bool {
    match pattern {
        Json::Object(fields) => fields.iter().all(|(name, wanted)| matches_rule(wanted, &event[name])),
        Json::Array(values) => values.contains(event),
        other => panic!("{other} is no pattern"),
    }
}

struct Reader<'a> {
    rest: &'a str,
    event: &'a Json,
}

impl<'a> Reader<'a> {
    fn take(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        self.rest = rest;
        true
    }

    fn either(&mut self) -> bool {
        let mut found = self.all();
        while self.take(" || ") {
            found |= self.all();
        }
        found
    }

    fn all(&mut self) -> bool {
        let mut found = self.one();
        while self.take(" && ") {
            found &= self.one();
        }
        found
    }

    fn one(&mut self) -> bool {
        if self.take("(") {
            let found = self.either();
            assert!(self.take(")"), "a bracket is open before {:?}", self.rest);
            return found;
        }
        assert!(self.take("$."), "a selector at {:?}", self.rest);
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '.').expect("an operator");
        let (path, rest) = self.rest.split_at(end);
        self.rest = rest;
        let value = path.split('.').try_fold(self.event, |at, field| at.get(field)).filter(|it| !it.is_null());
        if self.take(" NOT EXISTS") {
            return value.is_none();
        }
        let is_equal = self.take(" = ");
        assert!(is_equal || self.take(" != "), "an operator at {:?}", self.rest);
        let wanted = self.text();
        // What is missing is neither.
        value.is_some_and(|value| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            fits(wanted, &text) == is_equal
        })
    }

    fn text(&mut self) -> &'a str {
        assert!(self.take("\""), "a string at {:?}", self.rest);
        let (text, rest) = self.rest.split_once('"').expect("the end of a string");
        self.rest = rest;
        text
    }
}

/// `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| fits(tail, &rest[at..]))
        }),
    }
}

#[test]
fn patterns_of_the_user_guide_match_what_it_says() {
    let event = serde_json::json!({
        "eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "errorCode": "AccessDeniedException",
        "user": { "type": "Root", "mfa": "false" }, "nothing": null,
    });
    for (pattern, is_match) in [
        (r#"{ $.eventType = "UpdateTrail" }"#, true),
        (r#"{ $.eventType != "UpdateTrail" }"#, false),
        (r#"{ $.eventType = "Update" }"#, false),
        (r#"{ $.eventType = "Update*" }"#, true),
        (r#"{ $.sourceIPAddress != "123.123.*" }"#, true),
        (r#"{ $.errorCode = "*Denied*" }"#, true),
        (r#"{ $.errorCode = "*NotFound*" }"#, false),
        (r"{ $.missing NOT EXISTS }", true),
        (r"{ $.nothing NOT EXISTS }", true),
        (r"{ $.eventType NOT EXISTS }", false),
        (r#"{ $.missing = "*" }"#, false),
        (r#"{ $.missing != "x" }"#, false),
        (r#"{ ($.user.type = "Root") && ($.user.mfa = "false") }"#, true),
        (r#"{ ($.user.type = "x") || ($.user.type = "Root") }"#, true),
        (r#"{ (($.user.type = "x") || ($.user.type = "Root")) && ($.user.mfa = "true") }"#, false),
        (r#"{ ($.user.type = "Root") || ($.user.type = "x") && ($.user.mfa = "true") }"#, true),
    ] {
        assert_eq!(matches(pattern, &event), is_match, "{pattern}");
    }
}

#[test]
fn what_is_no_pattern_is_no_match_either() {
    for bad in [r#"{ $.a == "x" }"#, r#"{ ($.a = "x" }"#, r#"{ $.a = "x }"#, r"{ $.a }", "$.a", r#"{ $.a = "x") }"#] {
        let read = std::panic::catch_unwind(|| matches(bad, &serde_json::json!({ "a": "x" })));
        assert!(read.is_err(), "{bad}");
    }
}
