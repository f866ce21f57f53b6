//! The flags of `train`, and the layer of configuration they are.
mod method;
pub mod preset;

use crate::{
    Result,
    config::{Config, Layers, duration},
};
use clap::Args;
pub use method::MethodFlags;
use std::{
    env,
    path::{self, Path, PathBuf},
    time::Duration,
};

#[derive(Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  selfsame train synthetic --out runs/first\n  selfsame train photos/ @more.txt --preset moco-v2 --max-time 11h30m --out runs/a\n  selfsame train photos/ --config mine.toml --set augment.hue=0.1 --out runs/b"
)]
pub struct TrainFlags {
    /// Folders, images, @list.txt, .tar archives, CIFAR files, or `synthetic`
    #[arg(help_heading = "Data")]
    pub images: Vec<String>,
    /// Labelled images for kNN; without it a tenth of IMAGES, where they are labelled
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    val: Option<String>,
    /// Loader threads [default: one a core]
    #[arg(long, value_name = "N", help_heading = "Data", hide_short_help = true)]
    workers: Option<u64>,
    /// simclr, moco, pirl, swav, barlow, ...: see --help
    ///
    /// simclr, moco, pirl, swav, barlow, jigsaw, rotation, relative-position, invariance or supervised
    #[arg(long, value_name = "NAME", help_heading = "Method")]
    method: Option<String>,
    /// E.g. moco-v2; see `selfsame presets` [default: by method, images and device]
    #[arg(long, value_name = "NAME", help_heading = "Method")]
    pub preset: Option<String>,
    /// tiny, resnet18 or resnet50
    #[arg(long, value_name = "NAME", help_heading = "Method")]
    arch: Option<String>,
    /// Times as many channels
    #[arg(
        long,
        value_name = "N",
        help_heading = "Method",
        hide_short_help = true
    )]
    width_multiplier: Option<u64>,
    /// Weights that the encoder begins with: a run, or a .safetensors or .pth file (torchvision's, timm's);
    /// read once, resume does not need them
    #[arg(
        long,
        value_name = "RUN|FILE",
        help_heading = "Method",
        hide_short_help = true
    )]
    init_from: Option<String>,
    /// Pixels a side of each view
    #[arg(
        long,
        value_name = "N",
        help_heading = "Method",
        hide_short_help = true
    )]
    image_size: Option<u64>,
    #[command(flatten)]
    of_method: MethodFlags,

    #[arg(long, value_name = "N", help_heading = "Schedule")]
    epochs: Option<u64>,
    /// Instead of --epochs
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "epochs",
        help_heading = "Schedule",
        hide_short_help = true
    )]
    steps: Option<u64>,
    /// Images a step
    #[arg(long, value_name = "N", help_heading = "Schedule")]
    batch: Option<u64>,
    /// A number, "linear 0.3" (x batch / 256) or "sqrt 0.075" (x sqrt(batch))
    #[arg(
        long,
        value_name = "LR",
        help_heading = "Schedule",
        hide_short_help = true
    )]
    lr: Option<String>,
    /// sgd, nesterov, lars or larc
    #[arg(
        long,
        value_name = "RULE",
        help_heading = "Schedule",
        hide_short_help = true
    )]
    optimizer: Option<String>,
    #[arg(
        long,
        value_name = "X",
        help_heading = "Schedule",
        hide_short_help = true
    )]
    weight_decay: Option<f64>,
    /// Epochs of it
    #[arg(
        long,
        value_name = "X",
        help_heading = "Schedule",
        hide_short_help = true
    )]
    warmup: Option<f64>,
    #[arg(
        long,
        value_name = "N",
        help_heading = "Schedule",
        hide_short_help = true
    )]
    seed: Option<u64>,

    /// auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", help_heading = "Engine")]
    device: Option<String>,
    /// bf16 or f32, on CUDA
    #[arg(
        long,
        value_name = "TYPE",
        help_heading = "Engine",
        hide_short_help = true
    )]
    precision: Option<String>,
    /// Time every kernel: its rate and share of the roofline, at the end and in RUN/trace.txt
    #[arg(
        long,
        env = "SELFSAME_TRACE",
        help_heading = "Engine",
        hide_short_help = true
    )]
    pub trace: bool,
    /// Share of bad images above which the run stops, e.g. 0.05
    #[arg(
        long,
        value_name = "SHARE",
        help_heading = "Safety",
        hide_short_help = true
    )]
    max_bad: Option<f64>,
    /// stop, or rollback: to the last checkpoint, half the rate, at most three times
    #[arg(
        long,
        value_name = "WHAT",
        help_heading = "Safety",
        hide_short_help = true
    )]
    on_nan: Option<String>,
    /// Save and end with code 75 before this: 150s, 2h, 11h30m
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Safety")]
    pub max_time: Option<Duration>,
    /// Save and end with code 8 when the process that started this one is gone; so it is anyway under
    /// torchrun and mpirun
    #[arg(long, help_heading = "Safety", hide_short_help = true)]
    pub stop_with_parent: bool,

    /// Write nothing; tell steps, memory, the largest batch, disk and time
    #[arg(long, help_heading = "Safety")]
    pub dry_run: bool,

    /// The run's folder; must be new or empty
    #[arg(long, value_name = "RUN", required = true, help_heading = "Output")]
    pub out: Option<PathBuf>,
    /// 10m, 500steps, epoch, or several: 10m,epoch
    #[arg(
        long,
        value_name = "INTERVAL",
        help_heading = "Output",
        hide_short_help = true
    )]
    checkpoint_every: Option<String>,
    /// Checkpoints kept
    #[arg(
        long,
        value_name = "N",
        help_heading = "Output",
        hide_short_help = true
    )]
    keep: Option<u64>,
    /// Steps between two lines of the log
    #[arg(
        long,
        value_name = "N",
        help_heading = "Output",
        hide_short_help = true
    )]
    log_every: Option<u64>,
    /// Write no RUN/events.out.tfevents.*
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    no_tensorboard: bool,
    /// What came of it, as one line of JSON on stdout
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub json: bool,

    /// A file of values, as RUN/config.toml; flags win over it
    #[arg(long, value_name = "FILE.toml", help_heading = "Configuration")]
    config: Option<PathBuf>,
    /// Any value by its name, e.g. augment.hue=0.1; wins over all others
    ///
    /// In the environment it is SELFSAME_AUGMENT_HUE=0.1, which wins over the file, and flags win over it.
    #[arg(long, value_name = "A.B=C", help_heading = "Configuration")]
    set: Vec<String>,
}

