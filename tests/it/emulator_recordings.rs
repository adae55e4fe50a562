//! The emulator against answers recorded from the real service.
//!
//! Compared are: status, error code and text, exactly which fields there are, labels in their order, and that equal
//! identifiers stay equal. Dates have to be numbers.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Map, Value};

use crate::{
    emulator_scenarios::{MISSING_FUNCTION, NAMES, Step, steps},
    emulator_wire::Wire,
};

const RECORDINGS: &str = include_str!("../fixtures/aws-recordings/secretsmanager-aws-validated.json");

/// Scenarios that do not agree, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// What a placeholder of the recordings stands for in this run.
type Bindings = BTreeMap<String, String>;

#[tokio::test]
async fn answers_agree_with_those_recorded_from_aws() {
    let recordings: Map<String, Value> = serde_json::from_str(RECORDINGS).unwrap();
    let mut differences = BTreeMap::new();
    for (key, recording) in &recordings {
        let name = key.rsplit("::").next().unwrap();
        if let Err(difference) = replay(name, &recording["recorded-content"]).await {
            differences.insert(name.to_owned(), difference);
        }
    }
    println!("{} of {} scenarios agree", recordings.len() - differences.len(), recordings.len());
    for (name, reason) in EXCEPTIONS {
        println!("exception: {name}: {reason}");
        assert!(differences.remove(*name).is_some(), "{name} agrees now: take it off the exceptions");
    }
    assert_eq!(recordings.len(), 55);
    assert!(differences.is_empty(), "{differences:#?}");
}

#[tokio::test]
async fn the_comparison_notices_each_kind_of_difference() {
    let bound = || Bindings::from([("<SecretId-0idx>".to_owned(), "s".to_owned())]);
    let recorded =
        serde_json::json!({ "Name": "<SecretId-0idx>", "D": "datetime", "L": ["a", "b"], "V": "<version_uuid:1>" });
    let id = "0123456789abcdef0123456789abcdef";
    let good = serde_json::json!({ "Name": "s", "D": 1.5, "L": ["a", "b"], "V": id });
    assert_eq!(compare("", &recorded, &good, &mut bound()), Ok(()));
    for (field, value) in [
        ("Name", serde_json::json!("t")),
        ("D", serde_json::json!("2026-01-01")),
        ("L", serde_json::json!(["b", "a"])),
        ("L", serde_json::json!(["a"])),
        ("V", serde_json::json!(5)),
        ("Extra", serde_json::json!(1)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(compare("", &recorded, &bad, &mut bound()).is_err(), "{field}");
    }
    let missing = serde_json::json!({ "Name": "s", "D": 1.5, "L": ["a", "b"] });
    assert!(compare("", &recorded, &missing, &mut bound()).is_err());
    let twice = serde_json::json!(["<version_uuid:1>", "<version_uuid:2>"]);
    assert!(compare("", &twice, &serde_json::json!([id, id]), &mut bound()).is_err(), "two ids, one value");
}

async fn replay(name: &str, recorded: &Value) -> Result<(), String> {
    let (test, parameter) = match name.split_once('[') {
        Some((test, rest)) => (test, unescape(rest.strip_suffix(']').unwrap())),
        None => (name, String::new()),
    };
    let steps = steps(test, &parameter).ok_or("no requests are known")?;
    let records = recorded.as_object().unwrap();
    if let Some(missing) = records.keys().find(|record| !steps.iter().any(|it| it.compared && it.record == **record)) {
        return Err(format!("nothing asks for {missing}"));
    }
    let sandbox = Sandbox::start(SandboxOptions::default()).await.map_err(|error| error.to_string())?;
    sandbox.control().set_function_missing(MISSING_FUNCTION, true);
    let mut wire = Wire::connect(sandbox.address()).await;
    let mut answers = BTreeMap::new();
    let mut bindings = bindings();
    if let Some(name) = steps[0].request["Name"].as_str() {
        bindings.insert("<SecretId-0idx>".into(), name.to_owned());
    }
    for step in steps {
        let body = run(&mut wire, &step, &answers).await;
        if step.compared {
            let record = records.get(&step.record).ok_or_else(|| format!("{} is not recorded", step.record))?;
            judge(&step, record, &body, &mut bindings)
                .map_err(|difference| format!("{}: {difference}", step.record))?;
        }
        answers.insert(step.record, body.1);
    }
    sandbox.shutdown().await;
    Ok(())
}

fn bindings() -> Bindings {
    let mut bindings = Bindings::new();
    for (n, name) in NAMES.iter().enumerate() {
        bindings.insert(format!("<SecretId-{n}idx>"), (*name).to_owned());
    }
    bindings.insert("<partition>".into(), "aws".into());
    bindings.insert("<region>".into(), "us-east-1".into());
    bindings
}

/// The parameters in the names of tests are written as in Python source.
fn unescape(text: &str) -> String {
    text.replace("\\\\", "\\")
}

async fn run(wire: &mut Wire, step: &Step, answers: &BTreeMap<String, Value>) -> (u16, Value) {
    let mut request = step.request.clone();
    for value in request.as_object_mut().unwrap().values_mut() {
        if let Some((record, field)) = value.as_str().and_then(|text| text.strip_prefix('@')?.rsplit_once('.')) {
            *value = answers[record][field].clone();
        }
    }
    if step.raw {
        let answered = wire.try_call(step.operation, &request).await.unwrap();
        return (answered.status, answered.json());
    }
    wire.call(step.operation, request).await
}

/// Compares one answer with its record, in the shapes that the recording client gives to answers.
fn judge(step: &Step, record: &Value, (status, body): &(u16, Value), bindings: &mut Bindings) -> Result<(), String> {
    let text = |key: &str| body[key].as_str().unwrap_or_default();
    let message = [text("Message"), text("message")].concat();
    if let Some(raised) = record.as_str() {
        let code = text("__type");
        let operation = step.operation;
        let said = format!("An error occurred ({code}) when calling the {operation} operation: {message}");
        return unify("", raised, &said, bindings);
    }
    if let Some(exact) = record["Metadata"]["StatusCode"].as_u64() {
        expect("status", exact == u64::from(*status))?;
        return compare("", &record["Error"], body, bindings);
    }
    let wanted = record["ResponseMetadata"]["HTTPStatusCode"].as_u64();
    if let Some(error) = record.get("Error") {
        expect("status", wanted == Some(u64::from(*status)))?;
        unify("code", error["Code"].as_str().unwrap(), text("__type"), bindings)?;
        if record.get("Message").is_some() {
            expect("Message with a capital", body.get("Message").is_some())?;
        }
        return unify("message", error["Message"].as_str().unwrap(), &message, bindings);
    }
    expect("status", wanted.unwrap_or(200) == u64::from(*status))?;
    let mut record = record.clone();
    record.as_object_mut().unwrap().remove("ResponseMetadata");
    compare("", &record, body, bindings)
}

fn expect(what: &str, holds: bool) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what} differs")) }
}

