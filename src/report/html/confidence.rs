//! The plots of confidence, of time and of money.

use minijinja::{Value, context};

use super::plots::HEIGHT;
use super::svg::{Axis, Svg, Unit, frame, key, style};
use crate::measure::eval::ArmReport;
use crate::measure::eval::curves::{self, Coverage};
use crate::report::{dollars, interval, percent};
use crate::statistics::{percentile, real};

/// How many points a coverage curve has at most: more could not be told apart.
const POINTS: usize = 240;
/// A precision of fewer tickets says nothing.
const FEWEST: usize = 10;

/// Coverage against precision of each arm, with what was routed; `None` without any confidence.
pub(super) fn coverage(arms: &[ArmReport]) -> Option<Value> {
    let drawn: Vec<Vec<Coverage>> = arms.iter().map(|arm| thinned(curves::coverage(&arm.records), arm.n)).collect();
    if drawn.iter().all(Vec::is_empty) {
        return None;
    }
    let chosen: Vec<_> =
        arms.iter().map(|arm| arm.routed_accuracy.map(|p| (real(arm.routed) / real(arm.n), p))).collect();
    let (x, precisions) = (Axis::whole(), drawn.iter().flatten().map(|point| point.precision));
    let y = Axis::shares(precisions.chain(chosen.iter().flatten().map(|point| point.1)));
    let label = "Share of tickets routed against share of these that is right";
    let mut svg = frame(HEIGHT, label, (&x, "routed, of all tickets"), (&y, "right, of the routed"));
    for (i, points) in drawn.iter().enumerate() {
        svg.path(&format!("curve {}", style(i)), points.iter().map(|p| (x.at(p.coverage), y.at(p.precision))));
    }
    for (i, point) in chosen.iter().enumerate() {
        if let Some((share, precision)) = point {
            let hint = format!("{}: routed {}, right {}", arms[i].name, percent(*share), percent(*precision));
            svg.mark(i, (x.at(*share), y.at(*precision)), &hint);
        }
    }
    Some(svg.finish())
}

fn thinned(mut points: Vec<Coverage>, n: usize) -> Vec<Coverage> {
    points.retain(|point| point.coverage * real(n) >= real(FEWEST.min(n)) - 0.5);
    let every = points.len().div_ceil(POINTS).max(1);
    let last = points.len().saturating_sub(1);
    points.into_iter().enumerate().filter(|(i, _)| i % every == 0 || *i == last).map(|(_, point)| point).collect()
}

/// Each arm's confidence against its accuracy.
pub(super) fn reliability(arms: &[ArmReport]) -> Vec<Value> {
    let plot = |(i, arm): (usize, &ArmReport)| {
        let (axis, mark) = (Axis::whole(), style(i));
        let label = format!("Confidence of {} against accuracy", arm.name);
        let mut svg = frame(220.0, &label, (&axis, "confidence"), (&axis, "accuracy"));
        svg.line("ideal", (0.0, 0.0), (1.0, 1.0));
        for bin in &arm.reliability {
            let x = axis.at(bin.confidence);
            svg.line(&format!("whisker thin {mark}"), (x, axis.at(bin.ci95.0)), (x, axis.at(bin.ci95.1)));
            let hint = format!(
                "{} answers, mean confidence {}: {} right ({})",
                bin.n,
                percent(bin.confidence),
                percent(bin.accuracy),
                interval(bin.ci95)
            );
            svg.mark(i, (x, axis.at(bin.accuracy)), &hint);
        }
        let calibrated = arm.records.iter().all(|record| record.calibrated || record.error.is_some());
        let error = percent(arm.calibration_error);
        context! { name => arm.name, key => key(i), plot => svg.finish(), error, calibrated }
    };
    // An arm without any intent has no confidence to look at.
    arms.iter().enumerate().filter(|(_, arm)| !arm.reliability.is_empty()).map(plot).collect()
}

/// How long the answers of each arm took.
pub(super) fn latency(arms: &[ArmReport]) -> Vec<Value> {
    let values = |arm: &ArmReport| Some(arm.records.iter().filter_map(|record| record.latency_ms).collect());
    spread(arms, "milliseconds", Unit::Milliseconds, &|value| format!("{value:.1} ms"), &values)
}

/// What the answers of each arm cost; empty where no answer cost anything.
pub(super) fn money(arms: &[ArmReport]) -> Vec<Value> {
    let values = |arm: &ArmReport| {
        let costs: Option<Vec<f64>> = arm.records.iter().filter(|r| r.error.is_none()).map(|r| r.cost_usd).collect();
        costs.filter(|costs| costs.iter().any(|cost| *cost > 0.0))
    };
    spread(arms, "US$", Unit::Dollars, &|value| dollars(Some(value)), &values)
}

/// A histogram for each arm, all on the same axis.
fn spread(
    arms: &[ArmReport],
    name: &str,
    unit: Unit,
    show: &dyn Fn(f64) -> String,
    values: &dyn Fn(&ArmReport) -> Option<Vec<f64>>,
) -> Vec<Value> {
    let mut of_arms: Vec<(usize, Vec<f64>)> =
        arms.iter().enumerate().filter_map(|(i, arm)| Some((i, values(arm).filter(|v| !v.is_empty())?))).collect();
    for (_, values) in &mut of_arms {
        values.sort_by(f64::total_cmp);
    }
    let top = of_arms.iter().map(|(_, values)| percentile(values, 0.99)).fold(0.0, f64::max);
    let x = Axis::up_to(top, unit);
    let bars: Vec<Vec<usize>> = of_arms.iter().map(|(_, values)| curves::histogram(values, x.high())).collect();
    let y = Axis::up_to(real(bars.iter().flatten().copied().max().unwrap_or(1)), Unit::Count);
    let plot = |((i, values), bars): (&(usize, Vec<f64>), &Vec<usize>)| {
        let (p50, p95) = (percentile(values, 0.5), percentile(values, 0.95));
        let label = format!("Histogram of {name} for {}", arms[*i].name);
        let mut svg = frame(150.0, &label, (&x, name), (&y, "tickets"));
        draw_bars(&mut svg, &style(*i), bars, &x, &y, show);
        // The names stand apart, the one to the left of its line and the other to the right, unless
        // they would leave the plot.
        for (name, at, is_left) in [("p50", x.at(p50), x.at(p50) > 0.12), ("p95", x.at(p95), x.at(p95) > 0.88)] {
            svg.line("point", (at, 0.0), (at, 1.0));
            let (class, dx) = if is_left { ("tick end", -4.0) } else { ("tick", 4.0) };
            svg.text(class, (at, 1.0), (dx, 4.0), name);
        }
        context! { name => arms[*i].name, key => key(*i), plot => svg.finish(), p50 => show(p50), p95 => show(p95) }
    };
    of_arms.iter().zip(&bars).map(plot).collect()
}

fn draw_bars(svg: &mut Svg, class: &str, bars: &[usize], x: &Axis, y: &Axis, show: &dyn Fn(f64) -> String) {
    let width = 1.0 / real(bars.len());
    for (i, count) in bars.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (left, from) = (real(i) * width, real(i) * width * x.high());
        let to = if i + 1 == bars.len() { "more".to_owned() } else { show(from + width * x.high()) };
        let hint = format!("{count} tickets, {} to {to}", show(from));
        svg.rect(&format!("bar {class}"), (left + width * 0.08, 0.0), (left + width * 0.92, y.at(real(*count))), &hint);
    }
}
