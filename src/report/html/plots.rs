//! The plots of accuracy: the arms side by side, against cost, by case, by examples.

use minijinja::Value;

use super::svg::{Axis, Svg, Unit, frame, style};
use crate::measure::eval::{ArmReport, CurvePoint};
use crate::report::{dollars, interval, percent};
use crate::statistics::{mean, real};

/// Pixels between two names that would lie over each other otherwise.
const NAME_GAP: f64 = 16.0;
/// Height of a plot with two axes, in pixels.
pub(super) const HEIGHT: f64 = 260.0;

/// Each arm's accuracy as a dot with its interval.
pub(super) fn accuracy(arms: &[ArmReport]) -> Value {
    const ROW: f64 = 56.0;
    let axis = Axis::shares(arms.iter().flat_map(|arm| [arm.ci95.0, arm.ci95.1]));
    let height = ROW * real(arms.len());
    let mut svg = Svg::new("flush", height, "Accuracy of each arm with its 95 % interval");
    axis.draw_below(&mut svg);
    for (i, arm) in arms.iter().enumerate() {
        let y = 1.0 - (real(i) * ROW + 36.0) / height;
        svg.text("label", (0.0, y), (0.0, -15.0), &arm.name);
        svg.text("value end", (1.0, y), (0.0, -15.0), &format!("{}  ({})", percent(arm.accuracy), interval(arm.ci95)));
        svg.line("track", (0.0, y), (1.0, y));
        svg.line(&format!("whisker {}", style(i)), (axis.at(arm.ci95.0), y), (axis.at(arm.ci95.1), y));
        svg.mark(i, (axis.at(arm.accuracy), y), &format!("{}: {}", arm.name, percent(arm.accuracy)));
    }
    svg.finish()
}

/// Accuracy against the mean cost of a ticket; `None` where no cost is known, or there was none.
pub(super) fn cost(arms: &[ArmReport]) -> Option<Value> {
    struct Dot<'a> {
        place: usize,
        arm: &'a ArmReport,
        cost: (f64, (f64, f64)),
    }
    let known = arms.iter().enumerate().filter_map(|(place, arm)| {
        let costs: Option<Vec<f64>> = arm.records.iter().filter(|r| r.error.is_none()).map(|r| r.cost_usd).collect();
        costs.map(|costs| Dot { place, arm, cost: mean(&costs) })
    });
    let dots: Vec<Dot> = known.collect();
    let top = dots.iter().map(|dot| dot.cost.1.1).fold(0.0, f64::max);
    if top <= 0.0 {
        return None;
    }
    let x = Axis::up_to(top, Unit::Dollars);
    let y = Axis::shares(dots.iter().flat_map(|dot| [dot.arm.ci95.0, dot.arm.ci95.1]));
    let mut svg = frame(HEIGHT, "Accuracy against cost for each arm", (&x, "US$ per ticket"), (&y, "accuracy"));
    let wanted: Vec<f64> = dots.iter().map(|dot| y.at(dot.arm.accuracy)).collect();
    for (dot, name_y) in dots.iter().zip(apart(&wanted)) {
        let (at, class) = ((x.at(dot.cost.0), y.at(dot.arm.accuracy)), format!("whisker thin {}", style(dot.place)));
        svg.line(&class, (at.0, y.at(dot.arm.ci95.0)), (at.0, y.at(dot.arm.ci95.1)));
        svg.line(&class, (x.at(dot.cost.1.0), at.1), (x.at(dot.cost.1.1), at.1));
        let hint = format!("{}: {}, {} a ticket", dot.arm.name, percent(dot.arm.accuracy), dollars(Some(dot.cost.0)));
        svg.mark(dot.place, at, &hint);
        let (class, dx) = if at.0 > 0.6 { ("label end", -12.0) } else { ("label", 12.0) };
        svg.text(class, (at.0, name_y), (dx, -8.0), &dot.arm.name);
    }
    Some(svg.finish())
}

/// Moves names that want these heights apart, so that no two are nearer than a line.
fn apart(wanted: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let (mut heights, mut free) = (wanted.to_vec(), f64::MIN);
    for i in order {
        heights[i] = wanted[i].max(free);
        free = heights[i] + NAME_GAP / HEIGHT;
    }
    heights
}

/// One line of a table: the arms' shares on a track from 0 to 100 %.
pub(super) fn track(names: &[&str], shares: &[Option<f64>]) -> Value {
    let mut svg = Svg::new("inline", 20.0, "the same shares on a line from 0 to 100 %");
    svg.line("track", (0.0, 0.5), (1.0, 0.5));
    for (i, (name, share)) in names.iter().zip(shares).enumerate() {
        if let Some(share) = share {
            svg.mark(i, (*share, 0.5), &format!("{name}: {}", percent(*share)));
        }
    }
    svg.finish()
}

/// Accuracy by examples of each intent.
pub(super) fn learning(points: &[CurvePoint]) -> Option<Value> {
    let most = points.iter().map(|point| point.per_intent).max()?;
    let x = Axis::up_to(real(most), Unit::Count);
    let y = Axis::shares(points.iter().flat_map(|point| [point.ci95.0, point.ci95.1]));
    let label = "Accuracy by the number of examples of each intent";
    let mut svg = frame(HEIGHT, label, (&x, "examples of each intent"), (&y, "accuracy"));
    let at = |point: &CurvePoint| (x.at(real(point.per_intent)), y.at(point.accuracy));
    svg.path("curve a0", points.iter().map(at));
    for point in points {
        let place = at(point);
        svg.line("whisker thin a0", (place.0, y.at(point.ci95.0)), (place.0, y.at(point.ci95.1)));
        let hint = format!(
            "{} of each intent, {} in all: {} ({})",
            point.per_intent,
            point.examples,
            percent(point.accuracy),
            interval(point.ci95)
        );
        svg.mark(0, place, &hint);
    }
    Some(svg.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_the_same_height_are_moved_apart() {
        let heights = apart(&[0.5, 0.5, 0.1, 0.5]);
        assert!((heights[0] - 0.5).abs() < 1e-9 && (heights[2] - 0.1).abs() < 1e-9, "{heights:?}");
        assert!(heights[1] - heights[0] > 0.05 && heights[3] - heights[1] > 0.05, "{heights:?}");
    }

    #[test]
    fn a_learning_curve_needs_points() {
        assert!(learning(&[]).is_none());
        let point = CurvePoint { per_intent: 10, examples: 460, n: 420, accuracy: 0.7, ci95: (0.66, 0.74) };
        assert!(learning(&[point]).unwrap().to_string().contains("10 of each intent, 460 in all"));
    }
}
