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
mod flags;
mod format;
mod neighbours;
mod resume;
mod session;
mod train;

use crate::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "selfsame",
    version,
    about = "Pretrains ResNets on your own images, without labels.",
    after_help = "Examples:\n  selfsame train synthetic --out runs/first\n  selfsame train photos/ --arch resnet50 --epochs 100 --out runs/a",
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Pretrain on images
    Train(Box<flags::TrainFlags>),
    /// Go on with a run that was stopped, or make it longer
    Resume(resume::ResumeFlags),
}

/// Parses the process's arguments and does what they say.
pub fn run() -> Result<()> {
    match Cli::parse().command {
        Command::Train(flags) => train::run(&flags),
        Command::Resume(flags) => resume::run(&flags),
    }
}
