//! Files of labelled tickets as the benchmarks read them.

use std::path::Path;

use ticket_router::input::{self, InputOptions};
use ticket_router::{LabelledTicket, Result};

/// The good rows of a file; in CSV the column `category` holds the intent.
pub fn labelled(path: &Path) -> Result<Vec<LabelledTicket>> {
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    let intent_column = if is_csv { "category" } else { "intent" }.to_owned();
    let options = InputOptions { intent_column, ..InputOptions::default() };
    let rows = input::read(path, &options)?;
    Ok(rows.into_iter().filter_map(|row| row.content.ok()?.labelled(&options).ok()).collect())
}
