//! Results as text for people. Pure: each function returns the text. (The JSON forms are the
//! serialized reports themselves.)

mod classification;
mod eval;
mod index;
mod lint;
mod taxonomy;

pub use classification::{explain, line};
pub use eval::eval_table;
pub use index::index_summary;
pub use lint::lint_summary;
pub use taxonomy::{findings, relabel_summary};

/// A stranger's text as one line that does nothing to a terminal.
pub(crate) fn clean(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|letter| !letter.is_control()).collect()
}

/// The start of a text on one line, for lists.
pub(crate) fn excerpt(text: &str, width: usize) -> String {
    let flat = clean(text);
    if flat.chars().count() <= width {
        return flat;
    }
    let mut cut: String = flat.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
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
