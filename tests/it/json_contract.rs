//! `--json` is a contract: one envelope on stdout for whatever happens, and its fields as docs/schema/ says.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Map, Value as Json, json};

use crate::{
    command::{Desk, Ran, SHEETS},
    events_queue, servers,
};

const ACCOUNT: &str = "111111111111";
const OUTCOMES: [(i32, &str); 13] = [
    (0, "complete"),
    (1, "failed"),
    (2, "usage"),
    (3, "incomplete"),
    (4, "refused"),
    (5, "no_quorum"),
    (6, "damaged"),
    (7, "locked"),
    (125, "not_started"),
    (126, "not_runnable"),
    (127, "not_there"),
    (130, "interrupted"),
    (141, "no_reader"),
];

/// Every envelope that was seen, by its command.
#[derive(Default)]
struct Seen(BTreeMap<String, Vec<Json>>);

impl Seen {
    fn look(&mut self, words: &str, ran: &Ran) -> Json {
        let value = ran.json();
        let code = ran.code.unwrap();
        let outcome = OUTCOMES.iter().find(|(known, _)| *known == code).unwrap().1;
        assert_eq!((&value["exit"], &value["outcome"]), (&code.into(), &outcome.into()), "{words}");
        let command = value["command"].as_str().unwrap().to_owned();
        let schema = if command.is_empty() { "usage" } else { &command }.replace(' ', "-");
        assert_eq!(value["schema"], format!("lifeboat/{schema}/1"), "{words}");
        for finding in value["findings"].as_array().unwrap() {
            let text = finding["text"].as_str().unwrap();
            assert!(command == "status" || ran.err.contains(text), "{words}: {finding} is not on stderr");
        }
        if code != 0 && !matches!(code, 3 | 4 | 6) {
            assert!(value["error"].is_string(), "{words}: {value}");
        }
        self.0.entry(schema).or_default().push(value.clone());
        value
    }
}

