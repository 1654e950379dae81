//! Plots as SVG whose coordinates are shares of the drawing area, so that a plot takes any
//! width while its letters and strokes keep their size. `(0, 0)` is bottom left.

use std::fmt::Write as _;

use minijinja::{HtmlEscape, Value};

use crate::statistics::real;

/// Shares of width and height, upwards.
pub(super) type Point = (f64, f64);

/// The outlines that tell the arms apart where colours do not, around their middle.
const MARKS: [&str; 6] = [
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z",
    "M-4.5-4.5h9v9h-9Z",
    "M0-6L5.5 4.5H-5.5Z",
    "M0-6.5L6 0L0 6.5L-6 0Z",
    "M0 6L5.5-4.5H-5.5Z",
    "M-2-5.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5Z",
];

/// The classes that give an arm its colour and its line.
pub(super) fn style(arm: usize) -> String {
    format!("a{}", arm % MARKS.len())
}

/// An arm's mark alone, for keys and tables.
pub(super) fn key(arm: usize) -> Value {
    let (class, path) = (style(arm), MARKS[arm % MARKS.len()]);
    Value::from_safe_string(format!(
        "<svg class=\"key {class}\" viewBox=\"-8 -8 16 16\" aria-hidden=\"true\"><path d=\"{path}\"/></svg>"
    ))
}

/// A plot that is being drawn.
pub(super) struct Svg(String);

impl Svg {
    /// An empty plot, `height` pixels high. The label tells those who cannot see the plot what it shows.
    pub(super) fn new(class: &str, height: f64, label: &str) -> Self {
        let label = HtmlEscape(label);
        Self(format!("<svg class=\"plot {class}\" height=\"{height}\" role=\"img\" aria-label=\"{label}\">"))
    }

    pub(super) fn line(&mut self, class: &str, from: Point, to: Point) {
        let ((x1, y1), (x2, y2)) = (place(from), place(to));
        let _ = write!(self.0, "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>");
    }

    /// A text, moved by some pixels to the right and down.
    pub(super) fn text(&mut self, class: &str, at: Point, (dx, dy): (f64, f64), text: &str) {
        let ((x, y), text) = (place(at), HtmlEscape(text));
        let _ = write!(self.0, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" dx=\"{dx}\" dy=\"{dy}\">{text}</text>");
    }

    pub(super) fn rect(&mut self, class: &str, low: Point, high: Point, hint: &str) {
        let (x, y) = place((low.0, high.1));
        let (width, height) = (percent(high.0 - low.0), percent(high.1 - low.1));
        let hint = HtmlEscape(hint);
        let _ = write!(
            self.0,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"><title>{hint}</title></rect>"
        );
    }

    /// The mark of an arm; the hint is shown to a pointer.
    pub(super) fn mark(&mut self, arm: usize, at: Point, hint: &str) {
        let ((x, y), class, path, hint) = (place(at), style(arm), MARKS[arm % MARKS.len()], HtmlEscape(hint));
        let _ = write!(
            self.0,
            "<svg class=\"mark {class}\" x=\"{x}\" y=\"{y}\"><path d=\"{path}\"/><title>{hint}</title></svg>"
        );
    }

    /// A line through these points, as wide as its class says at any size.
    pub(super) fn path(&mut self, class: &str, points: impl IntoIterator<Item = Point>) {
        self.0.push_str("<svg viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\">");
        let _ = write!(self.0, "<path class=\"{class}\" d=\"");
        for (i, (x, y)) in points.into_iter().enumerate() {
            let _ = write!(self.0, "{}{:.2} {:.2}", if i == 0 { 'M' } else { 'L' }, x * 100.0, 100.0 - y * 100.0);
        }
        self.0.push_str("\"/></svg>");
    }

    pub(super) fn finish(self) -> Value {
        Value::from_safe_string(self.0 + "</svg>")
    }
}

fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

fn place((x, y): Point) -> (String, String) {
    (percent(x), percent(1.0 - y))
}

/// The unit of an axis.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Unit {
    Share,
    Dollars,
    Milliseconds,
    Count,
}

/// A stretch of numbers with round ends.
pub(super) struct Axis {
    low: f64,
    high: f64,
    step: f64,
    unit: Unit,
}

