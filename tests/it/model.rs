//! Random sequences of everything that happens to a repository, against a small model in memory: what each snapshot holds, which
//! snapshots are forgotten and gone, which signers count. A failure prints the shortest sequence of steps that shows it.
//!
//! `LIFEBOAT_TEST_CASES=N` runs N sequences instead of a few.

use std::{cell::RefCell, collections::BTreeMap, time::Instant};

use lifeboat::storage::faults::Faults;
use proptest::{
    prelude::*,
    test_runner::{TestError, TestRunner},
};

use crate::{model_world::World, repo_sample::block_on};

/// A storage that fails at a write.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    From(u64),
    One(u64),
    Unanswered(u64),
}

impl Cut {
    pub fn faults(self) -> Faults {
        match self {
            Self::From(n) => Faults::from_put(n),
            Self::One(n) => Faults::put(n),
            Self::Unanswered(n) => Faults::put_unanswered(n),
        }
    }
}

/// What somebody who may write to the storage does to it.
#[derive(Clone, Copy, Debug)]
pub enum Harm {
    Remove,
    Alter,
    Rename,
    RollBack,
}

/// Which snapshot a restore is of.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    Newest,
    Id,
    Time,
}

/// One step. Numbers pick among what there is.
#[derive(Clone, Debug)]
pub enum Op {
    /// A secret gets another version, or appears.
    Put {
        source: usize,
        secret: u8,
    },
    /// A secret vanishes, or its name comes back as another secret.
    Vanish {
        source: usize,
        secret: u8,
        again: bool,
    },
    Snapshot {
        host: usize,
        source: usize,
        cut: Option<Cut>,
    },
    /// A run begins: it judges the history now and adds its snapshot at a later step.
    Begin,
    Finish {
        host: usize,
        source: usize,
    },
    Copy {
        host: usize,
        whole: bool,
        cut: Option<Cut>,
    },
    Forget {
        host: usize,
        keep: u32,
        days: i64,
        cut: Option<Cut>,
    },
    Undo {
        host: usize,
        cut: Option<Cut>,
    },
    /// Of the repository and then of its copy, as `forget` does.
    Sweep {
        host: usize,
        keep: u32,
        cut: Option<u64>,
    },
    Reshare,
    AddSigner,
    RemoveSigner {
        which: usize,
    },
    Rotate,
    Clock {
        hours: i64,
    },
    /// Harm that is seen, and gone again after the step.
    Tamper {
        harm: Harm,
        pick: usize,
    },
    /// Files without meaning, which stay.
    Junk {
        kind: u8,
    },
    /// A signer that was removed goes on signing.
    Thief {
        kind: u8,
    },
    Restore {
        wanted: Wanted,
        pick: usize,
    },
}

fn cut() -> impl Strategy<Value = Option<Cut>> {
    let some = (1_u64..9, 0..3).prop_map(|(n, kind)| match kind {
        0 => Cut::From(n),
        1 => Cut::One(n),
        _ => Cut::Unanswered(n),
    });
    prop_oneof![3 => Just(None), 1 => some.prop_map(Some)]
}

fn source() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 1 => Just(1)]
}

fn host() -> impl Strategy<Value = usize> {
    prop_oneof![2 => Just(0), 1 => Just(1)]
}

fn snapshot() -> impl Strategy<Value = Op> {
    (host(), source(), cut()).prop_map(|(host, source, cut)| Op::Snapshot { host, source, cut })
}

fn copy() -> impl Strategy<Value = Op> {
    (host(), any::<bool>(), cut()).prop_map(|(host, whole, cut)| Op::Copy { host, whole, cut })
}

fn forget() -> impl Strategy<Value = Op> {
    (host(), 1..3_u32, 0..4_i64, cut()).prop_map(|(host, keep, days, cut)| Op::Forget { host, keep, days, cut })
}

fn sweep() -> impl Strategy<Value = Op> {
    let cut = prop_oneof![3 => Just(None), 1 => (1_u64..8).prop_map(Some)];
    (host(), 0..3_u32, cut).prop_map(|(host, keep, cut)| Op::Sweep { host, keep, cut })
}

fn change() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (source(), 0..4_u8).prop_map(|(source, secret)| Op::Put { source, secret }),
        1 => (source(), 0..4_u8, any::<bool>()).prop_map(|(source, secret, again)| Op::Vanish { source, secret, again }),
    ]
}

fn clock() -> impl Strategy<Value = Op> {
    prop_oneof![4 => 1_i64..120, 1 => -100_i64..0].prop_map(|hours| Op::Clock { hours })
}

