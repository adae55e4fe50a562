//! The paths of a versioned engine: `data`, `metadata`, `detailed-metadata`, `subkeys`, `delete`, `undelete`, `destroy`,
//! `config`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::{
    answer::Answer,
    durations,
    json::{Fields, Node, Numbers},
    kv::{Change, Engine, Fate, Key},
    request::{Operation, Request, is_printable, not_a_number, truth},
    tree,
};

/// The largest entry of raft's storage.
const LARGEST_ENTRY: usize = 1024 * 1024;
/// What an entry has beside its value: its name, dates, and the seal around it.
const AROUND_AN_ENTRY: usize = 256;
const MOST_CUSTOM: usize = 64;
const LONGEST_CUSTOM_KEY: usize = 128;
const LONGEST_CUSTOM_VALUE: usize = 512;

type Answered = Result<Answer, Answer>;

/// Carries out a request; `path` is the part within the engine.
pub(super) fn answer(engine: &mut Engine, request: &Request, path: &str, now: Timestamp) -> Answered {
    let (kind, name) = path.split_once('/').map_or((path, None), |(kind, name)| (kind, Some(name)));
    let known = ["data", "metadata", "detailed-metadata", "subkeys", "delete", "undelete", "destroy", "config"];
    if !known.contains(&kind) {
        return Ok(elsewhere(request.operation));
    }
    if kind == "config" {
        return if name.is_none_or(str::is_empty) { config(engine, request) } else { Ok(elsewhere(request.operation)) };
    }
    let Some(name) = name else {
        return Ok(Answer::warned("Non-listing operations on the root of a K/V v2 mount are not supported."));
    };
    // Storage knows no empty segment.
    let is_folder = name.is_empty() || name.ends_with('/');
    let name = name.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/");
    if matches!(request.operation, Operation::Write | Operation::Patch) && is_folder {
        return Err(Answer::refused(400, "cannot write to a path ending in '/'"));
    }
    let folder = if name.is_empty() { String::new() } else { format!("{name}/") };
    match (kind, request.operation) {
        ("metadata" | "detailed-metadata", Operation::List | Operation::Scan) => {
            list(engine, request, &folder, kind == "detailed-metadata")
        }
        (_, Operation::Read | Operation::Delete) if is_folder => {
            Ok(if request.operation == Operation::Read { Answer::missing() } else { Answer::done() })
        }
        ("data", Operation::Read) => read(engine, request, &name, now),
        ("data", Operation::Write) => write(engine, request, &name, now),
        ("data", Operation::Patch) => patch(engine, request, &name, now),
        ("data", Operation::Delete) => {
            engine.turn(&name, None, Fate::Delete, now);
            Ok(Answer::done())
        }
        ("subkeys", Operation::Read) => subkeys(engine, request, &name, now),
        ("metadata", Operation::Read) => {
            Ok(engine.metadata(&name).map_or_else(Answer::missing, |metadata| Answer::data(&metadata)))
        }
        ("metadata", Operation::Write) => describe(engine, request, &name, now),
        ("metadata", Operation::Patch) => patch_metadata(engine, request, &name, now),
        ("metadata", Operation::Delete) => {
            engine.keys.remove(&name);
            Ok(Answer::done())
        }
        ("delete" | "undelete" | "destroy", Operation::Write) => turn(engine, request, kind, &name, now),
        _ => Ok(Answer::unsupported()),
    }
}

/// Whether a write makes something that is not there.
pub(super) fn creates(engine: &Engine, path: &str) -> bool {
    matches!(path.split_once('/'), Some(("data" | "metadata", name)) if !engine.keys.contains_key(name))
}

fn elsewhere(operation: Operation) -> Answer {
    let word = match operation {
        Operation::Read => "get",
        Operation::List | Operation::Scan => "list",
        Operation::Write => "put",
        Operation::Patch => "patch",
        Operation::Delete => "delete",
    };
    Answer::warned(&format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. \
         If using the OpenBao CLI, use 'bao kv {word}' for this operation."
    ))
}

