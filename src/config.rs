//! Every number of a run, in one tree: what `RUN/config.toml` holds.
//!
//! A value comes from the defaults below (SimCLR on ImageNet), then the preset, then the file of
//! `--config`, then the environment (`SELFSAME_SCHEDULE_EPOCHS=3`), then the flags, then `--set`; the later
//! one wins. An unknown key is an error that says where it is and which key was meant.
mod cadence;
mod change;
mod check;
mod defaults;
mod entries;
mod environment;
mod layers;
mod method;
mod nearest;
mod place;
mod preset;
mod schema;
mod template;
mod unknown;
mod value;

use crate::{Result, data::crop::Filter};
pub use cadence::Cadence;
pub use change::{Change, refuse};
pub use layers::{Layers, Sources};
pub use method::{Assignment, BankLoss, HeadNorm, Method, MethodName, Switch, Transform};
pub use nearest::nearest;
pub use preset::{PRESETS, Preset, Scale};
pub use schema::schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
pub use template::{annotated, template, values};
pub use value::{Rate, duration, hours_minutes};
use xxhash_rust::xxh3::xxh3_64;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub data: Data,
    pub encoder: Encoder,
    pub method: Method,
    pub augment: Augment,
    pub patches: Patches,
    pub optimize: Optimize,
    pub schedule: Schedule,
    pub engine: Engine,
    pub output: Output,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// Folders, images, `@list.txt`, tar archives, CIFAR files, `synthetic`.
    pub images: Vec<String>,
    /// Labelled images for kNN; empty: a tenth of `images` where they are labelled.
    pub val: String,
    /// Share of bad images above which the run stops.
    pub max_bad: f64,
    /// Loader threads; 0: one a core.
    pub workers: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Encoder {
    pub arch: Arch,
    pub width_multiplier: usize,
    pub stem: Stem,
    /// Pixels a side of each view.
    pub image_size: usize,
    /// The last batch norm of each residual block starts as zero: the block as the identity.
    pub zero_init_residual: bool,
    /// Where the first weights came from; empty: from the seed. Read once, when the run begins.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub init_from: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    Tiny,
    Resnet18,
    Resnet50,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// `cifar` up to 64 pixels a side, `imagenet` above.
    Auto,
    /// 7x7 stride 2, then a max-pool of stride 2.
    Imagenet,
    /// 3x3 stride 1, no pool.
    Cifar,
}

/// In the order applied: crop, flip, jitter, photometric, gray, blur, solarize, normalise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Share of the image's area, lowest and highest.
    pub crop_scale: [f64; 2],
    /// Width over height.
    pub crop_ratio: [f64; 2],
    pub crop_filter: Filter,
    /// Views beside the two of `encoder.image_size`: how many, their pixels a side, their share of the
    /// image's area (swav).
    pub small_crops: usize,
    pub small_size: usize,
    pub small_scale: [f64; 2],
    /// Probability of the four colour changes whose strengths follow.
    pub jitter: f64,
    pub brightness: f64,
    pub contrast: f64,
    pub saturation: f64,
    pub hue: f64,
    /// Probability of posterize, sharpness, solarize and autocontrast, one after another (pirl).
    pub photometric: f64,
    /// Probabilities.
    pub gray: f64,
    /// Grey before the jitter, not after it (MoCo v1).
    pub gray_first: bool,
    pub blur: f64,
    /// Standard deviation in pixels, lowest and highest.
    pub blur_sigma: [f64; 2],
    pub solarize: f64,
    /// Of the second view, where they differ from the first's (barlow).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_blur: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_solarize: Option<f64>,
    pub mean: [f64; 3],
    pub std: [f64; 3],
}

/// Nine patches: one of `size` pixels a side somewhere in each of 3 x 3 cells of a crop of `whole` pixels a
/// side. pirl, jigsaw, relative-position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Patches {
    pub size: usize,
    pub whole: usize,
    /// Of what the crop is: 0, a RandomResizedCrop of `scale`; else a square of the image whose short side
    /// was resized to this.
    pub resize: usize,
    /// Share of the image's area.
    pub scale: [f64; 2],
    pub mirror: Mirror,
}

