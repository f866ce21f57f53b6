//! Training: where batches come from, the loop over them, and what survives it.
pub mod advice;
pub mod build;
pub mod changes;
pub mod checkpoint;
pub mod dump;
pub mod feed;
pub mod log;
mod monitor;
pub mod neighbours;
mod numbers;
mod parts;
pub mod plan;
#[cfg(feature = "fault")]
mod planted;
mod replay;
mod rescue;
pub mod results;
pub mod rollback;
mod room;
pub mod run;
mod saver;
mod scalars;
pub mod schedule;
pub mod state;
mod steps;
pub mod stop;
pub mod trainer;

pub use monitor::verdict;
pub use replay::{Replay, Row};
