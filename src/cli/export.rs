//! `selfsame export`: weights for other programs, and the lines that load them.
mod lines;
mod onnx;
mod verify;

use super::weights::{EncoderArgs, Kind, Loaded};
use crate::{
    Error, Result,
    interop::{
        Existing, detectron2,
        huggingface::{self, Card},
        pickle::Fact,
        pth::{self, StateDict},
        torchvision,
        weights::Stored,
    },
    nn::{Architecture, Stem},
};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  selfsame export --weights runs/a --to torchvision --out resnet50.safetensors\n  selfsame export --weights runs/a --to hf --out resnet50 --verify"
)]
pub struct ExportArgs {
    #[command(flatten)]
    encoder: EncoderArgs,
    /// What it is for
    #[arg(long, value_enum)]
    to: To,
    /// A file; of hf a folder
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Replace --out where it exists
    #[arg(long)]
    force: bool,
    /// Read it back and compare every tensor, bit for bit
    #[arg(long)]
    verify: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// safetensors: conv1.weight, layer1.0.bn1.running_mean
    Torchvision,
    /// The same file; the lines are timm's
    Timm,
    /// A folder: config.json and model.safetensors, as timm loads it from Hugging Face
    Hf,
    /// torchvision's names, for torch.load
    Pth,
    /// .pth under detectron2's names, and the configuration that goes with it
    Detectron2,
    /// The network itself, opset 17: any batch, any image size
    Onnx,
}

/// The lines go to stdout, so that they can be kept.
pub fn run(args: &ExportArgs) -> Result<()> {
    let existing = Existing::forced(args.force);
    match args.to {
        To::Hf => existing.check_folder(&args.out)?,
        _ => existing.check(&args.out)?,
    }
    let loaded = args.encoder.load()?;
    args.to.holds(loaded.kind)?;
    match args.to {
        To::Torchvision | To::Timm => write(&loaded, &args.out, existing)?,
        To::Hf => write_folder(&loaded, &args.out, existing)?,
        To::Pth => write_pth(&loaded, &args.out, existing)?,
        To::Detectron2 => write_detectron2(&loaded, &args.out, existing)?,
        To::Onnx => onnx::write(&loaded, &args.out, existing)?,
    }
    let out = args.out.display();
    if args.verify {
        let count = verify::verify(&loaded, args.to, &args.out)?;
        say!("{out}: read back, all {count} tensors are equal bit for bit");
    }
    say!("{out}: {}; it loads with", loaded.describe());
    results!("{}", lines::lines(&loaded, args.to, &args.out));
    Ok(())
}

impl To {
    /// Errors with a network that the other program cannot hold.
    fn holds(self, kind: Kind) -> Result<()> {
        let tiny = kind.architecture == Architecture::Tiny;
        let (cifar, wide) = (kind.stem == Stem::Cifar, kind.width > 1);
        let why = match self {
            To::Timm if tiny || wide => "timm has no ResNet of these widths",
            To::Hf if tiny || wide || cifar => {
                "timm builds the network from its name, and has none for this one"
            }
            To::Detectron2 if tiny || cifar => {
                "detectron2's ResNets have four stages behind a 7 x 7 convolution"
            }
            _ => return Ok(()),
        };
        Err(Error::Config(format!(
            "{} cannot be exported to {}: {why}\n  --to torchvision and --to pth print a network of torchvision's blocks that holds it; --to onnx is the network itself",
            kind.describe(),
            self.to_possible_value()
                .expect("none is skipped")
                .get_name()
        )))
    }
}

/// The backbone of `loaded` to `path`, under torchvision's names.
pub fn write(loaded: &Loaded, path: &Path, existing: Existing) -> Result<()> {
    let batches = loaded.batches as i64;
    torchvision::write(path, &loaded.tensors()?, batches, &loaded.notes(), existing)
}

fn write_folder(loaded: &Loaded, path: &Path, existing: Existing) -> Result<()> {
    let card = Card {
        architecture: loaded.kind.architecture.name(),
        features: loaded.network.features(),
        image_size: loaded.input.size,
        mean: loaded.input.mean,
        std: loaded.input.std,
    };
    let (tensors, notes) = (loaded.tensors()?, loaded.notes());
    huggingface::write(
        path,
        &card,
        &tensors,
        loaded.batches as i64,
        &notes,
        existing,
    )
}

fn write_pth(loaded: &Loaded, path: &Path, existing: Existing) -> Result<()> {
    let turned = torchvision::turned(&loaded.tensors()?);
    let state = StateDict {
        tensors: &torchvision::with_counters(&turned, loaded.batches as i64),
        under: None,
        facts: &[],
    };
    pth::write(path, &state, existing)
}

/// Below `model`, with the word to its loader that our names are ends of its own
/// (`backbone.bottom_up.res2...`).
fn write_detectron2(loaded: &Loaded, path: &Path, existing: Existing) -> Result<()> {
    let turned = torchvision::turned(&loaded.tensors()?);
    let tensors = turned.iter().filter_map(|(name, array)| {
        let name = detectron2::from_torchvision(name)?;
        Some((name, Stored::Floats(array)))
    });
    let state = StateDict {
        tensors: &tensors.collect::<Vec<_>>(),
        under: Some("model"),
        facts: &[
            ("__author__", Fact::Word("selfsame")),
            ("matching_heuristics", Fact::Yes),
        ],
    };
    pth::write(path, &state, existing)
}
