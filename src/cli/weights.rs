//! `--weights W`: a run, one of its checkpoints, or a file of weights under torchvision's names.
use super::device;
use crate::{
    Device, Error, Result,
    config::{self, Config, Precision},
    evaluate::{Encoder, Input},
    interop::{
        huggingface, torchvision,
        weights::{Array, Weights},
    },
    nn::{Architecture, Entry, Layout, Params, ResNet, Stem},
    train::{
        build,
        checkpoint::{self, Numbers},
        first,
        trainer::Trainer,
    },
};
use clap::Args;
use std::{
    collections::HashMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};
use xxhash_rust::xxh3::Xxh3Default;

const IMAGE_SIZES: RangeInclusive<u32> = 8..=1024;

#[derive(Args, Clone, Debug)]
pub struct EncoderArgs {
    /// A run's folder, one of its checkpoints, a .safetensors or .pth file (ours, torchvision's, timm's, and
    /// what MoCo, SwAV or detectron2 write), or a Hugging Face folder of timm's
    #[arg(long, value_name = "RUN|FILE")]
    pub weights: PathBuf,
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// How images are looked at, and on what.
#[derive(Args, Clone, Debug)]
pub struct MachineArgs {
    /// Pixels a side [default: what the weights were trained at; 224, or 32 for a CIFAR stem]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(8..=1024))]
    pub image_size: Option<u32>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Threads that decode images [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,
}

impl EncoderArgs {
    pub fn load(&self) -> Result<Loaded> {
        self.machine.load(&self.weights)
    }

    pub fn workers(&self) -> usize {
        self.machine.workers()
    }
}

impl MachineArgs {
    /// On the device named, in f32: evaluation is no place to save bits.
    pub fn load(&self, weights: &Path) -> Result<Loaded> {
        let device = device::open(&self.device, Precision::F32)?;
        let mut loaded = load(weights, &device)?;
        loaded.input.size = self.image_size.unwrap_or(loaded.input.size);
        Ok(loaded)
    }

    pub fn workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.workers.map_or_else(cores, usize::from)
    }
}

/// Which network it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub architecture: Architecture,
    pub stem: Stem,
    /// Times the channels.
    pub width: usize,
}

impl Kind {
    /// Of a run.
    pub fn of(encoder: &config::Encoder) -> Kind {
        let (architecture, stem) = build::kind(encoder);
        Kind {
            architecture,
            stem,
            width: encoder.width_multiplier,
        }
    }

    /// `resnet18, CIFAR stem, width 2`.
    pub fn describe(self) -> String {
        let Kind {
            architecture,
            stem,
            width,
        } = self;
        let stem = match stem {
            Stem::ImageNet => "ImageNet stem",
            Stem::Cifar => "CIFAR stem",
        };
        let width = if width > 1 {
            format!(", width {width}")
        } else {
            String::new()
        };
        format!("{}, {stem}{width}", architecture.name())
    }
}

/// A backbone and its weights.
pub struct Loaded {
    pub kind: Kind,
    pub network: ResNet,
    pub params: Params,
    pub input: Input,
    /// Batches its running statistics have seen, as far as is known.
    pub batches: u64,
    /// Of the run; `synthetic` depends on it.
    pub seed: u64,
    /// Of the run, where there was one.
    pub method: Option<String>,
}

/// How a run's images are looked at.
fn input_of(config: &Config) -> Input {
    Input {
        size: config.encoder.image_size as u32,
        mean: config.augment.mean.map(|x| x as f32),
        std: config.augment.std.map(|x| x as f32),
    }
}

impl Loaded {
    /// What `trainer` has learned so far.
    pub fn of(trainer: &Trainer) -> Loaded {
        Loaded {
            kind: Kind::of(&trainer.config.encoder),
            network: trainer.network.encoder.clone(),
            params: trainer.params.clone(),
            input: input_of(&trainer.config),
            batches: trainer.step,
            seed: trainer.config.schedule.seed,
            method: Some(trainer.config.method.name.to_string()),
        }
    }

