//! The client of the Messages API: wire shapes, models, requests, retries.

mod client;
mod models;
mod retry;
mod wire;

pub use client::{Client, ClientSettings, Credentials};
pub use models::{Model, Models, Price, Sampling, ThinkingRule};
pub use wire::{Answer, CacheControl, Message, OutputConfig, Request, SystemBlock, Thinking, TokenUsage};

/// The model that is asked unless another is named.
pub const DEFAULT_MODEL: &str = "claude-haiku-5-5";
