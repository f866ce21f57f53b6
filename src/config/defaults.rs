//! Where nothing else is said: SimCLR on ImageNet.
use super::*;

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
            zero_init_residual: false,
            init_from: String::new(),
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
            small_crops: 0,
            small_size: 96,
            small_scale: [0.05, 0.14],
            jitter: 0.8,
            brightness: 0.8,
            contrast: 0.8,
            saturation: 0.8,
            hue: 0.2,
            photometric: 0.0,
            gray: 0.2,
            gray_first: false,
            blur: 0.5,
            blur_sigma: [0.1, 2.0],
            solarize: 0.0,
            second_blur: None,
            second_solarize: None,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }
}

/// vissl: pirl_jigsaw_4node_resnet50.yaml.
impl Default for Patches {
    fn default() -> Patches {
        Patches {
            size: 64,
            whole: 255,
            resize: 0,
            scale: [0.6, 1.0],
            mirror: Mirror::Each,
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
            vector_lr: None,
            momentum: 0.9,
            weight_decay: 1e-4,
            trust: 0.001,
            spare_vectors: true,
            decay_biases: false,
            head_decay: 1.0,
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
            warmup_inclusive: false,
            decay: Decay::Cosine,
            decay_end: 0.0,
            decay_epochs: Vec::new(),
            decay_factor: 0.1,
            decay_by_epoch: false,
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
            on_nan: OnNan::Stop,
        }
    }
}

impl Default for Output {
    fn default() -> Output {
        Output {
            checkpoint_every: "10m,epoch".parse().expect("two intervals"),
            keep: 3,
            log_every: 50,
            tensorboard: true,
        }
    }
}
