//! `selfsame bench`: how fast this machine is at a part of the work.
mod data;

use crate::Result;
use clap::{Args, Subcommand};

#[derive(Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  selfsame bench data photos/\n  selfsame bench data synthetic --count 256 --json"
)]
pub struct BenchArgs {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Decoding and cropping, alone and by the loader
    Data(data::DataArgs),
}

pub fn run(args: &BenchArgs) -> Result<()> {
    match &args.part {
        Part::Data(args) => data::run(args),
    }
}
