//! An evaluation as one HTML file that needs nothing else: no network, and JavaScript only to sort
//! its tables.
//!
//! Tickets are text from strangers. Everything that the template prints is escaped, and a policy in
//! the page lets only its own script run.

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, HtmlEscape, Value, context};
use sha2::{Digest as _, Sha256};

use super::{Run, reading, rows};
use crate::measure::eval::EvalReport;
use crate::measure::eval::confusion::{Confusion, confusions};
use crate::text::{hex, visible};
use crate::{Error, Result};

mod confidence;
mod mistakes;
mod plots;
mod svg;
mod tables;

const TEMPLATE: &str = include_str!("html/report.html.jinja");
const STYLE: &str = include_str!("html/report.css");
const SCRIPT: &str = include_str!("html/report.js");

/// The whole evaluation as a page.
pub fn html(report: &EvalReport, run: &Run) -> Result<String> {
    let broken = |e: minijinja::Error| Error::internal(format!("the report could not be rendered: {e:#}"));
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(|out, _, value| {
        match value.kind() {
            ValueKind::Undefined | ValueKind::None => Ok(()),
            _ if value.is_safe() => out.write_str(&value.to_string()),
            _ => write!(out, "{}", HtmlEscape(&visible(&value.to_string()))),
        }
        .map_err(Into::into)
    });
    environment.add_filter("two", |number: f64| format!("{number:.2}"));
    environment.add_template("report", TEMPLATE).map_err(broken)?;
    let page = environment.get_template("report").map_err(broken)?;
    page.render(view(report, run)).map_err(broken)
}

fn view(report: &EvalReport, run: &Run) -> Value {
    let (arms, best) = (&report.arms, best(report));
    let confused: Vec<Vec<Confusion<'_>>> = arms.iter().map(|arm| confusions(&arm.records)).collect();
    context! {
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        nonce => nonce(report, run),
        tickets => report.tickets,
        test_file => run.test_file,
        date => run.date,
        reading => reading::sentences(report),
        comparisons => reading::comparisons(report),
        remarks => reading::remarks(report),
        legend => reading::legend(report),
        uncalibrated => arms.iter().any(|arm| !arm.calibrated),
        arms => tables::arms(arms),
        best => arms[best].name,
        many => arms.len() > 1,
        plots => context! {
            accuracy => plots::accuracy(arms),
            cost => plots::cost(arms),
            coverage => confidence::coverage(arms),
            reliability => confidence::reliability(arms),
            latency => confidence::latency(arms),
            money => confidence::money(arms),
            learning => plots::learning(&report.curve),
        },
        case_column => report.case_column,
        cases => if arms[0].cases.len() > 1 { tables::by(arms, rows::cases) } else { Vec::new() },
        attributes => tables::by(arms, rows::attributes),
        intents => tables::intents(report, best, &confused[best]),
        pairs => tables::pairs(report, &confused),
        matrices => tables::matrices(report, &confused),
        mistakes => mistakes::cards(report, best),
        run => context! { command => run.command, facts => run.facts() },
    }
}

/// The arm that is right most often; of several the first.
fn best(report: &EvalReport) -> usize {
    (1..report.arms.len())
        .fold(0, |best, i| if report.arms[i].accuracy > report.arms[best].accuracy { i } else { best })
}

/// The word that lets the page's own script run. Nobody who writes a ticket can know it, since it is
/// made from everything that the report holds.
fn nonce(report: &EvalReport, run: &Run) -> String {
    let digest = Sha256::digest(format!("{run:?}{report:?}"));
    hex(&digest[..16])
}
