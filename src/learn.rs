//! What learns from labelled tickets and writes to a store: the index, single examples, the probe, the calibrations,
//! renamed intents, and copies of whole stores.

#[doc(hidden)]
pub mod calibrate;
pub mod index;
pub mod learner;
#[doc(hidden)]
pub mod probe;
#[doc(hidden)]
pub mod relabel;
#[doc(hidden)]
pub mod transfer;
