//! `selfsame eval finetune`: the whole network trained on labelled images, or on a share of them.
use super::{
    above_zero, decimal,
    labelled::{LabelledArgs, Opened, SubsetArgs, none_is_an_error, warn_of_bad},
    place::{share_word, with},
    positive,
};
use crate::{
    Error, Result,
    cli::{export, progress::Progress, weights::Loaded},
    evaluate::{Classifier, FinetunePlan, Judged, Score},
    interop::{Existing, WholeFile},
};
use clap::Args;
use std::{
    fs,
    path::{Path, PathBuf},
};

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  selfsame eval finetune --weights runs/a --train data/train --val data/val --labels-fraction 0.1"
)]
pub struct FinetuneArgs {
    #[command(flatten)]
    images: LabelledArgs,
    #[command(flatten)]
    subset: SubsetArgs,
    /// [default: 20 on a share of the labels, as SwAV; 105 on all, as VISSL]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Images a step; the default rates follow it
    #[arg(long, default_value_t = 256, value_parser = positive)]
    batch: usize,
    /// Learning rate of the network [default: for 3 % of the labels and less .02, for less than all .01,
    /// for all .1, times batch / 256]
    #[arg(long, value_name = "LR", value_parser = above_zero)]
    lr: Option<f32>,
    /// Learning rate of the classifier [default: 5, .2, .1, times batch / 256]
    #[arg(long, value_name = "LR", value_parser = above_zero)]
    head_lr: Option<f32>,
    /// A folder for finetuned.safetensors (torchvision's names, fc.* too) and result.json
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace what is in --out
    #[arg(long)]
    force: bool,
}

pub fn run(args: &FinetuneArgs) -> Result<()> {
    let existing = Existing::forced(args.force);
    let files = args.out.as_deref().map(Files::in_folder);
    if let Some(files) = &files {
        files.check(existing)?;
    }
    let opened = args.images.open(Some(&args.subset))?;
    let plan = plan(args, opened.train.len());
    eprintln!(
        "fine-tuning on {} images: {} epochs, batch {}, lr {} (head {})",
        opened.train.len(),
        plan.epochs,
        plan.batch,
        plan.trunk,
        plan.head
    );
    let place = args.images.place(&opened);
    let (classifier, judged) = finetune(&opened, &plan)?;
    let score = judged.score;
    let result = json(args, &opened, &plan, score);
    let share = share_word(args.subset.labels_fraction);
    place.keep(
        &["finetune", &share],
        with(result.clone(), &judged.confusion),
    );
    if let Some(files) = &files {
        files.write(opened.loaded, classifier, &plan, &result, existing)?;
    }
    match args.images.specs.json {
        true => println!("{result}"),
        false => println!(
            "finetune {:.2} % top-1, {:.2} % top-5 of {} images ({} labels, {} epochs)",
            score.top1,
            score.top5,
            score.images,
            opened.train.len(),
            plan.epochs
        ),
    }
    Ok(())
}

fn plan(args: &FinetuneArgs, images: usize) -> FinetunePlan {
    let batch = args.batch.min(images);
    let fraction = args.subset.labels_fraction.unwrap_or(1.0);
    let published = FinetunePlan::published(fraction, batch);
    FinetunePlan {
        epochs: args.epochs.unwrap_or(published.epochs),
        trunk: args.lr.unwrap_or(published.trunk),
        head: args.head_lr.unwrap_or(published.head),
        seed: args.subset.seed,
        ..published
    }
}

fn finetune(opened: &Opened, plan: &FinetunePlan) -> Result<(Classifier, Judged)> {
    let classes = opened.train.classes().len();
    let classifier = Classifier::new(&opened.loaded.encoder(), classes, plan.seed)?;
    let progress = Progress::new("fine-tune", plan.steps(opened.train.len())?);
    let bad = classifier.train(&opened.train, plan, opened.workers, &|done, loss| {
        progress.at(done);
        progress.note(&format!("loss {loss:.3}"));
    })?;
    drop(progress);
    warn_of_bad(
        "--train",
        &bad,
        opened.train.len().saturating_sub(bad.len()),
    );
    let progress = Progress::new("--val", opened.val.len());
    let (judged, bad) =
        classifier.judge(&opened.val, &opened.classes, opened.workers, &|done| {
            progress.at(done)
        })?;
    drop(progress);
    warn_of_bad("--val", &bad, judged.score.images);
    none_is_an_error("--val", judged.score.images)?;
    Ok((classifier, judged))
}

fn json(
    args: &FinetuneArgs,
    opened: &Opened,
    plan: &FinetunePlan,
    score: Score,
) -> serde_json::Value {
    serde_json::json!({
        "protocol": "finetune",
        "top1": score.top1,
        "top5": score.top5,
        "images": score.images,
        "labels": opened.train.len(),
        "labels_fraction": args.subset.labels_fraction,
        "classes": opened.train.classes(),
        "encoder": opened.loaded.describe(),
        "epochs": plan.epochs,
        "batch": plan.batch,
        "lr": decimal(plan.trunk),
        "head_lr": decimal(plan.head),
        "seed": plan.seed,
    })
}

/// What `--out` gets.
struct Files {
    folder: PathBuf,
    weights: PathBuf,
    result: PathBuf,
}

impl Files {
    fn in_folder(folder: &Path) -> Files {
        Files {
            folder: folder.into(),
            weights: folder.join("finetuned.safetensors"),
            result: folder.join("result.json"),
        }
    }

    /// Before training, not after.
    fn check(&self, existing: Existing) -> Result<()> {
        existing.check(&self.weights)?;
        existing.check(&self.result)?;
        fs::create_dir_all(&self.folder).map_err(Error::file(&self.folder))
    }

    fn write(
        &self,
        pretrained: Loaded,
        classifier: Classifier,
        plan: &FinetunePlan,
        result: &serde_json::Value,
        existing: Existing,
    ) -> Result<()> {
        let loaded = Loaded {
            params: classifier.params,
            ..pretrained
        };
        export::write(&loaded, &self.weights, existing)?;
        let mut file = WholeFile::create(&self.result, existing)?;
        file.write(format!("{result}\n").as_bytes())?;
        file.finish()?;
        eprintln!("{}: after {} epochs", self.weights.display(), plan.epochs);
        Ok(())
    }
}