fn compare(at: &str, recorded: &Value, actual: &Value, bindings: &mut Bindings) -> Result<(), String> {
    match (recorded, actual) {
        (Value::String(date), Value::Number(_)) if date == "datetime" => Ok(()),
        (Value::String(recorded), Value::String(actual)) if recorded.starts_with("b'") => {
            expect(at, *recorded == python_bytes(&STANDARD.decode(actual).map_err(|_| "not base64")?))
        }
        (Value::String(recorded), Value::String(actual)) => unify(at, recorded, actual, bindings),
        (Value::Object(_), Value::String(text)) if at.ends_with("ResourcePolicy") => {
            compare(&format!("{at}."), recorded, &serde_json::from_str(text).unwrap(), bindings)
        }
        (Value::Object(recorded), Value::Object(actual)) => objects(at, recorded, actual, bindings),
        (Value::Array(recorded), Value::Array(actual)) if recorded.len() == actual.len() => {
            let mut pairs = recorded.iter().zip(actual).enumerate();
            pairs.try_for_each(|(n, (recorded, actual))| compare(&format!("{at}[{n}]"), recorded, actual, bindings))
        }
        _ if recorded == actual => Ok(()),
        _ => Err(format!("{at}: recorded {recorded}, answered {actual}")),
    }
}

/// The same keys with the same values; a key that is a placeholder may be bound to the one key left over.
fn objects(
    at: &str,
    recorded: &Map<String, Value>,
    actual: &Map<String, Value>,
    bindings: &mut Bindings,
) -> Result<(), String> {
    let resolve = |key: &String, bindings: &Bindings| bindings.get(key).cloned().unwrap_or_else(|| key.clone());
    let known: Vec<String> = recorded.keys().map(|key| resolve(key, bindings)).collect();
    let left: Vec<&String> = actual.keys().filter(|key| !known.contains(key)).collect();
    let unbound: Vec<&String> =
        recorded.keys().filter(|key| key.starts_with('<') && !bindings.contains_key(*key)).collect();
    if let ([key], [value]) = (&unbound[..], &left[..]) {
        bind(key, value, bindings)?;
    }
    for (key, value) in recorded {
        let found = resolve(key, bindings);
        let answered = actual.get(&found).ok_or_else(|| format!("{at}.{key} is missing"))?;
        compare(&format!("{at}.{key}"), value, answered, bindings)?;
    }
    expect(&format!("{at}: the fields {:?}", actual.keys().collect::<Vec<_>>()), recorded.len() == actual.len())
}

/// Matches a text with placeholders; one that is not bound yet takes what is left up to the end.
fn unify(at: &str, recorded: &str, actual: &str, bindings: &mut Bindings) -> Result<(), String> {
    let differs = || format!("{at}: recorded {recorded:?}, answered {actual:?}");
    let (mut pattern, mut rest) = (recorded, actual);
    while !pattern.is_empty() {
        let placeholder = pattern.find('>').filter(|_| pattern.starts_with('<')).map(|end| &pattern[..=end]);
        let literal = match placeholder {
            Some(key) if !bindings.contains_key(key) => return bind(key, rest, bindings),
            Some(key) => bindings[key].clone(),
            None => pattern[..1].to_owned(),
        };
        rest = rest.strip_prefix(literal.as_str()).ok_or_else(differs)?;
        pattern = &pattern[placeholder.map_or(1, str::len)..];
    }
    if rest.is_empty() { Ok(()) } else { Err(differs()) }
}

/// A placeholder takes a value once, of the right shape, and no two of a kind take the same.
fn bind(key: &str, value: &str, bindings: &mut Bindings) -> Result<(), String> {
    let kind = key.trim_start_matches('<').split([':', '-']).next().unwrap();
    let shaped = match kind {
        "ArnPart" => value.len() == 7 && value.starts_with('-'),
        "version_uuid" | "uuid" | "version" => (32..=64).contains(&value.len()),
        _ => !value.is_empty(),
    };
    let alike = |other: &String| other.trim_start_matches('<').starts_with(kind);
    let taken = bindings.iter().any(|(other, bound)| alike(other) && bound == value);
    bindings.insert(key.to_owned(), value.to_owned());
    expect(&format!("{key} = {value}"), shaped && !taken)
}

/// Bytes as Python's `repr` writes them.
fn python_bytes(bytes: &[u8]) -> String {
    let byte = |byte: &u8| match byte {
        0x20..=0x7e => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    format!("b'{}'", bytes.iter().map(byte).collect::<String>())
}
