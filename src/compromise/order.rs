//! The order in which secrets are rotated: what others need first. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Sorts `items` so that each comes after those it names, and otherwise by urgency and name. What is in a circle comes last, in
/// the order of urgency, and is given too.
pub(super) fn sorted(items: &[(String, u8, Vec<String>)]) -> (Vec<usize>, BTreeSet<String>) {
    let known: BTreeMap<&str, usize> = items.iter().enumerate().map(|(at, item)| (item.0.as_str(), at)).collect();
    let needs = |at: usize| items[at].2.iter().filter_map(|name| known.get(name.as_str()).copied());
    let mut waiting: BTreeSet<(u8, &str, usize)> =
        items.iter().enumerate().map(|(at, (name, rank, _))| (*rank, name.as_str(), at)).collect();
    let mut done: BTreeSet<usize> = BTreeSet::new();
    let mut order = Vec::new();
    while let Some(next) = waiting.iter().find(|(_, _, at)| needs(*at).all(|need| need == *at || done.contains(&need)))
    {
        let next = *next;
        waiting.remove(&next);
        done.insert(next.2);
        order.push(next.2);
    }
    let circle: BTreeSet<String> = waiting.iter().map(|(_, name, _)| (*name).to_owned()).collect();
    order.extend(waiting.into_iter().map(|(_, _, at)| at));
    (order, circle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(items: &[(&str, u8, &[&str])]) -> (Vec<String>, Vec<String>) {
        let of = |(name, rank, needs): &(&str, u8, &[&str])| {
            ((*name).to_owned(), *rank, needs.iter().map(|need| (*need).to_owned()).collect())
        };
        let items: Vec<(String, u8, Vec<String>)> = items.iter().map(of).collect();
        let (order, circle) = sorted(&items);
        (order.into_iter().map(|at| items[at].0.clone()).collect(), circle.into_iter().collect())
    }

    #[test]
    fn what_others_need_comes_first() {
        let (order, circle) =
            names(&[("user", 1, &["master"]), ("z", 0, &[]), ("master", 2, &[]), ("a", 1, &["gone"])]);
        assert_eq!((order.join(" "), circle.len()), ("z a master user".into(), 0));
    }

    #[test]
    fn a_circle_is_named_and_loses_nothing() {
        let (order, circle) = names(&[("a", 1, &["b"]), ("b", 1, &["a"]), ("c", 1, &[]), ("d", 1, &["d"])]);
        assert_eq!((order.join(" "), circle.join(" ")), ("c d a b".into(), "a b".into()));
    }
}
