//! CloudTrail as the record of who read what: the event history, and exported files.
//!
//! LookupEvents: two calls a second, fifty events a page, ninety days, newest first, one attribute:
//! <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html>.

mod file;
mod record;

use std::{collections::HashSet, io::Read};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use super::super::{
    Aws,
    call::Operation,
    direct::{CLOUDTRAIL, Direct},
    failure::Failure,
    kind::settings,
    sdk_config,
};
use crate::{
    model::Secret,
    provider::{AccessLog, Address, Asked, Connection, Entry, ErrorKind, Named, ProviderError, Reach, Sink},
};

/// How long the event history goes back.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long an event may take to arrive: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/how-cloudtrail-works.html>.
const DELAY: SignedDuration = SignedDuration::from_mins(15);
/// Pages in a row that bring nothing new, after which no end is to be expected.
const IDLE_PAGES: u32 = 20;
/// Events of a page.
const PAGE: u32 = 50;
/// The events that are readings. Asking for each name leaves out what every other call writes.
pub(super) const READINGS: [&str; 2] = ["GetSecretValue", "BatchGetSecretValue"];

/// CloudTrail.
pub(super) struct Trail;

#[async_trait]
impl AccessLog for Trail {
    fn title(&self) -> &'static str {
        "CloudTrail"
    }

    async fn look_up(
        &self,
        address: &Address,
        connection: &Connection<'_>,
        asked: Asked,
        sink: &mut Sink<'_>,
    ) -> Result<Reach, ProviderError> {
        let mut reach = of_history(asked);
        if reach.from >= reach.until {
            return Ok(reach);
        }
        let settings = settings(address, connection);
        let config = sdk_config(&settings).await?;
        let lookup = Direct::new(&config, settings.endpoint.as_deref(), CLOUDTRAIL, Operation::LookupEvents)?;
        let aws = Aws::connect(settings).await?;
        let (from, until) = (reach.from, reach.until);
        for name in READINGS {
            let mut pages = Pages::new(asked.most);
            let mut request = json!({
                "LookupAttributes": [{ "AttributeKey": "EventName", "AttributeValue": name }],
                "StartTime": from.as_second(), "EndTime": asked.until.min(asked.now).as_second(), "MaxResults": PAGE,
            });
            let ended = loop {
                let answer = aws.call(Operation::LookupEvents, None, || lookup.send(request.clone())).await;
                let page = match answer {
                    Ok(page) => page,
                    Err(failure) if pages.read == 0 => return Err(failure.into()),
                    Err(failure) => break Some(format!("after {} pages: {}", pages.read, failure.error.code)),
                };
                match pages.take(&page, sink) {
                    Turn::Next(token) => request["NextToken"] = token.into(),
                    Turn::End => break None,
                    Turn::Cut(_) if pages.read == 0 => return Err(bad_answer(&aws).into()),
                    Turn::Cut(reason) => break Some(reason),
                }
            };
            if let Some(reason) = ended {
                reach.reasons.push(format!("{name} ends early: {reason}"));
                // Newest first: what is older than the last event was not given.
                reach.from = reach.from.max(pages.last.unwrap_or(until).min(until));
            }
        }
        Ok(reach)
    }

    fn read_file(&self, file: Box<dyn Read>, sink: &mut Sink<'_>) -> Result<(), String> {
        file::read(file, sink)
    }

    fn ids(&self, secret: &Secret) -> Vec<String> {
        super::incident::ids(&[secret])
    }

    fn named(&self, id: &str) -> Named {
        record::named(id)
    }
}

/// What of a question the event history can answer.
fn of_history(asked: Asked) -> Reach {
    let (oldest, newest) = (asked.now - KEPT, asked.now - DELAY);
    let mut reach = Reach { from: asked.from, until: asked.until, reasons: Vec::new() };
    if asked.from < oldest {
        reach.reasons.push("the event history has 90 days".into());
        reach.from = oldest.min(asked.until);
    }
    if asked.until > newest {
        reach.reasons.push("the time is not over".into());
        reach.until = newest.max(reach.from);
    }
    reach
}

fn bad_answer(aws: &Aws) -> Failure {
    let what = "the answer has no list of events";
    Failure::own(ErrorKind::Unavailable, Operation::LookupEvents, &aws.region, "BadAnswer", what)
}

