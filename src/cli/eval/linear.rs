//! `selfsame eval linear`: a linear classifier on frozen features, by our recipe or a paper's.
use super::{
    above_zero, decimal,
    labelled::{LabelledArgs, SubsetArgs, enough},
    place::{recipe_word, share_word, with},
    positive,
};
use crate::{
    Error, Result,
    cli::progress::Progress,
    evaluate::{LinearOutcome, LinearPlan, Recipe, linear},
};
use clap::Args;

#[derive(Args, Debug)]
pub struct LinearArgs {
    #[command(flatten)]
    images: LabelledArgs,
    /// search, or as a paper's code has it: moco, swav, barlow, simclr, lightly
    #[arg(long, default_value = "search", value_parser = recipe)]
    recipe: Recipe,
    /// [default: the recipe's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Images a step [default: the recipe's]
    #[arg(long, value_parser = positive)]
    batch: Option<usize>,
    /// The learning rate; several are tried on a tenth of --train, held out [default: the recipe's]
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "LR", value_parser = above_zero)]
    lr: Vec<f32>,
    #[command(flatten)]
    subset: SubsetArgs,
}

fn recipe(name: &str) -> Result<Recipe, String> {
    let names = || Recipe::ALL.map(|(name, _)| name).join(", ");
    name.parse()
        .map_err(|_: Error| format!("there are {}", names()))
}

pub fn run(args: &LinearArgs) -> Result<()> {
    let opened = args.images.open(Some(&args.subset))?;
    let (place, images) = (args.images.place(&opened), opened.embed()?);
    let bank = images.train.labels.len();
    let plan = plan(args, bank);
    enough(bank, plan.rates.len())?;
    if let Some(why) = args.recipe.caution().filter(|_| args.lr.is_empty()) {
        eprintln!("warning[recipe]: {}: {why}", args.recipe.name());
    }
    let progress = Progress::new("linear probe", plan.all_epochs() as usize);
    let (train, val) = (images.train.features(), images.val.features());
    let outcome = linear(train, val, images.classes, &plan, &|done, _| {
        progress.at(done as usize)
    });
    drop(progress);
    let score = outcome.score;
    let result = images.told(json(args, &plan, &outcome));
    let (recipe, share) = (
        recipe_word(args.recipe.name()),
        share_word(args.subset.labels_fraction),
    );
    let whole = with(result.clone(), &outcome.confusion);
    place.keep(&["linear", recipe, &share], whole);
    if args.images.specs.json {
        println!("{result}");
        return Ok(());
    }
    println!(
        "linear {:.2} % top-1, {:.2} % top-5 of {} images (recipe {}, lr {} {})",
        score.top1,
        score.top5,
        score.images,
        args.recipe.name(),
        outcome.rate,
        chosen(&plan, bank)
    );
    Ok(())
}

fn json(args: &LinearArgs, plan: &LinearPlan, outcome: &LinearOutcome) -> serde_json::Value {
    serde_json::json!({
        "protocol": "linear",
        "recipe": args.recipe.name(),
        "top1": outcome.score.top1,
        "top5": outcome.score.top5,
        "lr": decimal(outcome.rate),
        "tried": tried(outcome),
        "epochs": plan.epochs,
        "batch": plan.batch,
        "labels_fraction": args.subset.labels_fraction,
    })
}

fn plan(args: &LinearArgs, images: usize) -> LinearPlan {
    let mut plan = args.recipe.plan(images, args.batch);
    plan.epochs = args.epochs.unwrap_or(plan.epochs);
    plan.seed = args.subset.seed;
    if !args.lr.is_empty() {
        plan.rates = args.lr.clone();
    }
    plan
}

/// Where the rate is from.
fn chosen(plan: &LinearPlan, images: usize) -> String {
    match plan.rates.len() {
        1 => "not searched".into(),
        _ => format!("of {:?}, chosen on a tenth of {images}", plan.rates),
    }
}

fn tried(outcome: &LinearOutcome) -> Vec<serde_json::Value> {
    let pair = |&(lr, top1): &(f32, f64)| serde_json::json!({"lr": decimal(lr), "top1": top1});
    outcome.tried.iter().map(pair).collect()
}
