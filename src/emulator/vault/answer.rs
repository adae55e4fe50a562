//! Answers: a status, headers, and what the server wraps around what it says.

use serde_json::{Value as Json, json};

use super::json::quoted;

/// One answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// With the line break that most answers end with.
    fn line(status: u16, mut body: String) -> Self {
        body.push('\n');
        Self::new(status, body)
    }

    /// Nothing to say.
    pub(super) fn empty(status: u16) -> Self {
        Self::new(status, Vec::new())
    }

    /// Done, and nothing to say.
    pub(super) fn done() -> Self {
        Self::empty(204)
    }

    /// JSON with nothing around it, as `sys/health` answers.
    pub(super) fn bare(status: u16, value: &Json) -> Self {
        Self::line(status, value.to_string())
    }

    /// What is asked for.
    pub(super) fn data(data: &Json) -> Self {
        Self::text(200, &data.to_string(), 0)
    }

    /// What is asked for, and the same again at the top, as paths of old answer.
    pub(super) fn doubled(data: &Json) -> Self {
        let mut answer = wrapped(&data.to_string(), "null", "null", 0);
        if let Some(fields) = data.as_object().filter(|fields| !fields.is_empty()) {
            let text = Json::Object(fields.clone()).to_string();
            answer = format!("{},{}", &text[..text.len() - 1], &answer[1..]);
        }
        Self::line(200, answer)
    }

    /// `data` is JSON text, which stays as it is.
    pub(super) fn text(status: u16, data: &str, lease: u64) -> Self {
        let body = wrapped(data, "null", "null", lease);
        if status == 200 { Self::line(status, body) } else { Self::new(status, body) }
    }

    /// A token.
    pub(super) fn auth(auth: &Json, warnings: &[&str]) -> Self {
        let warnings = if warnings.is_empty() { "null".to_owned() } else { json!(warnings).to_string() };
        Self::line(200, wrapped("null", &warnings, &auth.to_string(), 0))
    }

    /// The path is not one of a versioned engine.
    pub(super) fn warned(warning: &str) -> Self {
        Self::new(404, wrapped("null", &format!("[{}]", quoted(warning)), "null", 0))
    }

    /// There is nothing.
    pub(super) fn missing() -> Self {
        Self::errors(404, &[])
    }

    /// A refusal in one sentence.
    pub(super) fn refused(status: u16, error: &str) -> Self {
        Self::errors(status, &[error])
    }

    /// A refusal as a list of Go's: one error or several.
    pub(super) fn listed(status: u16, errors: &[String]) -> Self {
        let count = match errors.len() {
            1 => "1 error".to_owned(),
            count => format!("{count} errors"),
        };
        Self::refused(status, &format!("{count} occurred:\n\t* {}\n\n", errors.join("\n\t* ")))
    }

    /// The token may not do this.
    pub(super) fn denied() -> Self {
        Self::listed(403, &["permission denied".to_owned()])
    }

    /// There is no such token.
    pub(super) fn no_token() -> Self {
        Self::refused(403, "permission denied")
    }

    /// The path is there, and not for this.
    pub(super) fn unsupported() -> Self {
        Self::listed(405, &["unsupported operation".to_owned()])
    }

    fn errors(status: u16, errors: &[&str]) -> Self {
        let errors: Vec<String> = errors.iter().map(|error| quoted(error)).collect();
        Self::line(status, format!("{{\"errors\":[{}]}}", errors.join(",")))
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

fn wrapped(data: &str, warnings: &str, auth: &str, lease: u64) -> String {
    format!(
        "{{\"request_id\":\"{}\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":{lease},\"data\":{data},\
         \"wrap_info\":null,\"warnings\":{warnings},\"auth\":{auth}}}",
        uuid()
    )
}

/// Random, in the form of a UUID.
pub(super) fn uuid() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives randomness");
    let hex = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
