//! Reads tickets from JSON Lines, CSV and TSV. Each row stands for itself: a bad one is
//! reported with its line and the rest go on.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::data::ticket::{LabelledTicket, Ticket};
use crate::{Error, Result};

mod delimited;
mod jsonl;

/// How files are read.
#[derive(Debug, Clone)]
pub struct InputOptions {
    /// The column or key of the text.
    pub text_column: String,
    /// The column or key of the intent.
    pub intent_column: String,
    /// The column or key of the ticket's id.
    pub id_column: String,
    /// The format. Unless set, the file's name tells it, or its first bytes.
    pub format: Option<Format>,
}

impl Default for InputOptions {
    fn default() -> Self {
        Self { text_column: "text".into(), intent_column: "intent".into(), id_column: "id".into(), format: None }
    }
}

impl InputOptions {
    /// Whether a column or key has a field of its own. Every other one is an attribute.
    fn is_known(&self, name: &str) -> bool {
        let named = [&self.text_column, &self.intent_column, &self.id_column];
        named.iter().any(|column| *column == name)
            || ["reasoning", "created_at", "requester", "language"].contains(&name)
    }
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated, with a header.
    Csv,
    /// Tab-separated, with a header.
    Tsv,
}

/// A row as it was read: a ticket, or the reason why it is none.
#[derive(Debug)]
pub struct Row {
    /// `file:line`, for messages.
    pub place: String,
    /// The ticket's own id, where it could be read.
    pub id: Option<String>,
    /// The row's content.
    pub content: Result<RowContent, String>,
}

/// What a row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowContent {
    /// The ticket.
    pub ticket: Ticket,
    /// Its label, where the row has one.
    pub intent: Option<String>,
    /// The expert's sentence.
    pub reasoning: Option<String>,
}

impl RowContent {
    /// The labelled ticket; `Err` says that the label is missing.
    pub fn labelled(self, options: &InputOptions) -> Result<LabelledTicket, String> {
        match self.intent {
            Some(intent) => Ok(LabelledTicket { ticket: self.ticket, intent, reasoning: self.reasoning }),
            None => Err(format!("no {:?}", options.intent_column)),
        }
    }
}

/// Reads a file, or standard input for `-`. A bad row is part of the result. Fails only when there
/// is nothing to read at all.
pub fn read(path: &Path, options: &InputOptions) -> Result<Vec<Row>> {
    let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    let bytes = bytes_of(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::bad_input(format!("there is no file {name}; check the path")),
        _ => Error::bad_input(format!("cannot read {name}: {e}")),
    })?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Error::bad_input(format!("{name} is UTF-16; save it as UTF-8")));
    }
    if bytes.trim_ascii().is_empty() {
        return Err(Error::bad_input(format!("{name} is empty; it should hold tickets as JSON Lines, CSV or TSV")));
    }
    let format = options.format.or_else(|| format_of_name(path)).unwrap_or_else(|| format_of_content(bytes));
    match format {
        Format::Jsonl => jsonl::read(bytes, &name, options),
        Format::Csv => delimited::read(bytes, delimited::separator(bytes), &name, options),
        Format::Tsv => delimited::read(bytes, b'\t', &name, options),
    }
}

/// Reads several files, one after the other.
pub fn read_all(paths: &[PathBuf], options: &InputOptions) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for path in paths {
        rows.extend(read(path, options)?);
    }
    Ok(rows)
}

fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(path)
}

fn format_of_name(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()?.to_lowercase().as_str() {
        "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
        "csv" => Some(Format::Csv),
        "tsv" | "tab" => Some(Format::Tsv),
        _ => None,
    }
}

fn format_of_content(bytes: &[u8]) -> Format {
    let first_line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        Format::Jsonl
    } else if first_line.contains(&b'\t') {
        Format::Tsv
    } else {
        Format::Csv
    }
}

/// What both readers find in a row, before it is checked.
#[derive(Default)]
struct Fields {
    id: Option<String>,
    text: Option<String>,
    intent: Option<String>,
    reasoning: Option<String>,
    created_at: Option<String>,
    requester: Option<String>,
    language: Option<String>,
    attributes: std::collections::BTreeMap<String, String>,
}

impl Fields {
    /// Puts a value into the field of its name. An unknown name is an attribute.
    fn set(&mut self, name: &str, value: String, options: &InputOptions) {
        if value.trim().is_empty() {
            return;
        }
        let slot = match name {
            name if name == options.text_column => &mut self.text,
            name if name == options.intent_column => &mut self.intent,
            name if name == options.id_column => &mut self.id,
            "reasoning" => &mut self.reasoning,
            "created_at" => &mut self.created_at,
            "requester" => &mut self.requester,
            "language" => &mut self.language,
            _ => {
                self.attributes.insert(name.to_owned(), value);
                return;
            }
        };
        *slot = Some(value);
    }

    fn checked(self, options: &InputOptions) -> Result<RowContent, String> {
        let text = self.text.ok_or_else(|| format!("no {:?}: a ticket needs a text", options.text_column))?;
        if let Some(moment) = &self.created_at
            && chrono::DateTime::parse_from_rfc3339(moment).is_err()
        {
            return Err(format!("\"created_at\" is {moment:?}, which is not RFC 3339 (2026-03-01T08:00:00Z)"));
        }
        let mut ticket = Ticket::new(text);
        if let Some(id) = self.id {
            id.trim().clone_into(&mut ticket.id);
        }
        ticket.created_at = self.created_at;
        ticket.requester = self.requester;
        ticket.language = self.language;
        ticket.attributes = self.attributes;
        let intent = self.intent.map(|intent| intent.trim().to_owned());
        Ok(RowContent { ticket, intent, reasoning: self.reasoning })
    }
}
