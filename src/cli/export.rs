//! `selfsame export`: weights for other programs, and the lines that load them.
use super::weights::{EncoderArgs, Kind, Loaded};
use crate::{
    Result,
    interop::{Existing, torchvision},
    nn::{Architecture, Stem},
};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  selfsame export --weights runs/a --to torchvision --out resnet50.safetensors\n  selfsame export --weights runs/a/checkpoints/step-00000390 --to torchvision --out w.safetensors > load.py"
)]
pub struct ExportArgs {
    #[command(flatten)]
    encoder: EncoderArgs,
    /// Whose names the tensors get
    #[arg(long, value_enum)]
    to: Names,
    #[arg(long, value_name = "W.safetensors")]
    out: PathBuf,
    /// Replace --out where it exists
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Names {
    /// torchvision's, which are timm's too: conv1.weight, layer1.0.bn1.running_mean
    Torchvision,
}

/// The lines go to stdout, so that they can be kept.
pub fn run(args: &ExportArgs) -> Result<()> {
    let Names::Torchvision = args.to;
    let existing = Existing::forced(args.force);
    existing.check(&args.out)?;
    let loaded = args.encoder.load()?;
    write(&loaded, &args.out, existing)?;
    say!(
        "{}: {}; it loads with",
        args.out.display(),
        loaded.describe()
    );
    results!("{}", python(loaded.kind, &args.out));
    Ok(())
}

/// The backbone of `loaded` to `path`, under torchvision's names.
pub fn write(loaded: &Loaded, path: &Path, existing: Existing) -> Result<()> {
    let batches = loaded.batches as i64;
    torchvision::write(path, &loaded.tensors()?, batches, &loaded.notes(), existing)
}

/// Python that loads the file.
fn python(kind: Kind, path: &Path) -> String {
    let path = format!("{:?}", path.display().to_string()); // Python's quoting, for any usual name
    match kind.architecture {
        Architecture::ResNet18 | Architecture::ResNet50 if kind.width == 1 => usual(kind, &path),
        _ => spelled_out(kind, &path),
    }
}

/// A network torchvision has, perhaps under another stem.
fn usual(kind: Kind, path: &str) -> String {
    let name = kind.architecture.name();
    let mut text = format!(
        "import torch, torchvision\nfrom safetensors.torch import load_file\nmodel = torchvision.models.{name}(weights=None)\n"
    );
    if kind.stem == Stem::Cifar {
        text += "model.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)\nmodel.maxpool = torch.nn.Identity()\n";
    }
    text += &format!(
        "print(model.load_state_dict(load_file({path}), strict=False))  # only fc.* is missing\n"
    );
    if kind.stem == Stem::ImageNet {
        text += &format!(
            "# or: timm.create_model(\"{name}\", num_classes=0, checkpoint_path={path})\n"
        );
    }
    text
}

/// A network of widths torchvision has no name for, of its blocks.
fn spelled_out(kind: Kind, path: &str) -> String {
    let (block, depths, base) = match kind.architecture {
        Architecture::Tiny => ("BasicBlock", "[1, 1, 1]", 32),
        Architecture::ResNet18 => ("BasicBlock", "[2, 2, 2, 2]", 64),
        Architecture::ResNet50 => ("Bottleneck", "[3, 4, 6, 3]", 64),
    };
    let base = base * kind.width;
    let (conv1, pool) = match kind.stem {
        Stem::Cifar => ("3, 1, 1", "nn.Identity()"),
        Stem::ImageNet => ("7, 2, 3", "nn.MaxPool2d(3, 2, 1)"),
    };
    format!(
        r#"from torch import nn
from torchvision.models.resnet import {block} as Block
from safetensors.torch import load_file
model, c = nn.Sequential(), {base}
def block(planes, stride):
    global c
    inputs, c = c, planes * Block.expansion
    shortcut = [nn.Conv2d(inputs, c, 1, stride, bias=False), nn.BatchNorm2d(c)]
    return Block(inputs, planes, stride, nn.Sequential(*shortcut) if stride > 1 or inputs != c else None)
model.conv1 = nn.Conv2d(3, c, {conv1}, bias=False)
model.bn1, model.relu, model.pool = nn.BatchNorm2d(c), nn.ReLU(), {pool}
for stage, depth in enumerate({depths}):
    blocks = [block({base} << stage, 2 if stage and not i else 1) for i in range(depth)]
    model.add_module(f"layer{{stage + 1}}", nn.Sequential(*blocks))
model.mean, model.flat = nn.AdaptiveAvgPool2d(1), nn.Flatten()
model.load_state_dict(load_file({path}))
"#
    )
}
