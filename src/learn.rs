//! What learns from labelled tickets and writes to a store: the index, the probe, the calibrations,
//! renamed intents, and copies of whole stores.

pub mod calibrate;
pub mod index;
pub mod probe;
pub mod relabel;
pub mod transfer;
