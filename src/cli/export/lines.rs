//! What loads an exported file: Python, or a configuration.
use super::To;
use crate::{
    cli::weights::{Kind, Loaded},
    nn::{Architecture, Stem},
};
use std::path::Path;

pub fn lines(loaded: &Loaded, to: To, path: &Path) -> String {
    let kind = loaded.kind;
    let path = format!("{:?}", path.display().to_string()); // Python's quoting, for any usual name
    let name = kind.architecture.name();
    match to {
        To::Torchvision => torchvision(kind, &state_dict(to, &path)),
        To::Pth => {
            let state = state_dict(to, &path);
            torchvision(kind, &state)
        }
        To::Timm if kind.stem == Stem::ImageNet => format!(
            "import timm\nmodel = timm.create_model(\"{name}\", num_classes=0, checkpoint_path={path})\n"
        ),
        To::Timm => {
            let (import, state) = state_dict(to, &path);
            format!(
                "import timm, torch\n{import}model = timm.create_model(\"{name}\", num_classes=0)\n{CIFAR_STEM}model.load_state_dict({state})\n"
            )
        }
        To::Hf => {
            let folder = path.trim_matches('"');
            format!(
                "import timm\nmodel = timm.create_model(\"local-dir:{folder}\", pretrained=True)\n"
            )
        }
        To::Detectron2 => detectron2(loaded, &path),
        To::Onnx => onnx(loaded, &path),
    }
}

/// Python's import, and its expression for the tensors.
fn state_dict(to: To, path: &str) -> (&'static str, String) {
    match to {
        To::Pth => (
            "import torch\n",
            format!("torch.load({path}, weights_only=True, mmap=True)"),
        ),
        _ => (
            "from safetensors.torch import load_file\n",
            format!("load_file({path})"),
        ),
    }
}

const CIFAR_STEM: &str = "model.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)\nmodel.maxpool = torch.nn.Identity()\n";

fn torchvision(kind: Kind, state: &(&str, String)) -> String {
    match kind.architecture {
        Architecture::ResNet18 | Architecture::ResNet50 if kind.width == 1 => usual(kind, state),
        _ => spelled_out(kind, state),
    }
}

/// A network torchvision has, perhaps under another stem.
fn usual(kind: Kind, (import, state): &(&str, String)) -> String {
    let name = kind.architecture.name();
    let stem = match kind.stem {
        Stem::Cifar => CIFAR_STEM,
        Stem::ImageNet => "",
    };
    format!(
        "import torch, torchvision\n{import}model = torchvision.models.{name}(weights=None)\n{stem}print(model.load_state_dict({state}, strict=False))  # only fc.* is missing\n"
    )
}

/// A network of widths torchvision has no name for, of its blocks.
fn spelled_out(kind: Kind, (import, state): &(&str, String)) -> String {
    let (block, depths, base) = match kind.architecture {
        Architecture::Tiny => ("BasicBlock", "[1, 1, 1]", 32),
        Architecture::ResNet18 => ("BasicBlock", "[2, 2, 2, 2]", 64),
        Architecture::ResNet50 => ("Bottleneck", "[3, 4, 6, 3]", 64),
    };
    let base = base * kind.width;
    let (conv1, pool) = match (kind.stem, kind.architecture) {
        (Stem::Cifar, Architecture::Tiny) => ("3, 2, 1", "nn.Identity()"),
        (Stem::Cifar, _) => ("3, 1, 1", "nn.Identity()"),
        (Stem::ImageNet, _) => ("7, 2, 3", "nn.MaxPool2d(3, 2, 1)"),
    };
    format!(
        r#"from torch import nn
from torchvision.models.resnet import {block} as Block
{import}model, c = nn.Sequential(), {base}
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
model.load_state_dict({state})
"#
    )
}

/// The configuration the weights need: its own default is a network of Caffe2's, fed with BGR.
fn detectron2(loaded: &Loaded, path: &str) -> String {
    let Kind {
        architecture,
        width,
        ..
    } = loaded.kind;
    let (depth, out) = match architecture {
        Architecture::ResNet18 => (18, 64 * width),
        _ => (50, 256 * width),
    };
    let pixels = |numbers: [f32; 3]| numbers.map(|x| (f64::from(x) * 255e3).round() / 1e3);
    let wide = match width {
        1 => String::new(),
        _ => format!(
            "    STEM_OUT_CHANNELS: {0}\n    WIDTH_PER_GROUP: {0}\n",
            64 * width
        ),
    };
    format!(
        "MODEL:\n  WEIGHTS: {path}\n  PIXEL_MEAN: {:?}\n  PIXEL_STD: {:?}\n  BACKBONE:\n    FREEZE_AT: 0\n  RESNETS:\n    DEPTH: {depth}\n    RES2_OUT_CHANNELS: {out}\n{wide}    STRIDE_IN_1X1: False\n    NORM: \"SyncBN\"  # or FrozenBN\nINPUT:\n  FORMAT: \"RGB\"\n",
        pixels(loaded.input.mean),
        pixels(loaded.input.std),
    )
}

fn onnx(loaded: &Loaded, path: &str) -> String {
    let input = loaded.input;
    format!(
        "import onnxruntime\nmodel = onnxruntime.InferenceSession({path})\n# x: float32 (n, 3, {size}, {size}), RGB in 0..1, less {:?}, over {:?}\nfeatures, = model.run(None, {{\"pixels\": x}})  # (n, {dim})\n",
        input.mean,
        input.std,
        size = input.size,
        dim = loaded.network.features(),
    )
}
