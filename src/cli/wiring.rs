//! Puts the parts together: the one file that knows every adapter.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::CommonArgs;
use crate::claude::{Client, ClientSettings, DEFAULT_MODEL as DEFAULT_CLAUDE, Models};
use crate::config::{self, Config};
use crate::embed::{DEFAULT_MODEL, Embedder, FastEmbedder};
use crate::input::{self, InputOptions};
use crate::label::{ClaudeLabeler, Labeler, VoteLabeler};
use crate::prompt::Prompts;
use crate::store::EdgeStore;
use crate::ticket::LabelledTicket;
use crate::{Error, Result};

const DEFAULT_STORE: &str = ".ticket-router";

/// The common flags, with the environment and the settings file behind them.
pub(super) struct Settings {
    pub(super) store: PathBuf,
    embedder: String,
    model_dir: Option<PathBuf>,
    pub(super) config: Config,
}

/// Who labels, and from what.
#[derive(Debug, Args)]
pub(super) struct LabelerArgs {
    /// Who names the intent: Claude, or a vote of the nearest examples (no network, no key)
    /// [default: claude]
    #[arg(long, value_enum)]
    labeler: Option<LabelerKind>,
    /// Claude model [default: claude-haiku-5-5]
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    /// Folder with prompt templates that replace the built-in ones of the same names
    #[arg(long, value_name = "DIR")]
    prompts: Option<PathBuf>,
    /// How many retrieved examples are shown [default: 5]
    #[arg(short, value_name = "N")]
    k: Option<usize>,
    /// Below this agreement with the similar examples (0 to 1) a ticket goes to review
    /// [default: 0 for claude, 0.5 for vote]
    #[arg(long, value_name = "SHARE")]
    min_confidence: Option<f32>,
    /// How many tickets are under way at once [default: 8]
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LabelerKind {
    Claude,
    Vote,
}

/// The labeler's settings, resolved.
pub(super) struct LabelerSettings {
    kind: LabelerKind,
    model: String,
    prompts: Option<PathBuf>,
    pub(super) k: usize,
    pub(super) min_confidence: Option<f32>,
    pub(super) concurrency: usize,
}

impl Settings {
    pub(super) fn resolve(args: &CommonArgs) -> Result<Self> {
        let config = Config::load(args.config.as_deref())?;
        let store = args.store.clone().or_else(|| config.store.clone()).unwrap_or_else(|| DEFAULT_STORE.into());
        if store.starts_with("http://") || store.starts_with("https://") {
            return Err(Error::configuration(format!(
                "--store {store}: this version keeps its examples in a folder; give a folder"
            )));
        }
        Ok(Self {
            store: store.into(),
            embedder: args.embedder.clone().or_else(|| config.embedder.clone()).unwrap_or_else(|| DEFAULT_MODEL.into()),
            model_dir: args.model_dir.clone().or_else(|| config.model_dir.clone()),
            config,
        })
    }

    pub(super) async fn open_store(&self) -> Result<Arc<EdgeStore>> {
        Ok(Arc::new(EdgeStore::open(&self.store).await?))
    }

    pub(super) async fn embedder(&self) -> Result<Arc<dyn Embedder>> {
        let (name, paths) = (self.embedder.clone(), config::model_paths(self.model_dir.clone()));
        let loaded = tokio::task::spawn_blocking(move || FastEmbedder::load(&name, &paths)).await;
        Ok(Arc::new(loaded.map_err(|e| Error::embedder(format!("the embedder could not be loaded: {e}")))??))
    }
}

impl LabelerArgs {
    pub(super) fn resolve(&self, config: &Config) -> Result<LabelerSettings> {
        let kind = match (self.labeler, config.labeler.as_deref()) {
            (Some(kind), _) => kind,
            (None, None) => LabelerKind::Claude,
            (None, Some(name)) => LabelerKind::from_str(name, true)
                .map_err(|_| Error::configuration(format!("there is no labeler {name:?}; choose claude or vote")))?,
        };
        let min_confidence = self.min_confidence.or(config.min_confidence);
        if let Some(share) = min_confidence
            && !(0.0..=1.0).contains(&share)
        {
            return Err(Error::configuration(format!("--min-confidence {share} is not a share from 0 to 1")));
        }
        Ok(LabelerSettings {
            kind,
            model: self.model.clone().or_else(|| config.model.clone()).unwrap_or_else(|| DEFAULT_CLAUDE.into()),
            prompts: self.prompts.clone().or_else(|| config.prompts.clone()),
            k: self.k.or(config.k).unwrap_or(crate::classifier::DEFAULT_K),
            min_confidence,
            concurrency: self.concurrency.or(config.concurrency).unwrap_or(crate::classifier::DEFAULT_CONCURRENCY),
        })
    }
}

impl LabelerSettings {
    /// The labeler. With `sends` false it needs no key and can only preview.
    pub(super) fn labeler(&self, sends: bool) -> Result<Arc<dyn Labeler>> {
        match self.kind {
            LabelerKind::Vote => Ok(Arc::new(VoteLabeler)),
            LabelerKind::Claude => {
                let client = if sends { Some(client()?) } else { None };
                let model = Models::built_in()?.find(&self.model);
                Ok(Arc::new(ClaudeLabeler::new(client, model, Prompts::load(self.prompts.as_deref())?)))
            }
        }
    }
}

fn client() -> Result<Client> {
    let credentials = config::credentials()?.ok_or_else(|| {
        Error::configuration(
            "no key: set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN) to use Claude, or choose --labeler vote, which needs none",
        )
    })?;
    Client::new(&ClientSettings::new(config::base_url(), credentials))
}

/// Reads labelled tickets; a bad row is an error here, since nothing may silently be left out.
pub(super) fn read_labelled(path: &Path, options: &InputOptions) -> Result<Vec<LabelledTicket>> {
    let (mut tickets, mut bad) = (Vec::new(), Vec::new());
    for row in input::read(path, options)? {
        match row.content.and_then(|content| content.labelled(options)) {
            Ok(labelled) => tickets.push(labelled),
            Err(message) => bad.push(format!("{}: {message}", row.place)),
        }
    }
    match bad.as_slice() {
        [] => Ok(tickets),
        [only] => Err(Error::bad_input(format!("{only}; correct the row or take it out"))),
        [first, rest @ ..] => {
            Err(Error::bad_input(format!("{first} (and {} more bad rows); correct them or take them out", rest.len())))
        }
    }
}
