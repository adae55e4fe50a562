//! Rate limits as an operator sets them: so many requests in an interval, and nothing at all for a while after too many.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{answer::Answer, faults::rate_limited};

/// All quotas, by name.
#[derive(Default)]
pub(super) struct Quotas {
    pub(super) tells_headers: bool,
    by_name: BTreeMap<String, Quota>,
}

/// One quota.
pub(super) struct Quota {
    pub(super) rate: f64,
    /// Seconds.
    pub(super) interval: i64,
    /// Seconds.
    pub(super) block_interval: i64,
    /// With its namespace; empty is everything.
    pub(super) path: String,
    begun: Timestamp,
    used: f64,
    blocked_until: Option<Timestamp>,
}

impl Quota {
    pub(super) fn new(rate: f64, interval: i64, block_interval: i64, path: String, now: Timestamp) -> Self {
        Self { rate, interval, block_interval, path, begun: now, used: 0.0, blocked_until: None }
    }

    /// Takes one request; the seconds to wait if it is one too many.
    fn take(&mut self, now: Timestamp) -> Result<(), i64> {
        if let Some(until) = self.blocked_until.filter(|until| *until > now) {
            return Err(until.duration_since(now).as_secs());
        }
        let passed = now.duration_since(self.begun).as_secs();
        if passed >= self.interval {
            (self.begun, self.used, self.blocked_until) = (now, 0.0, None);
        }
        if self.used + 1.0 <= self.rate {
            self.used += 1.0;
            return Ok(());
        }
        if self.block_interval > 0 {
            self.blocked_until = now.checked_add(jiff::SignedDuration::from_secs(self.block_interval)).ok();
            return Err((self.block_interval - 1).max(0));
        }
        Err((self.interval - passed - 1).max(0))
    }

    pub(super) fn json(&self, name: &str) -> Json {
        json!({
            "block_interval": self.block_interval, "inheritable": false, "interval": self.interval, "name": name,
            "path": self.path, "rate": whole(self.rate), "role": "", "type": "rate-limit",
        })
    }
}

/// A whole rate without a point, as the server writes it.
fn whole(rate: f64) -> Json {
    serde_json::from_str(&rate.to_string()).unwrap_or(json!(rate))
}

impl Quotas {
    pub(super) fn set(&mut self, name: &str, quota: Quota) {
        self.by_name.insert(name.to_owned(), quota);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    pub(super) fn get(&self, name: &str) -> Option<Json> {
        self.by_name.get(name).map(|quota| quota.json(name))
    }

    pub(super) fn names(&self) -> Vec<&String> {
        self.by_name.keys().collect()
    }

    /// Counts a request of a full path: the headers that every answer has, or the refusal.
    pub(super) fn take(
        &mut self,
        full: &str,
        path: &str,
        now: Timestamp,
    ) -> Result<Vec<(&'static str, String)>, Answer> {
        let fits = |quota: &&mut Quota| full.starts_with(quota.path.as_str());
        let Some(quota) = self.by_name.values_mut().filter(fits).max_by_key(|quota| quota.path.len()) else {
            return Ok(Vec::new());
        };
        let taken = quota.take(now);
        let mut headers = Vec::new();
        if self.tells_headers {
            let left = if taken.is_ok() { (quota.rate - quota.used).floor() } else { 0.0 };
            let reset = (quota.interval - now.duration_since(quota.begun).as_secs() - 1).max(0);
            headers.push(("x-ratelimit-limit", quota.rate.to_string()));
            headers.push(("x-ratelimit-remaining", left.to_string()));
            headers.push(("x-ratelimit-reset", reset.to_string()));
        }
        let Err(seconds) = taken else { return Ok(headers) };
        let mut answer = rate_limited(path);
        if self.tells_headers {
            headers.push(("retry-after", seconds.to_string()));
        }
        answer.headers = headers;
        Err(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_refuses_until_its_interval_or_its_block_ends() {
        let now = |second: i64| Timestamp::from_second(second).unwrap();
        let mut quotas = Quotas { tells_headers: true, ..Quotas::default() };
        quotas.set("q", Quota::new(2.0, 2, 0, "secret/".into(), now(0)));
        let mut status = |path: &str, at: i64| match quotas.take(path, path, now(at)) {
            Ok(headers) => (200, headers.len()),
            Err(answer) => (answer.status, answer.headers.len()),
        };
        assert_eq!(status("secret/data/a", 0), (200, 3));
        assert_eq!(status("secret/data/a", 1), (200, 3));
        assert_eq!(status("secret/data/a", 1), (429, 4));
        assert_eq!(status("other/a", 1), (200, 0));
        assert_eq!(status("secret/data/a", 2), (200, 3));
        quotas.set("q", Quota::new(1.0, 1, 3, String::new(), now(10)));
        let mut status = |at: i64| quotas.take("a", "a", now(at)).is_ok();
        assert!(status(10) && !status(10) && !status(12) && status(13));
    }
}
