//! Which names a listing can show at all: those of a grant, and of its filters by name. It says where the next such name can
//! begin, so that a page reads the parts of an index that have some, and no others.

use super::grants::Grant;
use crate::repo::Wanted;

/// The names of a grant that also begin as a filter says.
pub(super) struct Reach<'a> {
    grant: &'a Grant,
    granted: Vec<Stretch<'a>>,
    /// Of several filters by name, each: one of its beginnings. Without a filter, none.
    filtered: Vec<Vec<Stretch<'a>>>,
}

/// Names that begin with a text, or one name. They are neighbours in an index.
struct Stretch<'a> {
    text: &'a str,
    is_whole: bool,
}

impl<'a> Reach<'a> {
    /// What `grant` opens, of which the names begin with one of each of `filters`.
    pub(super) fn new(grant: &'a Grant, filters: impl Iterator<Item = Vec<&'a str>>) -> Self {
        let beginnings =
            |texts: Vec<&'a str>| texts.into_iter().map(|text| Stretch { text, is_whole: false }).collect();
        let granted = grant.secrets().iter().map(|pattern| Stretch::of(pattern)).collect();
        Self { grant, granted, filtered: filters.map(beginnings).collect() }
    }
}

impl<'a> Stretch<'a> {
    /// What a pattern begins with before its first `*` or `?`.
    fn of(pattern: &'a str) -> Self {
        let literal = pattern.find(['*', '?']);
        Self { text: literal.map_or(pattern, |end| &pattern[..end]), is_whole: literal.is_none() }
    }

    /// The first name at or after `name` that can be one of it.
    fn ahead<'n>(&self, name: &'n str) -> Option<&'n str>
    where
        'a: 'n,
    {
        let is_within = if self.is_whole { name == self.text } else { name.starts_with(self.text) };
        if is_within { Some(name) } else { Some(self.text).filter(|text| *text > name) }
    }
}

fn ahead<'n>(of: &[Stretch<'n>], name: &'n str) -> Option<&'n str> {
    of.iter().filter_map(|stretch| stretch.ahead(name)).min()
}

impl Wanted for Reach<'_> {
    fn takes(&self, name: &str) -> bool {
        let begins = |texts: &Vec<Stretch<'_>>| texts.iter().any(|stretch| name.starts_with(stretch.text));
        self.filtered.iter().all(begins) && self.grant.opens(name)
    }

    fn ahead(&self, name: &str) -> Option<String> {
        let mut at = name;
        loop {
            let mut next = ahead(&self.granted, at)?;
            for filter in &self.filtered {
                next = ahead(filter, next)?;
            }
            if next == at {
                return Some(at.to_owned());
            }
            at = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::serve::{GrantRequest, Grants};

    fn check(patterns: &[&str], filters: &[&[&str]]) -> Vec<Option<String>> {
        let secrets = patterns.iter().map(|text| (*text).to_owned()).collect();
        let request = GrantRequest { consumer: "web".into(), secrets, seconds: 60 };
        let grant = Grants::default().issue(request, Timestamp::UNIX_EPOCH).unwrap();
        let reach = Reach::new(&grant, filters.iter().map(|texts| texts.to_vec()));
        let names = ["", "a", "app", "app/", "app/db", "app/dbx", "b", "shared/smtp", "z"];
        for (at, name) in names.iter().enumerate() {
            let ahead = reach.ahead(name);
            assert!(ahead.as_deref().is_none_or(|ahead| ahead >= *name));
            for later in &names[at..] {
                let is_passed = ahead.as_deref().is_none_or(|ahead| *later < ahead);
                assert!(!(is_passed && reach.takes(later)), "{later} is passed over from {name}");
            }
        }
        ["", "app/db", "c"].map(|name| reach.ahead(name)).to_vec()
    }

    #[test]
    fn what_is_ahead_is_never_behind_a_name_that_is_wanted() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(check(&["*"], &[]), [some(""), some("app/db"), some("c")]);
        assert_eq!(check(&["app/db"], &[]), [some("app/db"), some("app/db"), None]);
        assert_eq!(check(&["shared/smtp", "app/*"], &[]), [some("app/"), some("app/db"), some("shared/smtp")]);
        assert_eq!(check(&["app/?b"], &[]), [some("app/"), some("app/db"), None]);
        assert_eq!(check(&["*"], &[&["b", "sh"]]), [some("b"), some("b"), some("sh")]);
        assert_eq!(check(&["app/*", "shared/*"], &[&["sh"], &["shared/s"]]), [(); 3].map(|()| some("shared/s")));
        assert_eq!(check(&["app/*"], &[&["b"]]), [None, None, None]);
    }
}
