//! The part of the configuration that says what is asked of the views: the method and its hyperparameters.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One flat table: a key that a method does not read is ignored by it, and its own defaults come from its
/// preset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Method {
    pub name: MethodName,
    /// Of the softmax over similarities: simclr, moco, pirl, swav.
    pub temperature: f64,
    pub head_layers: usize,
    /// Width of the head's hidden layers; 0: as wide as the features.
    pub head_hidden: usize,
    pub head_out: usize,
    pub head_norm: HeadNorm,

    /// simclr: embeddings kept as negatives; 0: the batch's own.
    pub bank: usize,
    /// simclr: parts in which the batch passes through the network, its gradient that of the whole.
    pub accumulate_exact: usize,
    /// moco: keys kept as negatives. swav: embeddings kept that help to balance the codes.
    pub queue: usize,
    /// Of the key encoder (moco) or of the memory bank (pirl): the share that stays.
    pub momentum: f64,
    /// moco: either view is the query once.
    pub symmetric: bool,
    /// moco: groups that batch norm's statistics are of, as if on so many devices.
    pub bn_groups: usize,
    /// pirl: negatives drawn from the memory bank for each image.
    pub negatives: usize,
    /// pirl: weight of the transformed image's loss; the image's own is weighted by the rest.
    pub lambda: f64,
    pub loss: BankLoss,
    /// pirl: what the image is turned into.
    pub transform: Transform,
    /// swav: prototypes, that is clusters.
    pub prototypes: usize,
    /// swav: entropy regularisation of Sinkhorn and Knopp's algorithm, and its iterations.
    pub epsilon: f64,
    pub iterations: u32,
    /// swav: epoch from which the queue is filled.
    pub queue_from: u32,
    /// swav: steps in which the prototypes stand still.
    pub freeze_steps: u64,
    pub assignment: Assignment,
    /// swav: whether codes share the prototypes equally; without, they collapse.
    pub equipartition: Switch,
    /// barlow: weight of the off-diagonal terms.
    pub off_diagonal: f64,
    /// jigsaw: permutations to be told apart.
    pub permutations: usize,
    /// relative-position: share of the hidden units dropped.
    pub dropout: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MethodName {
    Simclr,
    Moco,
    Pirl,
    Swav,
    Barlow,
    Jigsaw,
    Rotation,
    RelativePosition,
    Invariance,
    Supervised,
}

impl MethodName {
    pub const ALL: [(MethodName, &'static str); 10] = [
        (MethodName::Simclr, "simclr"),
        (MethodName::Moco, "moco"),
        (MethodName::Pirl, "pirl"),
        (MethodName::Swav, "swav"),
        (MethodName::Barlow, "barlow"),
        (MethodName::Jigsaw, "jigsaw"),
        (MethodName::Rotation, "rotation"),
        (MethodName::RelativePosition, "relative-position"),
        (MethodName::Invariance, "invariance"),
        (MethodName::Supervised, "supervised"),
    ];
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (_, name) = MethodName::ALL
            .iter()
            .find(|(method, _)| method == self)
            .expect("all are listed");
        f.write_str(name)
    }
}

/// Which of the head's layers are followed by batch norm. A linear layer that is has no bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HeadNorm {
    /// The last one too, there without shift: SimCLR.
    All,
    /// SwAV, Barlow Twins.
    Hidden,
    /// MoCo, PIRL.
    None,
}

/// How an embedding is compared with the bank's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BankLoss {
    /// Noise-contrastive estimation under a constant Z, which the first batch fixes.
    Nce,
    /// Cross-entropy over one positive and the negatives drawn.
    Infonce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transform {
    /// Nine patches in any order.
    Jigsaw,
    /// The image turned by quarters.
    Rotation,
}

/// What a code is: shares of all prototypes, or the nearest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Assignment {
    Soft,
    Hard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    On,
    Off,
}

/// SimCLR's head and temperature (simclr: tf2/model.py, version 1); of the others, what their papers use
/// on ImageNet.
impl Default for Method {
    fn default() -> Method {
        Method {
            name: MethodName::Simclr,
            temperature: 0.1,
            head_layers: 2,
            head_hidden: 0,
            head_out: 128,
            head_norm: HeadNorm::All,
            bank: 0,
            accumulate_exact: 1,
            queue: 0,
            momentum: 0.999,
            symmetric: false,
            bn_groups: 1,
            negatives: 32_000,
            lambda: 0.5,
            loss: BankLoss::Nce,
            transform: Transform::Jigsaw,
            prototypes: 3000,
            epsilon: 0.05,
            iterations: 3,
            queue_from: 15,
            freeze_steps: 0,
            assignment: Assignment::Soft,
            equipartition: Switch::On,
            off_diagonal: 0.0051,
            permutations: 2000,
            dropout: 0.5,
        }
    }
}
