//! `selfsame eval knn|linear`: what an encoder is worth on labelled images.
use super::{
    progress::Progress,
    weights::{EncoderArgs, Loaded},
};
use crate::{
    Error, Result,
    data::Dataset,
    evaluate::{Embedded, Features, LinearPlan, NeighboursPlan, embedded, knn, linear},
};
use clap::{Args, Subcommand};
use std::sync::Arc;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  selfsame eval knn --weights runs/a --train data/train --val data/val\n  selfsame eval linear --weights w.safetensors --train data/train --val data/val --json"
)]
pub struct EvalArgs {
    #[command(subcommand)]
    protocol: Protocol,
}

#[derive(Subcommand, Debug)]
enum Protocol {
    /// Each image of --val is told by its nearest neighbours in --train
    Knn(KnnArgs),
    /// A linear classifier trained on the features of --train, judged on --val
    Linear(LinearArgs),
}

#[derive(Args, Debug)]
struct LabelledArgs {
    #[command(flatten)]
    encoder: EncoderArgs,
    /// Labelled images: a folder a class, or whatever `train` takes that has labels
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    train: Vec<String>,
    /// Labelled images to judge on, of the same classes
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    val: Vec<String>,
    /// The result as one line of JSON on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct KnnArgs {
    #[command(flatten)]
    images: LabelledArgs,
    /// Neighbours that vote
    #[arg(long, default_value_t = 200, value_parser = positive)]
    k: usize,
    /// A neighbour's vote is exp(similarity / T)
    #[arg(long, default_value_t = 0.1, value_name = "T", value_parser = above_zero)]
    temperature: f32,
}

#[derive(Args, Debug)]
struct LinearArgs {
    #[command(flatten)]
    images: LabelledArgs,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Images a step
    #[arg(long, default_value_t = 256, value_parser = positive)]
    batch: usize,
    /// Learning rates to try on a tenth of --train, held out
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "LR", value_parser = above_zero,
          default_values_t = LinearPlan::default().rates)]
    lr: Vec<f32>,
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn positive(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&n| n > 0);
    number.ok_or_else(|| "a whole number above 0 is wanted".into())
}

fn above_zero(text: &str) -> Result<f32, String> {
    let number = text
        .parse()
        .ok()
        .filter(|n: &f32| *n > 0.0 && n.is_finite());
    number.ok_or_else(|| "a number above 0 is wanted".into())
}

pub fn run(args: &EvalArgs) -> Result<()> {
    match &args.protocol {
        Protocol::Knn(args) => run_knn(args),
        Protocol::Linear(args) => run_linear(args),
    }
}

fn run_knn(args: &KnnArgs) -> Result<()> {
    let images = Labelled::embed(&args.images)?;
    let plan = NeighboursPlan {
        k: args.k.min(images.train.labels.len()),
        temperature: args.temperature,
    };
    let score = knn(
        images.train.features(),
        images.val.features(),
        images.classes,
        plan,
    );
    if args.images.json {
        return images.print_json(serde_json::json!({
            "protocol": "knn",
            "top1": score.top1,
            "top5": score.top5,
            "images": score.images,
            "k": plan.k,
            "temperature": decimal(plan.temperature),
        }));
    }
    println!(
        "kNN {:.2} % top-1, {:.2} % top-5 of {} images ({} neighbours of {}, temperature {})",
        score.top1,
        score.top5,
        score.images,
        plan.k,
        images.train.labels.len(),
        plan.temperature
    );
    Ok(())
}

fn run_linear(args: &LinearArgs) -> Result<()> {
    let images = Labelled::embed(&args.images)?;
    if images.train.labels.len() < 2 {
        return Err(Error::Data(
            "--train holds one image; a tenth of it cannot be held out".into(),
        ));
    }
    let plan = LinearPlan {
        epochs: args.epochs,
        batch: args.batch,
        rates: args.lr.clone(),
        seed: args.seed,
        ..LinearPlan::default()
    };
    let progress = Progress::new("linear probe", 2 * args.epochs as usize);
    let (train, val) = (images.train.features(), images.val.features());
    let outcome = linear(train, val, images.classes, &plan, &|done, _| {
        progress.at(done as usize)
    });
    drop(progress);
    let score = outcome.score;
    if args.images.json {
        return images.print_json(serde_json::json!({
            "protocol": "linear",
            "top1": score.top1,
            "top5": score.top5,
            "images": score.images,
            "lr": decimal(outcome.rate),
            "tried": outcome.tried.iter().map(|(lr, top1)| serde_json::json!({"lr": decimal(*lr), "top1": top1})).collect::<Vec<_>>(),
            "epochs": plan.epochs,
            "batch": plan.batch,
        }));
    }
    println!(
        "linear {:.2} % top-1, {:.2} % top-5 of {} images (lr {} of {:?}, chosen on a tenth of {})",
        score.top1,
        score.top5,
        score.images,
        outcome.rate,
        plan.rates,
        images.train.labels.len()
    );
    Ok(())
}

