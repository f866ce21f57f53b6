//! Every number of a run, in one tree: what `RUN/config.toml` holds.
//!
//! A value comes from the defaults below (SimCLR on ImageNet), then the preset, then the file of
//! `--config`, then the flags, then `--set`; the later one wins. An unknown key is an error that says
//! where it is and which key was meant.
mod layers;
mod nearest;
mod preset;
mod value;

use crate::{Error, Result, data::crop::Filter};
pub use layers::Layers;
pub use nearest::nearest;
pub use preset::PRESETS;
use serde::{Deserialize, Serialize};
use std::path::Path;
pub use value::{Every, Rate, duration, hours_minutes};
use xxhash_rust::xxh3::xxh3_64;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub data: Data,
    pub encoder: Encoder,
    pub method: Method,
    pub augment: Augment,
    pub optimize: Optimize,
    pub schedule: Schedule,
    pub engine: Engine,
    pub output: Output,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Encoder {
    pub arch: Arch,
    pub width_multiplier: usize,
    pub stem: Stem,
    /// Pixels a side of each view.
    pub image_size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    Tiny,
    Resnet18,
    Resnet50,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// `cifar` up to 64 pixels a side, `imagenet` above.
    Auto,
    /// 7x7 stride 2, then a max-pool of stride 2.
    Imagenet,
    /// 3x3 stride 1, no pool.
    Cifar,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Method {
    pub name: MethodName,
    pub temperature: f64,
    pub head_layers: usize,
    /// Width of the head's hidden layers; 0: as wide as the features.
    pub head_hidden: usize,
    pub head_out: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MethodName {
    Simclr,
}

/// In the order applied: crop, flip, jitter, gray, blur, solarize, normalise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Share of the image's area, lowest and highest.
    pub crop_scale: [f64; 2],
    /// Width over height.
    pub crop_ratio: [f64; 2],
    pub crop_filter: Filter,
    /// Probability of the four colour changes whose strengths follow.
    pub jitter: f64,
    pub brightness: f64,
    pub contrast: f64,
    pub saturation: f64,
    pub hue: f64,
    /// Probabilities.
    pub gray: f64,
    pub blur: f64,
    /// Standard deviation in pixels, lowest and highest.
    pub blur_sigma: [f64; 2],
    pub solarize: f64,
    pub mean: [f64; 3],
    pub std: [f64; 3],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Optimize {
    pub rule: Rule,
    /// A number, `"linear 0.3"` for 0.3 x batch / 256, or `"sqrt 0.075"` for 0.075 x sqrt(batch).
    pub lr: Rate,
    pub momentum: f64,
    pub weight_decay: f64,
    /// Trust coefficient of lars and larc.
    pub trust: f64,
    /// Biases and batch-norm parameters are spared weight decay and trust ratio.
    pub spare_vectors: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    Sgd,
    Lars,
    Larc,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub decay: Decay,
    pub decay_end: f64,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    Cosine,
    Constant,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Engine {
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    pub precision: Precision,
    pub graph: Graph,
}

/// Whether a training step is captured once and replayed as one launch: the same numbers either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Graph {
    /// On CUDA, where it spares the host a thousand launches a step.
    Auto,
    On,
    Off,
}

/// On CUDA; the CPU computes in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    Bf16,
    F32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// `"10m"` or `"500steps"`.
    pub checkpoint_every: Every,
    /// Checkpoints kept.
    pub keep: usize,
    /// Steps between two lines of the log.
    pub log_every: u64,
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

    /// Of all that changes the weights: not of where and how fast they are computed, nor of how long.
    pub fn hash(&self) -> u64 {
        let mut same = self.clone();
        same.data.workers = 0;
        same.data.val.clear();
        same.data.max_bad = 0.0;
        same.engine = Engine::default();
        same.output = Output::default();
        (same.schedule.epochs, same.schedule.steps) = (0, 0);
        xxh3_64(same.to_toml().as_bytes())
    }

    /// What no single key can say: values out of range.
    fn check(&self) -> Result<()> {
        let share = 0.0..=1.0;
        let a = &self.augment;
        let shares = [
            ("augment.jitter", a.jitter),
            ("augment.gray", a.gray),
            ("augment.blur", a.blur),
            ("augment.solarize", a.solarize),
            ("data.max_bad", self.data.max_bad),
            ("optimize.momentum", self.optimize.momentum),
        ];
        for (key, value) in shares {
            require(share.contains(&value), key, value, "from 0 to 1")?;
        }
        let positive = [
            ("method.temperature", self.method.temperature),
            ("augment.crop_scale", a.crop_scale[0]),
            ("augment.crop_ratio", a.crop_ratio[0]),
            ("augment.blur_sigma", a.blur_sigma[0]),
            ("optimize.lr", self.optimize.lr.at(1)),
        ];
        for (key, value) in positive {
            let ok = value > 0.0 && value.is_finite();
            require(ok, key, value, "above 0")?;
        }
        for (key, [low, high]) in [
            ("augment.crop_scale", a.crop_scale),
            ("augment.crop_ratio", a.crop_ratio),
            ("augment.blur_sigma", a.blur_sigma),
        ] {
            let pair = format!("[{low}, {high}]");
            require(low <= high, key, pair, "the lower bound first")?;
        }
        require(
            a.crop_scale[1] <= 1.0,
            "augment.crop_scale",
            a.crop_scale[1],
            "at most 1",
        )?;
        self.check_sizes()
    }

    fn check_sizes(&self) -> Result<()> {
        let (s, m) = (&self.schedule, &self.method);
        let width = self.encoder.width_multiplier;
        require(
            (1..=8).contains(&width),
            "encoder.width_multiplier",
            width,
            "1 to 8",
        )?;
        let size = self.encoder.image_size;
        require(
            s.batch >= 2,
            "schedule.batch",
            s.batch,
            "at least 2: a batch's other images are the negatives",
        )?;
        require(
            (8..=1024).contains(&size),
            "encoder.image_size",
            size,
            "8 to 1024",
        )?;
        require(
            s.epochs > 0 || s.steps > 0,
            "schedule.epochs",
            s.epochs,
            "at least 1",
        )?;
        require(
            (1..=3).contains(&m.head_layers),
            "method.head_layers",
            m.head_layers,
            "1 to 3",
        )?;
        require(m.head_out > 0, "method.head_out", m.head_out, "at least 1")?;
        require(
            s.warmup_epochs >= 0.0,
            "schedule.warmup_epochs",
            s.warmup_epochs,
            "0 or more",
        )?;
        require(
            self.output.keep > 0,
            "output.keep",
            self.output.keep,
            "at least 1",
        )?;
        require(
            self.output.log_every > 0,
            "output.log_every",
            self.output.log_every,
            "at least 1",
        )
    }
}

fn require(ok: bool, key: &str, value: impl std::fmt::Display, wanted: &str) -> Result<()> {
    if ok {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{key} is {value}; it must be {wanted}"
    )))
}
