//! From rows to examples: which rows can be used, and why the others cannot.

use std::collections::HashMap;

use uuid::Uuid;

use super::{IndexOptions, IndexReport, RowError};
use crate::data::example::{Example, example_key};
use crate::data::taxonomy::Taxonomy;
use crate::data::ticket::text_hash;
use crate::input::Row;

/// The examples of the rows, one for each key. Bad rows are entered into the report, and
/// equal repetitions of a row are counted as unchanged.
pub(super) fn examples(
    rows: Vec<Row>,
    taxonomy: Option<&Taxonomy>,
    options: &IndexOptions,
    report: &mut IndexReport,
) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::with_capacity(rows.len());
    let mut seen: HashMap<Uuid, (usize, String)> = HashMap::with_capacity(rows.len());
    let mut shortened = 0;
    for Row { place, content, .. } in rows {
        let example = content.and_then(|row| row.labelled(&options.input)).and_then(|mut labelled| {
            labelled.intent = known_intent(&labelled.intent, taxonomy)?;
            shortened += usize::from(labelled.ticket.shorten().is_some());
            let key = example_key(&options.source, &labelled.ticket.id);
            let text_hash = text_hash(&labelled.ticket.text);
            Ok(Example { key, source: options.source.clone(), labelled, text_hash })
        });
        let example = example.and_then(|example| match seen.get(&example.key) {
            None => Ok(Some(example)),
            // The same ticket with the same label may be there several times.
            Some((first, _)) if is_repetition(&example, &examples[*first]) => Ok(None),
            Some((first, first_place)) => Err(conflict(&example, &examples[*first], first_place)),
        });
        match example {
            Ok(Some(example)) => {
                seen.insert(example.key, (examples.len(), place));
                examples.push(example);
            }
            Ok(None) => report.unchanged += 1,
            Err(message) => {
                report.rejected += 1;
                report.errors.push(RowError { place, message });
            }
        }
    }
    if shortened > 0 {
        let limit = crate::data::ticket::MAX_TEXT_CHARS;
        report.notes.push(format!("{shortened} texts were shortened to {limit} characters"));
    }
    examples
}

fn known_intent(name: &str, taxonomy: Option<&Taxonomy>) -> Result<String, String> {
    match taxonomy {
        None => Ok(name.to_owned()),
        Some(taxonomy) => match taxonomy.resolve(name) {
            Some(own) => Ok(own.to_owned()),
            None if taxonomy.open => Ok(name.to_owned()),
            None => Err(format!(
                "the intent {:?} is not in the taxonomy; correct it, or add it there or to the aliases of another",
                crate::text::excerpt(name, 60)
            )),
        },
    }
}

fn is_repetition(example: &Example, first: &Example) -> bool {
    example.text_hash == first.text_hash && example.labelled.intent == first.labelled.intent
}

fn conflict(example: &Example, first: &Example, first_place: &str) -> String {
    let id = &example.labelled.ticket.id;
    if example.text_hash == first.text_hash {
        format!(
            "the same ticket has the intent {:?} here and {:?} in {first_place}; keep one",
            example.labelled.intent, first.labelled.intent
        )
    } else {
        format!("the id {id:?} stands for another ticket in {first_place}; ids must differ, or use --source")
    }
}
