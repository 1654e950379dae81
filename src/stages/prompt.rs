//! Renders prompts from the templates in `prompts/`. Pure.
//!
//! Everything that goes into a template is escaped, so a ticket cannot close its fence, open
//! another one or pretend to be an answer: its `<` arrives as `&lt;`.

use std::path::Path;

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use crate::data::evidence::Evidence;
use crate::data::taxonomy::{Intent, Taxonomy};
use crate::{Error, Result};

const TEMPLATES: [(&str, &str); 4] = [
    ("intents.jinja", include_str!("../../prompts/intents.jinja")),
    ("system.jinja", include_str!("../../prompts/system.jinja")),
    ("ticket.jinja", include_str!("../../prompts/ticket.jinja")),
    ("repair.jinja", include_str!("../../prompts/repair.jinja")),
];

/// The form in which the model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// `<reasoning>`, `<intent>`, `<secondary>` and `<attribute>` tags in free text.
    Tags,
    /// JSON after a schema that lists all intents and the attributes' values.
    Structured,
}

/// The prompt templates, compiled.
pub struct Prompts {
    environment: Environment<'static>,
}

#[derive(Serialize)]
struct ShownExample<'a> {
    text: &'a str,
    reasoning: Option<&'a str>,
    intent: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
}

impl Prompts {
    /// The built-in templates; a file of the same name in `folder` replaces one.
    pub fn load(folder: Option<&Path>) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_keep_trailing_newline(false);
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::SemiStrict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_formatter(|out, _, value| out.write_str(&escape(&value.to_string())).map_err(Into::into));
        if let Some(folder) = folder
            && !folder.is_dir()
        {
            return Err(Error::configuration(format!("the prompts folder {} is not there", folder.display())));
        }
        for (name, built_in) in TEMPLATES {
            let own = folder.map(|folder| folder.join(name)).filter(|path| path.is_file());
            let source = match &own {
                None => built_in.to_owned(),
                Some(path) => std::fs::read_to_string(path)
                    .map_err(|e| Error::configuration(format!("cannot read the prompt {}: {e}", path.display())))?,
            };
            environment.add_template_owned(name, source).map_err(|e| {
                let origin = own.map_or_else(|| name.to_owned(), |path| path.display().to_string());
                Error::configuration(format!("the prompt {origin} is no valid template: {e}"))
            })?;
        }
        Ok(Self { environment })
    }

    /// The static part: rules, attributes and intents. The same bytes for every ticket.
    ///
    /// With a `way_out`, the intents come with each ticket instead, and `way_out` is the answer that none
    /// of them fits. A `step` is a choice on the way down a hierarchy, within the category that it
    /// names.
    pub fn system(
        &self,
        taxonomy: &Taxonomy,
        form: AnswerForm,
        way_out: Option<&str>,
        step: Option<&Option<String>>,
    ) -> Result<String> {
        let fallback = taxonomy.fallback.as_deref();
        let priority = taxonomy.priority.as_deref();
        let intents = if way_out.is_some() { &[] } else { taxonomy.intents.as_slice() };
        let attributes = &taxonomy.attributes;
        let structured = form == AnswerForm::Structured;
        let (stepwise, within) = (step.is_some(), step.and_then(Option::as_deref));
        let values = context! { intents, attributes, fallback, priority, structured, way_out, stepwise, within };
        self.render("system.jinja", values)
    }

    /// The part of one ticket: the intents that are offered for it alone, if any, its examples
    /// and its text.
    pub fn ticket(&self, evidence: &Evidence, intents: &[&Intent]) -> Result<String> {
        let known = &evidence.taxonomy.attributes;
        let examples: Vec<ShownExample> = evidence
            .examples
            .iter()
            .map(|chosen| {
                let labelled = &chosen.candidate.example.labelled;
                ShownExample {
                    text: labelled.ticket.text.trim(),
                    reasoning: labelled.reasoning.as_deref(),
                    intent: &labelled.intent,
                    attributes: known
                        .iter()
                        .filter_map(|attribute| Some((attribute.name.as_str(), attribute.value_of(&labelled.ticket)?)))
                        .collect(),
                }
            })
            .collect();
        self.render("ticket.jinja", context! { intents, examples, ticket => evidence.ticket.text.trim() })
    }

    /// The question back, after an answer whose intent is not in the taxonomy or that had none.
    pub fn repair(&self, answered: Option<&str>, names: &[&str], form: AnswerForm) -> Result<String> {
        self.render("repair.jinja", context! { answered, names, structured => form == AnswerForm::Structured })
    }

    #[cfg(feature = "claude")]
    /// The sources of all templates, for the fingerprint of the prompt.
    pub(crate) fn sources(&self) -> String {
        let templates = TEMPLATES.iter().filter_map(|(name, _)| self.environment.get_template(name).ok());
        templates.map(|template| template.source().to_owned()).collect()
    }

    fn render(&self, name: &str, values: Value) -> Result<String> {
        self.environment
            .get_template(name)
            .and_then(|template| template.render(values))
            .map(|text| text.trim().to_owned())
            .map_err(|e| Error::configuration(format!("the prompt {name} cannot be rendered: {e:#}")))
    }
}

/// Makes a text harmless between tags. [`crate::stages::parse`] undoes it in names.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // A NUL or an escape code has no place in a prompt.
            letter if letter.is_control() && !matches!(letter, '\n' | '\t') => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}
