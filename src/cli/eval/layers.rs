//! `selfsame eval layers`: a linear probe of every stage, and a figure of them.
use super::{
    above_zero, decimal,
    labelled::{Opened, SpecArgs, SubsetArgs, enough, none_is_an_error, warn_of_bad},
    place::{Place, recipe_word, share_word},
    positive,
};
use crate::{
    Error, Result,
    cli::{format, memory::Memory, progress::Progress, weights::MachineArgs},
    data::Dataset,
    evaluate::{
        Features, LAYER_RATES, LinearOutcome, LinearPlan, Staged, Tap, layer_plan, linear, staged,
        staged_bytes, taps, widened,
    },
    figure::{Chart, Data, Format, Series},
    interop::{Existing, WholeFile},
};
use clap::{Args, ValueEnum};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  selfsame eval layers --weights runs/a runs/b --train data/train --val data/val --figure layers.svg"
)]
pub struct LayersArgs {
    /// Runs, checkpoints or .safetensors files; each is a line of the figure
    #[arg(long, required = true, num_args = 1.., value_name = "RUN|FILE")]
    weights: Vec<PathBuf>,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    specs: SpecArgs,
    /// These alone: conv1, layer1, ..., avgpool [default: all]
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "LAYER")]
    layers: Vec<String>,
    #[arg(long, value_enum, default_value = "search")]
    recipe: LayersRecipe,
    /// [default: 28]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Images a step
    #[arg(long, default_value_t = 256, value_parser = positive)]
    batch: usize,
    /// The learning rate; several are tried on a tenth of --train, held out [default: the recipe's]
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "LR", value_parser = above_zero)]
    lr: Vec<f32>,
    #[command(flatten)]
    subset: SubsetArgs,
    /// Top-1 against the layer, as an .svg or a .png
    #[arg(long, value_name = "F.svg|F.png")]
    figure: Option<PathBuf>,
    /// Replace --figure where it exists
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LayersRecipe {
    /// VISSL's optimiser and schedule; each layer's learning rate searched on a held-out tenth
    Search,
    /// All of VISSL's: rate .01 x batch / 256 for every layer
    Vissl,
}

impl LayersRecipe {
    fn name(self) -> &'static str {
        match self {
            LayersRecipe::Search => "search",
            LayersRecipe::Vissl => "vissl",
        }
    }
}

/// Of one file of weights.
struct Probed {
    weights: PathBuf,
    encoder: String,
    layers: Vec<(Tap, LinearOutcome)>,
    bank: usize,
    classes: usize,
    place: Place,
}

pub fn run(args: &LayersArgs) -> Result<()> {
    let existing = Existing::forced(args.force);
    let figure = args.figure.as_deref();
    let figure = figure
        .map(|path| Ok((path, Format::of(path)?)))
        .transpose()?;
    if let Some((path, _)) = figure {
        existing.check(path)?;
    }
    let probed = args.weights.iter().map(|weights| probe(args, weights));
    let probed = probed.collect::<Result<Vec<Probed>>>()?;
    probed.iter().for_each(|probed| keep(args, probed));
    if let Some((path, format)) = figure {
        let bytes = chart(&probed).render(format)?;
        let mut file = WholeFile::create(path, existing)?;
        file.write(&bytes)?;
        file.finish()?;
        eprintln!("{}: top-1 against the layer", path.display());
    }
    match args.specs.json {
        true => println!("{}", json(args, &probed)),
        false => probed.iter().for_each(print_table),
    }
    Ok(())
}

fn probe(args: &LayersArgs, weights: &Path) -> Result<Probed> {
    let loaded = args.machine.load(weights)?;
    let opened = args
        .specs
        .open(loaded, Some(&args.subset), args.machine.workers())?;
    let place = Place::of(weights, &opened, &args.specs);
    let taps = chosen(taps(&opened.loaded.encoder())?, &args.layers)?;
    check_memory(&taps, &opened)?;
    let own: Vec<u32> = (0..opened.train.classes().len() as u32).collect();
    let mut train = Part::of("--train", &opened, &opened.train, &taps, &own)?;
    let mut val = Part::of("--val", &opened, &opened.val, &taps, &opened.classes)?;
    let mut layers = Vec::new();
    for (place, tap) in taps.into_iter().enumerate() {
        let (x, y) = (train.take(place), val.take(place));
        let plan = plan(args, &tap, train.labels.len());
        enough(train.labels.len(), plan.rates.len())?;
        let progress = Progress::new(&tap.name, plan.all_epochs() as usize);
        let outcome = linear(
            Features::new(&x, &train.labels, tap.dim()),
            Features::new(&y, &val.labels, tap.dim()),
            own.len(),
            &plan,
            &|done, _| progress.at(done as usize),
        );
        layers.push((tap, outcome));
    }
    Ok(Probed {
        weights: weights.into(),
        encoder: opened.loaded.describe(),
        layers,
        bank: train.labels.len(),
        classes: own.len(),
        place,
    })
}

fn chosen(mut taps: Vec<Tap>, names: &[String]) -> Result<Vec<Tap>> {
    let has = |name: &&String| taps.iter().any(|tap| tap.name == **name);
    if let Some(unknown) = names.iter().find(|name| !has(name)) {
        let known: Vec<&str> = taps.iter().map(|tap| &tap.name[..]).collect();
        return Err(Error::Config(format!(
            "unknown layer `{unknown}` (--layers); there are {}",
            known.join(", ")
        )));
    }
    taps.retain(|tap| names.is_empty() || names.contains(&tap.name));
    Ok(taps)
}

