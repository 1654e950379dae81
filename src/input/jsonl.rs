//! JSON Lines: one object a line.

use serde_json::{Map, Value};

use super::{Fields, InputOptions, Row, RowContent};

pub(super) fn read(bytes: &[u8], name: &str, options: &InputOptions) -> Vec<Row> {
    bytes
        .split(|&byte| byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(index, line)| Row { place: format!("{name}:{}", index + 1), content: parse(line, options) })
        .collect()
}

fn parse(line: &[u8], options: &InputOptions) -> Result<RowContent, String> {
    let line = std::str::from_utf8(line)
        .map_err(|e| format!("invalid UTF-8 at byte {} of the line; save the file as UTF-8", e.valid_up_to() + 1))?;
    let object: Map<String, Value> =
        serde_json::from_str(line).map_err(|e| format!("no JSON object: {}", short(&e)))?;
    let mut fields = Fields::default();
    for (key, value) in object {
        match value {
            Value::Null => {}
            Value::Object(attributes) if key == "attributes" => {
                for (name, value) in attributes {
                    let value = scalar(value).ok_or_else(|| format!("the attribute {name:?} is not a string"))?;
                    fields.attributes.insert(name, value);
                }
            }
            value => {
                let value = scalar(value).ok_or_else(|| format!("{key:?} is not a string"))?;
                fields.set(&key, value, options);
            }
        }
    }
    fields.checked(options)
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
