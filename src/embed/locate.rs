//! Where the model and the ONNX runtime are looked for.

use std::path::{Path, PathBuf};

use super::PROVIDED;
use crate::{Error, Result};

/// File names of the runtime, by system.
const LIBRARIES: [&str; 3] = ["libonnxruntime.so", "libonnxruntime.dylib", "onnxruntime.dll"];
const SETUP: &str = "run scripts/setup, or name a folder that it filled with --model-dir or TICKET_ROUTER_MODEL_DIR";

/// The folders that may hold `lib/` and the models, in the order in which they are tried.
#[derive(Debug, Clone, Default)]
pub struct ModelPaths {
    /// A folder that the user named: it alone is tried.
    pub chosen: Option<PathBuf>,
    /// The folders that are tried in turn otherwise.
    pub usual: Vec<PathBuf>,
    /// A runtime library named by the user (`ORT_DYLIB_PATH`).
    pub library: Option<PathBuf>,
}

impl ModelPaths {
    fn folders(&self) -> impl Iterator<Item = &Path> {
        let usual = if self.chosen.is_some() { &[][..] } else { &self.usual[..] };
        self.chosen.iter().chain(usual).map(PathBuf::as_path)
    }

    fn tried(&self) -> String {
        self.folders().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    /// The runtime library.
    pub(super) fn runtime(&self) -> Result<PathBuf> {
        if let Some(library) = &self.library {
            return if library.is_file() {
                Ok(library.clone())
            } else {
                Err(Error::embedder(format!("ORT_DYLIB_PATH names {}, which is no file; {SETUP}", library.display())))
            };
        }
        self.folders()
            .flat_map(|folder| {
                // A --model-dir may be the folder of the model itself, beside `lib`.
                let beside = folder.parent().map(|parent| parent.join("lib"));
                std::iter::once(folder.join("lib")).chain(beside)
            })
            .flat_map(|folder| LIBRARIES.map(|name| folder.join(name)))
            .find(|path| path.is_file())
            .ok_or_else(|| Error::embedder(format!("no ONNX runtime library in {} (lib/); {SETUP}", self.tried())))
    }

    /// The folder of a model.
    pub(super) fn model(&self, name: &str) -> Result<PathBuf> {
        // A --model-dir may be the folder of a model itself, but not of the other one.
        let is_other = |folder: &Path| PROVIDED.iter().any(|other| *other != name && folder.ends_with(other));
        self.folders()
            .flat_map(|folder| [folder.join(name), folder.with_file_name(name), folder.to_path_buf()])
            .find(|folder| folder.join("model.onnx").is_file() && !is_other(folder))
            .ok_or_else(|| Error::embedder(format!("no model {name} in {}; {SETUP}", self.tried())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DEFAULT_MODEL, INT8_MODEL};
    use super::*;

    #[test]
    fn the_folder_of_one_model_is_never_taken_for_the_other() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(DEFAULT_MODEL);
        let add = |folder: &Path| {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("model.onnx"), "").unwrap();
        };
        add(&folder);
        let paths = ModelPaths { chosen: Some(folder.clone()), ..ModelPaths::default() };
        assert_eq!(paths.model(DEFAULT_MODEL).unwrap(), folder);
        assert!(paths.model(INT8_MODEL).is_err());
        add(&root.path().join(INT8_MODEL));
        assert_eq!(paths.model(INT8_MODEL).unwrap(), root.path().join(INT8_MODEL), "the one beside it");
    }
}
