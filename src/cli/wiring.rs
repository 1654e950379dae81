//! Puts the parts together: the one file that knows every adapter.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::CommonArgs;
use super::claude::{ClaudeArgs, ClaudeRun};
use super::evidence::EvidenceArgs;
use crate::claude::Client;
use crate::cli::config::{self, Config};
use crate::data::ticket::LabelledTicket;
use crate::embed::{DEFAULT_MODEL, Embedder, FastEmbedder, HashEmbedder};
use crate::input::{self, InputOptions};
use crate::label::{CascadeLabeler, Labeler, VoteLabeler};
use crate::pipeline::{Options, Retriever, cascade_threshold};
use crate::store::{ExampleStore, StoreLocation, StoreOptions};
use crate::{Error, Result};

const DEFAULT_STORE: &str = ".ticket-router";

/// The common flags, with the environment and the settings file behind them.
pub(super) struct Settings {
    pub(super) store: StoreLocation,
    pub(super) store_options: StoreOptions,
    pub(super) embedder: String,
    model_dir: Option<PathBuf>,
    pub(super) config: Config,
}

/// Who labels, and from what.
#[derive(Debug, Args)]
pub(super) struct LabelerArgs {
    /// Who names the intent: Claude, a vote of the nearest examples (no network, no key), or a
    /// cascade: the vote where it is sure, Claude for the rest [default: claude]
    #[arg(long, value_enum)]
    labeler: Option<LabelerKind>,
    /// The vote of a cascade is sure from this confidence on [default: as calibrated, else 0.7]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    cascade_threshold: Option<f32>,
    /// Below this confidence (0 to 1) a ticket goes to review [default: 0 for claude, 0.5 for vote]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_confidence: Option<f32>,
    /// How many tickets are under way at once [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    #[command(flatten)]
    evidence: EvidenceArgs,
    #[command(flatten)]
    claude: ClaudeArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LabelerKind {
    Claude,
    Vote,
    Cascade,
}

/// The labeler's settings, resolved.
pub(super) struct Labelling {
    pub(super) who: Who,
    /// With a threshold where it is a cascade.
    pub(super) options: Options,
    pub(super) concurrency: usize,
    /// The vote's confidence from which a cascade does not ask, if it was given.
    cascade_threshold: Option<f32>,
}

/// Who labels.
pub(super) enum Who {
    Vote,
    Claude(Box<ClaudeRun>),
}

impl Settings {
    pub(super) fn resolve(args: &CommonArgs) -> Result<Self> {
        let config = Config::load(args.config.as_deref())?;
        let store = args.store.clone().or_else(|| config.store.clone()).unwrap_or_else(|| DEFAULT_STORE.into());
        Ok(Self {
            store: store.parse()?,
            store_options: config::store_options(&config),
            embedder: args.embedder.clone().or_else(|| config.embedder.clone()).unwrap_or_else(|| DEFAULT_MODEL.into()),
            model_dir: args.model_dir.clone().or_else(|| config.model_dir.clone()),
            config,
        })
    }

    pub(super) async fn open_store(&self) -> Result<Arc<dyn ExampleStore>> {
        self.store.open(&self.store_options).await
    }

    /// The store, if there is one.
    pub(super) async fn find_store(&self) -> Result<Option<Arc<dyn ExampleStore>>> {
        self.store.find(&self.store_options).await
    }

    pub(super) async fn open_or_create_store(&self, dimension: usize) -> Result<Arc<dyn ExampleStore>> {
        self.store.open_or_create(&self.store_options, dimension).await
    }

