//! ARNs inside policies and values: found, rewritten, or named as left from the old place.

use std::{collections::BTreeSet, ops::Range};

use serde::de::IgnoredAny;

use crate::model::{Maps, Moved, Place};

/// Characters that end an ARN in a text.
const ENDS: &[u8] = b"\"'`<>()[]{},;| \t\r\n\\";

/// How ARNs of the old place become ARNs of the new one.
pub(super) struct Rewriting<'a> {
    pub maps: &'a Maps,
    pub source: &'a Place,
    pub target: &'a Place,
    /// Old ARNs of secrets that have another one now.
    pub moved: &'a Moved,
}

impl Rewriting<'_> {
    /// The policy for the new place. Only ARNs change, every other character stays; a text that is no JSON stays whole.
    pub fn policy(&self, text: &str) -> String {
        if serde_json::from_str::<IgnoredAny>(text).is_err() {
            return text.to_owned();
        }
        let conditions = conditions(text.as_bytes());
        let mut rewritten = String::with_capacity(text.len());
        let mut from = 0;
        for at in find(text.as_bytes()) {
            let arn = &text[at.clone()];
            rewritten.push_str(&text[from..at.start]);
            let in_condition = conditions.iter().any(|range| range.contains(&at.start));
            rewritten.push_str(&self.arn(arn, !in_condition));
            from = at.end;
        }
        rewritten.push_str(&text[from..]);
        let rewritten = self.networks(&rewritten);
        // An account may stand alone, as a principal or in a condition.
        self.maps
            .account
            .iter()
            .fold(rewritten, |text, (old, new)| text.replace(&format!("\"{old}\""), &format!("\"{new}\"")))
    }

    /// The whole texts of conditions that the map names as networks, all at once: two may change places.
    fn networks(&self, text: &str) -> String {
        let networks = &self.maps.network;
        let conditions = if networks.is_empty() { Vec::new() } else { conditions(text.as_bytes()) };
        let (mut rewritten, mut from) = (String::with_capacity(text.len()), 0);
        for range in conditions {
            while let Some(string) = next_string(text, from.max(range.start)..range.end) {
                rewritten.push_str(&text[from..string.start]);
                let old: Option<String> = serde_json::from_str(&text[string.clone()]).ok();
                let new =
                    old.and_then(|old| networks.get(&old)).map(|new| serde_json::Value::from(new.as_str()).to_string());
                rewritten.push_str(new.as_deref().unwrap_or(&text[string.clone()]));
                from = string.end;
            }
        }
        rewritten.push_str(&text[from..]);
        rewritten
    }

    /// One ARN. A pattern is understood in `Resource` and not in every condition, so there a secret's old ARN stays.
    fn arn(&self, arn: &str, takes_pattern: bool) -> String {
        if let Some(new) = self.maps.kms.get(arn).or_else(|| self.maps.lambda.get(arn)) {
            return new.clone();
        }
        if self.moved.contains(arn) {
            return if takes_pattern { self.stand_in(arn) } else { arn.to_owned() };
        }
        let mut parts: Vec<&str> = arn.splitn(6, ':').collect();
        if parts.len() < 6 {
            return arn.to_owned();
        }
        let whole_place = parts[2] == "secretsmanager" && parts[5].contains('*');
        if whole_place && parts[3] == self.source.region && parts[4] == self.source.account {
            (parts[3], parts[4]) = (&self.target.region, &self.target.account);
        } else {
            parts[3] = self.maps.region.get(parts[3]).map_or(parts[3], String::as_str);
            parts[4] = self.maps.account.get(parts[4]).map_or(parts[4], String::as_str);
        }
        parts.join(":")
    }

    /// What stands for a secret's old ARN: the new name with `-??????`, since AWS chooses the six characters.
    fn stand_in(&self, arn: &str) -> String {
        const SUFFIX: usize = "-abcdef".len();
        let Some((front, name)) = arn.split_once(":secret:") else { return arn.to_owned() };
        let name = self.maps.name(name.get(..name.len().saturating_sub(SUFFIX)).unwrap_or(name));
        let partition = front.split(':').nth(1).unwrap_or("aws");
        let Place { region, account, .. } = self.target;
        format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{name}-??????")
    }

    /// The ARNs in a text that lead back to the old place.
    pub fn old(&self, text: &[u8]) -> BTreeSet<String> {
        left_behind(text, self.source, self.target, self.moved)
    }
}

/// The ARNs in a text that lead back to the old place.
pub(super) fn left_behind(text: &[u8], source: &Place, target: &Place, moved: &Moved) -> BTreeSet<String> {
    let arns = find(text).into_iter().filter_map(|at| std::str::from_utf8(&text[at]).ok());
    arns.filter(|arn| is_old(arn, source, target, moved)).map(str::to_owned).collect()
}

fn is_old(arn: &str, source: &Place, target: &Place, moved: &Moved) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, _, region, account, _] = parts[..] else { return false };
    let left = |part: &str, old: &str, new: &str| part == old && old != new;
    moved.contains(arn)
        || left(region, &source.region, &target.region)
        || left(account, &source.account, &target.account)
}

