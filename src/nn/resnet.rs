//! Residual networks (He et al. 2015, arXiv 1512.03385), named and numbered as torchvision does. The
//! bottleneck is "v1.5": the stride is on its 3 x 3 convolution.
use super::{
    layers::{BatchNorm, Conv},
    layout::Layout,
    params::Pass,
};
use crate::{Error, Result, Var, ops};
use std::str::FromStr;

/// Which network, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Three stages of one basic block, 32 to 128 channels, behind a stem that halves the image: of the
    /// small networks tried, the one whose features were worth most after two CPU minutes.
    Tiny,
    ResNet18,
    ResNet50,
}

impl Architecture {
    pub const ALL: [(&'static str, Architecture); 3] = [
        ("tiny", Architecture::Tiny),
        ("resnet18", Architecture::ResNet18),
        ("resnet50", Architecture::ResNet50),
    ];

    pub fn name(self) -> &'static str {
        Architecture::ALL
            .iter()
            .find(|(_, a)| *a == self)
            .expect("listed")
            .0
    }
    /// Blocks of each stage.
    fn depths(self) -> &'static [usize] {
        match self {
            Architecture::Tiny => &[1, 1, 1],
            Architecture::ResNet18 => &[2, 2, 2, 2],
            Architecture::ResNet50 => &[3, 4, 6, 3],
        }
    }
    /// Channels of the stem and of the first stage.
    fn width(self) -> usize {
        match self {
            Architecture::Tiny => 32,
            Architecture::ResNet18 | Architecture::ResNet50 => 64,
        }
    }
    /// Whether blocks are bottlenecks, whose output is four times their width.
    fn is_bottleneck(self) -> bool {
        self == Architecture::ResNet50
    }
}

impl FromStr for Architecture {
    type Err = Error;
    fn from_str(name: &str) -> Result<Architecture> {
        let found = Architecture::ALL.iter().find(|(n, _)| *n == name);
        found.map(|(_, a)| *a).ok_or_else(|| {
            Error::Config(format!(
                "unknown architecture `{name}`; there are tiny, resnet18, resnet50"
            ))
        })
    }
}

/// The first layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// 7 x 7 at stride 2, then a 3 x 3 max-pool at stride 2: for 224 pixels.
    ImageNet,
    /// 3 x 3 at stride 1, no pool: for 32 pixels.
    Cifar,
}

/// A description: blocks of parameter ids.
#[derive(Clone, Debug)]
pub struct ResNet {
    pub(super) stem: Stem,
    pub(super) conv1: Conv,
    pub(super) bn1: BatchNorm,
    /// The blocks of each stage: torchvision's layer1, layer2, ...
    pub(super) stages: Vec<Vec<Block>>,
    features: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    /// All but the last end in relu; the last ends in the sum.
    pub(super) layers: Vec<(Conv, BatchNorm)>,
    pub(super) downsample: Option<(Conv, BatchNorm)>,
}

impl ResNet {
    /// Declares the network in `layout`. `width` multiplies every channel count (SimCLR's 2x, 4x).
    pub fn new(layout: &mut Layout, arch: Architecture, stem: Stem, width: usize) -> ResNet {
        ResNet::with(layout, arch, stem, width, 1.0)
    }

    /// As `new`; `residual` is what the scale of each block's last batch norm starts as. At 0 the blocks
    /// start as the identity (Goyal et al. 2017).
    pub fn with(
        layout: &mut Layout,
        arch: Architecture,
        stem: Stem,
        width: usize,
        residual: f32,
    ) -> ResNet {
        let base = arch.width() * width;
        let (window, stride) = match (stem, arch) {
            (Stem::ImageNet, _) => (7, 2),
            (Stem::Cifar, Architecture::Tiny) => (3, 2),
            (Stem::Cifar, _) => (3, 1),
        };
        let conv1 = Conv::new(layout, "conv1", [3, base], window, stride);
        let bn1 = BatchNorm::new(layout, "bn1", base);
        let (mut stages, mut c) = (Vec::new(), base);
        for (stage, &depth) in arch.depths().iter().enumerate() {
            let mut blocks = Vec::new();
            for block in 0..depth {
                let name = format!("layer{}.{block}", stage + 1);
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let shape = (c, base << stage, stride);
                let (block, out) = Block::new(layout, &name, arch, shape, residual);
                blocks.push(block);
                c = out;
            }
            stages.push(blocks);
        }
        ResNet {
            stem,
            conv1,
            bn1,
            stages,
            features: c,
        }
    }

    /// Numbers a feature vector has.
    pub fn features(&self) -> usize {
        self.features
    }

