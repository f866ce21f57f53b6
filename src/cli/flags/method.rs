//! The flags of single methods; each is a key of `[method]`.
use crate::{Error, Result, config::Layers};
use clap::Args;
use toml::Value;

#[derive(Args)]
pub struct MethodFlags {
    /// Of the softmax over similarities: simclr, moco, pirl, swav
    #[arg(
        long,
        value_name = "T",
        help_heading = "Method",
        hide_short_help = true
    )]
    temperature: Option<f64>,
    /// simclr: negatives from a memory of so many past embeddings, not from the batch
    #[arg(
        long,
        value_name = "N",
        help_heading = "Method",
        hide_short_help = true
    )]
    bank: Option<u64>,
    /// simclr: the batch in so many parts, with the gradient of the whole
    #[arg(
        long,
        value_name = "PARTS",
        help_heading = "Method",
        hide_short_help = true
    )]
    accumulate_exact: Option<u64>,
    /// Refused: see there.
    #[arg(long, hide = true)]
    accumulate: Option<u64>,
    /// moco: keys kept as negatives; swav: embeddings kept to balance the codes
    #[arg(
        long,
        value_name = "N",
        help_heading = "Method",
        hide_short_help = true
    )]
    queue: Option<u64>,
    /// What stays of moco's key encoder, of pirl's memory bank, at each step: 0.999
    #[arg(
        long,
        value_name = "M",
        help_heading = "Method",
        hide_short_help = true
    )]
    momentum: Option<f64>,
    /// moco: either view is the query once
    #[arg(long, help_heading = "Method", hide_short_help = true)]
    symmetric: bool,
    /// moco: groups of the batch that batch norm sees alone
    #[arg(
        long,
        value_name = "N",
        help_heading = "Method",
        hide_short_help = true
    )]
    bn_groups: Option<u64>,
    /// pirl: jigsaw or rotation
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Method",
        hide_short_help = true
    )]
    transform: Option<String>,
    /// pirl: negatives drawn for each image
    #[arg(
        long,
        value_name = "N",
        help_heading = "Method",
        hide_short_help = true
    )]
    negatives: Option<u64>,
    /// pirl: weight of the transformed image
    #[arg(
        long,
        value_name = "X",
        help_heading = "Method",
        hide_short_help = true
    )]
    lambda: Option<f64>,
    /// pirl: nce or infonce
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Method",
        hide_short_help = true
    )]
    loss: Option<String>,
    /// swav: views an image, e.g. 2x224+6x96
    #[arg(
        long,
        value_name = "CROPS",
        help_heading = "Method",
        hide_short_help = true
    )]
    crops: Option<String>,
    /// swav: clusters
    #[arg(
        long,
        value_name = "K",
        help_heading = "Method",
        hide_short_help = true
    )]
    prototypes: Option<u64>,
    /// swav: soft or hard
    #[arg(
        long,
        value_name = "KIND",
        help_heading = "Method",
        hide_short_help = true
    )]
    assignment: Option<String>,
    /// swav: on or off
    #[arg(
        long,
        value_name = "SWITCH",
        help_heading = "Method",
        hide_short_help = true
    )]
    equipartition: Option<String>,
    /// jigsaw: permutations to be told apart
    #[arg(
        long,
        value_name = "N",
        help_heading = "Method",
        hide_short_help = true
    )]
    permutations: Option<u64>,
}

impl MethodFlags {
    pub(super) fn add_to(&self, layers: &mut Layers) -> Result<()> {
        if let Some(parts) = self.accumulate {
            return Err(Error::Config(format!(
                "--accumulate {parts} would train on another loss: each part of the batch would have its own images only as negatives\n  --accumulate-exact {parts} passes the parts twice and has the gradient of the whole batch"
            )));
        }
        let count = |n: Option<u64>| n.map(|n| Value::from(i64::try_from(n).unwrap_or(i64::MAX)));
        let number = |x: Option<f64>| x.map(Value::from);
        let word = |word: &Option<String>| word.as_deref().map(Value::from);
        let values = [
            ("--temperature", "temperature", number(self.temperature)),
            ("--bank", "bank", count(self.bank)),
            (
                "--accumulate-exact",
                "accumulate_exact",
                count(self.accumulate_exact),
            ),
            ("--queue", "queue", count(self.queue)),
            ("--momentum", "momentum", number(self.momentum)),
            (
                "--symmetric",
                "symmetric",
                self.symmetric.then(|| Value::from(true)),
            ),
            ("--bn-groups", "bn_groups", count(self.bn_groups)),
            ("--transform", "transform", word(&self.transform)),
            ("--negatives", "negatives", count(self.negatives)),
            ("--lambda", "lambda", number(self.lambda)),
            ("--loss", "loss", word(&self.loss)),
            ("--prototypes", "prototypes", count(self.prototypes)),
            ("--assignment", "assignment", word(&self.assignment)),
            (
                "--equipartition",
                "equipartition",
                word(&self.equipartition),
            ),
            ("--permutations", "permutations", count(self.permutations)),
        ];
        for (flag, key, value) in values {
            if let Some(value) = value {
                layers.set(flag, &format!("method.{key}"), value)?;
            }
        }
        match &self.crops {
            Some(crops) => set_crops(layers, crops),
            None => Ok(()),
        }
    }
}

/// `2x224` or `2x224+6x96`.
fn set_crops(layers: &mut Layers, text: &str) -> Result<()> {
    let wrong = || {
        Error::Config(format!(
            "`--crops {text}` is not understood\n  two crops of one size, and smaller ones or none: 2x224 or 2x224+6x96"
        ))
    };
    let group = |text: &str| -> Option<[i64; 2]> {
        let (count, size) = text.split_once('x')?;
        Some([count.trim().parse().ok()?, size.trim().parse().ok()?])
    };
    let groups: Option<Vec<[i64; 2]>> = text.split('+').map(group).collect();
    let (size, small) = match groups.as_deref() {
        Some([[2, size]]) => (*size, [0, 96]),
        Some([[2, size], small]) => (*size, *small),
        _ => return Err(wrong()),
    };
    let values = [
        ("encoder.image_size", size),
        ("augment.small_crops", small[0]),
        ("augment.small_size", small[1]),
    ];
    for (key, value) in values {
        layers.set("--crops", key, value)?;
    }
    Ok(())
}
