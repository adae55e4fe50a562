//! The trend as bars on a unit square, for page and print alike. Pure.

use serde::Serialize;

use super::content::Point;

/// One bar; `x`, `width` and `height` are shares of the whole, from the lower left corner.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Bar {
    pub(super) x: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) label: String,
    pub(super) text: String,
    pub(super) passed: bool,
}

/// Bars, and the height of the objective.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Plot {
    pub(super) bars: Vec<Bar>,
    pub(super) objective: Option<f64>,
}

/// Room for twelve bars, so that a young history does not look like a full one, and for a word at the end.
const PLACES: f64 = 13.0;
/// The share of its place that a bar fills.
const FILL: f64 = 0.62;
/// What is kept free above the highest.
const HEADROOM: f64 = 1.18;

/// Makes the bars; a drill without a time has a bar of no height.
#[expect(clippy::cast_precision_loss, reason = "at most twelve")]
pub(super) fn plot(points: &[Point], objective: Option<f64>) -> Plot {
    let highest = points.iter().filter_map(|point| point.seconds).chain(objective).fold(0.0, f64::max);
    let scale = |seconds: f64| if highest > 0.0 { seconds / (highest * HEADROOM) } else { 0.0 };
    let place = 1.0 / PLACES;
    let bar = |(at, point): (usize, &Point)| Bar {
        x: (at as f64 + (1.0 - FILL) / 2.0) * place,
        width: FILL * place,
        height: scale(point.seconds.unwrap_or_default()),
        label: point.label.clone(),
        text: point.text.clone(),
        passed: point.passed,
    };
    Plot { bars: points.iter().enumerate().map(bar).collect(), objective: objective.map(scale) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(seconds: Option<f64>) -> Point {
        Point { label: "l".into(), seconds, text: "t".into(), passed: true, verdict: "passed" }
    }

    #[test]
    fn everything_stays_within_the_square() {
        for (times, objective) in
            [(vec![Some(1.0), None, Some(900.0)], Some(10.0)), (vec![Some(0.0)], None), (vec![None; 12], Some(0.0))]
        {
            let points: Vec<Point> = times.into_iter().map(point).collect();
            let plot = plot(&points, objective);
            for bar in &plot.bars {
                assert!(bar.x >= 0.0 && bar.x + bar.width <= 1.0 && (0.0..1.0).contains(&bar.height), "{bar:?}");
            }
            assert!(plot.objective.is_none_or(|line| (0.0..1.0).contains(&line)));
        }
    }
}