/// One chain of pages, as far as it is believed.
struct Pages {
    read: u64,
    taken: u64,
    most: u64,
    idle: u32,
    seen: HashSet<String>,
    token: Option<String>,
    /// The time of the last event.
    last: Option<Timestamp>,
}

/// What comes after a page.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Next(String),
    End,
    Cut(String),
}

impl Pages {
    fn new(most: u64) -> Self {
        Self { read: 0, taken: 0, most, idle: 0, seen: HashSet::new(), token: None, last: None }
    }

    fn take(&mut self, page: &Json, sink: &mut Sink<'_>) -> Turn {
        let Some(events) = page["Events"].as_array() else { return Turn::Cut("a page without events".into()) };
        self.read += 1;
        let mut is_new = false;
        for event in events {
            let entry = of_lookup(event);
            let id = entry.as_ref().and_then(|event| event.id.clone());
            // What has no id is passed on, and is no progress.
            if id.is_some_and(|id| !self.seen.insert(id)) {
                continue;
            }
            if let Some(event) = &entry {
                is_new |= event.id.is_some();
                self.last = Some(event.time);
            }
            self.taken += 1;
            sink(entry);
        }
        self.idle = if is_new { 0 } else { self.idle + 1 };
        match page["NextToken"].as_str().filter(|token| !token.is_empty()) {
            None if page["NextToken"].is_null() || page["NextToken"] == "" => Turn::End,
            None => Turn::Cut("a page whose next one has no name".into()),
            Some(token) if self.token.as_deref() == Some(token) => Turn::Cut("a page names itself as the next".into()),
            Some(_) if self.idle >= IDLE_PAGES => Turn::Cut(format!("{IDLE_PAGES} pages bring nothing new")),
            Some(_) if self.taken >= self.most => Turn::Cut(format!("{} events are the most", self.most)),
            Some(token) => {
                self.token = Some(token.to_owned());
                Turn::Next(token.to_owned())
            }
        }
    }
}

/// An event of LookupEvents: the record is text within it.
fn of_lookup(event: &Json) -> Entry {
    record::event(&serde_json::from_str(event["CloudTrailEvent"].as_str()?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str) -> Json {
        let record = json!({ "eventID": id, "eventTime": "2026-10-05T10:00:00Z", "eventName": "GetSecretValue",
            "eventSource": "secretsmanager.amazonaws.com" });
        json!({ "CloudTrailEvent": record.to_string() })
    }

    #[test]
    fn pages_end_whatever_they_say() {
        let mut pages = Pages::new(1_000);
        let mut count = 0;
        let mut sink = |_: Entry| count += 1;
        let page = |token: &str, id: &str| json!({ "Events": [event(id)], "NextToken": token });
        assert_eq!(pages.take(&page("a", "1"), &mut sink), Turn::Next("a".into()));
        assert!(matches!(pages.take(&page("a", "2"), &mut sink), Turn::Cut(why) if why.contains("itself")));
        assert!(matches!(pages.take(&json!({}), &mut sink), Turn::Cut(_)));
        assert!(matches!(pages.take(&json!({ "Events": [], "NextToken": 7 }), &mut sink), Turn::Cut(_)));
        assert_eq!(pages.take(&json!({ "Events": [] }), &mut sink), Turn::End);
        let turns: Vec<Turn> = (0..30).map(|n| pages.take(&page(&format!("t{n}"), "1"), &mut sink)).collect();
        let cut = turns.iter().position(|turn| matches!(turn, Turn::Cut(_))).unwrap();
        assert!(cut < usize::try_from(IDLE_PAGES).unwrap(), "{cut}");
        let mut short = Pages::new(2);
        assert!(matches!(short.take(&page("a", "1"), &mut sink), Turn::Next(_)));
        assert!(matches!(short.take(&page("b", "2"), &mut sink), Turn::Cut(why) if why.contains("the most")));
        assert_eq!(count, 4);
    }

    #[test]
    fn what_the_history_has_not_is_no_answer() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let asked = |from: &str, until: &str| {
            of_history(Asked { from: at(from), until: at(until), now: at("2026-11-29T00:00:00Z"), most: 1 })
        };
        let whole = asked("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
        assert!(whole.reasons.is_empty());
        let old = asked("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
        assert_eq!((old.from, old.reasons.len()), (old.until, 1));
        let running = asked("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
        assert_eq!(running.until, at("2026-11-28T23:45:00Z"));
    }
}
