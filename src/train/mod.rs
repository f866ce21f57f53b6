//! Training: where batches come from, the loop over them, and what survives it.
pub mod advice;
mod board;
pub mod build;
pub mod changes;
pub mod checkpoint;
pub mod dump;
pub mod feed;
pub mod first;
pub mod log;
mod metrics;
mod monitor;
pub mod neighbours;
mod numbers;
mod parts;
pub mod plan;
#[cfg(feature = "fault")]
mod planted;
pub mod preview;
mod replay;
mod rescue;
pub mod results;
pub mod rollback;
mod room;
pub mod run;
mod saver;
pub mod scalars;
pub mod schedule;
pub mod state;
mod steps;
pub mod stop;
pub mod trainer;

pub use monitor::verdict;
pub use replay::{Replay, Row};
