//! `selfsame plot`: one picture of the report, as a file for a paper.
use super::look::LookArgs;
use crate::{
    Error, Result,
    figure::{self, Format},
    interop::{Existing, WholeFile},
    report::{Curve, Projection, Summary, curve, map, neighbours},
};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  selfsame plot runs/a runs/b --what loss --out loss.svg\n  selfsame plot runs/a --what map --by tsne --val labelled/val --out map.png"
)]
pub struct PlotArgs {
    /// Runs' folders; map and neighbours are of one
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    #[arg(long, value_enum)]
    what: What,
    /// Of a map
    #[arg(long, value_enum, default_value = "pca")]
    by: By,
    #[command(flatten)]
    look: LookArgs,
    #[arg(long, value_name = "F.svg|F.png")]
    out: PathBuf,
    /// Replace --out where it exists
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Loss,
    /// Learning rate
    Lr,
    /// Images a second
    Speed,
    /// Accuracy by nearest neighbours, before training and after
    Knn,
    /// Spread, mean cosine, effective rank; for swav the use of prototypes
    Collapse,
    /// Where images lie among each other
    Map,
    /// Images and the nearest to them
    Neighbours,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// The first two principal components
    Pca,
    /// t-SNE
    Tsne,
}

pub fn run(args: &PlotArgs) -> Result<()> {
    let format = Format::of(&args.out)?;
    let existing = Existing::forced(args.force);
    existing.check(&args.out)?;
    let mut runs = Summary::read_all(&args.runs)?;
    let bytes = match args.what {
        What::Loss => curve(&runs, Curve::Loss)?.render(format)?,
        What::Lr => curve(&runs, Curve::Rate)?.render(format)?,
        What::Speed => curve(&runs, Curve::Speed)?.render(format)?,
        What::Knn => curve(&runs, Curve::Knn)?.render(format)?,
        What::Collapse => curve(&runs, Curve::Collapse)?.render(format)?,
        What::Map | What::Neighbours => seen(args, &mut runs, format)?,
    };
    let mut file = WholeFile::create(&args.out, existing)?;
    file.write(&bytes)?;
    file.finish()?;
    println!("{}", args.out.display());
    Ok(())
}

fn seen(args: &PlotArgs, runs: &mut [Summary], format: Format) -> Result<Vec<u8>> {
    let [run] = runs else {
        return Err(Error::Config(format!(
            "--what {} is a picture of one run, and {} are named",
            args.what
                .to_possible_value()
                .expect("all are shown")
                .get_name(),
            runs.len()
        )));
    };
    let looked = args.look.open(std::slice::from_mut(run))?;
    let Some((source, bank, trained)) = looked.and_then(|looked| {
        let trained = looked.trained.into_iter().next()??;
        Some((looked.source, looked.bank, trained))
    }) else {
        return Err(Error::Data(run.notes.join("\n  ")));
    };
    let seen = args.look.seen(&trained, &source)?;
    if args.what == What::Map {
        let by = match args.by {
            By::Pca => Projection::Pca,
            By::Tsne => Projection::Tsne,
        };
        return map(run, &source, &seen, by)?.render(format);
    }
    let bank = bank.as_ref();
    let others = bank
        .map(|bank| args.look.seen(&trained, bank))
        .transpose()?;
    let bank = others.as_ref().zip(bank);
    let grid: figure::Grid = neighbours(run, (&seen, &source), bank);
    grid.render(format)
}
