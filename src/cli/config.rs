//! Settings from the environment and from `ticket-router.toml`. The only place that reads
//! the environment. Flags beat it, it beats the file, the file beats the defaults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::claude::Credentials;
use crate::embed::ModelPaths;
use crate::store::{CollectionSettings, StoreOptions};
use crate::{Error, Result};

/// The file that is read from the working directory when it is there.
pub const CONFIG_FILE: &str = "ticket-router.toml";

/// What a user may set once for all runs. Every field has a flag of the same name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The store's folder or address.
    pub store: Option<String>,
    /// The folder that `scripts/setup` filled.
    pub model_dir: Option<PathBuf>,
    /// The embedding model.
    pub embedder: Option<String>,
    /// `claude` or `vote`.
    pub labeler: Option<String>,
    /// The Claude model.
    pub model: Option<String>,
    /// A table of models that adds to the built-in one.
    pub models: Option<PathBuf>,
    /// Certificate authorities to trust besides the usual ones.
    pub ca_file: Option<PathBuf>,
    /// A folder with prompt templates.
    pub prompts: Option<PathBuf>,
    /// `auto`, `all` or `shortlist`: the intents that each prompt describes.
    pub intents: Option<String>,
    /// How many examples are shown.
    pub k: Option<usize>,
    /// The confidence below which a ticket goes to review.
    pub min_confidence: Option<f32>,
    /// How many tickets are under way at once.
    pub concurrency: Option<usize>,
    /// How long a request to a Qdrant server may take, and how long one that is away is waited for.
    pub store_timeout_seconds: Option<u64>,
    /// How Qdrant keeps the examples; has no flags.
    pub qdrant: CollectionSettings,
}

impl Config {
    /// Reads `file`, or [`CONFIG_FILE`] if it is there, and lays the environment over it.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let path = file.unwrap_or(Path::new(CONFIG_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && file.is_none() => String::new(),
            Err(e) => return Err(Error::configuration(format!("cannot read {}: {e}", path.display()))),
        };
        let from_file: Self = toml::from_str(&text)
            .map_err(|e| Error::configuration(format!("{}: {}", path.display(), e.message().trim())))?;
        Self {
            store: variable("TICKET_ROUTER_STORE").or(from_file.store),
            model_dir: variable("TICKET_ROUTER_MODEL_DIR").map(PathBuf::from).or(from_file.model_dir),
            embedder: variable("TICKET_ROUTER_EMBEDDER").or(from_file.embedder),
            labeler: variable("TICKET_ROUTER_LABELER").or(from_file.labeler),
            model: variable("TICKET_ROUTER_MODEL").or(from_file.model),
            models: variable("TICKET_ROUTER_MODELS").map(PathBuf::from).or(from_file.models),
            ca_file: variable("TICKET_ROUTER_CA_FILE").map(PathBuf::from).or(from_file.ca_file),
            prompts: variable("TICKET_ROUTER_PROMPTS").map(PathBuf::from).or(from_file.prompts),
            intents: variable("TICKET_ROUTER_INTENTS").or(from_file.intents),
            k: number("TICKET_ROUTER_K")?.or(from_file.k),
            min_confidence: number("TICKET_ROUTER_MIN_CONFIDENCE")?.or(from_file.min_confidence),
            concurrency: number("TICKET_ROUTER_CONCURRENCY")?.or(from_file.concurrency),
            store_timeout_seconds: number("TICKET_ROUTER_STORE_TIMEOUT_SECONDS")?.or(from_file.store_timeout_seconds),
            qdrant: from_file.qdrant,
        }
        .checked()
    }

    fn checked(self) -> Result<Self> {
        let wrong = |name: &str, value: &str, range: &str| {
            Err(Error::configuration(format!("the setting {name} is {value}, which is not {range}")))
        };
        match (self.k, self.min_confidence, self.concurrency) {
            (Some(k), _, _) if !(1..=50).contains(&k) => wrong("k", &k.to_string(), "from 1 to 50"),
            (_, Some(share), _) if !(0.0..=1.0).contains(&share) => {
                wrong("min_confidence", &share.to_string(), "a share from 0 to 1")
            }
            (_, _, Some(0)) => wrong("concurrency", "0", "at least 1"),
            _ if self.store_timeout_seconds == Some(0) => wrong("store_timeout_seconds", "0", "at least 1"),
            _ if [self.qdrant.shards, self.qdrant.replication_factor, self.qdrant.write_consistency].contains(&0) => {
                wrong("qdrant", "shards, replication_factor or write_consistency of 0", "at least 1 each")
            }
            _ => Ok(self),
        }
    }
}

/// The folders in which the model and the runtime are looked for.
#[must_use]
pub fn model_paths(chosen: Option<PathBuf>) -> ModelPaths {
    let data_home = variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".local").join("share")));
    let program = std::env::current_exe().ok();
    // Beside the program, or in the clone that it was built in.
    let around = program.iter().flat_map(|path| path.ancestors().skip(1).take(3)).map(|folder| folder.join(".runtime"));
    let usual = std::iter::once(PathBuf::from(".runtime"))
        .chain(data_home.map(|home| home.join("ticket-router")))
        .chain(around.filter(|folder| folder.is_dir()));
    ModelPaths { chosen, usual: usual.collect(), library: variable("ORT_DYLIB_PATH").map(PathBuf::from) }
}

/// How a store is opened, with the key of the environment.
#[must_use]
pub fn store_options(config: &Config) -> StoreOptions {
    let usual = StoreOptions::default();
    StoreOptions {
        settings: config.qdrant.clone(),
        api_key: variable("QDRANT_API_KEY"),
        timeout: config.store_timeout_seconds.map_or(usual.timeout, Duration::from_secs),
    }
}

/// The API's address.
#[must_use]
pub fn base_url() -> String {
    variable("ANTHROPIC_BASE_URL").unwrap_or_else(|| "https://api.anthropic.com".into())
}

/// The key or token of the API; `None` when neither is set.
pub fn credentials() -> Result<Option<Credentials>> {
    match (variable("ANTHROPIC_API_KEY"), variable("ANTHROPIC_AUTH_TOKEN")) {
        (Some(_), Some(_)) => Err(Error::configuration(
            "both ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN are set, and the API takes one; unset the other",
        )),
        (Some(key), None) => Ok(Some(Credentials::ApiKey(key.into()))),
        (None, Some(token)) => Ok(Some(Credentials::Token(token.into()))),
        (None, None) => Ok(None),
    }
}

/// An empty variable counts as not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn number<T: std::str::FromStr>(name: &str) -> Result<Option<T>> {
    match variable(name) {
        None => Ok(None),
        Some(value) => value
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| Error::configuration(format!("{name} is {value:?}, which is not a number it can be"))),
    }
}
