//! `selfsame pack`: images made smaller, in a few large files.
use super::{
    format::{bytes, grouped},
    machine_workers,
    progress::Progress,
};
use crate::{
    Result,
    data::{Dataset, Packing, pack},
};
use clap::Args;
use std::{path::PathBuf, sync::Arc};

#[derive(Args)]
#[command(
    arg_required_else_help = true,
    after_help = "A packing that was stopped goes on with the same command.\n\nExamples:\n  selfsame pack photos/ --out shards/\n  selfsame train shards/ --out runs/a"
)]
pub struct PackArgs {
    /// Folders, images, @list.txt, .tar archives, CIFAR files, or `synthetic`
    #[arg(required = true)]
    images: Vec<String>,
    /// Pixels of the shorter side; what is smaller stays byte for byte as it is
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(8..))]
    short_side: u32,
    /// Of the JPEGs that images made smaller become
    #[arg(long, value_name = "1-100", default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    images_per_shard: u32,
    /// Share of bad images above which it stops, e.g. 0.05
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    max_bad: f32,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// What came of it, as one line of JSON on stdout
    #[arg(long)]
    json: bool,
    /// The shards' folder; must be new or empty, or hold this packing unfinished
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub fn run(args: &PackArgs) -> Result<()> {
    let dataset = Arc::new(Dataset::open(&args.images, 0)?);
    let how = Packing {
        short_side: args.short_side,
        quality: args.quality,
        images_per_shard: args.images_per_shard,
    };
    let progress = Progress::new("pack", dataset.len());
    let workers = machine_workers(args.workers);
    let packed = pack(&dataset, &args.out, &how, workers, args.max_bad, |done| {
        progress.at(done)
    })?;
    drop(progress);
    for bad in &packed.bad {
        warn!("warning[data]: left out {bad}");
    }
    if args.json {
        let numbers = serde_json::json!({
            "out": args.out,
            "images": packed.images,
            "bytes": packed.bytes,
            "shards": packed.shards,
            "found_finished": packed.found,
            "bad_images": packed.bad.len(),
        });
        result!("{numbers}");
        return Ok(());
    }
    let out = args.out.display();
    result!(
        "{out}: {} images, {}; shards: {}, of them found finished: {}; bad images left out: {}",
        grouped(packed.images),
        bytes(packed.bytes),
        packed.shards,
        packed.found,
        packed.bad.len()
    );
    result!("Next     selfsame train {out} --out RUN");
    Ok(())
}
