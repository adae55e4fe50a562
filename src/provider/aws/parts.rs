//! A listing in parts, so that its pages need not wait for each other. Pure.
//!
//! A part is every name that begins with one prefix and with none of some longer ones. Splitting a part gives longer
//! prefixes parts of their own and leaves the rest, so that parts are disjoint and together everything by construction:
//! what the names are decides how even the parts are, never whether one is missed.

/// Filters of one request, the most AWS takes.
const FILTERS: usize = 10;
/// Values of one filter, the most AWS takes.
const VALUES: usize = 10;
/// The longest value of a filter.
const LONGEST: usize = 512;
/// What names are made of, in the order of bytes; see
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>.
const ALPHABET: &str = "!+-./0123456789=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// Every name that begins with `prefix` and with none of `except`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    prefix: String,
    except: Vec<String>,
}

impl Part {
    /// Whether a name belongs to this part.
    pub(super) fn owns(&self, name: &str) -> bool {
        name.starts_with(&self.prefix) && !self.except.iter().any(|except| name.starts_with(except))
    }

    /// The `name` filters that say so, each with its values; a name has to pass all of them.
    ///
    /// As long as there is room, an excluded prefix has a filter of its own: that AWS lets a name pass only when it passes
    /// every filter is known, what several excluded prefixes in one filter mean is not.
    pub(super) fn filters(&self) -> Vec<Vec<String>> {
        let prefix = (!self.prefix.is_empty()).then(|| vec![self.prefix.clone()]);
        let mut excluding = vec![Vec::new(); self.except.len().min(self.room())];
        for (at, except) in self.except.iter().enumerate() {
            let filters = excluding.len();
            excluding[at % filters].push(format!("!{except}"));
        }
        prefix.into_iter().chain(excluding).collect()
    }

    /// What kind of filters these are: with a prefix or without, every exclusion with a filter of its own or not.
    pub(super) fn form(&self) -> (bool, bool) {
        (!self.prefix.is_empty(), self.except.len() <= self.room())
    }

    /// How many more prefixes can be excluded, each by a filter of its own or not.
    pub(super) fn capacity(&self, plain: bool) -> usize {
        let most = if plain { self.room() } else { self.room() * VALUES };
        most.saturating_sub(self.except.len())
    }

    /// The parts that the names between two known ones may be in: by the first character in which those differ.
    /// None of them need have a name in it.
    pub(super) fn candidates(&self, lowest: &str, highest: &str) -> Vec<Self> {
        let common = common_prefix(lowest, highest);
        if !common.starts_with(&self.prefix) {
            return Vec::new();
        }
        let at = |name: &str| name[common.len()..].chars().next();
        let (low, high) = (at(lowest), at(highest));
        let between =
            ALPHABET.chars().filter(|c| low.is_none_or(|low| low <= *c) && high.is_some_and(|high| *c <= high));
        let prefixes = between.map(|c| format!("{common}{c}")).filter(|prefix| can_be_asked(prefix));
        prefixes.filter_map(|prefix| self.within(prefix)).collect()
    }

    /// What is left without `parts`, which are candidates of this part.
    pub(super) fn without<'a>(&self, parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut rest = self.clone();
        for Self { prefix, .. } in parts {
            rest.except.retain(|except| !except.starts_with(prefix));
            rest.except.push(prefix.clone());
        }
        rest
    }

    /// A part that was left from this one and one of those that were taken out, in one again.
    pub(super) fn with(&self, part: &Self) -> Self {
        let others = self.except.iter().filter(|except| **except != part.prefix);
        Self { prefix: self.prefix.clone(), except: others.chain(&part.except).cloned().collect() }
    }

    /// The names of this part that begin with `prefix`; `None` when they are excluded, or no fewer.
    fn within(&self, prefix: String) -> Option<Self> {
        if prefix == self.prefix || self.except.iter().any(|except| prefix.starts_with(except)) {
            return None;
        }
        let except = self.except.iter().filter(|except| except.starts_with(&prefix)).cloned().collect();
        Some(Self { prefix, except })
    }

    /// Filters that are left for exclusion.
    fn room(&self) -> usize {
        FILTERS - usize::from(!self.prefix.is_empty())
    }
}

/// Whether a filter can hold the prefix, plain and excluded: what begins with `!` would be an exclusion.
fn can_be_asked(prefix: &str) -> bool {
    prefix.len() < LONGEST && !prefix.starts_with('!') && prefix.chars().all(|c| ALPHABET.contains(c))
}

