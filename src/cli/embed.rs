//! `selfsame embed`: a feature vector for every image, as npy, and whose is whose, as CSV.
use super::{
    progress::Progress,
    weights::{EncoderArgs, Loaded},
};
use crate::{
    Result,
    data::Dataset,
    evaluate::l2_normalized,
    interop::{
        Existing,
        npy::{About, NpyWriter, Number, Row, about_path, ids_path},
    },
};
use clap::{Args, ValueEnum};
use std::{cell::Cell, path::PathBuf, sync::Arc};

#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  selfsame embed photos/ --weights runs/a --out photos.npy\n  selfsame embed more/ --weights runs/a --out photos.npy --append"
)]
pub struct EmbedArgs {
    /// Folders, images, @list.txt, .tar archives, CIFAR files, or `synthetic`
    #[arg(required = true)]
    images: Vec<String>,
    #[command(flatten)]
    encoder: EncoderArgs,
    /// The features (images, d); beside it E.ids.csv says which row is whose, E.about.json what made them
    #[arg(long, value_name = "E.npy")]
    out: PathBuf,
    /// What their numbers are
    #[arg(long, value_enum, default_value_t = Dtype::Float32)]
    dtype: Dtype,
    /// Behind the rows that --out has, which the same weights made; a new file where there is none
    #[arg(long, conflicts_with = "force")]
    append: bool,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dtype {
    Float32,
    /// Half the bytes, three digits
    Float16,
}

pub fn run(args: &EmbedArgs) -> Result<()> {
    let existing = Existing::forced(args.force);
    let longer = args.append && args.out.exists();
    if !longer {
        existing.check(&args.out)?;
        existing.check(&ids_path(&args.out))?;
        existing.check(&about_path(&args.out))?;
    }
    let loaded = args.encoder.load()?;
    let encoder = loaded.encoder();
    let dataset = Arc::new(Dataset::open(&args.images, loaded.seed)?);
    let (row, about) = (args.row(&loaded), args.about(&loaded)?);
    let mut npy = match longer {
        true => NpyWriter::append(&args.out, row, &about)?,
        false => NpyWriter::create(&args.out, row, &about, existing)?,
    };
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
        "{}: {rows} x {} {}, {} ({} bad images left out)",
        args.out.display(),
        encoder.dim(),
        args.dtype_name(),
        args.length(),
        bad.get()
    );
    say!("{}: row,path,label", ids_path(&args.out).display());
    Ok(())
}

impl EmbedArgs {
    fn row(&self, loaded: &Loaded) -> Row {
        Row {
            dim: loaded.network.features(),
            number: match self.dtype {
                Dtype::Float32 => Number::F32,
                Dtype::Float16 => Number::F16,
            },
        }
    }

    fn dtype_name(&self) -> &'static str {
        match self.dtype {
            Dtype::Float32 => "float32",
            Dtype::Float16 => "float16",
        }
    }

    fn length(&self) -> &'static str {
        match self.raw {
            true => "as pooled",
            false => "of length 1",
        }
    }

    /// All that a row follows from, but for the image.
    fn about(&self, loaded: &Loaded) -> Result<About> {
        let numbers = |numbers: [f32; 3]| numbers.map(|x| x.to_string()).join(",");
        let words = [
            ("encoder", loaded.describe()),
            ("weights_xxh3", format!("{:016x}", loaded.fingerprint()?)),
            ("image_size", loaded.input.size.to_string()),
            ("mean", numbers(loaded.input.mean)),
            ("std", numbers(loaded.input.std)),
            ("vectors", self.length().into()),
            ("dtype", self.dtype_name().into()),
        ];
        let word = |(name, word): (&str, String)| (name.to_string(), word.into());
        Ok(words.into_iter().map(word).collect())
    }
}
