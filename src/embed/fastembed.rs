//! Dense vectors by fastembed, which runs ONNX models.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use fastembed::{
    EmbeddingModel, InitOptionsUserDefined, Pooling, QuantizationMode, TextEmbedding, TextInitOptions, TokenizerFiles,
    UserDefinedEmbeddingModel,
};

use ort::environment::{Environment, EnvironmentBuilder};

use super::worker::Worker;
use super::{Embedder, ModelPaths};
use crate::{Error, Result};

/// The model that `scripts/setup` provides.
pub const DEFAULT_MODEL: &str = "all-MiniLM-L6-v2";

/// How many tokens of a text the default model reads; it was trained with this many.
const DEFAULT_MODEL_TOKENS: usize = 256;

/// An embedding model in memory, on a thread of its own.
pub struct FastEmbedder {
    name: String,
    dimension: usize,
    worker: Worker,
}

impl FastEmbedder {
    /// Loads a model: the default one from the folders of `paths`, any other name of
    /// fastembed's list through fastembed's own download.
    pub fn load(name: &str, paths: &ModelPaths) -> Result<Self> {
        let runtime = runtime(paths)?;
        let (mut model, batch_size) = if name == DEFAULT_MODEL {
            (load_folder(&paths.model(name)?, runtime)?, super::worker::BATCH_SIZE)
        } else {
            load_listed(name, runtime)?
        };
        // The first pass warms the model up and tells the length of its vectors.
        let first = model
            .embed(["dimension"], None)
            .map_err(|e| Error::embedder(format!("the embedder {name} does not work: {e}; run scripts/setup again")))?;
        let dimension = first[0].len();
        let worker = Worker::start(model, batch_size)?;
        Ok(Self { name: name.to_owned(), dimension, worker })
    }
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

/// The runtime of this process, started once. `ort` would panic later if the library were
/// missing, so it is found first.
fn runtime(paths: &ModelPaths) -> Result<Environment> {
    static STARTED: Mutex<Option<Environment>> = Mutex::new(None);

    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*started {
        return Ok(environment.clone());
    }
    let environment = chosen_library(paths)?
        // Its vendor's builds report usage; nothing leaves this machine unasked.
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

fn load_folder(folder: &Path, runtime: Environment) -> Result<TextEmbedding> {
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
    TextEmbedding::try_new_from_user_defined(
        model,
        InitOptionsUserDefined::new().with_environment(runtime).with_max_length(DEFAULT_MODEL_TOKENS),
    )
    .map_err(|e| {
        Error::embedder(format!("the model in {} cannot be loaded: {e}; run scripts/setup again", folder.display()))
    })
}

/// A model of fastembed's list, and how many texts it may take at once.
fn load_listed(name: &str, runtime: Environment) -> Result<(TextEmbedding, usize)> {
    let models = TextEmbedding::list_supported_models();
    let Some(info) = models
        .iter()
        .find(|info| info.model_code.eq_ignore_ascii_case(name) || info.model.to_string().eq_ignore_ascii_case(name))
    else {
        let codes: Vec<&str> = models.iter().map(|info| info.model_code.as_str()).collect();
        return Err(Error::configuration(format!(
            "there is no embedder {name:?}; choose {DEFAULT_MODEL} or one of: {}",
            codes.join(", ")
        )));
    };
    let model: EmbeddingModel = info.model.clone();
    // Dynamic quantization makes a vector depend on the texts beside it.
    let dynamic = TextEmbedding::get_quantization_mode(&model) == QuantizationMode::Dynamic;
    let loaded = TextEmbedding::try_new(TextInitOptions::new(model).with_environment(runtime).with_show_download_progress(true)).map_err(|e| {
        Error::embedder(format!(
            "the embedder {name} cannot be loaded: {e}; it is downloaded from its model hub at first use: check the network"
        ))
    })?;
    Ok((loaded, if dynamic { 1 } else { super::worker::BATCH_SIZE }))
}