fn key() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => Just(Op::Reshare),
        3 => Just(Op::AddSigner),
        2 => (0..2_usize).prop_map(|which| Op::RemoveSigner { which }),
        1 => Just(Op::Rotate),
    ]
}

fn harm() -> impl Strategy<Value = Op> {
    let harm = prop_oneof![Just(Harm::Remove), Just(Harm::Alter), Just(Harm::Rename), Just(Harm::RollBack)];
    (harm, any::<usize>()).prop_map(|(harm, pick)| Op::Tamper { harm, pick })
}

fn thief() -> impl Strategy<Value = Op> {
    (0..3_u8).prop_map(|kind| Op::Thief { kind })
}

fn restore() -> impl Strategy<Value = Op> {
    let wanted = prop_oneof![Just(Wanted::Newest), Just(Wanted::Id), Just(Wanted::Time)];
    (wanted, any::<usize>()).prop_map(|(wanted, pick)| Op::Restore { wanted, pick })
}

fn one() -> BoxedStrategy<Op> {
    let finish = || (host(), source()).prop_map(|(host, source)| Op::Finish { host, source });
    prop_oneof![
        4 => change(),
        6 => snapshot(),
        1 => Just(Op::Begin),
        2 => finish(),
        3 => copy(),
        2 => forget(),
        2 => (host(), cut()).prop_map(|(host, cut)| Op::Undo { host, cut }),
        2 => sweep(),
        2 => key(),
        2 => clock(),
        4 => harm(),
        1 => (0..9_u8).prop_map(|kind| Op::Junk { kind }),
        1 => thief(),
        2 => restore(),
    ]
    .boxed()
}

/// Steps that rarely come about one by one: a phrase, of which some words may be missing.
fn phrase() -> impl Strategy<Value = Vec<Op>> {
    let some = |words: Vec<BoxedStrategy<Op>>| {
        let least = words.len() - 1;
        words.prop_flat_map(move |words| {
            let all = words.len();
            proptest::sample::subsequence(words, least..=all)
        })
    };
    let undo = || (host(), Just(None)).prop_map(|(host, cut)| Op::Undo { host, cut });
    let finish = (host(), source()).prop_map(|(host, source)| Op::Finish { host, source });
    prop_oneof![
        8 => one().prop_map(|op| vec![op]),
        2 => some(vec![change().boxed(), snapshot().boxed(), copy().boxed(), harm().boxed()]),
        3 => some(vec![snapshot().boxed(), forget().boxed(), clock().boxed(), snapshot().boxed(), one(), sweep().boxed()]),
        1 => some(vec![Just(Op::AddSigner).boxed(), forget().boxed(), one(), key().boxed(), thief().boxed()]),
        1 => some(vec![Just(Op::Begin).boxed(), one(), sweep().boxed(), finish.boxed()]),
        1 => some(vec![forget().boxed(), clock().boxed(), snapshot().boxed(), copy().boxed(), undo().boxed(), sweep().boxed()]),
        1 => some(vec![
            Just(Op::AddSigner).boxed(), forget().boxed(), snapshot().boxed(), copy().boxed(), key().boxed(), sweep().boxed(),
        ]),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(phrase(), 4..=10).prop_map(|phrases| phrases.into_iter().flatten().take(25).collect())
}

/// Takes all steps, with every check after each; gives how often what happened.
pub fn run(ops: &[Op]) -> BTreeMap<&'static str, u64> {
    block_on(async {
        let mut world = World::new().await;
        for op in ops {
            world.step(op).await;
            world.check(op).await;
        }
        world.end().await;
        world.tally
    })
}

fn cases() -> u32 {
    std::env::var("LIFEBOAT_TEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(64)
}

#[test]
fn whatever_happens_in_whatever_order_the_model_holds() {
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 400,
        max_shrink_time: 60_000,
        ..ProptestConfig::with_cases(cases())
    };
    let (tally, begun) = (RefCell::new(BTreeMap::<&str, u64>::new()), Instant::now());
    let outcome = TestRunner::new(config).run(&ops(), |ops| {
        let mut tally = tally.borrow_mut();
        for (what, count) in run(&ops) {
            *tally.entry(what).or_default() += count;
        }
        *tally.entry("steps").or_default() += ops.len() as u64;
        Ok(())
    });
    println!("{} sequences in {:?}: {:?}", cases(), begun.elapsed(), tally.into_inner());
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, ops)) => panic!("{reason}\nafter these steps: {ops:#?}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}
