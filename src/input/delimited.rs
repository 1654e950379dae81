//! CSV and TSV, with a header.

use csv::{ByteRecord, ReaderBuilder};

use super::{Fields, InputOptions, Row, RowContent};
use crate::{Error, Result};

/// A comma, or the semicolon that spreadsheets write where the comma is the decimal point.
pub(super) fn separator(bytes: &[u8]) -> u8 {
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if header.contains(&b';') && !header.contains(&b',') { b';' } else { b',' }
}

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
    if let Some(twice) =
        header.iter().enumerate().find(|(i, column)| header[..*i].contains(column)).map(|(_, column)| column)
    {
        return Err(Error::bad_input(format!("{name} has the column {twice:?} twice; rename one")));
    }
    let id_column = header.iter().position(|column| *column == options.id_column);
    let mut rows: Vec<Row> = Vec::new();
    let mut record = ByteRecord::new();
    let mut last_start = 0;
    loop {
        // The reader is on the row's first line before it reads it.
        let line = reader.position().line();
        let content = match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => parse(&record, &header, options),
            Err(e) => Err(format!("not a row of the table: {e}")),
        };
        let line = record.position().map_or(line, csv::Position::line);
        let id =
            id_column.and_then(|column| record.get(column)).map(|id| String::from_utf8_lossy(id).trim().to_owned());
        rows.push(Row { place: format!("{name}:{line}"), id: id.filter(|id| !id.is_empty()), content });
        last_start = record.position().map_or(last_start, csv::Position::byte);
    }
    // A quote that is never closed swallows all rows after it. The reader does not report that: at
    // the end of the file it takes what it has.
    let last = usize::try_from(last_start).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
    let quotes = count(last, b'"');
    let lines = count(last.trim_ascii_end(), b'\n');
    if let Some(row) = rows.last_mut().filter(|_| quotes % 2 == 1 && lines > 0) {
        row.content =
            Err(format!("a quote is opened and never closed, so {lines} further lines were taken for its text"));
    }
    Ok(rows)
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

fn count(bytes: &[u8], wanted: u8) -> usize {
    bytes.split(|&byte| byte == wanted).count() - 1
}
