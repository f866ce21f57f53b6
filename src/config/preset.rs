//! The defaults, and the presets that change them. Each number's origin is the reference code of the
//! method, named in `presets/*.toml`.
use super::*;

/// Values that differ from the defaults, under a name.
#[derive(Debug)]
pub struct Preset {
    pub name: &'static str,
    pub about: &'static str,
    /// TOML, the later over the earlier.
    pub layers: &'static [&'static str],
}

/// How large a run is: what presets of a method there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Photographs at 224 pixels on a GPU.
    ImageNet,
    /// Small photographs on a GPU.
    Cifar,
    /// Minutes on a CPU.
    Tiny,
}

impl Scale {
    pub const ALL: [Scale; 3] = [Scale::ImageNet, Scale::Cifar, Scale::Tiny];
}

macro_rules! presets {
    ($($name:literal, $about:literal, [$($file:literal),*];)*) => {
        &[$(Preset {
            name: $name,
            about: $about,
            layers: &[$(include_str!(concat!("presets/", $file, ".toml"))),*],
        }),*]
    };
}

pub const PRESETS: &[Preset] = presets! {
    "simclr-imagenet", "photographs, ResNet-50 at 224 pixels", [];
    "simclr-cifar", "small photographs, ResNet-18 at 32 pixels, on a GPU", ["cifar", "simclr-cifar"];
    "tiny", "minutes on a CPU", ["tiny", "simclr-tiny"];
    "moco-v1", "MoCo as first published, ResNet-50", ["moco-v1"];
    "moco-v2", "MoCo with SimCLR's head and colours, ResNet-50", ["moco-v1", "moco-v2"];
    "moco-cifar", "MoCo as in its authors' notebook, ResNet-18", ["moco-v1", "moco-v2", "cifar", "moco-cifar"];
    "moco-tiny", "MoCo in minutes on a CPU", ["moco-v1", "moco-v2", "tiny", "moco-tiny"];
    "pirl", "PIRL with jigsaw as published, NCE, ResNet-50", ["pirl"];
    "pirl-mlp", "PIRL's best: MLP heads and InfoNCE, ResNet-50", ["pirl", "pirl-mlp"];
    "pirl-cifar", "PIRL at 32 pixels, ResNet-18", ["pirl", "pirl-mlp", "cifar", "pirl-cifar"];
    "pirl-tiny", "PIRL in minutes on a CPU", ["pirl", "pirl-mlp", "tiny", "pirl-tiny"];
    "swav", "SwAV as published: batch 4096, 2x224+6x96, ResNet-50", ["swav"];
    "swav-2x224", "SwAV without small crops, batch 4096, ResNet-50", ["swav", "swav-2x224"];
    "swav-256", "SwAV for a batch of 256, with a queue, ResNet-50", ["swav", "swav-256"];
    "swav-cifar", "SwAV at 32 pixels, ResNet-18", ["swav", "cifar", "swav-cifar"];
    "swav-tiny", "SwAV in minutes on a CPU", ["swav", "tiny", "swav-tiny"];
    "barlow", "Barlow Twins as published: batch 2048, ResNet-50", ["barlow"];
    "barlow-cifar", "Barlow Twins at 32 pixels, ResNet-18", ["barlow", "cifar", "barlow-cifar"];
    "barlow-tiny", "Barlow Twins in minutes on a CPU", ["barlow", "tiny", "barlow-tiny"];
    "jigsaw", "Jigsaw puzzles, ResNet-50", ["pretext", "jigsaw"];
    "jigsaw-cifar", "Jigsaw puzzles at 32 pixels, ResNet-18",
        ["pretext", "jigsaw", "cifar", "cifar-pace", "pretext-small", "patches-small"];
    "jigsaw-tiny", "Jigsaw puzzles in minutes on a CPU",
        ["pretext", "jigsaw", "tiny", "pretext-small", "patches-small"];
    "rotation", "RotNet, ResNet-50", ["pretext", "rotation"];
    "rotation-cifar", "RotNet at 32 pixels, ResNet-18",
        ["pretext", "rotation", "cifar", "cifar-pace", "pretext-small"];
    "rotation-tiny", "RotNet in minutes on a CPU", ["pretext", "rotation", "tiny", "pretext-small"];
    "relative-position", "Relative patch position, ResNet-50", ["pretext", "relative-position"];
    "relative-position-cifar", "Relative patch position at 32 pixels, ResNet-18",
        ["pretext", "relative-position", "cifar", "cifar-pace", "pretext-small", "patches-small"];
    "relative-position-tiny", "Relative patch position in minutes on a CPU",
        ["pretext", "relative-position", "tiny", "pretext-small", "patches-small"];
    "supervised", "cross-entropy on labels, ResNet-50", ["supervised"];
    "supervised-cifar", "cross-entropy on labels at 32 pixels, ResNet-18",
        ["supervised", "cifar", "cifar-pace", "pretext-small"];
    "supervised-tiny", "cross-entropy on labels in minutes on a CPU", ["supervised", "tiny", "pretext-small"];
    "invariance", "no negatives: collapses, to show it; ResNet-50", ["invariance"];
    "invariance-cifar", "no negatives: collapses, to show it; ResNet-18", ["invariance", "cifar", "cifar-pace"];
    "invariance-tiny", "no negatives: collapses within minutes on a CPU", ["invariance", "tiny"];
};

impl Preset {
    /// Of a method, where the user names none.
    pub fn of(method: MethodName, scale: Scale) -> &'static Preset {
        let name = match (method, scale) {
            (MethodName::Simclr, Scale::ImageNet) => "simclr-imagenet".into(),
            (MethodName::Simclr, Scale::Tiny) => "tiny".into(),
            (MethodName::Moco, Scale::ImageNet) => "moco-v2".into(),
            (MethodName::Pirl, Scale::ImageNet) => "pirl-mlp".into(),
            (MethodName::Swav, Scale::ImageNet) => "swav-256".into(),
            (method, Scale::ImageNet) => method.to_string(),
            (method, Scale::Cifar) => format!("{method}-cifar"),
            (method, Scale::Tiny) => format!("{method}-tiny"),
        };
        Preset::named(&name).expect("every method has one of each scale")
    }

    pub fn named(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name)
    }
}