    /// What [`ResNet::forward_stages`] gives, by torchvision's names: `conv1`, `layer1`, ..., `avgpool`.
    pub fn stage_names(&self) -> Vec<String> {
        let layers = (1..=self.stages.len()).map(|stage| format!("layer{stage}"));
        let named = ["conv1".to_string()].into_iter().chain(layers);
        named.chain(["avgpool".to_string()]).collect()
    }

    /// x (n, h, w, 3) to the pooled features (n, d).
    pub fn forward(&self, pass: &mut Pass, x: &Var) -> Result<Var> {
        self.walk(pass, x, None)
    }

    /// The map (n, h, w, c) behind the first convolution (after its relu, before a max-pool), that behind
    /// each stage, and the pooled features (n, d).
    pub fn forward_stages(&self, pass: &mut Pass, x: &Var) -> Result<Vec<Var>> {
        let mut maps = Vec::new();
        let features = self.walk(pass, x, Some(&mut maps))?;
        maps.push(features);
        Ok(maps)
    }

    /// To the pooled features; `maps` takes what is met on the way. The stem's map is never in memory
    /// where nobody asks for it: its pool is part of its batch norm's kernel.
    fn walk(&self, pass: &mut Pass, x: &Var, mut maps: Option<&mut Vec<Var>>) -> Result<Var> {
        let (x, seen) = self.conv1.forward_image(pass, x)?;
        let mut x = match (self.stem, &mut maps) {
            (Stem::ImageNet, None) => self.bn1.forward_relu_max_pool(pass, &x, seen)?,
            (Stem::ImageNet, Some(maps)) => {
                let x = self.bn1.forward_relu(pass, &x, seen)?;
                maps.push(x.clone());
                ops::max_pool(&mut pass.tape, &x, 3, 2, 1)?
            }
            (Stem::Cifar, maps) => {
                let x = self.bn1.forward_relu(pass, &x, seen)?;
                maps.iter_mut().for_each(|maps| maps.push(x.clone()));
                x
            }
        };
        for stage in &self.stages {
            for block in stage {
                x = block.forward(pass, &x)?;
            }
            maps.iter_mut().for_each(|maps| maps.push(x.clone()));
        }
        ops::global_average_pool(&mut pass.tape, &x)
    }
}

impl Block {
    /// A block of c inputs, `width` channels and a stride, and how many channels it puts out.
    fn new(
        layout: &mut Layout,
        name: &str,
        arch: Architecture,
        (c, width, stride): (usize, usize, u32),
        residual: f32,
    ) -> (Block, usize) {
        let out = if arch.is_bottleneck() {
            4 * width
        } else {
            width
        };
        // (inputs, outputs, window, stride) of each convolution
        let shapes: &[(usize, usize, usize, u32)] = if arch.is_bottleneck() {
            &[
                (c, width, 1, 1),
                (width, width, 3, stride),
                (width, out, 1, 1),
            ]
        } else {
            &[(c, width, 3, stride), (width, width, 3, 1)]
        };
        let layers = shapes
            .iter()
            .enumerate()
            .map(|(i, &(c, k, window, stride))| {
                let conv = Conv::new(
                    layout,
                    &format!("{name}.conv{}", i + 1),
                    [c, k],
                    window,
                    stride,
                );
                let scale = if i + 1 == shapes.len() { residual } else { 1.0 };
                let norm = format!("{name}.bn{}", i + 1);
                (conv, BatchNorm::with(layout, &norm, k, scale, true))
            });
        let layers = layers.collect();
        let downsample = (stride != 1 || c != out).then(|| {
            let conv = Conv::new(layout, &format!("{name}.downsample.0"), [c, out], 1, stride);
            (
                conv,
                BatchNorm::new(layout, &format!("{name}.downsample.1"), out),
            )
        });
        (Block { layers, downsample }, out)
    }

    fn forward(&self, pass: &mut Pass, x: &Var) -> Result<Var> {
        let residual = match &self.downsample {
            None => x.clone(),
            Some((conv, norm)) => {
                let (x, seen) = conv.forward(pass, x)?;
                norm.forward(pass, &x, seen)?
            }
        };
        let (last, before) = self.layers.split_last().expect("a block has layers");
        let mut x = x.clone();
        for (conv, norm) in before {
            let (y, seen) = conv.forward(pass, &x)?;
            x = norm.forward_relu(pass, &y, seen)?;
        }
        let (x, seen) = last.0.forward(pass, &x)?;
        last.1.forward_add_relu(pass, &x, &residual, seen)
    }
}
