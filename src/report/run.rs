//! What is needed to run an evaluation again.

use serde::Serialize;

/// How a report came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The command line, quoted for a shell.
    pub command: String,
    /// The version of this program.
    pub version: String,
    /// When it was written, RFC 3339.
    pub date: String,
    /// The file of test tickets.
    pub test_file: String,
    /// The sha256 of its bytes, in hexadecimal.
    pub test_sha256: String,
    /// The store.
    pub store: String,
    /// How many examples it holds.
    pub examples: usize,
    /// How many intents these have.
    pub intents: usize,
    /// The embedding model.
    pub embedder: String,
    /// Who labelled.
    pub labeler: String,
    /// The model; `None` where none was asked.
    pub model: Option<String>,
    /// How many retrieved examples were shown.
    pub k: usize,
    /// The seed of what was drawn.
    pub seed: u64,
}

impl Run {
    /// The facts with their names, for people. The command stands apart.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("program", format!("ticket-router {}", self.version)),
            ("written", self.date.clone()),
            ("test tickets", self.test_file.clone()),
            ("their sha256", self.test_sha256.clone()),
            ("store", format!("{} ({} examples, {} intents)", self.store, self.examples, self.intents)),
            ("embedder", self.embedder.clone()),
            (
                "labeler",
                self.model.as_ref().map_or_else(|| self.labeler.clone(), |it| format!("{} ({it})", self.labeler)),
            ),
            ("examples shown (k)", self.k.to_string()),
            ("seed", self.seed.to_string()),
        ]
    }
}
