//! From an answer to the label. What the taxonomy allows is kept; the rest is left out and noted. Pure.

use crate::claude::{Answer, TokenUsage};
use crate::data::decision::Doubt;
use crate::data::label::{Label, Usage};
use crate::data::taxonomy::{Attribute, Taxonomy};
use crate::stages::parse::ParsedAnswer;

/// Puts what an answer says into the label, in place of what an earlier answer said.
pub(super) fn read(parsed: ParsedAnswer, taxonomy: &Taxonomy, label: &mut Label) {
    let resolve = |name: &str| taxonomy.resolve(name).map(str::to_owned);
    label.intent = parsed.intent.as_deref().and_then(resolve);
    label.reasoning = parsed.reasoning.or(label.reasoning.take());
    (label.secondary, label.attributes, label.notes) = Default::default();
    for name in &parsed.secondary {
        match resolve(name) {
            None => label.notes.push(format!("the secondary intent {name:?} is not in the taxonomy and was left out")),
            Some(name) if label.intent.as_ref() == Some(&name) || label.secondary.contains(&name) => {}
            Some(name) => label.secondary.push(name),
        }
    }
    for attribute in &taxonomy.attributes {
        match value_of(attribute, &parsed.attributes) {
            Ok(None) => {}
            Ok(Some(value)) => _ = label.attributes.insert(attribute.name.clone(), value.to_owned()),
            Err(note) => label.notes.push(note),
        }
    }
    let unknown = |name: &str| !taxonomy.attributes.iter().any(|attribute| attribute.is_named(name));
    for (name, _) in parsed.attributes.iter().filter(|(name, _)| unknown(name)) {
        label.notes.push(format!("the attribute {name:?} is not in the taxonomy and was left out"));
    }
}

/// The allowed value that the answer gives for an attribute, or why the attribute is left out.
fn value_of<'a>(attribute: &'a Attribute, given: &[(String, String)]) -> Result<Option<&'a str>, String> {
    let mut value = None;
    for (_, answered) in given.iter().filter(|(name, _)| attribute.is_named(name)) {
        let name = &attribute.name;
        match attribute.resolve(answered) {
            None => return Err(format!("{answered:?} is no value of {name} and was left out")),
            Some(other) if value.is_some_and(|value| value != other) => {
                return Err(format!("the answer gives {name} more than one value; it was left out"));
            }
            known => value = known,
        }
    }
    Ok(value)
}

/// Why the answer needs a person, if it does.
pub(super) fn doubt(answer: &Answer, named: Option<&str>, known: bool) -> Option<Doubt> {
    match answer.stop_reason.as_deref() {
        Some("end_turn" | "stop_sequence") | None => {}
        Some("refusal") => return Some(Doubt::Refused(answer.refusal_category())),
        // A whole answer may have come before the limit; it is checked like any other.
        Some("max_tokens") if known => {}
        Some("max_tokens") => return Some(Doubt::CutOff),
        Some("model_context_window_exceeded") => return Some(Doubt::TooLong),
        Some(other) => return Some(Doubt::Stopped(other.to_owned())),
    }
    match (known, named) {
        (true, _) => None,
        (false, Some(name)) => Some(Doubt::NotInTaxonomy(name.to_owned())),
        (false, None) => Some(Doubt::NoIntent),
    }
}

pub(super) fn usage(tokens: &TokenUsage) -> Usage {
    Usage {
        requests: 1,
        input_tokens: tokens.input_tokens,
        output_tokens: tokens.output_tokens,
        cache_creation_input_tokens: tokens.cache_creation_input_tokens.unwrap_or(0),
        cache_read_input_tokens: tokens.cache_read_input_tokens.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::parse::parse;

    const TAXONOMY: &str = r#"
        [[attribute]]
        name = "urgency"
        values = ["low", "very high"]
        [[attribute]]
        name = "product"
        values = ["laptop"]
        [[intent]]
        name = "refund"
        aliases = ["money back"]
        [[intent]]
        name = "order status"
        [[intent]]
        name = "praise"
    "#;

    fn label(answer: &str) -> Label {
        let taxonomy = Taxonomy::from_toml(TAXONOMY, "t").unwrap();
        let mut label = Label::default();
        read(parse(answer), &taxonomy, &mut label);
        label
    }

    #[test]
    fn further_intents_keep_their_order_without_the_primary_one_doubles_and_unknown_ones() {
        let label = label(
            "<intent>refund</intent><secondary>Order  Status</secondary><secondary>Money Back</secondary>\
             <secondary>weather</secondary><secondary>praise</secondary><secondary>order status</secondary>",
        );
        assert_eq!(label.secondary, ["order status", "praise"]);
        assert_eq!(label.notes, ["the secondary intent \"weather\" is not in the taxonomy and was left out"]);
    }

    #[test]
    fn attributes_are_checked_against_their_values_and_never_cost_the_intent() {
        let answer =
            |value: &str| label(&format!("<intent>praise</intent><attribute name=\"Urgency\">{value}</attribute>"));
        assert_eq!(answer("Very  HIGH").attributes["urgency"], "very high");
        let invalid = answer("apocalyptic");
        assert_eq!((invalid.intent.as_deref(), invalid.attributes.len()), (Some("praise"), 0));
        assert_eq!(invalid.notes, ["\"apocalyptic\" is no value of urgency and was left out"]);
        let twice = answer("low</attribute><attribute name=\"urgency\">very high");
        assert_eq!((twice.attributes.len(), twice.notes.len()), (0, 1));
        assert!(twice.notes[0].contains("more than one value"), "{:?}", twice.notes);
        let unknown = label("{\"intent\": \"praise\", \"attributes\": {\"mood\": \"fine\", \"product\": \"LAPTOP\"}}");
        assert_eq!(unknown.attributes.into_iter().collect::<Vec<_>>(), [("product".to_owned(), "laptop".to_owned())]);
        assert_eq!(unknown.notes, ["the attribute \"mood\" is not in the taxonomy and was left out"]);
    }
}
