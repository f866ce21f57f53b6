//! `selfsame eval`: what an encoder is worth on labelled images, by each protocol of the field.
mod finetune;
mod knn;
mod labelled;
mod layers;
mod linear;
mod place;

use crate::Result;
use clap::{Args, Subcommand};

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
    Knn(knn::KnnArgs),
    /// A linear classifier trained on the features of --train, judged on --val
    Linear(linear::LinearArgs),
    /// A linear classifier on every stage of the network, and a figure of them
    Layers(layers::LayersArgs),
    /// The whole network trained on the labels of --train, or on a share of them
    Finetune(finetune::FinetuneArgs),
}

pub fn run(args: &EvalArgs) -> Result<()> {
    match &args.protocol {
        Protocol::Knn(args) => knn::run(args),
        Protocol::Linear(args) => linear::run(args),
        Protocol::Layers(args) => layers::run(args),
        Protocol::Finetune(args) => finetune::run(args),
    }
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

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|n| *n > 0.0 && *n <= 1.0);
    number.ok_or_else(|| "a share above 0 and at most 1 is wanted: 0.01, 0.1".into())
}

/// As it was typed: 0.1, not 0.10000000149011612.
fn decimal(x: f32) -> f64 {
    x.to_string().parse().expect("a number reads back")
}
