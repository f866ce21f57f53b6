//! The command line: one file a command, and the only place that knows flags.
mod device;
mod disk;
mod doctor;
mod embed;
mod eval;
mod export;
mod flags;
mod format;
mod kernels;
mod memory;
mod plan;
mod presets;
mod progress;
mod replay;
mod resume;
mod session;
mod study;
mod train;
mod weights;

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
    /// The recipes that come with it: what each method's paper trains with
    Presets(presets::PresetsArgs),
    /// Go on with a run that was stopped, or make it longer
    Resume(resume::ResumeFlags),
    /// A step whose numbers were not finite, run again with a look at every tensor
    Replay(replay::ReplayFlags),
    /// What an encoder is worth on labelled images
    Eval(eval::EvalArgs),
    /// A feature vector for every image
    Embed(embed::EmbedArgs),
    /// An experiment: its runs, a table, a figure, and what was seen
    Study(study::StudyArgs),
    /// Weights for other programs
    Export(export::ExportArgs),
    /// What the CUDA kernels in this build use of a GPU
    Kernels(kernels::KernelsArgs),
    /// What this machine is, and what to do about what it lacks
    Doctor(doctor::DoctorArgs),
}

/// Parses the process's arguments and does what they say.
pub fn run() -> Result<()> {
    let cli = Cli::parse();
    #[cfg(feature = "fault")]
    crate::fault::read()?;
    match cli.command {
        Command::Train(flags) => train::run(&flags),
        Command::Presets(args) => presets::run(&args),
        Command::Resume(flags) => resume::run(&flags),
        Command::Replay(flags) => replay::run(&flags),
        Command::Eval(args) => eval::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Study(args) => study::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Kernels(args) => kernels::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    }
}
