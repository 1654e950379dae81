//! What learns from labelled tickets and writes to a store: the index, single examples, the probe, the calibrations,
//! renamed intents, and copies of whole stores.

pub mod calibrate;
pub mod index;
pub mod learner;
pub mod probe;
pub mod relabel;
pub mod transfer;
