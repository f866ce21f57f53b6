//! `selfsame embed`: a feature vector for every image, as npy, and whose is whose, as CSV.
use super::{progress::Progress, weights::EncoderArgs};
use crate::{
    Result,
    data::Dataset,
    evaluate::l2_normalized,
    interop::{
        Existing,
        npy::{NpyWriter, ids_path},
    },
};
use clap::Args;
use std::{cell::Cell, path::PathBuf, sync::Arc};

#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  selfsame embed photos/ --weights runs/a --out photos.npy\n  selfsame embed photos/ --weights resnet50.safetensors --raw --out photos.npy"
)]
pub struct EmbedArgs {
    /// Folders, images, @list.txt, .tar archives, CIFAR files, or `synthetic`
    #[arg(required = true)]
    images: Vec<String>,
    #[command(flatten)]
    encoder: EncoderArgs,
    /// The features, float32 (images, d); E.ids.csv beside it says which row is whose
    #[arg(long, value_name = "E.npy")]
    out: PathBuf,
    /// Features as they are, instead of vectors of length 1
    #[arg(long)]
    raw: bool,
    /// What came of it, as one line of JSON on stdout
    #[arg(long)]
    json: bool,
    /// Replace --out where it exists
    #[arg(long)]
    force: bool,
}

pub fn run(args: &EmbedArgs) -> Result<()> {
    let existing = Existing::forced(args.force);
    existing.check(&args.out)?;
    existing.check(&ids_path(&args.out))?;
    let loaded = args.encoder.load()?;
    let encoder = loaded.encoder();
    let dataset = Arc::new(Dataset::open(&args.images, loaded.seed)?);
    let mut npy = NpyWriter::create(&args.out, encoder.dim(), existing)?;
    let progress = Progress::new("embed", dataset.len());
    let (done, bad) = (Cell::new(0), Cell::new(0));
    encoder.embed_all(&dataset, args.encoder.workers(), |batch, features| {
        for image in &batch.bad {
            progress.say(&format!("warning[data]: left out {image}"));
        }
        let features = if args.raw {
            features.to_vec()
        } else {
            l2_normalized(features, encoder.dim())
        };
        for (place, row) in features.chunks_exact(encoder.dim()).enumerate() {
            let name = dataset.name(batch.ids[place] as usize);
            let class = batch.labels[place].map(|label| dataset.classes()[label as usize].as_str());
            npy.row(row, &name, class)?;
        }
        bad.set(bad.get() + batch.bad.len());
        done.set(done.get() + batch.ids.len() + batch.bad.len());
        progress.at(done.get());
        Ok(())
    })?;
    drop(progress);
    let rows = npy.finish()?;
    if args.json {
        let numbers = serde_json::json!({
            "features": args.out,
            "ids": ids_path(&args.out),
            "rows": rows,
            "dim": encoder.dim(),
            "bad_images": bad.get(),
        });
        result!("{numbers}");
    }
    say!(
        "{}: {rows} x {} float32, {} ({} bad images left out)",
        args.out.display(),
        encoder.dim(),
        if args.raw { "as pooled" } else { "of length 1" },
        bad.get()
    );
    say!("{}: row,path,label", ids_path(&args.out).display());
    Ok(())
}