impl Axis {
    /// Around these shares, within 0 and 1.
    pub(super) fn shares(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) =
            values.into_iter().fold((1.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let step = round_step((high - low).max(0.1) / 5.0);
        let (low, high) = ((low / step).floor() * step, ((high / step).ceil() * step).clamp(step, 1.0));
        Self { low: low.max(0.0).min(high - step), high, step, unit: Unit::Share }
    }

    /// All shares.
    pub(super) fn whole() -> Self {
        Self { low: 0.0, high: 1.0, step: 0.25, unit: Unit::Share }
    }

    /// From 0 to at least `top`.
    pub(super) fn up_to(top: f64, unit: Unit) -> Self {
        let step = round_step(if top > 0.0 { top / if unit == Unit::Dollars { 3.0 } else { 4.0 } } else { 1.0 });
        let step = if unit == Unit::Count { step.max(1.0) } else { step };
        Self { low: 0.0, high: (top / step).ceil().max(1.0) * step, step, unit }
    }

    /// Where a value stands. A value outside the axis is put on its edge.
    pub(super) fn at(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    pub(super) fn high(&self) -> f64 {
        self.high
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        // At most a dozen, whatever the ends are.
        (0..12_usize).map(|i| self.low + real(i) * self.step).take_while(|tick| *tick <= self.high + self.step / 100.0)
    }

    fn label(&self, value: f64) -> String {
        let scale = if self.unit == Unit::Share { 100.0 } else { 1.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 9")]
        let decimals = (-(self.step * scale).log10().floor()).clamp(0.0, 9.0) as usize;
        let number = format!("{:.decimals$}", value * scale);
        match self.unit {
            Unit::Share => format!("{number}\u{a0}%"),
            Unit::Dollars => format!("${number}"),
            Unit::Milliseconds | Unit::Count => number,
        }
    }

    /// Lines and numbers along the bottom.
    pub(super) fn draw_below(&self, svg: &mut Svg) {
        for tick in self.ticks() {
            let x = self.at(tick);
            svg.line("grid", (x, 0.0), (x, 1.0));
            svg.text("tick mid", (x, 0.0), (0.0, 18.0), &self.label(tick));
        }
    }

    /// Lines and numbers along the left side.
    pub(super) fn draw_beside(&self, svg: &mut Svg) {
        for tick in self.ticks() {
            let y = self.at(tick);
            svg.line("grid", (0.0, y), (1.0, y));
            svg.text("tick end", (0.0, y), (-8.0, 4.0), &self.label(tick));
        }
    }
}

/// An empty plot with two axes and their names.
pub(super) fn frame(height: f64, label: &str, (x, x_name): (&Axis, &str), (y, y_name): (&Axis, &str)) -> Svg {
    let mut svg = Svg::new("framed", height, label);
    y.draw_beside(&mut svg);
    x.draw_below(&mut svg);
    svg.text("name end", (1.0, 0.0), (0.0, 37.0), x_name);
    svg.text("name", (0.0, 1.0), (-44.0, -16.0), y_name);
    svg
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least * 0.999).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn axes_have_round_ends_around_their_values() {
        assert_eq!(labels(&Axis::up_to(0.000_31, Unit::Dollars)), ["$0.0000", "$0.0002", "$0.0004"]);
        assert_eq!(labels(&Axis::up_to(0.0, Unit::Milliseconds)), ["0", "1"]);
        let axis = Axis::shares([0.767, 0.842]);
        assert_eq!(
            labels(&axis),
            ["76 %", "78 %", "80 %", "82 %", "84 %", "86 %"].map(|label| label.replace(' ', "\u{a0}"))
        );
        assert!((axis.at(0.81) - 0.5).abs() < 1e-9 && axis.at(0.2) <= 0.0 && axis.at(1.0) >= 1.0);
        assert_eq!(labels(&Axis::shares([1.0, 1.0])).last().unwrap(), "100\u{a0}%");
        assert_eq!(labels(&Axis::shares([0.0, 0.0])), ["0\u{a0}%", "2\u{a0}%"]);
    }

    #[test]
    fn what_a_plot_is_given_cannot_leave_it() {
        let mut svg = Svg::new("flush", 10.0, "\"><script>");
        svg.text("label", (0.5, 0.25), (1.0, 2.0), "</svg><script>");
        svg.mark(0, (0.0, 0.0), "<b>");
        let svg = svg.finish().to_string();
        assert!(!svg.contains("<script") && !svg.contains("<b>"), "{svg}");
        assert!(svg.contains("x=\"50.00%\" y=\"75.00%\""), "{svg}");
    }
}