fn refused(words: &str) -> Answer {
    Answer::refused(400, words)
}

fn field_failed(words: &str) -> Answer {
    refused(&format!("Field validation failed: {words}"))
}

fn list(engine: &Engine, request: &Request, folder: &str, is_detailed: bool) -> Answered {
    let limit = request.number("limit")?;
    let after = request.query.get("after").map_or("", String::as_str);
    let is_scan = request.operation == Operation::Scan;
    let keys = if is_scan {
        tree::scan(&engine.keys, folder)
    } else {
        tree::page(tree::names(&engine.keys, folder), after, limit)
    };
    if keys.is_empty() {
        return Ok(if is_scan { Answer::data(&json!({})) } else { Answer::missing() });
    }
    let mut data = json!({ "keys": keys });
    if is_detailed {
        // A folder is told with what its name is as a key.
        let info = |key: &String| {
            let name = format!("{folder}{}", key.trim_end_matches('/'));
            (key.clone(), engine.metadata(&name).unwrap_or_else(|| json!({})))
        };
        data["key_info"] = keys.iter().map(info).collect::<serde_json::Map<_, _>>().into();
    }
    Ok(Answer::data(&data))
}

/// The version that is asked for; below zero is the current one.
fn number(request: &Request) -> Result<u64, Answer> {
    Ok(u64::try_from(request.number("version")?).unwrap_or(0))
}

fn read(engine: &Engine, request: &Request, name: &str, now: Timestamp) -> Answered {
    let Some((key, number, version)) = engine.read(name, number(request)?) else { return Ok(Answer::missing()) };
    let metadata = key.version_json(number);
    // Deleted and destroyed versions are 404 with a body: it tells them from none.
    let (status, value) = version.value(now).map_or((404, "null"), |value| (200, value.as_str()));
    Ok(Answer::text(status, &format!("{{\"data\":{value},\"metadata\":{metadata}}}"), 0))
}

fn write(engine: &mut Engine, request: &Request, name: &str, now: Timestamp) -> Answered {
    let data = request.body.get("data").ok_or_else(|| refused("no data provided"))?;
    let words = |what: &str| refused(&format!("error converting input for field \"{what}\"{}", not_a_map(data)));
    if !matches!(data, Node::Fields(_) | Node::Null) {
        return Err(words("data"));
    }
    store(engine, name, data, cas(&request.body)?, now)
}

fn not_a_map(node: &Node) -> String {
    let (place, node) = match node {
        Node::List(items) if !items.is_empty() => ("[0]", &items[0]),
        node => ("", node),
    };
    format!(": '{place}' expected type 'map[string]interface {{}}', got unconvertible type '{}'", node.go_type())
}

/// The number that the writer takes for the current one.
fn cas(body: &Fields) -> Result<Option<u64>, Answer> {
    let bad = || refused("error parsing check-and-set parameter");
    let options = match body.get("options") {
        None | Some(Node::Null) => return Ok(None),
        Some(Node::Fields(options)) => options,
        Some(other) => {
            return Err(refused(&format!("error converting input for field \"options\"{}", not_a_map(other))));
        }
    };
    match options.get("cas") {
        None => Ok(None),
        // Nothing at all is zero, as everywhere in Go.
        Some(Node::Null) => Ok(Some(0)),
        Some(Node::Number(text) | Node::Text(text)) => {
            // A number below zero is a very large one, and no version's.
            text.parse::<i64>().map(|cas| Some(u64::try_from(cas).unwrap_or(u64::MAX))).map_err(|_| bad())
        }
        Some(_) => Err(bad()),
    }
}

