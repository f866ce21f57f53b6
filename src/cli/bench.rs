//! `selfsame bench`: how fast this machine is at a part of the work.
mod data;

use crate::Result;
use clap::{Args, Subcommand};

#[derive(Args)]
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