    pub fn encoder(&self) -> Encoder<'_> {
        Encoder {
            network: &self.network,
            params: &self.params,
            input: self.input,
        }
    }

    pub fn describe(&self) -> String {
        self.kind.describe()
    }

    /// Every tensor by name, as the kernels hold it; a method's head is left out.
    pub fn tensors(&self) -> Result<Vec<(String, Array)>> {
        let layout = self.params.layout();
        let (values, statistics) = (
            self.params.values.to_vec()?,
            self.params.statistics.to_vec()?,
        );
        let array = |flat: &[f32], entry: &Entry| {
            let values = flat[entry.offset..][..entry.len()].to_vec();
            (entry.name.clone(), Array::new(entry.shape.clone(), values))
        };
        let backbone = |entry: &&Entry| !entry.is_head();
        let parameters = layout.parameters().iter().filter(backbone);
        let running = layout.statistics().iter().filter(backbone);
        let parameters = parameters.map(|entry| array(&values, entry));
        let running = running.map(|entry| array(&statistics, entry));
        Ok(parameters.chain(running).collect())
    }

    /// Of every tensor: equal weights, and no others, have it.
    pub fn fingerprint(&self) -> Result<u64> {
        let mut hasher = Xxh3Default::new();
        for (name, array) in self.tensors()? {
            hasher.update(name.as_bytes());
            hasher.update(bytemuck::cast_slice(&array.values));
        }
        Ok(hasher.digest())
    }

    /// What an exported file says of itself, and `load` reads again.
    pub fn notes(&self) -> HashMap<String, String> {
        let triple = |x: [f32; 3]| x.map(|x| x.to_string()).join(",");
        let stem = match self.kind.stem {
            Stem::ImageNet => "imagenet",
            Stem::Cifar => "cifar",
        };
        let notes = [
            ("arch", self.kind.architecture.name().to_string()),
            ("stem", stem.to_string()),
            ("width", self.kind.width.to_string()),
            ("image_size", self.input.size.to_string()),
            ("mean", triple(self.input.mean)),
            ("std", triple(self.input.std)),
            (
                "producer",
                format!("selfsame {}", env!("CARGO_PKG_VERSION")),
            ),
        ];
        let method = self.method.clone().map(|method| ("method", method));
        let notes = notes.into_iter().chain(method);
        notes.map(|(key, value)| (key.to_string(), value)).collect()
    }
}

pub fn load(path: &Path, device: &Device) -> Result<Loaded> {
    let found = find(path)?;
    let mut loaded = from_weights(&found.weights, device)?;
    loaded.input = found.input.unwrap_or(loaded.input);
    (loaded.batches, loaded.seed, loaded.method) = (found.batches, found.seed, found.method);
    Ok(loaded)
}

/// `--init-from PATH`: weights for the network that `wanted` describes, or an error that says how theirs
/// differs.
pub fn first(path: &Path, wanted: &config::Encoder) -> Result<Weights> {
    let weights = find(path)?.weights;
    let (found, wanted) = (kind_of(&weights)?, Kind::of(wanted));
    if found == wanted {
        return Ok(weights);
    }
    let stem = |stem| match stem {
        Stem::ImageNet => "imagenet",
        Stem::Cifar => "cifar",
    };
    Err(Error::Config(format!(
        "{} holds {}, the run is {}\n  train that network: --arch {} --width-multiplier {} --set encoder.stem={}",
        path.display(),
        found.describe(),
        wanted.describe(),
        found.architecture.name(),
        found.width,
        stem(found.stem)
    )))
}

/// Weights, and what a run says beside them.
struct Found {
    weights: Weights,
    input: Option<Input>,
    batches: u64,
    seed: u64,
    method: Option<String>,
}

fn find(path: &Path) -> Result<Found> {
    if path.join("config.toml").exists() {
        let checkpoints = path.join("checkpoints");
        let (meta, state, _) = checkpoint::newest(&checkpoints)?;
        return of_checkpoint(path, &checkpoints, meta.step, state);
    }
    let is_state = path
        .file_name()
        .is_some_and(|name| name == "state.safetensors");
    let folder = if is_state {
        path.parent().unwrap_or(path)
    } else {
        path
    };
    if folder.join("meta.json").exists() {
        let (meta, state) = checkpoint::read(folder)?;
        let folder = folder.canonicalize().map_err(Error::file(folder))?;
        let run = folder.ancestors().nth(2).unwrap_or(&folder); // RUN/checkpoints/step-N
        return of_checkpoint(run, &folder, meta.step, state);
    }
    if path.is_dir() && !huggingface::is_one(path) {
        return Err(Error::Config(format!(
            "{} is neither a run (no config.toml) nor a checkpoint (no meta.json), nor a Hugging Face folder (config.json, model.safetensors)",
            path.display()
        )));
    }
    let weights = torchvision::read(path)?;
    Ok(Found {
        method: weights.notes.get("method").cloned(),
        weights,
        input: None,
        batches: 0,
        seed: 0,
    })
}

