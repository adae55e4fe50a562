use serde_json::{Value as Json, json};

use super::{
    super::scripted::{Log, arn, refused, scripted},
    *,
};
use crate::model::Secret;

/// How a provider reads filters.
#[derive(Clone, Copy, PartialEq)]
enum Reads {
    /// As AWS does.
    All,
    /// Several excluded prefixes in one filter exclude nothing.
    OneExclusion,
    /// Excluded prefixes exclude nothing.
    NoExclusion,
    /// What has an excluded prefix in its filters finds nothing.
    Nothing,
    /// Prefixes that are asked for find everything.
    NoPrefix,
    /// No filter at all.
    NoFilter,
}

fn passes(reads: Reads, filters: &Json, name: &str) -> bool {
    filters.as_array().into_iter().flatten().all(|filter| {
        let values: Vec<&str> = filter["Values"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let excluded = values.iter().filter_map(|value| value.strip_prefix('!'));
        let is_excluded = excluded.clone().any(|prefix| name.starts_with(prefix));
        match (reads, excluded.count()) {
            (Reads::NoFilter, _) | (Reads::NoPrefix, 0) | (Reads::NoExclusion, 1..) | (Reads::OneExclusion, 2..) => {
                true
            }
            (Reads::Nothing, 1..) => false,
            (_, 0) => values.iter().any(|value| name.starts_with(value)),
            _ => !is_excluded,
        }
    })
}

/// A provider with secrets of these names, and what it is asked.
async fn provider(names: Vec<String>, reads: Reads, asked: &Log) -> Aws {
    let asked = Arc::clone(asked);
    let mut names = names;
    names.sort();
    scripted(move |operation, body| {
        asked.lock().unwrap().push((operation.to_owned(), body.clone()));
        let mut found: Vec<&String> = names.iter().filter(|name| passes(reads, &body["Filters"], name)).collect();
        if body["SortOrder"] == "desc" {
            found.reverse();
        }
        let from: usize = body["NextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let page: Vec<Json> =
            found.iter().skip(from).take(100).map(|name| json!({ "Name": name, "ARN": arn(name) })).collect();
        let next = (from + 100 < found.len()).then(|| (from + 100).to_string());
        (200, json!({ "SecretList": page, "NextToken": next }))
    })
    .await
}

fn numbered(prefix: &str, count: u32) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number:04}")).collect()
}

/// A walk through everything that knows its first and its last name.
fn long(names: &[String]) -> Walk {
    let ends = Some((names[0].clone(), names[names.len() - 1].clone()));
    Walk { ends, ..Walk::new(Part::default()) }
}

fn prefixes(found: &[(Walk, Vec<Listed>)]) -> Vec<String> {
    found.iter().map(|(walk, _)| walk.part.filters().into_iter().flatten().collect::<Vec<_>>().join(" ")).collect()
}

/// The parts of everything, and how many requests that took.
async fn parts(names: Vec<String>, reads: Reads) -> (Option<Vec<(Walk, Vec<Listed>)>>, usize) {
    let (asked, walk) = (Log::default(), Walk { poor: 1, ..long(&names) });
    let aws = provider(names, reads, &asked).await;
    let found = aws.parts_of(&walk, &Tried::default()).await.unwrap();
    let count = asked.lock().unwrap().len();
    (found, count)
}

#[tokio::test]
async fn long_parts_come_first_and_the_rest_is_a_part_of_its_own() {
    let names = [numbered("a", 3), numbered("b", 250), numbered("d", 60), numbered("e", 101)].concat();
    let (found, asked) = parts(names, Reads::All).await;
    let found = found.unwrap();
    assert_eq!(prefixes(&found), ["b", "e", "d", "a", "!b !e !d !a"]);
    assert_eq!(found.iter().map(|(_, page)| page.len()).collect::<Vec<_>>(), [100, 100, 60, 3, 0]);
    assert_eq!(found.iter().map(|(walk, _)| walk.count).collect::<Vec<_>>(), [1, 1, 1, 1, 0]);
    assert_eq!(found[0].0.ends, Some(("b0000".into(), "b0099".into())));
    assert!(found.iter().all(|(walk, _)| walk.poor == 0), "two are long");
    assert_eq!(asked, 1 + 5 + 1, "the last name, each candidate, and whether exclusions are honoured");
}

#[tokio::test]
async fn a_split_that_leaves_one_long_part_is_counted_as_poor() {
    let (found, _) = parts([numbered("a", 3), numbered("b", 250)].concat(), Reads::All).await;
    let poor: Vec<u32> = found.unwrap().iter().map(|(walk, _)| walk.poor).collect();
    assert_eq!(poor, [2, 2, 0]);
}