/// Every ARN in a policy.
pub(super) fn all(text: &str) -> BTreeSet<String> {
    find(text.as_bytes()).into_iter().map(|at| text[at].to_owned()).collect()
}

/// Where ARNs are in a text: `arn:`, at a word's beginning, up to a character that cannot be in one.
fn find(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].windows(4).position(|window| window == b"arn:").map(|at| at + from) {
        let end = text[at..].iter().position(|byte| ENDS.contains(byte) || !byte.is_ascii_graphic());
        let end = end.map_or(text.len(), |end| at + end);
        let begins = at == 0 || !text[at - 1].is_ascii_alphanumeric();
        if begins && text[at..end].split(|byte| *byte == b':').count() >= 6 {
            found.push(at..end);
        }
        from = end.max(at + 4);
    }
    found
}

/// Where the objects of `Condition` are in a policy, which is known to be JSON.
fn conditions(text: &[u8]) -> Vec<Range<usize>> {
    const KEY: &[u8] = b"\"Condition\"";
    let starts = text.windows(KEY.len()).enumerate().filter(|(_, window)| *window == KEY).map(|(at, _)| at + KEY.len());
    starts.filter_map(|at| Some(at..object_end(text, at)?)).collect()
}

/// The next string in a part of a text that is JSON, with its quotes.
fn next_string(text: &str, within: Range<usize>) -> Option<Range<usize>> {
    let start = within.start + text.get(within.clone())?.find('"')?;
    let mut escaped = false;
    let end = text[start + 1..within.end].bytes().position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    })?;
    Some(start..start + end + 2)
}

/// The end of the object that begins after `from`.
fn object_end(text: &[u8], from: usize) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
    for (at, byte) in text.iter().enumerate().skip(from) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' if !in_string => depth += 1,
            b'}' if !in_string => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:app-AbCdEf";
    const NEW: &str = "arn:aws:secretsmanager:eu-west-1:222222222222:secret:app-??????";

    fn place(account: &str, region: &str) -> Place {
        Place { provider: "aws".into(), account: account.into(), region: region.into() }
    }

    fn rewritten(text: &str, maps: &Maps) -> (String, BTreeSet<String>) {
        let (source, target) = (place("111111111111", "eu-central-1"), place("222222222222", "eu-west-1"));
        let mut moved = Moved::default();
        moved.add(OLD);
        let moved = moved.sorted();
        let rewriting = Rewriting { maps, source: &source, target: &target, moved: &moved };
        let text = rewriting.policy(text);
        let old = rewriting.old(text.as_bytes());
        (text, old)
    }

    #[test]
    fn only_arns_change_and_what_is_left_is_named() {
        let maps = Maps { account: [("111111111111".to_owned(), "222222222222".to_owned())].into(), ..Maps::default() };
        let text = format!(
            "{{ \"Statement\":[{{\"Principal\":{{\"AWS\":[\"arn:aws:iam::111111111111:role/app\",\"111111111111\"]}},\
             \n\"Resource\":\"{OLD}\",\"Condition\":{{\"ArnEquals\":{{\"x\":\"{OLD}\"}}}}}}]  }}"
        );
        let (new, old) = rewritten(&text, &maps);
        let expected = text
            .replacen(OLD, NEW, 1)
            .replace("iam::111111111111", "iam::222222222222")
            .replace("\"111111111111\"", "\"222222222222\"");
        assert_eq!(new, expected);
        assert_eq!(old, BTreeSet::from([OLD.to_owned()]), "a pattern in a condition would mean something else");
    }

    #[test]
    fn without_a_map_a_foreign_account_stays_and_is_named() {
        let text = r#"{"Statement":[{"Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Resource":"*"}]}"#;
        let (new, old) = rewritten(text, &Maps::default());
        assert_eq!(new, text);
        assert_eq!(old.len(), 1);
    }

    #[test]
    fn conditions_end_where_they_end() {
        let text = br#"{"Condition" : {"a":{"b":"}\"}"}},"Resource":"x"}"#;
        let found = conditions(text);
        assert_eq!(found.len(), 1);
        assert_eq!(&text[found[0].end..], br#","Resource":"x"}"#);
        assert!(conditions(br#"{"Resource":"Condition"}"#).is_empty());
    }

    #[test]
    fn patterns_of_the_old_place_follow_and_texts_that_are_no_json_stay() {
        let wide = r#"{"Resource":"arn:aws:secretsmanager:eu-central-1:111111111111:secret:app/*"}"#;
        let (new, old) = rewritten(wide, &Maps::default());
        assert!(new.contains("eu-west-1:222222222222:secret:app/*") && old.is_empty(), "{new}");
        assert_eq!(rewritten(&format!("no json {OLD}"), &Maps::default()).0, format!("no json {OLD}"));
    }

    #[test]
    fn arns_are_found_in_any_bytes() {
        let text =
            [b"\xff\0arn:aws:iam::1:role/x\0barn:aws:iam::1:role/y ", OLD.as_bytes(), b"\xff arn: arn:a:b"].concat();
        let found: Vec<_> = find(&text).into_iter().map(|at| String::from_utf8_lossy(&text[at]).into_owned()).collect();
        assert_eq!(found, ["arn:aws:iam::1:role/x", OLD]);
    }
}
