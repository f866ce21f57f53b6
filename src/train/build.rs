//! From numbers to things: the network and its method, the recipe of the views, the optimizer's step.
use crate::{
    Device, Result, Tensor,
    config::{self, Arch, Config, MethodName, Rule},
    methods::{Method, SimClr},
    nn::{Architecture, Layout, Projector, ResNet, Stem},
    ops::{
        augment::Recipe,
        optimize::{self, Segment, Segments, Step},
    },
};
use std::sync::Arc;

/// A method around its encoder, and where their weights lie.
pub struct Network {
    pub layout: Arc<Layout>,
    pub encoder: ResNet,
    pub method: Box<dyn Method>,
}

/// Views an image, for every method so far.
pub const VIEWS: usize = 2;

impl Network {
    pub fn new(config: &Config) -> Network {
        let mut layout = Layout::default();
        let encoder = encoder(&config.encoder, &mut layout);
        let MethodName::Simclr = config.method.name;
        let m = &config.method;
        let features = encoder.features();
        let hidden = match m.head_hidden {
            0 => features,
            hidden => hidden,
        };
        let mut sizes = vec![hidden; m.head_layers + 1];
        sizes[0] = features;
        sizes[m.head_layers] = m.head_out;
        let head = Projector::new(&mut layout, &sizes, true);
        let method = Box::new(SimClr {
            encoder: encoder.clone(),
            head,
            temperature: m.temperature as f32,
        });
        Network {
            layout: Arc::new(layout),
            encoder,
            method,
        }
    }
}

/// The backbone alone; its parameters come first in `layout`.
pub fn encoder(config: &config::Encoder, layout: &mut Layout) -> ResNet {
    let architecture = match config.arch {
        Arch::Tiny => Architecture::Tiny,
        Arch::Resnet18 => Architecture::ResNet18,
        Arch::Resnet50 => Architecture::ResNet50,
    };
    let stem = match config.stem {
        config::Stem::Imagenet => Stem::ImageNet,
        config::Stem::Auto if config.image_size > 64 => Stem::ImageNet,
        config::Stem::Auto | config::Stem::Cifar => Stem::Cifar,
    };
    ResNet::new(layout, architecture, stem, config.width_multiplier)
}

pub fn recipe(a: &config::Augment) -> Recipe {
    let narrow = |x: f64| x as f32;
    Recipe {
        jitter: [a.brightness, a.contrast, a.saturation, a.hue].map(narrow),
        jitter_probability: a.jitter as f32,
        gray_probability: a.gray as f32,
        blur_probability: a.blur as f32,
        blur_sigma: a.blur_sigma.map(narrow),
        solarize_probability: a.solarize as f32,
        solarize_threshold: 128.0,
        mean: a.mean.map(narrow),
        std: a.std.map(narrow),
    }
}

/// `lr` (2) f32 on the device.
pub fn optimizer_step(o: &config::Optimize, lr: Tensor) -> Step {
    let trust = o.trust as f32;
    Step {
        lr,
        momentum: o.momentum as f32,
        weight_decay: o.weight_decay as f32,
        rule: match o.rule {
            Rule::Sgd => optimize::Rule::Sgd { nesterov: false },
            Rule::Lars => optimize::Rule::Lars { trust },
            Rule::Larc => optimize::Rule::Larc { trust },
        },
    }
}

pub fn segments(device: &Device, layout: &Layout, o: &config::Optimize) -> Result<Segments> {
    let segment = |entry: &crate::nn::Entry| {
        let spared = o.spare_vectors && entry.is_vector();
        Segment {
            offset: entry.offset,
            length: entry.len(),
            adapt: !spared,
            decay: !spared,
        }
    };
    let list: Vec<Segment> = layout.parameters().iter().map(segment).collect();
    Segments::new(device, &list)
}
