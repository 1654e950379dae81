//! CSV and TSV, with a header.

use csv::{ByteRecord, ReaderBuilder};

use super::{Fields, InputOptions, Row, RowContent};
use crate::{Error, Result};

pub(super) fn read(bytes: &[u8], delimiter: u8, name: &str, options: &InputOptions) -> Result<Vec<Row>> {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(bytes);
    let header = reader
        .byte_headers()
        .map_err(|e| Error::bad_input(format!("{name}: the header cannot be read: {e}")))?
        .iter()
        .map(|column| String::from_utf8_lossy(column).trim().to_owned())
        .collect::<Vec<_>>();
    if !header.contains(&options.text_column) {
        return Err(Error::bad_input(format!(
            "{name} has no column {:?} (it has: {}); name the text's column with --text-column",
            options.text_column,
            header.join(", ")
        )));
    }
    let mut rows = Vec::new();
    let mut record = ByteRecord::new();
    loop {
        // The reader is on the row's first line before it reads it.
        let line = reader.position().line();
        let content = match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(rows),
            Ok(true) => parse(&record, &header, options),
            Err(e) => Err(format!("no row of the table: {e}")),
        };
        let line = record.position().map_or(line, csv::Position::line);
        rows.push(Row { place: format!("{name}:{line}"), content });
    }
}

fn parse(record: &ByteRecord, header: &[String], options: &InputOptions) -> Result<RowContent, String> {
    if record.len() != header.len() {
        return Err(format!("{} columns where the header has {}", record.len(), header.len()));
    }
    let mut fields = Fields::default();
    for (column, value) in header.iter().zip(record) {
        let value = std::str::from_utf8(value)
            .map_err(|_| format!("invalid UTF-8 in column {column:?}; save the file as UTF-8"))?;
        fields.set(column, value.to_owned(), options);
    }
    fields.checked(options)
}