/// Before anything is computed.
fn check_memory(taps: &[Tap], opened: &Opened) -> Result<()> {
    let wanted = staged_bytes(taps, opened.train.len(), opened.val.len());
    let Some(free) = Memory::read().map(|memory| memory.usable()) else {
        return Ok(());
    };
    if wanted <= free {
        return Ok(());
    }
    Err(Error::Data(format!(
        "the features of {} images at {} layers take {}, and {} are free\n  use fewer images (--labels-fraction 0.1), or fewer layers at a time (--layers {})",
        opened.train.len() + opened.val.len(),
        taps.len(),
        format::bytes(wanted),
        format::bytes(free),
        taps[0].name
    )))
}

/// Features of one dataset at every tap, and classes.
struct Part {
    staged: Staged,
    labels: Vec<u32>,
}

impl Part {
    /// `classes` translates the dataset's labels.
    fn of(
        flag: &str,
        opened: &Opened,
        dataset: &Arc<Dataset>,
        taps: &[Tap],
        classes: &[u32],
    ) -> Result<Part> {
        let progress = Progress::new(flag, dataset.len());
        let encoder = opened.loaded.encoder();
        let staged = staged(&encoder, taps, dataset, opened.workers, &|done| {
            progress.at(done)
        })?;
        drop(progress);
        warn_of_bad(flag, &staged.bad, staged.labels.len());
        none_is_an_error(flag, staged.labels.len())?;
        let class = |label: &Option<u32>| classes[label.expect("labels were checked") as usize];
        Ok(Part {
            labels: staged.labels.iter().map(class).collect(),
            staged,
        })
    }

    /// One tap's rows, which are then forgotten.
    fn take(&mut self, tap: usize) -> Vec<f32> {
        widened(&std::mem::take(&mut self.staged.values[tap]))
    }
}

fn plan(args: &LayersArgs, tap: &Tap, images: usize) -> LinearPlan {
    let mut plan = layer_plan(tap.channels(), images, args.batch);
    plan.epochs = args.epochs.unwrap_or(plan.epochs);
    plan.seed = args.subset.seed;
    if args.recipe == LayersRecipe::Search {
        plan.rates = LAYER_RATES.to_vec();
    }
    if !args.lr.is_empty() {
        plan.rates = args.lr.clone();
    }
    plan
}

fn print_table(probed: &Probed) {
    println!("{}: {}", probed.weights.display(), probed.encoder);
    println!(
        "{:<8} {:>10} {:>8} {:>8} {:>8}",
        "layer", "dimensions", "top-1 %", "top-5 %", "lr"
    );
    for (tap, outcome) in &probed.layers {
        println!(
            "{:<8} {:>10} {:>8.2} {:>8.2} {:>8}",
            tap.name,
            tap.dim(),
            outcome.score.top1,
            outcome.score.top5,
            outcome.rate
        );
    }
}

fn json(args: &LayersArgs, probed: &[Probed]) -> serde_json::Value {
    serde_json::json!({
        "protocol": "layers",
        "recipe": args.recipe.name(),
        "results": probed.iter().map(json_of).collect::<Vec<_>>(),
    })
}

/// For the report of the run that was probed.
fn keep(args: &LayersArgs, probed: &Probed) {
    let mut result = json_of(probed);
    result["protocol"] = "layers".into();
    result["recipe"] = args.recipe.name().into();
    result["labels_fraction"] = args.subset.labels_fraction.into();
    let (recipe, share) = (
        recipe_word(args.recipe.name()),
        share_word(args.subset.labels_fraction),
    );
    probed.place.keep(&["layers", recipe, &share], result);
}

fn json_of(probed: &Probed) -> serde_json::Value {
    let layer = |(tap, outcome): &(Tap, LinearOutcome)| {
        serde_json::json!({
            "layer": tap.name,
            "dimensions": tap.dim(),
            "top1": outcome.score.top1,
            "top5": outcome.score.top5,
            "lr": decimal(outcome.rate),
        })
    };
    let score = probed.layers.first().map(|(_, outcome)| outcome.score);
    serde_json::json!({
        "weights": probed.weights.display().to_string(),
        "encoder": probed.encoder,
        "images": score.map(|score| score.images),
        "bank": probed.bank,
        "classes": probed.classes,
        "layers": probed.layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

/// A line for each file of weights, over the layers of all of them in a network's order.
fn chart(probed: &[Probed]) -> Chart {
    let most = probed.iter().max_by_key(|probed| probed.layers.len());
    let names: Vec<String> = most
        .iter()
        .flat_map(|probed| &probed.layers)
        .map(|(tap, _)| tap.name.clone())
        .collect();
    let value = |probed: &Probed, name: &String| {
        let layer = probed.layers.iter().find(|(tap, _)| tap.name == *name);
        layer.map_or(f64::NAN, |(_, outcome)| outcome.score.top1)
    };
    let series = |probed: &Probed| Series {
        name: short(&probed.weights),
        values: names.iter().map(|name| value(probed, name)).collect(),
    };
    let series = probed.iter().map(series).collect();
    Chart {
        title: "Linear probes, layer by layer".into(),
        x: "layer".into(),
        y: "top-1 accuracy (%)".into(),
        data: Data::Categories(names, series),
        level: None,
    }
}

/// A path as a legend has room for it.
fn short(path: &Path) -> String {
    const ROOM: usize = 24;
    let whole = path.display().to_string();
    match path.file_name() {
        Some(name) if whole.len() > ROOM => name.to_string_lossy().into_owned(),
        _ => whole,
    }
}
