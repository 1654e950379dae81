//! JSON Lines: one object a line.

use serde_json::{Map, Value};

use super::{Fields, InputOptions, Row, RowContent};
use crate::Error;

pub(super) fn read(bytes: &[u8], name: &str, options: &InputOptions) -> crate::Result<Vec<Row>> {
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Error::bad_input(format!(
            "{name} is a JSON array; write one object a line (for example with: jq -c '.[]' {name})"
        )));
    }
    let rows = bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    Ok(rows.map(|(index, line)| row(line, format!("{name}:{}", index + 1), options)).collect())
}

fn row(line: &[u8], place: String, options: &InputOptions) -> Row {
    let object = match parse(line) {
        Ok(object) => object,
        Err(message) => return Row { place, id: None, content: Err(message) },
    };
    let id = object.get(&options.id_column).cloned().and_then(scalar).filter(|id| !id.trim().is_empty());
    Row { place, id, content: content(object, options) }
}

fn parse(line: &[u8]) -> Result<Map<String, Value>, String> {
    let line = std::str::from_utf8(line)
        .map_err(|e| format!("invalid UTF-8 at byte {} of the line; save the file as UTF-8", e.valid_up_to() + 1))?;
    serde_json::from_str(line).map_err(|e| format!("not a JSON object: {}", short(&e)))
}

fn content(object: Map<String, Value>, options: &InputOptions) -> Result<RowContent, String> {
    let mut fields = Fields::default();
    for (key, value) in object {
        match value {
            Value::Null => {}
            Value::Object(attributes) if key == "attributes" => {
                for (name, value) in attributes.into_iter().filter(|(_, value)| !value.is_null()) {
                    fields.attributes.insert(name, text_of(&value));
                }
            }
            value if options.is_known(&key) => {
                let value = scalar(value).ok_or_else(|| format!("{key:?} is not a string"))?;
                fields.set(&key, value, options);
            }
            // Exports hold lists and objects that nobody asks for; they must not cost the row.
            value => {
                fields.attributes.insert(key, text_of(&value));
            }
        }
    }
    fields.checked(options)
}

fn text_of(value: &Value) -> String {
    scalar(value.clone()).unwrap_or_else(|| value.to_string())
}

fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The error without its line, which is always 1 here.
fn short(e: &serde_json::Error) -> String {
    let text = e.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    format!("{text} at column {}", e.column())
}
