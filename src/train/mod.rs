//! Training: where batches come from, the loop over them, and what survives it.
pub mod checkpoint;
pub mod run;
pub mod schedule;
pub mod stop;
