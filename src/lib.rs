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
//! - [`ticket`], [`taxonomy`], [`error`](Error): data that touches nothing else.
//! - [`embed`], [`store`], [`label`]: the seams ([`Embedder`], [`ExampleStore`],
//!   [`Labeler`]), each with its adapters below it. Implement one to bring your own.
//! - [`claude`]: the client of the Messages API.
//! - [`retrieve`], [`rank`], [`select`], [`prompt`], [`parse`], [`confidence`], [`unknown`],
//!   [`decide`]: pure stages;
//!   [`probe`]: the second opinion that [`rank`] weighs in.
//! - [`classifier`]: the one place where the stages meet.
//! - [`input`], [`index`], [`relabel`], [`eval`], [`calibrate`], [`lint`], [`transfer`], [`report`]: what is built on it.
//!
//! Start at [`Classifier::builder`].

pub mod calibrate;
pub mod classifier;
pub mod claude;
#[doc(hidden)]
pub mod cli;
pub mod confidence;
pub mod config;
pub mod decide;
pub mod embed;
mod error;
pub mod eval;
pub mod index;
pub mod input;
pub mod label;
pub mod lint;
pub mod parse;
pub mod probe;
pub mod prompt;
pub mod rank;
pub mod relabel;
pub mod report;
pub mod retrieve;
pub mod select;
pub mod store;
pub mod taxonomy;
pub mod ticket;
pub mod transfer;
pub mod unknown;

pub use classifier::{Classification, Classifier, ClassifierBuilder};
pub use decide::Decision;
pub use embed::{DEFAULT_MODEL, Embedder, FastEmbedder, INT8_MODEL, ModelPaths};
pub use error::{Error, ErrorKind, Result};
pub use label::{AnswerForm, CascadeLabeler, ClaudeLabeler, IntentsMode, Label, Labeler, VoteLabeler};
pub use retrieve::Evidence;
pub use store::{Content, EdgeStore, Example, ExampleStore, ServerStore, StoreLocation};
pub use taxonomy::Taxonomy;
pub use ticket::{LabelledTicket, Ticket};
