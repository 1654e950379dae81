//! The flags and parts of a run with Claude: model, answers, pace, journal, cost.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::claude::{
    AnswerSource, Asked, Client, ClientSettings, DEFAULT_MODEL, Journal, Ledger, Model, Models, PaceLimits, RequestKey,
};
use crate::cli::config::{self, Config};
use crate::label::{ClaudeLabeler, IntentsMode, Labeler};
use crate::stages::prompt::AnswerForm;
use crate::stages::prompt::Prompts;
use crate::{Error, Result};

/// Flags that only matter for Claude.
#[derive(Debug, Args)]
#[command(next_help_heading = "Claude")]
pub(super) struct ClaudeArgs {
    /// Claude model [default: claude-haiku-5-5]
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    /// Table of models (TOML) that adds to the built-in one or replaces entries of it
    #[arg(long, value_name = "FILE")]
    models: Option<PathBuf>,
    /// Form of the answer [default: structured where the model supports it]
    #[arg(long, value_enum)]
    answer: Option<AnswerArg>,
    /// Intents that each prompt describes: all (static, cached), or the few that similar tickets
    /// suggest [default: auto: all up to 100 intents, the shortlist above]
    #[arg(long, value_enum)]
    intents: Option<IntentsArg>,
    /// Folder with prompt templates that replace the built-in ones of the same names
    #[arg(long, value_name = "DIR")]
    prompts: Option<PathBuf>,
    /// Stop before the run has cost more than this
    #[arg(long, value_name = "USD")]
    max_cost: Option<f64>,
    /// Send at most so many requests a minute
    #[arg(long, value_name = "N")]
    max_requests_per_minute: Option<u32>,
    /// Send at most about so many input tokens a minute
    #[arg(long, value_name = "N")]
    max_input_tokens_per_minute: Option<u32>,
    /// How often a failed request is sent again; 429 and 529 are waited out in any case
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,
    /// Longest wait for one answer
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// Give a ticket up when it is not answered this long after it was first sent
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    deadline: u64,
    /// Certificate authorities to trust besides the usual ones (PEM)
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Start over: forget the answers in the journal of this output
    #[arg(long)]
    fresh: bool,
    /// Keep the journal of the answers here and not beside the output
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Answer from this journal alone; a request that it does not hold fails. Needs no key
    #[arg(long, value_name = "FILE", conflicts_with = "fresh")]
    replay: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AnswerArg {
    Tags,
    Structured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IntentsArg {
    Auto,
    All,
    Shortlist,
}

/// Everything that a run with Claude shares between its workers.
pub(super) struct ClaudeRun {
    pub(super) model: Model,
    models: Models,
    answer: Option<AnswerArg>,
    form: AnswerForm,
    intents: IntentsMode,
    prompts: Arc<Prompts>,
    pub(super) client: Option<Arc<Client>>,
    pub(super) journal: Option<Arc<Journal>>,
    pub(super) ledger: Arc<Ledger>,
    replay: bool,
    /// What is asked alike for several arms of an evaluation is asked once.
    asked: Arc<Asked>,
}

impl ClaudeArgs {
    /// Sets a run up. `sends` is false for previews, which need no key; the journal is the
    /// one of `output` unless the flags name another.
    pub(super) fn run(
        &self,
        config: &Config,
        concurrency: usize,
        sends: bool,
        output: Option<&Path>,
    ) -> Result<ClaudeRun> {
        let id = self.model.clone().or_else(|| config.model.clone()).unwrap_or_else(|| DEFAULT_MODEL.into());
        let mut models = Models::built_in()?;
        if let Some(file) = self.models.as_ref().or(config.models.as_ref()) {
            models = models.extended(file)?;
        }
        let model = models.find(&id);
        let form = form(self.answer, &model);
        let intents = self.intents(config)?;
        let prompts = Arc::new(Prompts::load(self.prompts.as_deref().or(config.prompts.as_deref()))?);
        let ledger = Arc::new(Ledger::new(model.clone(), self.max_cost)?);
        let replay = self.replay.is_some();
        let client = if sends && !replay { Some(Arc::new(self.client(config, concurrency)?)) } else { None };
        let journal = match (&self.replay, &self.record, output) {
            (Some(path), _, _) => Some(Arc::new(Journal::read(path)?)),
            (None, Some(path), _) if sends => Some(Arc::new(Journal::open(path, self.fresh)?)),
            (None, None, Some(output)) if sends => Some(Arc::new(Journal::open(&journal_of(output), self.fresh)?)),
            _ => None,
        };
        Ok(ClaudeRun {
            model,
            models,
            answer: self.answer,
            form,
            intents,
            prompts,
            client,
            journal,
            ledger,
            replay,
            asked: Arc::default(),
        })
    }

    fn intents(&self, config: &Config) -> Result<IntentsMode> {
        let chosen = match (self.intents, config.intents.as_deref()) {
            (Some(chosen), _) => chosen,
            (None, None) => IntentsArg::Auto,
            (None, Some(name)) => IntentsArg::from_str(name, true).map_err(|_| {
                Error::configuration(format!("the setting intents is {name:?}; choose auto, all or shortlist"))
            })?,
        };
        Ok(match chosen {
            IntentsArg::Auto => IntentsMode::Auto,
            IntentsArg::All => IntentsMode::All,
            IntentsArg::Shortlist => IntentsMode::Shortlist,
        })
    }

    fn client(&self, config: &Config, concurrency: usize) -> Result<Client> {
        self.find_client(config, concurrency)?.ok_or_else(|| {
            Error::configuration(
                "no key: set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN) to use Claude, or choose --labeler vote, which needs none",
            )
        })
    }

    /// The client, or `None` without a key.
    pub(super) fn find_client(&self, config: &Config, concurrency: usize) -> Result<Option<Client>> {
        let Some(credentials) = config::credentials()? else { return Ok(None) };
        let settings = ClientSettings {
            retries: self.retries,
            timeout: Duration::from_secs(self.timeout),
            deadline: Duration::from_secs(self.deadline),
            pace: PaceLimits {
                concurrency,
                requests_per_minute: self.max_requests_per_minute,
                input_tokens_per_minute: self.max_input_tokens_per_minute,
            },
            ca_file: self.ca_file.clone().or_else(|| config.ca_file.clone()),
            ..ClientSettings::new(config::base_url(), credentials)
        };
        Client::new(&settings).map(Some)
    }
}

fn form(answer: Option<AnswerArg>, model: &Model) -> AnswerForm {
    match answer {
        None => ClaudeLabeler::best_form(model),
        Some(AnswerArg::Tags) => AnswerForm::Tags,
        Some(AnswerArg::Structured) => AnswerForm::Structured,
    }
}

impl ClaudeRun {
    /// The same run with another model or other prompts: one client, one journal, one account.
    pub(super) fn variant(&self, model: Option<&str>, prompts: Option<&Path>) -> Result<ClaudeRun> {
        let (model, ledger) = match model {
            None => (self.model.clone(), Arc::clone(&self.ledger)),
            Some(id) => {
                let model = self.models.find(id);
                (model.clone(), Arc::new(self.ledger.also_for(model)?))
            }
        };
        Ok(ClaudeRun {
            form: form(self.answer, &model),
            model,
            models: self.models.clone(),
            answer: self.answer,
            intents: self.intents,
            prompts: match prompts {
                None => Arc::clone(&self.prompts),
                Some(folder) => Arc::new(Prompts::load(Some(folder))?),
            },
            client: self.client.clone(),
            journal: self.journal.clone(),
            ledger,
            replay: self.replay,
            asked: Arc::clone(&self.asked),
        })
    }

    /// The labeler for one pass over the tickets.
    pub(super) fn labeler(&self) -> Arc<dyn Labeler> {
        self.labeler_of(self.source().map(Arc::new))
    }

    /// The labeler of an arm of an evaluation, which asks nothing that an arm before it asked in
    /// the same round.
    pub(super) fn arm_labeler(&self, round: u16) -> Arc<dyn Labeler> {
        self.labeler_of(self.source().map(|source| Arc::new(source.sharing(Arc::clone(&self.asked), round))))
    }

    fn source(&self) -> Option<AnswerSource> {
        match (&self.client, &self.journal) {
            (None, Some(journal)) if self.replay => {
                Some(AnswerSource::replay(Arc::clone(journal), Arc::clone(&self.ledger)))
            }
            (Some(client), journal) => {
                Some(AnswerSource::api(Arc::clone(client), journal.clone(), Arc::clone(&self.ledger)))
            }
            _ => None,
        }
    }

    /// The labeler of a pass that collects what the journal does not hold.
    pub(super) fn collector(
        &self,
        failed: &HashMap<RequestKey, String>,
    ) -> Option<(Arc<dyn Labeler>, Arc<AnswerSource>)> {
        let journal = Arc::clone(self.journal.as_ref()?);
        let source = Arc::new(AnswerSource::collecting(journal, Arc::clone(&self.ledger), failed.clone()));
        Some((self.labeler_of(Some(Arc::clone(&source))), source))
    }

    fn labeler_of(&self, source: Option<Arc<AnswerSource>>) -> Arc<dyn Labeler> {
        let labeler = ClaudeLabeler::new(source, self.model.clone(), self.form, Arc::clone(&self.prompts));
        Arc::new(labeler.with_intents(self.intents))
    }
}

/// The journal beside an output.
fn journal_of(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".journal");
    name.into()
}
