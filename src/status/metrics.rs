//! The same facts for Prometheus' text file collector.

use std::fmt::Write;

use jiff::Timestamp;

use super::{Facts, OfSource};
use crate::{model::Place, repo::Counts};

const PASS: &str = "recovery point of the newest complete pass";
const NEWEST: &str = "recovery point of the newest snapshot, those of events included";

/// The metrics of one look, in the text format, version 0.0.4. Names and labels are a contract; no secret's name is in it.
pub fn metrics(facts: &Facts, exit: u8, now: Timestamp) -> String {
    let mut text = unknown(exit, now);
    let mut page = Page(&mut text);
    page.head("snapshots", "verified snapshots").value("", facts.snapshots);
    if !facts.sources.is_empty() {
        page.sources(facts);
    } else if let Some(newest) = &facts.snapshot {
        page.head("snapshot_time_seconds", PASS).value("", newest.pass.as_second());
        page.head("snapshot_newest_time_seconds", NEWEST).value("", newest.time.as_second());
        page.head("snapshot_sequence", "number of the newest snapshot").value("", newest.sequence);
        page.head("snapshot_complete", "whether nothing was left out").value("", u8::from(newest.is_complete()));
        page.head("snapshot_secrets", "secrets of the newest snapshot");
        for (state, count) in states(&newest.counts) {
            page.value(&format!("{{state=\"{state}\"}}"), count);
        }
    }
    page.head("history_faults", "faults in the chain").value("", facts.history.len());
    page.copies(facts);
    if let Some(drill) = &facts.drill {
        page.head("drill_passed", "whether the newest drill passed").value("", u8::from(drill.passed));
        page.head("drill_time_seconds", "when the newest drill began").value("", drill.time.as_second());
        if let Some(rto) = drill.rto_seconds {
            page.head("drill_rto_seconds", "its measured time to recovery").value("", rto);
        }
    }
    page.drifts(facts);
    page.head("sheets_due", "sheets to be proven readable").value("", facts.due.len());
    page.head("run_in_progress", "whether a run of this host is in progress").value("", u8::from(facts.running));
    text
}

/// What can be said when nothing could be found out.
pub fn unknown(exit: u8, now: Timestamp) -> String {
    let mut text = String::new();
    let mut page = Page(&mut text);
    page.head("status_time_seconds", "when this was written").value("", now.as_second());
    page.head("status_exit_code", "0 good, 3 needs attention, 4 tampered with, 6 damaged, else unknown")
        .value("", exit);
    text
}

fn states(counts: &Counts) -> [(&'static str, u64); 4] {
    [
        ("captured", counts.captured),
        ("unreadable", counts.unreadable),
        ("excluded", counts.excluded),
        ("vanished", counts.vanished),
    ]
}

struct Page<'a>(&'a mut String);

impl Page<'_> {
    fn head(&mut self, name: &str, help: &str) -> &mut Self {
        let _ = writeln!(self.0, "# HELP lifeboat_{name} {help}\n# TYPE lifeboat_{name} gauge");
        self
    }

    /// A sample of the metric whose head came last.
    fn value(&mut self, labels: &str, value: impl std::fmt::Display) {
        let name = self.0.rsplit("# TYPE ").next().and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        let line = format!("{name}{labels} {value}\n");
        self.0.push_str(&line);
    }

    /// The same names as for one source, with labels; and whether there is a snapshot at all.
    fn sources(&mut self, facts: &Facts) {
        let labels = |of: &OfSource, more: &str| {
            let (account, region) = (of.source.account.as_deref().unwrap_or_default(), &of.source.region);
            format!("{{account=\"{account}\",region=\"{region}\"{more}}}")
        };
        self.head("source_captured", "whether there is a snapshot of the source");
        facts.sources.iter().for_each(|of| self.value(&labels(of, ""), u8::from(of.newest.is_some())));
        let newest = || facts.sources.iter().filter_map(|of| Some((of, of.newest.as_ref()?)));
        self.head("snapshot_time_seconds", PASS);
        newest().for_each(|(of, newest)| self.value(&labels(of, ""), newest.pass.as_second()));
        self.head("snapshot_newest_time_seconds", NEWEST);
        newest().for_each(|(of, newest)| self.value(&labels(of, ""), newest.time.as_second()));
        self.head("snapshot_sequence", "number of the newest snapshot");
        newest().for_each(|(of, newest)| self.value(&labels(of, ""), newest.sequence));
        self.head("snapshot_complete", "whether nothing was left out");
        newest().for_each(|(of, newest)| self.value(&labels(of, ""), u8::from(newest.is_complete())));
        self.head("snapshot_secrets", "secrets of the newest snapshot");
        for (of, newest) in newest() {
            for (state, count) in states(&newest.counts) {
                self.value(&labels(of, &format!(",state=\"{state}\"")), count);
            }
        }
    }

    fn drifts(&mut self, facts: &Facts) {
        if facts.drifts.is_empty() {
            return;
        }
        let label = |drifted: &super::Drifted| {
            let Place { account, region, .. } = &drifted.source;
            format!("{{to=\"{}\",account=\"{account}\",region=\"{region}\"}}", quoted(&drifted.to))
        };
        self.head("drift_lacking", "secrets that the standby place lacked or had different");
        facts.drifts.iter().for_each(|drifted| self.value(&label(drifted), drifted.lacking));
        self.head("drift_compared", "secrets that were compared with the standby place");
        facts.drifts.iter().for_each(|drifted| self.value(&label(drifted), drifted.compared));
        self.head("drift_time_seconds", "when the standby place was compared");
        facts.drifts.iter().for_each(|drifted| self.value(&label(drifted), drifted.time.as_second()));
    }

    fn copies(&mut self, facts: &Facts) {
        let copies = || facts.copies.iter().map(|copy| (label(&copy.url), copy));
        if facts.copies.is_empty() {
            return;
        }
        self.head("copy_reachable", "whether the copy was reached and is whole");
        copies().for_each(|(url, copy)| self.value(&url, u8::from(copy.error.is_none())));
        self.head("copy_snapshots_behind", "snapshots the copy lacks");
        copies().for_each(|(url, copy)| self.value(&url, copy.behind));
        self.head("copy_time_seconds", "recovery point of the copy's newest snapshot");
        copies().for_each(|(url, copy)| {
            if let Some(newest) = copy.newest {
                self.value(&url, newest.time.as_second());
            }
        });
    }
}

fn label(url: &str) -> String {
    format!("{{url=\"{}\"}}", quoted(url))
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
