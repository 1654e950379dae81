//! Dense vectors by fastembed, which runs ONNX models.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use fastembed::{
    EmbeddingModel, InitOptionsUserDefined, Pooling, QuantizationMode, TextEmbedding, TextInitOptions, TokenizerFiles,
    UserDefinedEmbeddingModel,
};

use ort::environment::{Environment, EnvironmentBuilder};

use super::worker::{BATCH_SIZE, Load, Model, Vectors, Worker};
use super::{Embedder, ModelPaths};
use crate::{Error, Result};

/// The default model.
pub const DEFAULT_MODEL: &str = "all-MiniLM-L6-v2";
/// The default model with weights of 8 bits: a quarter of the size, and faster.
pub const INT8_MODEL: &str = "all-MiniLM-L6-v2-int8";
/// The models that `scripts/setup` provides.
pub(super) const PROVIDED: [&str; 2] = [DEFAULT_MODEL, INT8_MODEL];

/// How many tokens of a text the provided models read: as many as they were trained with.
const PROVIDED_TOKENS: usize = 256;

/// An embedding model in memory, on a thread of its own.
pub struct FastEmbedder {
    name: String,
    dimension: usize,
    worker: Worker,
}

impl FastEmbedder {
    /// Loads a model: one that `scripts/setup` provides from the folders of `paths`, any other one of
    /// fastembed's list through fastembed's own download.
    pub fn load(name: &str, paths: &ModelPaths) -> Result<Self> {
        let runtime = runtime(paths)?;
        let (load, is_dynamic): (Load, bool) = if PROVIDED.contains(&name) {
            let folder = paths.model(name)?;
            (Box::new(move |threads| boxed(load_folder(&folder, runtime.clone(), threads))), name == INT8_MODEL)
        } else {
            let listed = find_listed(name)?;
            let is_dynamic = TextEmbedding::get_quantization_mode(&listed) == QuantizationMode::Dynamic;
            let name = name.to_owned();
            (Box::new(move |threads| boxed(load_listed(&name, &listed, runtime.clone(), threads))), is_dynamic)
        };
        let mut model = load(None)?;
        // The first pass warms the model up and tells the length of its vectors.
        let first = model
            .embed(&["dimension"])
            .map_err(|e| Error::embedder(format!("the embedder {name} does not work: {e}; run scripts/setup again")))?;
        let dimension = first[0].len();
        // Dynamic quantization makes a vector depend on the texts beside it, so each text goes alone.
        let worker = Worker::start(model, load, if is_dynamic { 1 } else { BATCH_SIZE })?;
        Ok(Self { name: name.to_owned(), dimension, worker })
    }
}

impl Model for TextEmbedding {
    fn embed(&mut self, texts: &[&str]) -> Vectors {
        self.embed(texts, None).map_err(failed)
    }

    fn tokens(&self, text: &str) -> Result<usize> {
        self.tokenizer.encode_fast(text, true).map(|tokens| tokens.len()).map_err(failed)
    }
}

fn boxed(model: Result<TextEmbedding>) -> Result<Box<dyn Model>> {
    Ok(Box::new(model?))
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::embedder(format!("the embedding model failed: {e}"))
}

#[async_trait]
impl Embedder for FastEmbedder {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        self.worker.embed(texts).await
    }
}

/// The runtime of this process, started once. The library is looked for first, because `ort` would panic
/// without it.
fn runtime(paths: &ModelPaths) -> Result<Environment> {
    static STARTED: Mutex<Option<Environment>> = Mutex::new(None);

    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*started {
        return Ok(environment.clone());
    }
    let environment = chosen_library(paths)?
        // The vendor's builds report usage. Nothing leaves this machine unasked.
        .with_telemetry(false)
        .build()
        .map_err(|e| Error::embedder(format!("the ONNX runtime cannot be started: {e}; run scripts/setup again")))?;
    Ok(started.insert(environment).clone())
}

#[cfg(feature = "runtime-library")]
fn chosen_library(paths: &ModelPaths) -> Result<EnvironmentBuilder> {
    let library = paths.runtime()?;
    ort::init_from(&library).map_err(|e| {
        Error::embedder(format!(
            "the ONNX runtime {} cannot be loaded: {e}; run scripts/setup again",
            library.display()
        ))
    })
}

#[cfg(not(feature = "runtime-library"))]
fn chosen_library(_: &ModelPaths) -> Result<EnvironmentBuilder> {
    Ok(ort::init())
}

/// Ends the busy loop in which the runtime's threads wait for work. After a pass it would hold up the
/// search.
fn stop_spinning() -> (String, String) {
    ("session.force_spinning_stop".to_owned(), "1".to_owned())
}

fn load_folder(folder: &Path, runtime: Environment, threads: Option<usize>) -> Result<TextEmbedding> {
    let read = |file: &str| {
        let path = folder.join(file);
        std::fs::read(&path)
            .map_err(|e| Error::embedder(format!("cannot read {}: {e}; run scripts/setup again", path.display())))
    };
    let tokenizer = TokenizerFiles {
        tokenizer_file: read("tokenizer.json")?,
        config_file: read("config.json")?,
        special_tokens_map_file: read("special_tokens_map.json")?,
        tokenizer_config_file: read("tokenizer_config.json")?,
    };
    let model = UserDefinedEmbeddingModel::new(read("model.onnx")?, tokenizer).with_pooling(Pooling::Mean);
    let mut options = InitOptionsUserDefined::new().with_environment(runtime).with_max_length(PROVIDED_TOKENS);
    options.intra_threads = threads;
    options.session_config.push(stop_spinning());
    TextEmbedding::try_new_from_user_defined(model, options).map_err(|e| {
        Error::embedder(format!("the model in {} cannot be loaded: {e}; run scripts/setup again", folder.display()))
    })
}

/// A model of fastembed's list.
fn find_listed(name: &str) -> Result<EmbeddingModel> {
    let models = TextEmbedding::list_supported_models();
    let is_it = |model: &str| model.eq_ignore_ascii_case(name);
    if let Some(info) = models.iter().find(|info| is_it(&info.model_code) || is_it(&info.model.to_string())) {
        return Ok(info.model.clone());
    }
    let codes: Vec<&str> = models.iter().map(|info| info.model_code.as_str()).collect();
    Err(Error::configuration(format!(
        "there is no embedder {name:?}; choose {} or one of: {}",
        PROVIDED.join(", "),
        codes.join(", ")
    )))
}

fn load_listed(
    name: &str,
    model: &EmbeddingModel,
    runtime: Environment,
    threads: Option<usize>,
) -> Result<TextEmbedding> {
    let mut options = TextInitOptions::new(model.clone()).with_environment(runtime).with_show_download_progress(true);
    options.intra_threads = threads;
    options.session_config.push(stop_spinning());
    TextEmbedding::try_new(options).map_err(|e| {
        Error::embedder(format!(
            "the embedder {name} cannot be loaded: {e}; it is downloaded from its model hub at first use: check the network"
        ))
    })
}