/// What the user said, over `preset` and the image size that suits the images.
pub struct Said<'a> {
    pub flags: &'a TrainFlags,
    pub preset: Option<&'a str>,
    pub image_size: Option<u32>,
}

impl Said<'_> {
    pub fn of(flags: &TrainFlags) -> Said<'_> {
        Said {
            flags,
            preset: flags.preset.as_deref(),
            image_size: None,
        }
    }

    /// Before a preset is chosen by it.
    pub fn first(&self) -> Result<Config> {
        self.layers().map(|layers| with_whole_paths(layers.read()))
    }

    pub fn layers(&self) -> Result<Layers> {
        let mut layers = Layers::default();
        if let Some(preset) = self.preset {
            layers.preset(preset)?;
        }
        if let Some(size) = self.image_size {
            layers.set("the images", "encoder.image_size", size)?;
        }
        if let Some(file) = &self.flags.config {
            layers.file(file)?;
        }
        layers.environment(variables())?;
        self.flags.add_to(&mut layers)?;
        for assignment in &self.flags.set {
            layers.assign(assignment)?;
        }
        Ok(layers)
    }
}

/// The environment's, those whose names are text: no name of ours is anything else.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.to_string_lossy().into_owned()))
    })
}

pub fn with_whole_paths(mut config: Config) -> Config {
    config.data.images.iter_mut().for_each(absolute);
    absolute(&mut config.data.val);
    absolute(&mut config.encoder.init_from);
    config
}

/// Paths are kept whole, so that a run can be resumed from anywhere.
pub fn absolute(spec: &mut String) {
    let word = spec.split(':').next().unwrap_or_default();
    if ["", "synthetic", "synthetic-val"].contains(&word) {
        return;
    }
    let (mark, path) = match spec.strip_prefix('@') {
        Some(list) => ("@", list),
        None => ("", &spec[..]),
    };
    if let Ok(whole) = path::absolute(path) {
        *spec = format!("{mark}{}", whole.display());
    }
}

impl TrainFlags {
    /// The run's folder: without it nothing but `config show` has these flags.
    pub fn out(&self) -> &Path {
        self.out.as_deref().expect("it is required")
    }

    fn add_to(&self, layers: &mut Layers) -> Result<()> {
        self.of_method.add_to(layers)?;
        let words = [
            ("--val", "data.val", &self.val),
            ("--method", "method.name", &self.method),
            ("--arch", "encoder.arch", &self.arch),
            ("--init-from", "encoder.init_from", &self.init_from),
            ("--lr", "optimize.lr", &self.lr),
            ("--optimizer", "optimize.rule", &self.optimizer),
            ("--device", "engine.device", &self.device),
            ("--precision", "engine.precision", &self.precision),
            ("--on-nan", "engine.on_nan", &self.on_nan),
            (
                "--checkpoint-every",
                "output.checkpoint_every",
                &self.checkpoint_every,
            ),
        ];
        for (flag, key, value) in words {
            if let Some(value) = value {
                layers.set(flag, key, value.as_str())?;
            }
        }
        let counts = [
            ("--workers", "data.workers", self.workers),
            (
                "--width-multiplier",
                "encoder.width_multiplier",
                self.width_multiplier,
            ),
            ("--image-size", "encoder.image_size", self.image_size),
            ("--epochs", "schedule.epochs", self.epochs),
            ("--epochs", "schedule.steps", self.epochs.map(|_| 0)),
            ("--steps", "schedule.steps", self.steps),
            ("--batch", "schedule.batch", self.batch),
            ("--seed", "schedule.seed", self.seed),
            ("--keep", "output.keep", self.keep),
            ("--log-every", "output.log_every", self.log_every),
        ];
        for (flag, key, value) in counts {
            if let Some(value) = value {
                layers.set(flag, key, i64::try_from(value).unwrap_or(i64::MAX))?;
            }
        }
        let numbers = [
            ("--max-bad", "data.max_bad", self.max_bad),
            ("--weight-decay", "optimize.weight_decay", self.weight_decay),
            ("--warmup", "schedule.warmup_epochs", self.warmup),
        ];
        for (flag, key, value) in numbers {
            if let Some(value) = value {
                layers.set(flag, key, value)?;
            }
        }
        if self.no_tensorboard {
            layers.set("--no-tensorboard", "output.tensorboard", false)?;
        }
        if !self.images.is_empty() {
            layers.set("IMAGES", "data.images", self.images.clone())?;
        }
        Ok(())
    }
}