fn store(engine: &mut Engine, name: &str, data: &Node, cas: Option<u64>, now: Timestamp) -> Answered {
    if let Some(number) = data.beyond_floats() {
        let words = "failed to decode JSON input: json: cannot unmarshal number";
        return Err(refused(&format!("{words} {number} into Go value of type float64")));
    }
    let value = Zeroizing::new(data.write(Numbers::Floats).unwrap_or_default());
    if value.len() + name.len() + AROUND_AN_ENTRY > LARGEST_ENTRY {
        let words = format!("put failed due to value being too large; got 156 bytes, max {LARGEST_ENTRY} bytes");
        return Err(Answer::listed(500, &[words]));
    }
    let (key, number) = engine.write(name, value, cas, now).map_err(refused)?;
    Ok(Answer::data(&key.version_json(number)))
}

fn patch(engine: &mut Engine, request: &Request, name: &str, now: Timestamp) -> Answered {
    let data = request.body.get("data").ok_or_else(|| refused("no data provided"))?;
    if !matches!(data, Node::Fields(_) | Node::Null) {
        return Err(field_failed(&format!("error converting input for field \"data\"{}", not_a_map(data))));
    }
    let Some((key, number, version)) = engine.read(name, 0) else { return Ok(Answer::empty(404)) };
    let Some(value) = version.value(now) else {
        return Ok(Answer::text(404, &key.version_json(number).to_string(), 0));
    };
    let mut merged = Node::parse(value.as_bytes()).unwrap_or(Node::Null);
    if data.fields().is_some() {
        merge(&mut merged, data);
    }
    // It was read and is written as what it was: nobody comes between.
    let cas = cas(&request.body)?.or(Some(number));
    store(engine, name, &merged, cas, now)
}

/// RFC 7396.
fn merge(target: &mut Node, patch: &Node) {
    let Some(fields) = patch.fields() else {
        *target = patch.clone();
        return;
    };
    if target.fields().is_none() {
        *target = Node::Fields(Fields::new());
    }
    let Node::Fields(into) = target else { return };
    for (name, value) in fields {
        match value {
            Node::Null => drop(into.remove(name)),
            value => merge(into.entry(name.clone()).or_insert(Node::Null), value),
        }
    }
}

fn subkeys(engine: &Engine, request: &Request, name: &str, now: Timestamp) -> Answered {
    let (number, depth) = (number(request)?, request.number("depth")?);
    let Some((key, number, version)) = engine.read(name, number) else { return Ok(Answer::missing()) };
    let metadata = key.version_json(number);
    let Some(value) = version.value(now) else {
        return Ok(Answer::text(404, &json!({ "metadata": metadata, "subkeys": null }).to_string(), 0));
    };
    let value = Node::parse(value.as_bytes()).unwrap_or(Node::Null);
    Ok(Answer::data(&json!({ "metadata": metadata, "subkeys": shape(&value, 1, depth) })))
}

/// A value's fields without what is in them.
fn shape(node: &Node, depth: i64, deepest: i64) -> Json {
    match node.fields().filter(|fields| !fields.is_empty() && (deepest < 1 || depth <= deepest)) {
        Some(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), shape(value, depth + 1, deepest)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        None => Json::Null,
    }
}

fn turn(engine: &mut Engine, request: &Request, kind: &str, name: &str, now: Timestamp) -> Answered {
    let numbers = request.body.get("versions").map(numbers_of).transpose()?.unwrap_or_default();
    if numbers.is_empty() {
        return Err(refused(if kind == "destroy" {
            "no version number provided"
        } else {
            "No version number provided"
        }));
    }
    let fate = match kind {
        "delete" => Fate::Delete,
        "undelete" => Fate::Undelete,
        _ => Fate::Destroy,
    };
    engine.turn(name, Some(&numbers), fate, now);
    Ok(Answer::done())
}

