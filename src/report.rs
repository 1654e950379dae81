//! Results as text for people. Pure: each function returns the text. As JSON, a report is
//! serialized as it is; [`json`] adds the tickets.

mod calibrate;
mod classification;
mod eval;
mod html;
mod index;
mod lint;
mod markdown;
mod reading;
mod rows;
mod run;
mod store;
mod taxonomy;

pub use calibrate::calibration_summary;
pub use classification::{explain, line};
pub use eval::eval_table;
pub use html::html;
pub use index::index_summary;
pub use lint::lint_summary;
pub use markdown::markdown;
pub use run::Run;
pub use store::{copy_summary, store_summary};
pub use taxonomy::{findings, relabel_summary};

use serde_json::{Value, json};

use crate::measure::eval::EvalReport;

/// An evaluation as JSON with everything: the report, how it came about (`run`), and in each arm the
/// answers (`records`).
pub fn json(report: &EvalReport, run: &Run) -> crate::Result<Value> {
    let failed = |e: serde_json::Error| crate::Error::internal(format!("the report cannot be written as JSON: {e}"));
    let mut whole = serde_json::to_value(report).map_err(failed)?;
    for (place, arm) in report.arms.iter().enumerate() {
        whole["arms"][place]["records"] = json!(arm.records);
    }
    whole["run"] = json!(run);
    Ok(whole)
}

/// A share in percent.
fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", share * 100.0)
}

/// An interval of shares in percent.
fn interval((low, high): (f64, f64)) -> String {
    format!("{:.1}\u{a0}–\u{a0}{:.1}", low * 100.0, high * 100.0)
}

/// US$ with as many decimals as a fraction of a cent needs.
fn dollars(cost: Option<f64>) -> String {
    match cost {
        None => "unknown".into(),
        Some(0.0) => "$0".into(),
        Some(cost) if cost < 0.01 => format!("${cost:.6}"),
        Some(cost) => format!("${cost:.4}"),
    }
}