/// As it was typed: 0.1, not 0.10000000149011612.
fn decimal(x: f32) -> f64 {
    x.to_string().parse().expect("a number reads back")
}

/// Features and classes of one dataset.
struct Part {
    values: Vec<f32>,
    dim: usize,
    labels: Vec<u32>,
}

impl Part {
    fn features(&self) -> Features<'_> {
        Features::new(&self.values, &self.labels, self.dim)
    }
}

struct Labelled {
    train: Part,
    val: Part,
    classes: usize,
    encoder: String,
}

impl Labelled {
    /// Refuses what has no labels before anything is computed.
    fn embed(args: &LabelledArgs) -> Result<Labelled> {
        let loaded = args.encoder.load()?;
        let open = |flag: &str, specs: &[String]| -> Result<Arc<Dataset>> {
            let dataset = Dataset::open(specs, loaded.seed)?;
            check_labels(flag, &dataset)?;
            Ok(Arc::new(dataset))
        };
        let (train, val) = (open("--train", &args.train)?, open("--val", &args.val)?);
        let classes = same_classes(&train, &val)?;
        let own: Vec<u32> = (0..train.classes().len() as u32).collect();
        let workers = args.encoder.workers();
        let train_part = part("--train", &loaded, &train, &own, workers)?;
        Ok(Labelled {
            val: part("--val", &loaded, &val, &classes, workers)?,
            train: train_part,
            classes: train.classes().len(),
            encoder: loaded.describe(),
        })
    }

    fn print_json(&self, mut result: serde_json::Value) -> Result<()> {
        result["bank"] = self.train.labels.len().into();
        result["classes"] = self.classes.into();
        result["encoder"] = self.encoder.as_str().into();
        println!("{result}");
        Ok(())
    }
}

fn check_labels(flag: &str, dataset: &Dataset) -> Result<()> {
    let unlabelled = |&index: &usize| dataset.label(index).is_none();
    let Some(first) = (0..dataset.len()).find(unlabelled) else {
        return Ok(());
    };
    let count = (0..dataset.len()).filter(unlabelled).count();
    Err(Error::Data(format!(
        "{count} of the {} images of {flag} have no label, e.g. {}\n  evaluation needs a folder a class: DIR/cat/1.jpg, DIR/dog/2.jpg",
        dataset.len(),
        dataset.name(first)
    )))
}

/// For each class of `val` its number in `train`.
fn same_classes(train: &Dataset, val: &Dataset) -> Result<Vec<u32>> {
    let place = |class: &String| {
        let place = train.classes().binary_search(class);
        place.map(|place| place as u32).map_err(|_| {
            Error::Data(format!(
                "--val has the class `{class}`, which --train has not: it could never be told\n  --train has {}",
                train.classes().join(", ")
            ))
        })
    };
    val.classes().iter().map(place).collect()
}

/// `classes` translates the dataset's labels.
fn part(
    flag: &str,
    loaded: &Loaded,
    dataset: &Arc<Dataset>,
    classes: &[u32],
    workers: usize,
) -> Result<Part> {
    let progress = Progress::new(flag, dataset.len());
    let all = embedded(&loaded.encoder(), dataset, workers, &|done| {
        progress.at(done)
    })?;
    drop(progress);
    warn_of_bad(flag, &all);
    if all.ids.is_empty() {
        return Err(Error::Data(format!(
            "none of the images of {flag} could be read"
        )));
    }
    let class = |label: &Option<u32>| classes[label.expect("labels were checked") as usize];
    Ok(Part {
        labels: all.labels.iter().map(class).collect(),
        dim: all.dim,
        values: all.values,
    })
}

fn warn_of_bad(flag: &str, all: &Embedded) {
    if let Some(first) = all.bad.first() {
        let (bad, of) = (all.bad.len(), all.bad.len() + all.ids.len());
        eprintln!(
            "warning[data]: {bad} of the {of} images of {flag} are bad and left out, e.g. {first}"
        );
    }
}