/// The JSON Schema (draft 2020-12) that all of these satisfy: what every one has is required.
fn schema_of(values: &[Json]) -> Json {
    let mut kinds: Vec<&str> = values.iter().map(kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.contains(&"integer") && kinds.contains(&"number") {
        kinds.retain(|kind| *kind != "integer");
    }
    let mut schema = Map::new();
    let kind = if let [only] = kinds[..] { json!(only) } else { json!(kinds) };
    schema.insert("type".into(), kind);
    let objects: Vec<&Map<String, Json>> = values.iter().filter_map(Json::as_object).collect();
    if !objects.is_empty() {
        let mut fields: BTreeMap<&String, Vec<Json>> = BTreeMap::new();
        for (name, value) in objects.iter().flat_map(|object| object.iter()) {
            fields.entry(name).or_default().push(value.clone());
        }
        // Names that are data, such as addresses and secrets, are no fields.
        let is_map = fields.keys().any(|name| name.contains([':', '/', '@', ' ']) || name.len() >= 32);
        if is_map {
            let all: Vec<Json> = fields.into_values().flatten().collect();
            schema.insert("additionalProperties".into(), schema_of(&all));
        } else {
            let required: Vec<&String> =
                fields.iter().filter(|(_, values)| values.len() == objects.len()).map(|(name, _)| *name).collect();
            schema.insert("required".into(), json!(required));
            let properties: Map<String, Json> =
                fields.iter().map(|(name, values)| ((*name).clone(), schema_of(values))).collect();
            schema.insert("properties".into(), properties.into());
        }
    }
    let items: Vec<Json> = values.iter().filter_map(Json::as_array).flatten().cloned().collect();
    if !items.is_empty() {
        schema.insert("items".into(), schema_of(&items));
    }
    schema.into()
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// What is wrong with a value by a schema of the kind that [`schema_of`] makes.
fn faults(value: &Json, schema: &Json, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is = |wanted: &Json| {
        let wanted = wanted.as_str().unwrap_or_default();
        wanted == kind(value) || wanted == "number" && kind(value) == "integer"
    };
    let fits = schema["type"].as_array().map_or_else(|| is(&schema["type"]), |kinds| kinds.iter().any(is));
    if !fits {
        found.push(format!("{at} is {} and not {}", kind(value), schema["type"]));
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            if !object.contains_key(name) {
                found.push(format!("{at} lacks {name}"));
            }
        }
        for (name, value) in object {
            let of_field = schema["properties"].get(name).or(schema.get("additionalProperties"));
            match of_field {
                Some(schema) => found.extend(faults(value, schema, &format!("{at}.{name}"))),
                None => found.push(format!("{at} has {name}, which its schema does not")),
            }
        }
    }
    if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
        found.extend(items.iter().enumerate().flat_map(|(n, item)| faults(item, schema, &format!("{at}[{n}]"))));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_prints_one_envelope_that_its_schema_describes() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let desk = planted(&sandbox);
    write_trail(&desk.path("log.json"));
    let mut seen = Seen::default();
    let init = "init --repo repository --source aws:eu-central-1 --threshold 3 --custodian Ana --custodian Bo \
                --custodian Cy --custodian Dee --custodian Eli --sheets sheets --copy west --yes";
    let restore = format!("restore --repo west --to aws:eu-west-1 {SHEETS}");
    for words in [
        "status",
        init,
        init,
        "status",
        "snapshot",
        "snapshot --source 999999999999",
        "copy",
        "list",
        "show",
        "show ffff",
        "diff",
        "check",
        "check --depth index",
        &format!("check --depth values {SHEETS}"),
        "status",
        "words",
        "doctor",
        "doctor --to aws:eu-west-1",
        "doctor --policy backup",
        "runbook --to aws:eu-west-1",
        "alarms",
        "audit show",
        "audit show --by nobody",
        "audit verify",
        "audit export --format ocsf",
        "access report --month 2026-10 --log log.json",
        "access report --month 2026-10",
        "access report --month 2999-10",
        "consumers --show",
        "consumers",
        "consumers --show",
        "drift --to aws:eu-west-1",
        "runbook --to aws:eu-west-1 --out runbook.md",
        "forget --keep-last 5 --plan",
        "custody register",
        "custody policy",
        "custody verify sheets/02-bo.txt",
        "custody verify lifeboat.toml",
        "custody signer list",
        &format!("{restore} --plan"),
        &format!("{restore} --yes"),
        &format!("get app/one {SHEETS}"),
        &format!("get app/one {SHEETS} --output one"),
        "get app/one --share sheets/01-ana.txt",
        "versions app/one",
        &format!("versions app/one {SHEETS}"),
        &format!("export --format json --secret ONE=app/one {SHEETS}"),
        &format!("export --format json --secret ONE=app/one {SHEETS} --output one.json"),
        "restore --repo west --to aws:eu-west-1 --yes --share sheets/01-ana.txt",
        "restore --repo nowhere --to aws:eu-west-1 --yes --share sheets/01-ana.txt",
        "drill list",
        "drill show",
        "break-glass env --for js",
        "completions bash",
        "man",
        "man --out man",
        "nonsense",
        "restore --nonsense",
        "",
    ] {
        let ran = desk.run(&format!("{words} --json"));
        seen.look(words, &ran);
    }
    let ran = desk.run_as("999999999999", &format!("drill run --to aws:eu-west-1 {SHEETS} --yes --json"));
    seen.look("drill run", &ran);
    look_at_break_glass(&desk, &mut seen);
    let ran = desk.run("exec --secret ONE=app/one --share sheets/01-ana.txt --json -- true");
    seen.look("exec", &ran);
    seen.look("drill list", &desk.run("drill list --json"));
    seen.look("drill show", &desk.run("drill show --json"));
    seen.look("status", &desk.run("status --json"));
    look_at_hooks(&desk, &mut seen, &restore);
    look_at_events(&desk, &mut seen).await;
    look_at_compromise(&desk, &mut seen);
    let path = desk.path("repository");
    std::fs::rename(&path, desk.path("elsewhere")).unwrap();
    for words in ["list --json", "check --json", "status --json", "snapshot --json"] {
        seen.look(words, &desk.run(words));
    }
    sandbox.shutdown().await;
    hold_schemas(&seen);
}

/// A desk of an account with two secrets.
fn planted(sandbox: &Sandbox) -> Desk {
    for (name, value) in [("app/one", "value"), ("app/two", "other")] {
        sandbox.control().put(ACCOUNT, "eu-central-1", name, value).unwrap();
    }
    Desk::new(&sandbox.endpoint(), ACCOUNT)
}

/// Two months of an exported trail: a reader of this month, and one who is gone.
fn write_trail(path: &Path) {
    let identity = json!({ "type": "IAMUser", "arn": "arn:aws:iam::111111111111:user/eve" });
    let event = |id: u32, time: &str, who: &Json| {
        json!({ "eventID": id.to_string(), "eventTime": time, "eventSource": "secretsmanager.amazonaws.com",
            "eventName": "GetSecretValue", "awsRegion": "eu-central-1", "recipientAccountId": ACCOUNT,
            "requestParameters": { "secretId": "app/one" }, "userIdentity": who, "errorCode": "AccessDeniedException" })
    };
    let gone = json!({ "type": "AWSService", "invokedBy": "rds.amazonaws.com" });
    let log =
        json!({ "Records": [event(1, "2026-10-01T00:00:00Z", &identity), event(2, "2026-09-01T00:00:00Z", &gone)] });
    std::fs::write(path, log.to_string()).unwrap();
}

/// A plan, a restore and a drill with a hook, which runs once.
fn look_at_hooks(desk: &Desk, seen: &mut Seen, restore: &str) {
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let hook = "\n[[after]]\nname = \"one\"\non = [\"restore\", \"compromise\"]\nkind = \"command\"\ncommand = [\"/bin/true\"]\n";
    std::fs::write(desk.path("lifeboat.toml"), config + hook).unwrap();
    for words in [format!("{restore} --plan"), format!("{restore} --yes"), format!("{restore} --yes")] {
        seen.look(&words, &desk.run(&format!("{words} --json")));
    }
    let ran = desk.run_as("999999999999", &format!("drill run --to aws:eu-west-1 {SHEETS} --yes --json"));
    seen.look("drill run", &ran);
}

/// A leak, answered.
fn look_at_compromise(desk: &Desk, seen: &mut Seen) {
    for words in [
        &format!("compromise plan --scope app/ --since 2026-01-01 --out plan.json {SHEETS}"),
        "compromise plan --scope nothing --since 2026-01-01",
        "compromise plan --key signer",
        "compromise run plan.json --policy",
        "compromise run plan.json --yes",
        "compromise verify plan.json",
        "compromise mark --scope nothing --yes",
        "compromise mark --scope app/ --yes",
        "list",
        "show",
    ] {
        seen.look(words, &desk.run(&format!("{words} --json")));
    }
}

/// A capture between two passes, and what was there before.
async fn look_at_events(desk: &Desk, seen: &mut Seen) {
    seen.look("watch --once", &desk.run("watch --once --json"));
    seen.look("schedule events", &desk.run("schedule events --json"));
    events_queue::name_queue(desk);
    let update = "import boto3; boto3.client('secretsmanager', 'eu-central-1').put_secret_value(SecretId='app/one', SecretString='new')";
    let mut python = desk.command(servers::program("python"));
    desk.finish(python.args(["-B", "-c", update])).expect(0);
    for _ in 0..2 {
        seen.look("watch --once", &events_queue::watch(desk, &events_queue::queue(&["app/one"]).await));
    }
    for words in ["list --json", "status --json", "forget --keep-last 1 --plan --json"] {
        seen.look(words, &desk.run(words));
    }
}

/// A server, what is asked of it while it runs, and its log.
fn look_at_break_glass(desk: &Desk, seen: &mut Seen) {
    let words = format!("break-glass serve --json --repo west {SHEETS} --listen 127.0.0.1:0 --metrics 127.0.0.1:0");
    let log = std::fs::File::create(desk.path("serve.err")).unwrap();
    let mut command = desk.command(crate::command::binary());
    let mut server = command.args(words.split_whitespace()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let (mut out, mut overdue) = (String::new(), String::new());
    let mut lines = BufReader::new(server.stdout.take().unwrap());
    lines.read_line(&mut out).unwrap();
    let err = std::fs::read_to_string(desk.path("serve.err")).unwrap();
    seen.look("break-glass serve", &Ran { code: Some(0), out, err });
    // The one line that follows: it is no end of a command, and has its own schema.
    lines.read_line(&mut overdue).unwrap();
    let overdue: Json = serde_json::from_str(&overdue).unwrap();
    assert_eq!((&overdue["schema"], &overdue["count"]), (&json!("lifeboat/break-glass-serve-overdue/1"), &json!(0)));
    seen.0.entry("break-glass-serve-overdue".into()).or_default().push(overdue);
    for words in [
        "break-glass grant web --secrets app/* --for 1h",
        "break-glass grant web --secrets app/* --for 13h",
        "break-glass revoke web",
        "break-glass revoke web",
        "break-glass report",
    ] {
        seen.look(words, &desk.run(&format!("{words} --json")));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&server), rustix::process::Signal::TERM).unwrap();
    assert!(server.wait().unwrap().success());
    for words in ["break-glass report", "break-glass grant web --secrets app/* --for 1h"] {
        seen.look(words, &desk.run(&format!("{words} --json")));
    }
    let words = format!("drill run --target break-glass --yes --json {SHEETS}");
    seen.look("drill run", &desk.run(&words));
}

/// The schemas of docs/schema/ describe everything that was seen; `LIFEBOAT_WRITE_DOCS=1` makes them anew.
fn hold_schemas(seen: &Seen) {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema"));
    let writes = std::env::var_os("LIFEBOAT_WRITE_DOCS").is_some();
    if writes {
        std::fs::create_dir_all(&folder).unwrap();
    }
    for (name, values) in &seen.0 {
        let file = folder.join(format!("{name}.json"));
        if writes {
            let mut schema = schema_of(values);
            schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
            schema["title"] = format!("lifeboat {} --json", name.replace('-', " ")).into();
            std::fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&schema).unwrap())).unwrap();
        }
        let schema: Json =
            serde_json::from_slice(&std::fs::read(&file).unwrap_or_else(|_| panic!("{name} has no schema"))).unwrap();
        for value in values {
            let found = faults(value, &schema, "");
            assert!(found.is_empty(), "{name}: {}", found.join("\n"));
        }
    }
}

