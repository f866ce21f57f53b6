//! `selfsame eval knn`: one pass over the images, a line for each k and temperature.
use super::{above_zero, decimal, labelled::LabelledArgs, place::with, positive};
use crate::{
    Result,
    evaluate::{NeighboursPlan, Score, knn_by_each},
};
use clap::Args;

#[derive(Args, Debug)]
pub struct KnnArgs {
    #[command(flatten)]
    images: LabelledArgs,
    /// Neighbours that vote; a list tries each with each temperature
    #[arg(long, num_args = 1.., value_delimiter = ',', default_value = "200", value_parser = positive)]
    k: Vec<usize>,
    /// A neighbour's vote is exp(similarity / T)
    #[arg(long, num_args = 1.., value_delimiter = ',', default_value = "0.1", value_name = "T",
          value_parser = above_zero)]
    temperature: Vec<f32>,
}

pub fn run(args: &KnnArgs) -> Result<()> {
    let opened = args.images.open(None)?;
    let (place, images) = (args.images.place(&opened), opened.embed()?);
    let bank = images.train.labels.len();
    let plans = plans(args, bank);
    let (train, val) = (images.train.features(), images.val.features());
    let judged = knn_by_each(train, val, images.classes, &plans);
    let scores: Vec<Score> = judged.iter().map(|judged| judged.score).collect();
    let result = images.told(json(&plans, &scores));
    place.keep(&["knn"], with(result.clone(), &judged[0].confusion));
    if args.images.specs.json {
        println!("{result}");
        return Ok(());
    }
    eprintln!("kNN of {} images by {bank}", scores[0].images);
    println!("{:>6} {:>6} {:>8} {:>8}", "k", "T", "top-1 %", "top-5 %");
    for (plan, score) in plans.iter().zip(&scores) {
        println!(
            "{:>6} {:>6} {:>8.2} {:>8.2}",
            plan.k, plan.temperature, score.top1, score.top5
        );
    }
    Ok(())
}

fn json(plans: &[NeighboursPlan], scores: &[Score]) -> serde_json::Value {
    let result = |(plan, score): (&NeighboursPlan, &Score)| {
        serde_json::json!({
            "k": plan.k,
            "temperature": decimal(plan.temperature),
            "top1": score.top1,
            "top5": score.top5,
        })
    };
    let results: Vec<_> = plans.iter().zip(scores).map(result).collect();
    serde_json::json!({"protocol": "knn", "results": results})
}

/// Each k with each temperature. A k above the bank is all of the bank, and said once.
fn plans(args: &KnnArgs, bank: usize) -> Vec<NeighboursPlan> {
    let mut plans: Vec<NeighboursPlan> = Vec::new();
    for &k in &args.k {
        for &temperature in &args.temperature {
            let k = k.min(bank);
            let plan = NeighboursPlan { k, temperature };
            if !plans.contains(&plan) {
                plans.push(plan);
            }
        }
    }
    plans
}
