//! The command line: one file a command, and the only place that knows flags.
mod bench;
mod check;
mod device;
mod disk;
mod doctor;
mod embed;
mod eval;
mod export;
mod flags;
mod format;
mod kernels;
mod look;
mod memory;
mod pack;
mod plan;
mod plot;
mod presets;
mod progress;
mod replay;
mod report;
mod resume;
mod session;
mod study;
mod train;
mod weights;

use crate::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

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
    /// Where the lists of large image folders are kept [default: your cache folder]; never among the images
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SELFSAME_CACHE_INDEX",
        hide_env = true
    )]
    cache_index: Option<PathBuf>,
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
    /// One page about runs: how they went, what their weights see
    Report(report::ReportArgs),
    /// One of the report's pictures, as an SVG or a PNG
    Plot(plot::PlotArgs),
    /// An experiment: its runs, a table, a figure, and what was seen
    Study(study::StudyArgs),
    /// Weights for other programs
    Export(export::ExportArgs),
    /// What training would find in these images: bad ones, duplicates, leaks, speed
    Check(check::CheckArgs),
    /// Images made smaller, in a few large files
    Pack(pack::PackArgs),
    /// How fast this machine decodes and crops images
    Bench(bench::BenchArgs),
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
    if let Some(folder) = cli.cache_index {
        crate::data::keep_indexes_in(folder);
    }
    match cli.command {
        Command::Train(flags) => train::run(&flags),
        Command::Presets(args) => presets::run(&args),
        Command::Resume(flags) => resume::run(&flags),
        Command::Replay(flags) => replay::run(&flags),
        Command::Eval(args) => eval::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Plot(args) => plot::run(&args),
        Command::Study(args) => study::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Kernels(args) => kernels::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    }
}

/// One a core where nothing else was said.
fn machine_workers(said: Option<usize>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    said.unwrap_or_else(cores)
}
