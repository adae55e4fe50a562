//! Syslog lines: RFC 5424, with the fields of an entry as structured data.

use super::Row;
use crate::text;

/// Log audit.
const FACILITY: u8 = 13;
const WARNING: u8 = 4;
const INFORMATIONAL: u8 = 6;
/// 32473 is the number for examples (RFC 5612): nobody registered one for Lifeboat.
const ID: &str = "lifeboat@32473";
const MOST_HOST: usize = 255;
const MOST_MESSAGE_ID: usize = 32;

/// One line, without its end.
pub fn syslog(row: &Row<'_>) -> String {
    let (entry, run) = (&row.found.entry, &row.found.entry.run);
    let priority = FACILITY * 8 + if row.is_complete() { INFORMATIONAL } else { WARNING };
    let mut data = String::new();
    let mut field = |name: &str, value: &str| data.push_str(&format!(" {name}=\"{}\"", escaped(value)));
    field("chain", &row.chain.id);
    field("number", &entry.number.to_string());
    field("entry", &row.found.digest.to_string());
    if let Some(previous) = &entry.previous {
        field("previous", &previous.to_string());
    }
    field("repository", &entry.repository.to_string());
    field("signer", &entry.signer.fingerprint());
    field("by", &row.chain.by);
    field("started", &run.started.to_string());
    field("outcome", &run.outcome);
    if let Some(exit) = run.exit {
        field("exit", &exit.to_string());
    }
    if run.plan {
        field("plan", "true");
    }
    if let Some(target) = &run.target {
        field("target", &target.to_string());
    }
    let joined = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>().join(",");
    let lists = [
        ("snapshots", joined(&mut run.snapshots.iter().map(ToString::to_string))),
        ("quorum", joined(&mut run.quorum.iter().cloned())),
        ("files", joined(&mut run.files.iter().cloned())),
        ("counts", joined(&mut run.counts.iter().map(|(what, many)| format!("{what}={many}")))),
    ];
    for (name, value) in lists.iter().filter(|(_, value)| !value.is_empty()) {
        field(name, value);
    }
    let time = run.ended.strftime("%Y-%m-%dT%H:%M:%SZ");
    let (host, id) = (word(&row.chain.by, MOST_HOST), word(&run.action, MOST_MESSAGE_ID));
    format!(
        "<{priority}>1 {time} {host} lifeboat - {id} [{ID}{data}] {} {}",
        word(&run.action, 255),
        word(&run.outcome, 255)
    )
}

/// Printable ASCII without spaces, or the word for nothing.
fn word(given: &str, most: usize) -> String {
    let fit = |c: char| if c.is_ascii_graphic() { c } else { '-' };
    let word: String = given.chars().map(fit).take(most).collect();
    if word.is_empty() { "-".into() } else { word }
}

/// A value in quotes: what would end it is escaped, and no character moves the line.
fn escaped(value: &str) -> String {
    text::line(value).replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_itself() {
        assert_eq!(escaped(r#"a"b]c\d"#), r#"a\"b\]c\\d"#);
        assert!(!escaped("a\nb").contains('\n'));
        assert_eq!(
            (word("backup host é", 255), word("", 9), word("abc", 2)),
            ("backup-host--".into(), "-".into(), "ab".into())
        );
    }
}
