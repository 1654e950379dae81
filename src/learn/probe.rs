//! Trains the [`Probe`](crate::data::probe::Probe) of a store, and asks one that has not seen an example about it.

mod fit;
mod folds;
mod train;

pub use folds::out_of_fold;
pub use train::{TrainedProbe, refresh, train};
