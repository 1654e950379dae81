//! The labeler that asks Claude: prompt, call, parse, at most one question back, and the whole
//! list of intents where the shortlist was not enough.

use std::fmt;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use serde_json::Value;

use super::{Basis, Identity, Label, Labeler};
use crate::claude::{AnswerSource, Model, Request};
use crate::data::evidence::Evidence;
use crate::data::taxonomy::Taxonomy;
use crate::data::ticket::text_hash;
use crate::stages::prompt::{AnswerForm, Prompts};
use crate::{Error, Result};

mod answer;
mod conversation;
mod offer;
mod request;

pub use offer::{ALL_INTENTS_UP_TO, IntentsMode};

use conversation::End;
use offer::Offer;
use request::Fixed;

/// Asks a Claude model.
pub struct ClaudeLabeler {
    /// `None` only for previews, which send nothing.
    source: Option<Arc<AnswerSource>>,
    model: Model,
    form: AnswerForm,
    prompts: Arc<Prompts>,
    intents: IntentsMode,
    /// The static parts of the requests, which are the same bytes for every ticket. Each taxonomy has
    /// one with all intents and one for the shortlist; a hierarchy has a taxonomy for each level.
    fixed: RwLock<Vec<(Arc<Taxonomy>, Arc<Fixed>)>>,
}

impl fmt::Debug for ClaudeLabeler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaudeLabeler").field("model", &self.model.id).finish_non_exhaustive()
    }
}

impl ClaudeLabeler {
    /// The form of answer that a model supports best.
    #[must_use]
    pub fn best_form(model: &Model) -> AnswerForm {
        if model.structured { AnswerForm::Structured } else { AnswerForm::Tags }
    }

    /// A labeler that gets its answers from `source`. Without one it can only
    /// [`preview`](Labeler::preview).
    #[must_use]
    pub fn new(source: Option<Arc<AnswerSource>>, model: Model, form: AnswerForm, prompts: Arc<Prompts>) -> Self {
        Self { source, model, form, prompts, intents: IntentsMode::default(), fixed: RwLock::default() }
    }

    /// Sets which intents each prompt describes. Unless set, the size of the taxonomy decides.
    #[must_use]
    pub fn with_intents(mut self, intents: IntentsMode) -> Self {
        self.intents = intents;
        self
    }

    /// The first request for this evidence.
    pub fn request(&self, evidence: &Evidence) -> Result<Request> {
        self.request_with(&Offer::of(self.intents, evidence), evidence)
    }
}

#[async_trait]
impl Labeler for ClaudeLabeler {
    fn name(&self) -> &'static str {
        "claude"
    }

    fn identity(&self, taxonomy: &Taxonomy) -> Result<Identity> {
        let rendered = self.prompts.system(taxonomy, self.form, None, None)?;
        // Calibrations are kept by these names, so they stay when types are renamed.
        let form = match self.form {
            AnswerForm::Tags => "Tags",
            AnswerForm::Structured => "Structured",
        };
        let intents = match self.intents {
            IntentsMode::Auto => "Auto",
            IntentsMode::All => "All",
            IntentsMode::Shortlist => "Shortlist",
        };
        let asked = format!("{}\n{rendered}\n{form} {intents}", self.prompts.sources());
        let mut prompt = text_hash(&asked);
        prompt.truncate(16);
        Ok(Identity { model: Some(self.model.id.clone()), prompt: Some(prompt), ..Identity::default() })
    }

    fn basis(&self, taxonomy: &Taxonomy) -> Basis {
        Basis { votes: false, shortlist: !self.intents.is_all_of(taxonomy) }
    }

    fn preview(&self, evidence: &Evidence) -> Result<Option<Value>> {
        serde_json::to_value(self.request(evidence)?)
            .map(Some)
            .map_err(|e| Error::internal(format!("the request cannot be written: {e}")))
    }

    async fn label(&self, evidence: &Evidence) -> Result<Label> {
        let mut label = Label { model: Some(self.model.id.clone()), cost_usd: Some(0.0), ..Label::default() };
        let mut may_ask_back = true;
        let offer = Offer::of(self.intents, evidence);
        let end = self.converse(&offer, evidence, &mut may_ask_back, &mut label).await?;
        if matches!((offer, end), (Offer::Shortlist { .. }, End::NoIntent)) {
            // The right intent may be one that retrieval did not put forward.
            self.converse(&Offer::All, evidence, &mut may_ask_back, &mut label).await?;
        }
        Ok(label)
    }
}
