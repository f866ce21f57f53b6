//! A network followed layer by layer without computing it: for whoever writes it down in another form.
use super::{
    layers::{BatchNorm, Conv},
    layout::Layout,
    resnet::{Block, ResNet, Stem},
};
use crate::ops::conv2d::Stride;

/// Takes a network down. Layers are named as their tensors are, less the last part: `layer1.0.conv1`.
pub trait Scribe {
    type Value: Clone;
    fn conv(&mut self, x: &Self::Value, name: &str, stride: Stride) -> Self::Value;
    /// By running statistics.
    fn batch_norm(&mut self, x: &Self::Value, name: &str) -> Self::Value;
    fn relu(&mut self, x: &Self::Value) -> Self::Value;
    fn max_pool(&mut self, x: &Self::Value, window: u32, stride: Stride) -> Self::Value;
    fn add(&mut self, a: &Self::Value, b: &Self::Value) -> Self::Value;
    fn global_average_pool(&mut self, x: &Self::Value) -> Self::Value;
}

impl ResNet {
    /// What [`ResNet::forward`] does in a pass that evaluates. `layout` is what the network was declared in.
    pub fn outline<S: Scribe>(&self, layout: &Layout, scribe: &mut S, x: &S::Value) -> S::Value {
        let x = normed(&self.conv1, &self.bn1, layout, scribe, x);
        let mut x = scribe.relu(&x);
        if self.stem == Stem::ImageNet {
            let stride = Stride {
                stride: 2,
                padding: 1,
            };
            x = scribe.max_pool(&x, 3, stride);
        }
        for block in self.stages.iter().flatten() {
            x = block.outline(layout, scribe, &x);
        }
        scribe.global_average_pool(&x)
    }
}

impl Block {
    fn outline<S: Scribe>(&self, layout: &Layout, scribe: &mut S, x: &S::Value) -> S::Value {
        let residual = match &self.downsample {
            None => x.clone(),
            Some((conv, norm)) => normed(conv, norm, layout, scribe, x),
        };
        let (last, before) = self.layers.split_last().expect("a block has layers");
        let mut x = x.clone();
        for (conv, norm) in before {
            let y = normed(conv, norm, layout, scribe, &x);
            x = scribe.relu(&y);
        }
        let x = normed(&last.0, &last.1, layout, scribe, &x);
        let sum = scribe.add(&x, &residual);
        scribe.relu(&sum)
    }
}

fn normed<S: Scribe>(
    conv: &Conv,
    norm: &BatchNorm,
    layout: &Layout,
    scribe: &mut S,
    x: &S::Value,
) -> S::Value {
    let x = scribe.conv(x, conv.name(layout), conv.stride());
    scribe.batch_norm(&x, norm.name(layout))
}
