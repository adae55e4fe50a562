//! When layers of an index become one: as in an LSM tree, so that a snapshot reads few layers and a record is written again only a
//! few times. Pure.

use super::Layer;

/// Layers of one tier that become one; also how much more lines the next tier has.
const FAN_IN: u64 = 4;

/// How the next index is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerPlan {
    /// As it was.
    Same,
    /// Every record in one layer.
    Base,
    /// A layer of what changed; what the layers from this one on hold goes into it.
    Delta {
        /// How many of the earlier layers stay.
        keep: usize,
    },
}

/// Plans the index after one of these layers, the oldest first, of which so many records changed, came or went.
pub fn plan_layers(layers: &[Layer], changed: u64) -> LayerPlan {
    let Some((base, deltas)) = layers.split_first() else { return LayerPlan::Base };
    if changed == 0 {
        return LayerPlan::Same;
    }
    let in_deltas = changed + deltas.iter().map(Layer::lines).sum::<u64>();
    if 2 * in_deltas > base.lines() {
        return LayerPlan::Base;
    }
    delta(deltas, changed)
}

/// How a few changes are added without a look at the rest: the base stays, however many changes there are.
pub fn plan_addition(layers: &[Layer], changed: u64) -> LayerPlan {
    match (plan_layers(layers, changed), layers.split_first()) {
        (LayerPlan::Base, Some((_, deltas))) => delta(deltas, changed),
        (plan, _) => plan,
    }
}

fn delta(deltas: &[Layer], changed: u64) -> LayerPlan {
    let deltas: Vec<u64> = deltas.iter().map(Layer::lines).collect();
    LayerPlan::Delta { keep: 1 + kept(&deltas, changed) }
}

/// How many of the deltas stay when one of `lines` lines is added: smaller ones go into it, and so do those of its tier when it would
/// be the fourth. The tiers of what stays never increase, with at most three layers in each.
fn kept(deltas: &[u64], mut lines: u64) -> usize {
    let mut kept = deltas.len();
    loop {
        let before = kept;
        while kept > 0 && tier(deltas[kept - 1]) < tier(lines) {
            kept -= 1;
            lines += deltas[kept];
        }
        let alike = deltas[..kept].iter().rev().take_while(|other| tier(**other) == tier(lines)).count();
        if alike as u64 + 1 >= FAN_IN {
            kept -= alike;
            lines += deltas[kept..kept + alike].iter().sum::<u64>();
        }
        if kept == before {
            return kept;
        }
    }
}

fn tier(lines: u64) -> u32 {
    lines.max(1).ilog(FAN_IN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layer(records: u64) -> Layer {
        Layer { records, removed: 0, files: vec![] }
    }

    /// Adds changes day by day; gives the lines written, and the most layers there were.
    fn written(base: u64, days: impl Iterator<Item = u64>) -> (u64, usize) {
        let (mut layers, mut written, mut most) = (vec![layer(base)], 0, 0);
        for changed in days {
            match plan_layers(&layers, changed) {
                LayerPlan::Same => assert_eq!(changed, 0),
                LayerPlan::Base => {
                    layers = vec![layer(base)];
                    written += base;
                }
                LayerPlan::Delta { keep } => {
                    let merged = layer(changed + layers[keep..].iter().map(Layer::lines).sum::<u64>());
                    written += merged.lines();
                    layers.truncate(keep);
                    layers.push(merged);
                }
            }
            most = most.max(layers.len());
            let tiers: Vec<u32> = layers[1..].iter().map(|layer| tier(layer.lines())).collect();
            assert!(tiers.is_sorted_by(|older, newer| older >= newer), "{tiers:?}");
            assert!(tiers.chunk_by(|a, b| a == b).all(|alike| alike.len() < 4), "{tiers:?}");
            assert!(layers[1..].iter().map(Layer::lines).sum::<u64>() * 2 <= base);
        }
        (written, most)
    }

    #[test]
    fn a_day_costs_a_few_times_its_changes() {
        let (lines, layers) = written(100_000, std::iter::repeat_n(100, 400));
        println!("100 of 100,000 changed a day: {} lines a day, at most {layers} layers", lines / 400);
        assert!(lines / 400 < 700 && layers <= 16, "{lines} {layers}");
        let (lines, _) = written(300, std::iter::repeat_n(1, 1_000));
        println!("1 of 300 changed a day: {lines} lines in 1,000 days");
        assert!(lines < 9_000, "{lines}");
    }

    #[test]
    fn the_first_index_and_large_changes_are_a_base() {
        assert_eq!(plan_layers(&[], 0), LayerPlan::Base);
        assert_eq!(plan_layers(&[layer(10)], 0), LayerPlan::Same);
        assert_eq!(plan_layers(&[layer(10)], 5), LayerPlan::Delta { keep: 1 });
        assert_eq!(plan_layers(&[layer(10)], 6), LayerPlan::Base);
        assert_eq!(plan_layers(&[layer(10), layer(5)], 1), LayerPlan::Base);
        assert_eq!(plan_layers(&[layer(0)], 1), LayerPlan::Base);
        let three = [layer(100), layer(1), layer(2), layer(3)];
        assert_eq!(plan_layers(&three, 1), LayerPlan::Delta { keep: 1 });
        assert_eq!(plan_layers(&three[..3], 1), LayerPlan::Delta { keep: 3 });
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]
        #[test]
        fn layers_stay_few_whatever_changes(days in proptest::collection::vec(0_u64..3_000, 1..200)) {
            let (_, layers) = written(20_000, days.into_iter());
            prop_assert!(layers <= 1 + 3 * 7);
        }
    }
}