    pub(super) async fn embedder(&self) -> Result<Arc<dyn Embedder>> {
        if self.embedder == HashEmbedder::NAME {
            return Ok(Arc::new(HashEmbedder));
        }
        let (name, paths) = (self.embedder.clone(), config::model_paths(self.model_dir.clone()));
        let loaded = tokio::task::spawn_blocking(move || FastEmbedder::load(&name, &paths)).await;
        Ok(Arc::new(loaded.map_err(|e| Error::embedder(format!("the embedder could not be loaded: {e}")))??))
    }
}

impl LabelerArgs {
    /// Resolves the flags. `sends` is false when no request will go out, which needs no key;
    /// a journal is kept beside `output`.
    pub(super) fn resolve(&self, config: &Config, sends: bool, output: Option<&Path>) -> Result<Labelling> {
        let kind = match (self.labeler, config.labeler.as_deref()) {
            (Some(kind), _) => kind,
            (None, None) => LabelerKind::Claude,
            (None, Some(name)) => LabelerKind::from_str(name, true).map_err(|_| {
                Error::configuration(format!("there is no labeler {name:?}; choose claude, vote or cascade"))
            })?,
        };
        let concurrency = self.concurrency(config);
        let who = match kind {
            LabelerKind::Vote => Who::Vote,
            LabelerKind::Claude | LabelerKind::Cascade => {
                Who::Claude(Box::new(self.claude.run(config, concurrency, sends, output)?))
            }
        };
        let threshold = self.cascade_threshold.unwrap_or(CascadeLabeler::THRESHOLD);
        Ok(Labelling {
            who,
            options: Options {
                min_confidence: self.min_confidence.or(config.min_confidence),
                cascade: (kind == LabelerKind::Cascade).then_some(threshold),
                ..self.evidence.resolve(config)?
            },
            concurrency,
            cascade_threshold: self.cascade_threshold,
        })
    }

    /// A run with Claude beside another labeler, for arms that name it.
    pub(super) fn claude_run(&self, config: &Config, output: Option<&Path>) -> Result<ClaudeRun> {
        self.claude.run(config, self.concurrency(config), true, output)
    }

    /// A client that counts tokens for an estimate, when there is a key.
    pub(super) fn token_counter(&self, config: &Config) -> Result<Option<Client>> {
        self.claude.find_client(config, self.concurrency(config))
    }

    fn concurrency(&self, config: &Config) -> usize {
        let flag = self.concurrency.map(|n| n as usize);
        flag.or(config.concurrency).unwrap_or(crate::pipeline::DEFAULT_CONCURRENCY)
    }
}

impl Labelling {
    /// From which confidence of the vote on a cascade does not ask: as given, as the store of
    /// `retriever` is calibrated, or the usual one. Unless it was given, a note says which and why.
    pub(super) async fn threshold(
        &self,
        retriever: Option<&Retriever>,
        options: &Options,
    ) -> Result<(f32, Option<String>)> {
        if let Some(given) = self.cascade_threshold {
            return Ok((given, None));
        }
        let (found, why) = match retriever {
            Some(retriever) => cascade_threshold(retriever, options).await?,
            None => (None, "a calibration is for what is retrieved from its own store".to_owned()),
        };
        let threshold = found.unwrap_or(CascadeLabeler::THRESHOLD);
        let usual = if found.is_none() { ", as usual" } else { "" };
        let note = format!("the cascade takes the vote's answer from a confidence of {threshold} on{usual}: {why}");
        Ok((threshold, Some(note)))
    }

    /// Finds the threshold of a run that is a cascade, unless it was given; a note says which it is.
    pub(super) async fn look_up_threshold(&mut self, retriever: &Retriever) -> Result<Option<String>> {
        if self.options.cascade.is_none() {
            return Ok(None);
        }
        let (threshold, note) = self.threshold(Some(retriever), &self.options).await?;
        self.options.cascade = Some(threshold);
        Ok(note)
    }

    /// The labeler of a usual pass over the tickets.
    pub(super) fn labeler(&self) -> Arc<dyn Labeler> {
        match &self.who {
            Who::Vote => Arc::new(VoteLabeler),
            Who::Claude(run) => run.labeler(),
        }
    }

    pub(super) fn claude(&self) -> Option<&ClaudeRun> {
        match &self.who {
            Who::Vote => None,
            Who::Claude(run) => Some(run),
        }
    }
}

/// A share from 0 to 1.
pub(super) fn share(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("{text} is not a share from 0 to 1"))
}

/// Reads the text of a taxonomy's file.
pub(super) fn read_taxonomy(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| Error::bad_input(format!("cannot read the taxonomy {}: {e}", path.display())))
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