fn common_prefix<'a>(a: &'a str, b: &str) -> &'a str {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    &a[..same.map(|(c, _)| c.len_utf8()).sum()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefixes(parts: &[Part]) -> Vec<&str> {
        parts.iter().map(|part| part.prefix.as_str()).collect()
    }

    #[test]
    fn the_first_difference_tells_where_to_split() {
        let all = Part::default();
        assert_eq!(prefixes(&all.candidates("bench/0000000", "bench/0019999")), ["bench/000", "bench/001"]);
        assert_eq!(prefixes(&all.candidates("dev/a", "e")), ["d", "e"]);
        assert_eq!(prefixes(&all.candidates("a", "a/b")), ["a!", "a+", "a-", "a.", "a/"]);
        assert_eq!(all.candidates("a", "a"), []);
        assert_eq!(all.candidates("b", "a"), []);
        assert_eq!(prefixes(&all.candidates("!x", "+y")), ["+"], "an exclusion mark in front cannot be asked for");
        assert_eq!(all.candidates("ü1", "ü9"), [], "a filter cannot hold it");
        let long = "x".repeat(512);
        assert_eq!(all.candidates(&format!("{long}1"), &format!("{long}2")), []);
    }

    #[test]
    fn one_filter_for_each_exclusion_while_there_is_room() {
        let all = Part::default();
        assert!(all.filters().is_empty());
        assert_eq!(all.form(), (false, true));
        let digits = all.candidates("app/0", "app/9");
        let rest = all.without(&digits);
        assert!(rest.form().1 && rest.filters().iter().all(|values| values.len() == 1));
        assert_eq!((rest.filters().len(), rest.capacity(true), rest.capacity(false)), (10, 0, 90));
        let [one, ..] = &digits[..] else { panic!("ten digits") };
        assert_eq!(one.filters(), [["app/0"]]);
        let deeper = one.candidates("app/00", "app/0z");
        let rest = one.without(&deeper);
        assert_eq!((rest.form(), rest.capacity(true)), ((true, false), 0));
        let filters = rest.filters();
        assert_eq!((filters.len(), &filters[0]), (10, &vec!["app/0".to_owned()]));
        assert!(filters.iter().all(|values| (1..=10).contains(&values.len())));
        assert_eq!(filters[1..].iter().map(Vec::len).sum::<usize>(), deeper.len());
    }

    /// As the emulator reads filters: any plain value, no excluded one.
    fn passes(part: &Part, name: &str) -> bool {
        part.filters().iter().all(|values| {
            let (not, plain): (Vec<&String>, Vec<&String>) = values.iter().partition(|value| value.starts_with('!'));
            (plain.is_empty() || plain.iter().any(|value| name.starts_with(*value)))
                && !not.iter().any(|value| name.starts_with(&value[1..]))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]
        #[test]
        fn every_name_is_in_exactly_one_part_however_it_was_split(
            known in proptest::collection::vec("[a-c!/ü]{0,5}", 2..12),
            others in proptest::collection::vec("[a-d!/0ü ]{0,6}", 1..40),
            choices in proptest::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 1..8),
        ) {
            let mut parts = vec![Part::default()];
            for (index, kept) in choices {
                let part = parts.swap_remove(index.index(parts.len()));
                let mut mine: Vec<&str> = known.iter().map(String::as_str).filter(|name| part.owns(name)).collect();
                mine.sort_unstable();
                let candidates = match mine[..] {
                    [lowest, .., highest] => part.candidates(lowest, highest),
                    _ => Vec::new(),
                };
                let capacity = part.capacity(false);
                let kept: Vec<Part> =
                    candidates.into_iter().enumerate().filter(|(at, _)| kept >> (at % 64) & 1 == 1).map(|(_, part)| part).take(capacity).collect();
                let rest = part.without(&kept);
                if let Some(last) = kept.last() {
                    let joined = rest.with(last);
                    for name in known.iter().chain(&others) {
                        prop_assert_eq!(joined.owns(name), rest.owns(name) || last.owns(name));
                    }
                }
                parts.push(rest);
                parts.extend(kept);
            }
            for name in known.iter().chain(&others) {
                prop_assert_eq!(parts.iter().filter(|part| part.owns(name)).count(), 1, "{} in {:?}", name, parts);
            }
            for part in &parts {
                let filters = part.filters();
                prop_assert!(filters.len() <= FILTERS && filters.iter().all(|values| (1..=VALUES).contains(&values.len())));
                for name in known.iter().chain(&others) {
                    prop_assert_eq!(passes(part, name), part.owns(name), "{} in {:?}", name, part);
                }
            }
        }
    }
}