#[tokio::test]
async fn a_provider_that_reads_filters_otherwise_is_not_split() {
    let names = || [numbered("a", 150), numbered("b", 150)].concat();
    for reads in [Reads::NoExclusion, Reads::Nothing, Reads::NoPrefix, Reads::NoFilter] {
        assert!(parts(names(), reads).await.0.is_none());
    }
    // What the provider should have left out comes after what is asked for.
    for reads in [Reads::NoExclusion, Reads::NoPrefix] {
        let late = [numbered("a", 3), numbered("b", 150)].concat();
        assert!(parts(late, reads).await.0.is_none());
    }
    let odd = ["ü", "ä"].map(|prefix| numbered(prefix, 101)).concat();
    assert!(parts(odd, Reads::All).await.0.is_none(), "nothing that can be asked for");
}

#[tokio::test]
async fn exclusions_have_a_filter_each_where_several_in_one_are_not_honoured() {
    let names: Vec<String> = "abcdefghijkl".chars().flat_map(|letter| numbered(&letter.to_string(), 101)).collect();
    let (all, _) = parts(names.clone(), Reads::All).await;
    let (plain, _) = parts(names, Reads::OneExclusion).await;
    assert_eq!((all.unwrap().len(), plain.unwrap().len()), (12 + 1, 10 + 1));
}

#[tokio::test]
async fn whether_filters_are_honoured_is_asked_once_for_each_form() {
    let asked = Log::default();
    let names = [numbered("a", 150), numbered("b", 150)].concat();
    let (walk, aws) = (long(&names), provider(names, Reads::All, &asked).await);
    let tried = Tried::default();
    for count in [4, 4 + 3] {
        assert!(aws.parts_of(&walk, &tried).await.unwrap().is_some());
        assert_eq!(asked.lock().unwrap().len(), count);
    }
}

#[tokio::test]
async fn the_ends_of_a_part_are_its_own_names_and_empty_pages_are_passed_over() {
    let of = |prefix: &str| Part::default().candidates(&format!("{prefix}1"), &format!("{prefix}2")).remove(0);
    let asked = Log::default();
    let names = ["a", "b10", "b11", "b2", "c"].map(ToOwned::to_owned).to_vec();
    let aws = provider(names, Reads::NoFilter, &asked).await;
    let ends = aws.ends_of(&Walk::new(of("b"))).await.unwrap();
    assert_eq!(ends, Some(("b10".into(), "b11".into())));
    assert_eq!(asked.lock().unwrap()[0].1["SortOrder"], "desc");
    let one = provider(vec!["b10".into()], Reads::All, &asked).await;
    assert_eq!(one.ends_of(&Walk::new(of("b"))).await.unwrap(), None, "one name is no range");
    // Pages of which the first `empty` have nothing, and which never end.
    let pages = |empty: usize| async move {
        let mut count = 0;
        let aws = scripted(move |_, _| {
            count += 1;
            let name = format!("b{count}");
            let page = if count > empty { vec![json!({ "Name": name, "ARN": arn(&name) })] } else { vec![] };
            (200, json!({ "SecretList": page, "NextToken": count.to_string() }))
        })
        .await;
        let walk = Walk { ends: Some(("a".into(), "a1".into())), ..Walk::new(Part::default()) };
        aws.ends_of(&walk).await.unwrap().unwrap().1
    };
    assert_eq!((pages(0).await, pages(2).await, pages(3).await), ("b1".into(), "b3".into(), "a1".to_owned()));
    let asked = Log::default();
    let nothing = provider(vec![], Reads::All, &asked).await;
    assert_eq!(nothing.ends_of(&Walk::new(Part::default())).await.unwrap(), None);
    assert_eq!(asked.lock().unwrap().len(), 1, "the only page is the last one");
}

#[tokio::test]
async fn what_is_refused_because_of_its_filters_stays_whole_and_other_refusals_are_errors() {
    let split = |code: &'static str| async move {
        let aws = scripted(move |_, _| refused(code)).await;
        aws.split(Walk::new(Part::default()), Tried::default()).await
    };
    let Ok(Step::Whole(walk)) = split("ValidationException").await else { panic!("not whole") };
    assert_eq!(walk.poor, POOR, "and is not tried again");
    assert_eq!(split("AccessDeniedException").await.err().unwrap().kind(), ErrorKind::Denied);
    let aws = provider(vec!["a".into()], Reads::All, &Log::default()).await;
    let Ok(Step::Whole(walk)) = aws.split(Walk::new(Part::default()), Tried::default()).await else {
        panic!("one name cannot be split")
    };
    assert_eq!(walk.poor, POOR);
    let names = [numbered("a", 150), numbered("b", 150)].concat();
    let (walk, aws) = (long(&names), provider(names, Reads::All, &Log::default()).await);
    assert!(
        matches!(aws.split(walk, Tried::default()).await, Ok(Step::Split(found)) if found.iter().map(|(walk, _)| walk.poor).eq([0, 0, 0]))
    );
}