/// Numbers as a list, as one, or in one text with commas.
fn numbers_of(node: &Node) -> Result<Vec<u64>, Answer> {
    let one = |position: usize, text: &str| {
        let number: i64 = text.trim().parse().map_err(|_| {
            field_failed(&format!(
                "error converting input for field \"versions\": decoding failed due to the following error(s):\n\n\
                 '[{position}]' cannot parse value as 'int': strconv.ParseInt: invalid syntax"
            ))
        })?;
        Ok(u64::try_from(number).unwrap_or(u64::MAX))
    };
    match node {
        Node::Number(text) => Ok(vec![one(0, text)?]),
        Node::Text(text) if text.is_empty() => Ok(Vec::new()),
        Node::Text(text) => text.split(',').enumerate().map(|(position, text)| one(position, text)).collect(),
        Node::List(items) => items
            .iter()
            .enumerate()
            .map(|(position, item)| match item {
                Node::Number(text) | Node::Text(text) => one(position, text),
                _ => one(position, "x"),
            })
            .collect(),
        _ => Ok(Vec::new()),
    }
}

fn config(engine: &mut Engine, request: &Request) -> Answered {
    match request.operation {
        Operation::Read => Ok(Answer::data(&engine.config.json())),
        Operation::Write => {
            let change = change(&request.body, true)?;
            let config = &mut engine.config;
            config.max_versions = change.max_versions.unwrap_or(config.max_versions);
            config.cas_required = change.cas_required.unwrap_or(config.cas_required);
            config.metadata_cas_required = change.metadata_cas_required.unwrap_or(config.metadata_cas_required);
            config.delete_version_after = change.delete_version_after.unwrap_or(config.delete_version_after);
            Ok(Answer::done())
        }
        _ => Ok(Answer::unsupported()),
    }
}

/// What the fields of a request change; `is_config`: of the engine, whose failures are told in other words.
fn change(body: &Fields, is_config: bool) -> Result<Change, Answer> {
    let failed = |words: String| if is_config { field_failed(&words) } else { refused(&words) };
    let whole = |name: &str| match body.get(name) {
        None => Ok(None),
        Some(Node::Null) => Ok(Some(0)),
        Some(Node::Number(text) | Node::Text(text)) => {
            text.parse::<i64>().map(Some).map_err(|_| failed(not_a_number(name)))
        }
        Some(_) => Err(failed(not_a_number(name))),
    };
    let flag = |name: &str| match body.get(name) {
        None => Ok(None),
        Some(Node::Null) => Ok(Some(false)),
        Some(Node::Bool(it)) => Ok(Some(*it)),
        Some(Node::Text(text)) if truth(text).is_some() => Ok(truth(text)),
        Some(_) => Err(failed(format!(
            "error converting input for field \"{name}\": '' cannot parse value as 'bool': strconv.ParseBool: invalid syntax"
        ))),
    };
    let after = match body.get("delete_version_after") {
        None | Some(Node::Null) => None,
        Some(Node::Text(text) | Node::Number(text)) => {
            let nanos = durations::parse(text).map_err(|error| {
                failed(format!("error converting input for field \"delete_version_after\": {error}"))
            })?;
            if nanos < 0 && !is_config {
                let seconds = nanos / 1_000_000_000;
                return Err(refused(&format!(
                    "error converting input for field \"delete_version_after\": cannot provide negative value '{seconds}'"
                )));
            }
            // Whole seconds are kept.
            Some(nanos - nanos % 1_000_000_000)
        }
        Some(_) => return Err(failed("error converting input for field \"delete_version_after\"".into())),
    };
    // Wrapped around, as by the server.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the server does the same")]
    let most = whole("max_versions")?.map(|number| number as u32);
    Ok(Change {
        max_versions: most,
        cas_required: flag("cas_required")?,
        metadata_cas_required: flag("metadata_cas_required")?,
        delete_version_after: after,
        custom: None,
        seen: whole("metadata_cas")?.map(|number| u64::try_from(number).unwrap_or(u64::MAX)),
    })
}

fn describe(engine: &mut Engine, request: &Request, name: &str, now: Timestamp) -> Answered {
    let mut change = change(&request.body, false)?;
    change.custom = request.body.get("custom_metadata").map(custom).transpose()?;
    engine.describe(name, change, now).map_err(refused)?;
    Ok(Answer::done())
}

