//! The client of the Messages API: models, requests, pace, retries, journal, batches.
//!
//! A request goes through an [`AnswerSource`], which looks into the [`Journal`] first, asks
//! the [`Ledger`] whether it may be paid for, and sends it through the [`Client`] at the pace that all
//! workers share.

mod batch;
mod client;
#[doc(hidden)]
pub mod estimate;
mod http;
mod journal;
mod ledger;
mod models;
mod pace;
mod repeats;
mod retry;
mod source;
mod wire;

#[doc(hidden)]
pub use batch::{BatchSettings, Batches};
pub use client::{Client, ClientSettings};
pub use http::Credentials;
pub use journal::Journal;
#[doc(hidden)]
pub use journal::RequestKey;
pub use ledger::Ledger;
#[doc(hidden)]
pub use ledger::Totals;
pub use models::{Model, Models};
#[doc(hidden)]
pub use models::{Price, Sampling, ThinkingRule};
pub use pace::PaceLimits;
pub use source::AnswerSource;
#[doc(hidden)]
pub use source::{Asked, Pending};
#[doc(hidden)]
pub use wire::{Answer, CacheControl, Message, OutputConfig, OutputFormat, Request, SystemBlock, Thinking, TokenUsage};

/// The default model.
pub const DEFAULT_MODEL: &str = "claude-haiku-5-5";