#[test]
fn a_schema_refuses_what_it_does_not_describe() {
    let schema = schema_of(&[json!({"a": 1, "b": [{"c": null}]}), json!({"a": 2.5, "b": []})]);
    assert!(faults(&json!({"a": 3, "b": []}), &schema, "").is_empty());
    for bad in [
        json!({"b": []}),
        json!({"a": "x", "b": []}),
        json!({"a": 1, "b": [{"c": 1}]}),
        json!({"a": 1, "b": [], "d": 1}),
        json!([]),
    ] {
        assert!(!faults(&bad, &schema, "").is_empty(), "{bad}");
    }
}

#[test]
fn quiet_is_quiet_and_colours_are_for_terminals() {
    let desk = Desk::offline(ACCOUNT);
    let ran = desk.run("list -q").expect(2);
    assert!(ran.err.starts_with("error: ") && !ran.err.contains('\u{1b}'), "{}", ran.err);
    desk.run("list -q -v").expect(2);
    desk.run("man --out man").expect(0);
    for page in ["lifeboat.1", "lifeboat-drill-run.1", "lifeboat-custody-signer-remove.1", "lifeboat-restore.1"] {
        let text = std::fs::read_to_string(desk.path(&format!("man/{page}"))).unwrap();
        assert!(text.contains("\\-\\-json"), "{page} lacks the global flags");
    }
}