/// `run` holds the configuration; `place`, where the state was read, is what errors name.
fn of_checkpoint(run: &Path, place: &Path, step: u64, state: checkpoint::State) -> Result<Found> {
    let config = Config::read(&run.join("config.toml"))?;
    let network = |name: &str| !name.starts_with("momentum/") && !name.starts_with("memory/");
    let array = |(name, saved): (String, checkpoint::Saved)| match saved.numbers {
        Numbers::F32(values) if network(&name) => {
            Some((name, Array::new(&saved.shape[..], values).to_oihw()))
        }
        _ => None,
    };
    Ok(Found {
        weights: Weights {
            path: place.into(),
            arrays: state.into_iter().filter_map(array).collect(),
            notes: HashMap::new(),
        },
        input: Some(input_of(&config)),
        batches: step,
        seed: config.schedule.seed,
        method: Some(config.method.name.to_string()),
    })
}

/// The network is told by its tensors, how images are made ready by the notes where there are any.
fn from_weights(weights: &Weights, device: &Device) -> Result<Loaded> {
    let kind = kind_of(weights)?;
    let mut layout = Layout::default();
    let network = ResNet::new(&mut layout, kind.architecture, kind.stem, kind.width);
    let params = Params::new(device, &Arc::new(layout), 0)?;
    first::fill(&params, weights)?;
    let usual = if kind.stem == Stem::Cifar { 32 } else { 224 };
    let size = weights.notes.get("image_size");
    let size = size
        .and_then(|size| size.parse().ok())
        .filter(|size| IMAGE_SIZES.contains(size));
    Ok(Loaded {
        kind,
        network,
        params,
        input: Input {
            size: size.unwrap_or(usual),
            mean: triple(weights, "mean").unwrap_or([0.485, 0.456, 0.406]), // as torchvision's weights
            std: triple(weights, "std").unwrap_or([0.229, 0.224, 0.225]),
        },
        batches: 0,
        seed: 0,
        method: None,
    })
}

fn triple(weights: &Weights, note: &str) -> Option<[f32; 3]> {
    let numbers = weights.notes.get(note)?.split(',').map(str::parse);
    let numbers: Result<Vec<f32>, _> = numbers.collect();
    numbers.ok()?.try_into().ok()
}

fn kind_of(weights: &Weights) -> Result<Kind> {
    let found = weights.architecture()?;
    let refuse = |why: String| Error::Checkpoint {
        path: weights.path.clone(),
        why: format!("{why}; there are tiny, resnet18 and resnet50"),
    };
    let (architecture, channels) = match (&found.blocks[..], found.bottleneck) {
        ([1, 1, 1], false) => (Architecture::Tiny, 32),
        ([2, 2, 2, 2], false) => (Architecture::ResNet18, 64),
        ([3, 4, 6, 3], true) => (Architecture::ResNet50, 64),
        (blocks, bottleneck) => {
            let block = if bottleneck { "bottleneck" } else { "basic" };
            return Err(refuse(format!(
                "holds a ResNet of {blocks:?} {block} blocks"
            )));
        }
    };
    let stem = match found.stem_kernel {
        7 => Stem::ImageNet,
        3 => Stem::Cifar,
        kernel => {
            return Err(refuse(format!(
                "its first convolution is {kernel}x{kernel}"
            )));
        }
    };
    if found.channels == 0 || found.channels % channels != 0 {
        let channels = found.channels;
        return Err(refuse(format!(
            "its first convolution has {channels} channels"
        )));
    }
    Ok(Kind {
        architecture,
        stem,
        width: found.channels / channels,
    })
}
