//! From numbers to things: the network and its method, the recipe of the views, the optimizer's step.
mod methods;
mod views;

use crate::{
    Device, Error, Result, Tensor,
    config::{self, Arch, Config, Rule},
    data::Dataset,
    methods::Method,
    nn::{Architecture, Layout, ParameterId, Params, ResNet, Stem},
    ops::optimize::{self, Segment, Segments, Step},
};
pub use methods::clusters;
use std::sync::Arc;
pub use views::{Sight, recipe, sights};

/// A method around its encoder, and their weights.
pub struct Network {
    pub layout: Arc<Layout>,
    pub encoder: ResNet,
    pub params: Params,
    pub method: Box<dyn Method>,
}

/// What a method must know of the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    pub images: usize,
    /// 0 where any image has no label.
    pub classes: usize,
}

impl About {
    pub fn of(dataset: &Dataset) -> About {
        let labelled = (0..dataset.len()).all(|image| dataset.label(image).is_some());
        About {
            images: dataset.len(),
            classes: if labelled { dataset.classes().len() } else { 0 },
        }
    }
}

impl Network {
    /// At its first values, which the seed decides.
    pub fn new(device: &Device, config: &Config, about: About) -> Result<Network> {
        let mut layout = Layout::default();
        let encoder = encoder(&config.encoder, &mut layout);
        let plan = methods::describe(config, about, &encoder, &mut layout)?;
        let layout = Arc::new(layout);
        let params = Params::new(device, &layout, config.schedule.seed)?;
        let method = plan(&params)?;
        Ok(Network {
            layout,
            encoder,
            params,
            method,
        })
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
    let residual = if config.zero_init_residual { 0.0 } else { 1.0 };
    let width = config.width_multiplier;
    ResNet::with(layout, architecture, stem, width, residual)
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
            Rule::Nesterov => optimize::Rule::Sgd { nesterov: true },
            Rule::Lars => optimize::Rule::Lars { trust },
            Rule::Larc => optimize::Rule::Larc { trust },
        },
    }
}

/// Of every parameter but `frozen`, with what of the weight decay each has.
pub fn segments(
    device: &Device,
    layout: &Layout,
    o: &config::Optimize,
    frozen: Option<ParameterId>,
) -> Result<Segments> {
    let segment = |entry: &crate::nn::Entry| {
        let spared = o.spare_vectors && entry.is_vector();
        let decayed = !spared || o.decay_biases && !layout.is_norm(entry);
        let times = if entry.is_head() { o.head_decay } else { 1.0 };
        Segment {
            offset: entry.offset,
            length: entry.len(),
            adapt: !spared,
            decay: if decayed { times as f32 } else { 0.0 },
        }
    };
    let frozen = frozen.map(|id| layout.entry(id).offset);
    let moving = layout.parameters().iter();
    let moving = moving.filter(|entry| Some(entry.offset) != frozen);
    let list: Vec<Segment> = moving.map(segment).collect();
    Segments::new(device, &list)
}

/// What a method and a set of images cannot do together.
fn refuse(why: String) -> Error {
    Error::Config(why)
}
