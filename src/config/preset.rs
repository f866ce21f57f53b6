//! The defaults, and the presets that change them. Each number's origin is the reference code of the
//! method, named beside it.
use super::*;

/// Name, what it is for, and the values that differ from the defaults.
pub const PRESETS: [(&str, &str, &str); 3] = [
    (
        "simclr-imagenet",
        "photographs, ResNet-50 at 224 pixels",
        "",
    ),
    (
        "simclr-cifar",
        "small photographs, ResNet-18 at 32 pixels, on a GPU",
        SIMCLR_CIFAR,
    ),
    ("tiny", "minutes on a CPU, at 32 pixels", TINY),
];

/// `simclr`'s README, "Pretraining on CIFAR-10": about 91 % after 1000 epochs.
const SIMCLR_CIFAR: &str = r#"
[encoder]
arch = "resnet18"
image_size = 32

[method]
temperature = 0.5

[augment]                 # strength 0.5, no blur
brightness = 0.4
contrast = 0.4
saturation = 0.4
hue = 0.1
blur = 0.0
mean = [0.4914, 0.4822, 0.4465]
std = [0.2470, 0.2435, 0.2616]

[optimize]
rule = "lars"
lr = 1.0
weight_decay = 1e-4

[schedule]
epochs = 1000
batch = 512
"#;

/// Ours: a network that trains on two cores while one watches.
const TINY: &str = r#"
[encoder]
arch = "tiny"
image_size = 32

[method]
temperature = 0.2

[augment]
brightness = 0.4
contrast = 0.4
saturation = 0.4
hue = 0.1
blur = 0.0

[optimize]
rule = "sgd"
lr = "linear 0.12"
weight_decay = 5e-4

[schedule]
epochs = 5
batch = 256
warmup_epochs = 0.5

[output]
log_every = 10
"#;

impl Default for Data {
    fn default() -> Data {
        Data {
            images: Vec::new(),
            val: String::new(),
            max_bad: 0.01,
            workers: 0,
        }
    }
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder {
            arch: Arch::Resnet50,
            width_multiplier: 1,
            stem: Stem::Auto,
            image_size: 224,
        }
    }
}

/// simclr: tf2/model.py, the head of version 1.
impl Default for Method {
    fn default() -> Method {
        Method {
            name: MethodName::Simclr,
            temperature: 0.1,
            head_layers: 2,
            head_hidden: 0,
            head_out: 128,
        }
    }
}

/// simclr: tf2/data_util.py, strength 1; normalised with ImageNet's statistics as torchvision's users
/// of the weights expect.
impl Default for Augment {
    fn default() -> Augment {
        Augment {
            crop_scale: [0.08, 1.0],
            crop_ratio: [0.75, 4.0 / 3.0],
            crop_filter: Filter::Bilinear,
            jitter: 0.8,
            brightness: 0.8,
            contrast: 0.8,
            saturation: 0.8,
            hue: 0.2,
            gray: 0.2,
            blur: 0.5,
            blur_sigma: [0.1, 2.0],
            solarize: 0.0,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }
}

/// simclr's README. The square-root rule equals the linear one, 0.3 x batch / 256, at a batch of 4096,
/// and is the better one below it.
impl Default for Optimize {
    fn default() -> Optimize {
        Optimize {
            rule: Rule::Lars,
            lr: Rate::Sqrt(0.075),
            momentum: 0.9,
            weight_decay: 1e-4,
            trust: 0.001,
            spare_vectors: true,
        }
    }
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule {
            epochs: 100,
            steps: 0,
            batch: 512,
            warmup_epochs: 10.0,
            warmup_start: 0.0,
            decay: Decay::Cosine,
            decay_end: 0.0,
            seed: 0,
        }
    }
}

impl Default for Engine {
    fn default() -> Engine {
        Engine {
            device: "auto".into(),
            precision: Precision::Bf16,
            graph: Graph::Auto,
        }
    }
}

impl Default for Output {
    fn default() -> Output {
        Output {
            checkpoint_every: Every::Seconds(600),
            keep: 3,
            log_every: 50,
        }
    }
}
