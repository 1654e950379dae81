//! What measures: how often a setting is right, and where the labels of a store are not.
//!
//! Nothing here changes a store that is in use.

pub mod eval;
pub mod lint;