/// What is mirrored for every second image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mirror {
    Nothing,
    /// The crop, before it is cut.
    Whole,
    /// Each patch by itself.
    Each,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Optimize {
    pub rule: Rule,
    /// A number, `"linear 0.3"` for 0.3 x batch / 256, or `"sqrt 0.075"` for 0.075 x sqrt(batch).
    pub lr: Rate,
    /// Of what `spare_vectors` spares, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector_lr: Option<Rate>,
    pub momentum: f64,
    pub weight_decay: f64,
    /// Trust coefficient of lars and larc.
    pub trust: f64,
    /// Biases and batch-norm parameters are spared weight decay and trust ratio.
    pub spare_vectors: bool,
    /// Biases are decayed all the same: `spare_vectors` is then of batch norm's alone.
    pub decay_biases: bool,
    /// How many times the weight decay the parameters have that the method adds to the encoder.
    pub head_decay: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    Sgd,
    Nesterov,
    Lars,
    Larc,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    pub epochs: usize,
    /// 0: as many as the epochs hold.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    pub warmup_epochs: f64,
    /// Share of the learning rate that the warm-up begins with, and the decay ends with.
    pub warmup_start: f64,
    /// Whether the warm-up's last step, not the one after, has the peak rate.
    pub warmup_inclusive: bool,
    pub decay: Decay,
    pub decay_end: f64,
    /// `step`: the epochs at which the rate is multiplied by `decay_factor`.
    pub decay_epochs: Vec<u32>,
    pub decay_factor: f64,
    /// Whether the decay moves once an epoch, not at every step.
    pub decay_by_epoch: bool,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    Cosine,
    Step,
    Constant,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Engine {
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    pub precision: Precision,
    pub graph: Graph,
    pub on_nan: OnNan,
}

/// What a run does after a step whose loss, gradient or weights are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnNan {
    /// It ends, with code 7.
    Stop,
    /// It goes back to its newest checkpoint and on from there with half the learning rate and the same
    /// batches, at most three times.
    Rollback,
}

impl OnNan {
    /// As `flag` has it.
    pub fn read(flag: &str, word: &str) -> Result<OnNan> {
        let mut layers = Layers::default();
        layers.set(flag, "engine.on_nan", word)?;
        Ok(layers.read().engine.on_nan)
    }
}

/// Whether a training step is captured once and replayed as one launch: the same numbers either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Graph {
    /// On CUDA, where it spares the host a thousand launches a step.
    Auto,
    On,
    Off,
}

/// On CUDA; the CPU computes in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    Bf16,
    F32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// `"10m"`, `"500steps"`, `"epoch"`, or several: `"10m,epoch"`.
    pub checkpoint_every: Cadence,
    /// Checkpoints kept.
    pub keep: usize,
    /// Steps between two lines of the log.
    pub log_every: u64,
    /// Whether the run is shown on TensorBoard too.
    pub tensorboard: bool,
}

impl Config {
    /// What a run was made with: its `config.toml`.
    pub fn read(path: &Path) -> Result<Config> {
        let mut layers = Layers::default();
        layers.file(path)?;
        layers.finish()
    }

    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every value has a TOML form")
    }

    /// Of all that changes the weights: not of where and how fast they are computed, nor of how long. What
    /// is left out has a value that stays, so that a default may change and old runs be resumed.
    pub fn hash(&self) -> u64 {
        let mut same = self.clone();
        same.data.workers = 0;
        same.data.val.clear();
        same.data.max_bad = 0.0;
        same.engine = Engine {
            device: "auto".into(),
            precision: Precision::Bf16,
            graph: Graph::Auto,
            on_nan: OnNan::Stop,
        };
        same.output = Output {
            checkpoint_every: "10m".parse().expect("an interval"),
            keep: 3,
            log_every: 50,
            tensorboard: true,
        };
        (same.schedule.epochs, same.schedule.steps) = (0, 0);
        // Runs from before there was this key have a hash without it.
        let text = same.to_toml().replace("tensorboard = true\n", "");
        xxh3_64(text.as_bytes())
    }
}
