//! Everything that can go wrong while the program is right: a file, a driver, a number the user gave.
//! What can only go wrong by our own mistake is an `assert!`.
//!
//! One variant a cause, none an op. A message names the subject first, then the offending value, then
//! the way out; [`Error::exit_code`] is what the process ends with.
use std::{io, path::PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag or a configuration value that cannot be used.
    #[error("error[config]: {0}")]
    Config(String),
    /// The images: none found, not readable as a whole, too many bad ones, labels missing.
    #[error("error[data]: {0}")]
    Data(String),
    /// What the machine lacks: a driver, a GPU, a library, a compiler.
    #[error("error[env]: {0}")]
    Environment(String),
    #[error(
        "error[memory]: {device} has no room for {wanted} more bytes with {used} in use; try a smaller --batch"
    )]
    OutOfMemory {
        device: String,
        wanted: u64,
        used: u64,
    },
    /// A run that needs more than there is: known before it begins.
    #[error("error[memory]: {0}")]
    TooLarge(String),
    /// A file that could not be read or written.
    #[error("error[file]: {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// A checkpoint or weights file that does not hold what it should.
    #[error("error[checkpoint]: {}: {why}", path.display())]
    Checkpoint { path: PathBuf, why: String },
    /// NaN or infinity where a number must be.
    #[error("error[numeric]: {0}")]
    Numeric(String),
    /// A kernel or a driver call that failed.
    #[error("error[device]: {kernel} failed on {device}: {why}")]
    Launch {
        kernel: &'static str,
        device: String,
        why: String,
    },
    /// Another process that this one depends on.
    #[error("error[dist]: {0}")]
    Distributed(String),
    /// Stopped on request with a good checkpoint; the text says how to resume.
    #[error("{0}")]
    Stopped(String),
}

impl Error {
    /// The process's exit code, by cause: 2 usage, 3 data, 4 environment, 5 memory, 6 file,
    /// 7 numeric, 8 another process, 75 stopped on request (`EX_TEMPFAIL`), 1 a bug.
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::Config(_) => 2,
            Error::Data(_) => 3,
            Error::Environment(_) => 4,
            Error::OutOfMemory { .. } | Error::TooLarge(_) => 5,
            Error::File { .. } | Error::Checkpoint { .. } => 6,
            Error::Numeric(_) => 7,
            Error::Distributed(_) => 8,
            Error::Launch { .. } => 1,
            Error::Stopped(_) => 75,
        }
    }

    /// For `map_err` on an I/O result: keeps the path beside the cause.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { path, source }
    }
}