#[tokio::test]
async fn a_step_takes_one_page_and_notes_it() {
    let aws = provider(numbered("a", 150), Reads::All, &Log::default()).await;
    let Ok(Step::Page(walk, page)) = aws.step(Walk::new(Part::default())).await else { panic!("no page") };
    assert_eq!((page.len(), walk.count, walk.pages.ended), (100, 1, false));
    assert_eq!(walk.ends, Some(("a0000".into(), "a0099".into())));
    let Ok(Step::Page(walk, page)) = aws.step(walk).await else { panic!("no page") };
    assert_eq!((page.len(), walk.count, walk.pages.ended), (50, 2, true));
}

#[tokio::test]
async fn a_page_that_is_none_is_an_error() {
    let failed = |answer: Json| async move {
        let aws = scripted(move |_, _| (200, answer.clone())).await;
        let error = aws.step(Walk::new(Part::default())).await.err().unwrap().error;
        (error.code, error.message)
    };
    let bad = |message: &str| ("BadAnswer".to_owned(), message.to_owned());
    let elsewhere = json!({ "SecretList": [{ "Name": "a", "ARN": arn("b") }] });
    assert_eq!(failed(elsewhere).await, bad("an entry of another account, region or name than its own"));
    assert_eq!(failed(json!({})).await, bad("the answer has no list"));
}

#[tokio::test]
async fn a_listing_takes_what_is_new_and_of_its_part_and_splits_what_is_long() {
    let aws = scripted(|_, _| panic!("nothing is asked")).await;
    let part = || Part::default().candidates("a1", "a2").remove(0);
    let page_of = |listing: &mut Listing<'_>, walk, entries| {
        let mut page = vec![named("before")];
        listing.take(walk, entries, &mut page);
        page.into_iter().skip(1).map(|listed| listed.name).collect::<Vec<_>>()
    };
    let mut listing = Listing::of(&aws);
    listing.waiting.clear();
    let entries = vec![named("a1"), named("b"), named("a1"), named("a12")];
    assert_eq!(page_of(&mut listing, Walk::new(part()), entries), ["a1", "a12"]);
    assert_eq!(page_of(&mut listing, Walk::new(Part::default()), vec![named("a1"), named("b")]), ["b"]);
    assert_eq!((listing.waiting.len(), listing.running.len(), listing.splits), (2, 0, 0), "neither is long");
    let mut ended = Walk { count: 4, ..Walk::new(part()) };
    ended.pages.ended = true;
    assert_eq!(page_of(&mut listing, ended, vec![named("a13")]), ["a13"]);
    assert_eq!((listing.waiting.len(), listing.running.len()), (2, 0), "it has ended");

    // How many wait, how many run and how many splits there were, before and after a long walk is taken.
    for (waiting, running, splits, after) in [
        (0, 0, 0, (0, 1, 1)),
        (9, 0, SPLITS - 1, (9, 1, SPLITS)),
        (4, 5, 5, (4, 6, 6)),
        (10, 0, 0, (11, 0, 0)),
        (4, 6, 0, (5, 6, 0)),
        (1, 8, 0, (1, 9, 1)),
        (0, 0, SPLITS, (1, 0, SPLITS)),
    ] {
        let mut listing = Listing::of(&aws);
        listing.splits = splits;
        listing.waiting = (0..waiting).map(|_| Walk::new(part())).collect();
        (0..running).for_each(|_| listing.running.push(futures::future::pending().boxed()));
        listing.take(Walk { count: 4, ..Walk::new(part()) }, vec![], &mut Vec::new());
        let found = (listing.waiting.len(), listing.running.len(), listing.splits);
        assert_eq!(found, after, "{waiting} waiting, {running} running, {splits} splits");
    }
}