fn patch_metadata(engine: &mut Engine, request: &Request, name: &str, now: Timestamp) -> Answered {
    let Some(key) = engine.keys.get(name) else { return Ok(Answer::empty(404)) };
    let mut change = change(&request.body, false)?;
    change.custom = match request.body.get("custom_metadata") {
        None => None,
        Some(Node::Fields(patch)) => Some(checked(patched(key, patch)?)?),
        Some(_) => Some(BTreeMap::new()),
    };
    engine.describe(name, change, now).map_err(refused)?;
    Ok(Answer::done())
}

fn patched(key: &Key, patch: &Fields) -> Result<BTreeMap<String, String>, Answer> {
    let mut custom = key.custom().cloned().unwrap_or_default();
    for (name, value) in patch {
        match value {
            Node::Null => drop(custom.remove(name)),
            Node::Text(text) => drop(custom.insert(name.clone(), text.clone())),
            other => {
                let kind = match other {
                    Node::Number(_) => "number",
                    Node::Bool(_) => "bool",
                    Node::List(_) => "array",
                    _ => "object",
                };
                let words = format!(
                    "json: cannot unmarshal {kind} into Go struct field .custom_metadata.{name} of type string"
                );
                return Err(Answer::listed(500, &[words]));
            }
        }
    }
    Ok(custom)
}

/// Custom metadata: numbers and truths become text.
fn custom(node: &Node) -> Result<BTreeMap<String, String>, Answer> {
    let fields = match node {
        Node::Null => return Ok(BTreeMap::new()),
        Node::Fields(fields) => fields,
        other => {
            return Err(refused(&format!("error converting input for field \"custom_metadata\"{}", not_a_map(other))));
        }
    };
    let text = |value: &Node| match value {
        Node::Text(text) | Node::Number(text) => Ok(text.clone()),
        Node::Bool(it) => Ok(if *it { "1" } else { "0" }.to_owned()),
        Node::Null => Ok(String::new()),
        other => Err(refused(&format!(
            "custom_metadata validation failed: '' expected type 'string', got unconvertible type '{}'",
            other.go_type()
        ))),
    };
    checked(fields.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect::<Result<_, _>>()?)
}

/// Custom metadata within the limits.
fn checked(custom: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Answer> {
    let mut errors = Vec::new();
    let mut failed = |words: String| errors.push(format!("custom_metadata validation failed: {words}"));
    if custom.len() > MOST_CUSTOM {
        failed(format!("payload must contain at most {MOST_CUSTOM} keys, provided {}", custom.len()));
        return Err(Answer::listed(400, &errors));
    }
    for (key, value) in &custom {
        if key.is_empty() || key.len() > LONGEST_CUSTOM_KEY {
            failed(format!(
                "length of key \"{key}\" is {} but must be 0 < len(key) <= {LONGEST_CUSTOM_KEY}",
                key.len()
            ));
        }
        if value.is_empty() || value.len() > LONGEST_CUSTOM_VALUE {
            let len = value.len();
            failed(format!(
                "length of value for key \"{key}\" is {len} but must be 0 < len(value) <= {LONGEST_CUSTOM_VALUE}"
            ));
        }
        if !key.chars().all(is_printable) {
            failed(format!("key {} ({key}) contains unprintable characters", go_quoted(key)));
        }
        if !value.chars().all(is_printable) {
            failed(format!("value for key {} contains unprintable characters", go_quoted(key)));
        }
    }
    if !errors.is_empty() {
        return Err(Answer::listed(400, &errors));
    }
    Ok(custom)
}

/// A text as Go quotes it.
fn go_quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '\n' => "\\n".to_owned(),
            '\t' => "\\t".to_owned(),
            '\r' => "\\r".to_owned(),
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            c if c.is_ascii_control() => format!("\\x{:02x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}
