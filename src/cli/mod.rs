//! The command line: one file a command, and the only place that knows flags.
mod device;
pub mod doctor;
pub mod embed;
pub mod eval;
pub mod export;
mod format;
pub mod kernels;
mod progress;
pub mod weights;
