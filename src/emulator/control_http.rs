//! The switches over HTTP, for tests in other languages: `POST /_sandbox/control` and `GET /_sandbox/calls`.
//!
//! The body is an object; what is present is done, in this order:
//! `{"down": [REGION], "up": [REGION], "quotas": bool, "latency_ms": n, "empty_first_page": bool, "clear_faults": true,`
//! `"fault": {operation?, secret?, account?, region?, when: "always" | {"nth": n} | {"rate": f}, kind: "throttle" |`
//! `"internal_error" | "drop" | "drop_after" | {"error": {code, message}}}, "key": {id, state: "disabled" | "missing" |`
//! `"denied" | null}, "function_missing": {arn, missing}, "reset_calls": true, "seed_raw": {account?, region, secret},`
//! `"put": {account?, region, secret, value}, "corrupt": {account?, region, secret, version?},`
//! `"set_created": {account?, region, secret, version, seconds},`
//! `"put_after": {operation, nth, account?, region, secret, value},`
//! `"estate": {account?, region, secrets: n, versions: n, from?: n}}`.

use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Control, ControlError, Fault, KeyState};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Switches {
    down: Vec<String>,
    up: Vec<String>,
    quotas: Option<bool>,
    latency_ms: Option<u64>,
    empty_first_page: Option<bool>,
    clear_faults: bool,
    fault: Option<Fault>,
    key: Option<Key>,
    function_missing: Option<Function>,
    reset_calls: bool,
    seed_raw: Option<Seed>,
    put: Option<Target>,
    corrupt: Option<Target>,
    set_created: Option<Target>,
    put_after: Option<PutAfter>,
    estate: Option<Estate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Estate {
    #[serde(default = "nobody")]
    account: String,
    region: String,
    secrets: u32,
    versions: u32,
    #[serde(default)]
    from: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    id: String,
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    arn: String,
    missing: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    #[serde(default = "nobody")]
    account: String,
    region: String,
    secret: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    #[serde(default = "nobody")]
    account: String,
    region: String,
    secret: String,
    version: Option<String>,
    value: Option<String>,
    seconds: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutAfter {
    operation: String,
    nth: u64,
    #[serde(default = "nobody")]
    account: String,
    region: String,
    secret: String,
    value: String,
}

fn nobody() -> String {
    "000000000000".into()
}

/// The status and JSON for a request under `/_sandbox/`.
pub(super) fn answer(control: &Control, method: &Method, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let answer = match (method, path) {
        (&Method::GET, "/_sandbox/calls") => Ok(json!({
            "calls": control.calls(),
            "refused": control.refused(),
            "immediate_rotations": control.immediate_rotations(),
        })),
        (&Method::POST, "/_sandbox/control") => match serde_json::from_slice(body) {
            Ok(switches) => turn(control, switches),
            Err(_) => Err(ControlError::BadRequest("the switches are not in the known form")),
        },
        _ => return (404, json!({ "error": "no such switch" }).to_string().into_bytes()),
    };
    match answer {
        Ok(done) => (200, done.to_string().into_bytes()),
        Err(error) => (400, json!({ "error": error.to_string() }).to_string().into_bytes()),
    }
}

fn turn(control: &Control, switches: Switches) -> Result<Value, ControlError> {
    switches.down.iter().for_each(|region| control.set_region_down(region, true));
    switches.up.iter().for_each(|region| control.set_region_down(region, false));
    if let Some(on) = switches.quotas {
        control.set_quotas(on);
    }
    if let Some(millis) = switches.latency_ms {
        control.set_latency(Duration::from_millis(millis));
    }
    if let Some(on) = switches.empty_first_page {
        control.set_empty_first_page(on);
    }
    if switches.clear_faults {
        control.clear_faults();
    }
    if let Some(fault) = switches.fault {
        control.try_add_fault(fault)?;
    }
    if let Some(key) = switches.key {
        control.set_key_state(&key.id, key_state(key.state.as_deref())?);
    }
    if let Some(function) = switches.function_missing {
        control.set_function_missing(&function.arn, function.missing);
    }
    if switches.reset_calls {
        control.reset_calls();
    }
    let mut done = json!({});
    if let Some(seed) = switches.seed_raw {
        done["arn"] = control.seed_raw(&seed.account, &seed.region, &seed.secret)?.into();
    }
    if let Some(Estate { account, region, secrets, versions, from }) = switches.estate {
        control.put_estate(&account, &region, from..from.saturating_add(secrets), versions)?;
    }
    change(control, (switches.put, switches.corrupt, switches.set_created), &mut done)?;
    if let Some(it) = switches.put_after {
        let PutAfter { operation, nth, account, region, secret, value } = it;
        let put = move |control: &Control| drop(control.put(&account, &region, &secret, &value));
        control.on_call(&operation, nth, Box::new(put))?;
    }
    Ok(done)
}

type Targets = (Option<Target>, Option<Target>, Option<Target>);

fn change(control: &Control, targets: Targets, done: &mut Value) -> Result<(), ControlError> {
    let (put, corrupt, created) = targets;
    if let Some(it) = put {
        let value = it.value.ok_or(ControlError::BadRequest("put needs a value"))?;
        done["version"] = control.put(&it.account, &it.region, &it.secret, &value)?.into();
    }
    if let Some(it) = corrupt {
        let version = it.version.as_deref();
        done["corrupted"] = control.corrupt_value(&it.account, &it.region, &it.secret, version)?.into();
    }
    if let Some(it) = created {
        let (version, seconds) =
            it.version.zip(it.seconds).ok_or(ControlError::BadRequest("set_created needs version and seconds"))?;
        control.set_created(&it.account, &it.region, &it.secret, &version, seconds)?;
    }
    Ok(())
}

fn key_state(name: Option<&str>) -> Result<Option<KeyState>, ControlError> {
    match name {
        None => Ok(None),
        Some("disabled") => Ok(Some(KeyState::Disabled)),
        Some("missing") => Ok(Some(KeyState::Missing)),
        Some("denied") => Ok(Some(KeyState::Denied)),
        Some(_) => Err(ControlError::BadRequest("a key is disabled, missing or denied")),
    }
}
