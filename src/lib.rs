//! Classifies and routes support tickets with Claude and few-shot examples retrieved from
//! Qdrant.
//!
//! # The way of a ticket
//!
//! ```text
//! Ticket -> Embedding -> Evidence -> Label -> Decision
//!         embed       retrieve    label     decide
//! ```
//!
//! Start at [`Classifier::builder`].
//!
//! # The layers
//!
//! From the top; a layer uses those below it and never one above. `tests/suite/layers.rs` holds it.
//!
//! ```text
//! cli         the command line: the one place that prints; `wiring` puts the parts together
//! report      results for people: terminal, Markdown, HTML
//! measure     eval, lint: how often a setting is right, which labels are not
//! learn       index, probe, calibrate, relabel, transfer: what writes to a store
//! pipeline    ticket in, decision out: the one place where the stages meet
//! label       the seam `Labeler`: vote, Claude, cascade
//! stages      retrieve, rank, select, prompt, parse, policy: pure functions
//! claude      the client of the Messages API
//! store       the seam `ExampleStore`: a folder, a Qdrant server, memory
//! embed       the seam `Embedder`: fastembed, hash; words
//! input       files to rows
//! data        tickets, examples, evidence, labels, decisions, errors
//! statistics  shares and their intervals, paired tests, log-odds, vectors
//! text        one line, excerpts
//! ```
//!
//! Modules that this page does not list (`cli`, `measure`, `report`, `stages`), and what else it hides, belong to the
//! program: the command line, the tests and the benchmarks use them, and they may change in any release.
//!
//! To bring your own store, embedder or labeler, implement [`ExampleStore`], [`Embedder`] or [`Labeler`].

#[cfg(feature = "claude")]
pub mod claude;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod data;
pub mod embed;
pub mod input;
pub mod label;
pub mod learn;
#[doc(hidden)]
pub mod measure;
pub mod pipeline;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod stages;
mod statistics;
pub mod store;
mod text;

pub use data::decision::{Decision, Doubt, ReasonCode};
pub use data::evidence::Evidence;
pub use data::example::Example;
pub use data::label::Label;
pub use data::taxonomy::Taxonomy;
pub use data::ticket::{LabelledTicket, Ticket};
pub use data::{Error, ErrorKind, Remedy, Result};
#[cfg(feature = "fastembed")]
pub use embed::{DEFAULT_MODEL, FastEmbedder, INT8_MODEL, ModelPaths};
pub use embed::{Embedder, HashEmbedder};
pub use label::{CascadeLabeler, Labeler, VoteLabeler};
#[cfg(feature = "claude")]
pub use label::{ClaudeLabeler, IntentsMode};
pub use pipeline::{Classification, Classifier, ClassifierBuilder, Options};
pub use stages::prompt::{AnswerForm, Prompts};
pub use stages::select::Selection;
#[cfg(feature = "embedded")]
pub use store::EdgeStore;
#[cfg(feature = "server")]
pub use store::ServerStore;
#[cfg(all(feature = "embedded", feature = "server"))]
pub use store::StoreLocation;
pub use store::{Content, ExampleStore, MemoryStore};