#[tokio::test]
async fn a_listing_has_each_secret_once_and_ends_at_an_error() {
    let asked = Log::default();
    let names = [numbered("a", 1_250), numbered("b", 1_250), numbered("c", 3)].concat();
    let aws = provider(names.clone(), Reads::All, &asked).await;
    let mut found: Vec<String> = aws.listing().map_ok(|listed| listed.name).try_collect().await.unwrap();
    found.sort();
    assert_eq!(found, names);
    assert!(asked.lock().unwrap().iter().any(|(_, body)| !body["Filters"].is_null()), "it was split");
    let mut count = 0;
    let aws = scripted(move |_, _| {
        count += 1;
        let page = [json!({ "Name": "a", "ARN": arn("a") })];
        if count == 1 {
            (200, json!({ "SecretList": page, "NextToken": "2" }))
        } else {
            refused("AccessDeniedException")
        }
    })
    .await;
    let found: Vec<_> = aws.listing().map(|listed| listed.map(|it| it.name).map_err(|it| it.kind)).collect().await;
    assert_eq!(found, [Ok("a".to_owned()), Err(ErrorKind::Denied)]);
}

fn entry(name: &str, id: &str) -> Listed {
    let secret = Secret { name: name.into(), id: id.into(), ..Secret::default() };
    Listed { name: name.into(), id: id.into(), secret, fingerprint: None }
}

fn named(name: &str) -> Listed {
    entry(name, &format!("arn:aws:secretsmanager:eu-west-1:111111111111:secret:{name}-AbCdEf"))
}

#[tokio::test]
async fn a_listing_that_brings_nothing_new_for_ever_is_an_error() {
    let mut count = 0;
    let aws = scripted(move |_, _| {
        count += 1;
        (200, json!({ "SecretList": [{ "Name": "a", "ARN": arn("a") }], "NextToken": count.to_string() }))
    })
    .await;
    let found: Vec<_> = aws.listing().map(|listed| listed.map(|it| it.name).map_err(|it| it.code)).collect().await;
    assert_eq!(found, [Ok("a".to_owned()), Err("EndlessPages".to_owned())]);
}

#[test]
fn one_entry_that_cannot_be_there_makes_the_page_none() {
    let check = |entry: Listed| check_page(&[named("a"), entry, named("b")], Some("111111111111"), "eu-west-1");
    assert_eq!(check(named("c")), Ok(()));
    let nameless = Err("an entry without name or ARN");
    assert_eq!(check(entry("", &named("-x").id)), nameless);
    assert_eq!(check(entry("", "")), nameless);
    assert_eq!(check(entry("c", "")), nameless);
    let elsewhere = Err("an entry of another account, region or name than its own");
    assert_eq!(check(entry("c", &named("d").id)), elsewhere);
    assert_eq!(check_page(&[named("a")], Some("111111111112"), "eu-west-1"), elsewhere);
    assert_eq!(check_page(&[named("a")], None, "eu-west-2"), elsewhere);
    assert_eq!(check_page(&[named("a")], None, "eu-west-1"), Ok(()));
    assert_eq!(check_page(&[], None, "eu-west-1"), Ok(()));
}

#[test]
fn a_page_has_a_hundred_entries_at_most() {
    let page: Vec<Listed> = (0..101).map(|number| named(&format!("app/{number}"))).collect();
    assert_eq!(check_page(&page[..100], None, "eu-west-1"), Ok(()));
    assert_eq!(check_page(&page, None, "eu-west-1"), Err("the answer has more entries than a page may have"));
}

#[test]
fn a_walk_knows_its_pages_and_its_first_and_last_name() {
    let mut walk = Walk::new(Part::default());
    assert_eq!((walk.count, &walk.ends), (0, &None));
    walk.note(&[named("d")]);
    assert_eq!((walk.count, walk.ends.clone()), (1, Some(("d".to_owned(), "d".to_owned()))));
    walk.note(&[named("c"), named("e"), named("d")]);
    walk.note(&[]);
    assert_eq!((walk.count, walk.ends), (3, Some(("c".to_owned(), "e".to_owned()))));
}

#[test]
fn a_part_is_split_when_it_is_long_and_each_time_it_is_twice_as_long() {
    let part = Part::default().candidates("a1", "a2").remove(0);
    let due = |part: &Part, poor| -> Vec<u32> {
        (0..70).filter(|count| Walk { count: *count, poor, ..Walk::new(part.clone()) }.is_due()).collect()
    };
    assert_eq!(due(&Part::default(), 0), [16, 32, 64], "the whole listing");
    assert_eq!(due(&part, 0), [4, 8, 16, 32, 64]);
    assert_eq!((due(&part, POOR - 1), due(&part, POOR)), (due(&part, 0), vec![]));
}

#[test]
fn identifiers_are_told_apart_by_the_first_half_of_their_digest() {
    // SHA-256 of the empty text begins so.
    assert_eq!(half_digest(""), 0xe3b0_c442_98fc_1c14_9afb_f4c8_996f_b924);
}
