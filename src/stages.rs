//! The steps between the store and a decision, each a function of what it is given.
//!
//! No I/O, no clock, no environment: a stage can be tested, and read, by itself.

pub mod confidence;
pub mod parse;
pub mod policy;
pub mod prompt;
pub mod rank;
pub mod retrieve;
pub mod select;
pub mod unknown;
