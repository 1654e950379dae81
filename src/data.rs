//! What travels through the house: tickets, examples, evidence, labels, decisions, and the intents
//! that they speak of.
//!
//! Nothing here does I/O, and nothing here knows of a layer above.

pub mod decision;
mod error;
pub mod evidence;
pub mod example;
pub mod label;
#[doc(hidden)]
pub mod probe;
pub mod taxonomy;
pub mod ticket;

pub use error::{Error, ErrorKind, Remedy, Result};
