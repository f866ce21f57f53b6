//! Every stage of a network at once: what one frozen forward leaves on its way, pooled to a vector a stage,
//! and the linear probe of each (Goyal et al. 2019, arXiv 1905.01235; VISSL's and PIRL's protocol).
use super::{Encoder, HeadInit, LinearPlan, RateDecay, Scaling, features::finite, pool::Pool};
use crate::{
    Device, Error, Result, Tensor, Var,
    data::{BadImage, Dataset},
    device::Real,
    nn::{Params, Pass},
    tensor::Element,
};
use half::f16;
use std::sync::Arc;

/// Where a network is looked at, and how a vector is made of what is seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Tap {
    /// Which of [`crate::nn::ResNet::forward_stages`].
    pub stage: usize,
    /// torchvision's: conv1, layer1, ..., avgpool.
    pub name: String,
    /// Height, width and channels of the map.
    pub map: [usize; 3],
    pub pool: Pool,
}

impl Tap {
    /// Numbers of the vector.
    pub fn dim(&self) -> usize {
        let [h, w, c] = self.map;
        self.pool.output(h) * self.pool.output(w) * c
    }

    pub fn channels(&self) -> usize {
        self.map[2]
    }
}

/// VISSL's pools behind conv1 and the four stages of an ImageNet network at 224 pixels: about nine thousand
/// numbers each. (Map side, kernel, stride, padding.)
const IMAGENET: [(usize, usize, usize, usize); 5] = [
    (112, 10, 10, 4),
    (56, 16, 8, 0),
    (28, 13, 5, 0),
    (14, 8, 3, 0),
    (7, 6, 1, 0),
];
/// Of every other map: nothing is published for small images.
const SIDE: usize = 4;

/// The taps of `encoder` for its size of images, found by a device that runs nothing.
pub fn taps(encoder: &Encoder) -> Result<Vec<Tap>> {
    let null = Device::null(Real::F32);
    let params = Params::new(&null, encoder.params.layout(), 0)?;
    let side = encoder.input.size as usize;
    let x = Tensor::uninit(&null, Element::Real, [1, side, side, 3])?;
    let mut pass = Pass::evaluate(&params);
    let stages = encoder
        .network
        .forward_stages(&mut pass, &Var::constant(x))?;
    let maps = stages.iter().map(|stage| match *stage.value.dims() {
        [_, h, w, c] => [h, w, c],
        [_, c] => [1, 1, c],
        _ => unreachable!("a stage is a map or a vector"),
    });
    let maps: Vec<[usize; 3]> = maps.collect();
    let published = maps.len() == IMAGENET.len() + 1
        && maps
            .iter()
            .zip(IMAGENET)
            .all(|(map, (side, ..))| map[..2] == [side, side]);
    let pool = |stage: usize| match IMAGENET.get(stage) {
        Some(&(_, kernel, stride, padding)) if published => Pool::Windows {
            kernel,
            stride,
            padding,
        },
        _ => Pool::Adaptive(SIDE),
    };
    let named = encoder
        .network
        .stage_names()
        .into_iter()
        .zip(maps)
        .enumerate();
    let tap = |(stage, (name, map))| Tap {
        stage,
        name,
        map,
        pool: pool(stage),
    };
    Ok(named.map(tap).collect())
}

/// A dataset at every tap. Kept as f16, two bytes a number: what is lost is a two-thousandth of each.
pub struct Staged {
    /// (images, dim) a tap.
    pub values: Vec<Vec<f16>>,
    pub labels: Vec<Option<u32>>,
    pub bad: Vec<BadImage>,
}

/// One forward an image; `progress(images done)` after each batch.
pub fn staged(
    encoder: &Encoder,
    taps: &[Tap],
    dataset: &Arc<Dataset>,
    workers: usize,
    progress: &dyn Fn(usize),
) -> Result<Staged> {
    let room = |tap: &Tap| Vec::with_capacity(dataset.len() * tap.dim());
    let mut all = Staged {
        values: taps.iter().map(room).collect(),
        labels: Vec::new(),
        bad: Vec::new(),
    };
    for batch in encoder.batches(dataset, workers)? {
        if !batch.ids.is_empty() {
            let x = encoder.normalized(&batch.pixels)?;
            let mut pass = Pass::evaluate(encoder.params);
            let stages = encoder.network.forward_stages(&mut pass, &x)?;
            for (tap, values) in taps.iter().zip(&mut all.values) {
                let stage = &stages[tap.stage];
                let pooled = tap.pool.average(&stage.value.to_vec()?, tap.map);
                values.extend(narrow(tap, &finite(pooled)?)?);
            }
        }
        all.labels.extend(&batch.labels);
        all.bad.extend(batch.bad);
        progress(all.labels.len() + all.bad.len());
    }
    Ok(all)
}

fn narrow(tap: &Tap, pooled: &[f32]) -> Result<Vec<f16>> {
    let narrow: Vec<f16> = pooled.iter().map(|&x| f16::from_f32(x)).collect();
    if narrow.iter().all(|x| x.is_finite()) {
        return Ok(narrow);
    }
    Err(Error::Numeric(format!(
        "{} holds numbers above 65,504, the most that its features are kept as: are these weights those of a run that diverged?",
        tap.name
    )))
}

/// Bytes that `train` and `val` images take at `taps`, the largest tap also as f32 while it is probed.
pub fn staged_bytes(taps: &[Tap], train: usize, val: usize) -> u64 {
    let dims: usize = taps.iter().map(Tap::dim).sum();
    let largest = taps.iter().map(Tap::dim).max().unwrap_or(0);
    (train + val) as u64 * (2 * dims + 4 * largest) as u64
}

/// One tap's rows as the probe takes them.
pub fn widened(values: &[f16]) -> Vec<f32> {
    values.iter().map(|x| x.to_f32()).collect()
}

/// The probe of one tap: a batch norm without scale and shift over its channels, then a linear layer.
///
/// VISSL's numbers (`eval_resnet_8gpu_transfer_in1k_linear.yaml`): Nesterov, momentum .9, weight decay
/// 5e-4, 28 epochs, rate .01 x batch / 256, x .1 at epochs 8, 16, 24. Its batch norm learns a scale and a
/// shift and sees a batch at a time; ours sees all of `--train` once (mmselfsup's does not learn either).
/// First weights are mmselfsup's, normal of .01.
pub fn layer_plan(channels: usize, images: usize, batch: usize) -> LinearPlan {
    let batch = batch.min(images);
    LinearPlan {
        epochs: 28,
        batch,
        rates: vec![0.01 * batch as f32 / 256.0],
        decay: RateDecay::Steps {
            at: &[8, 16, 24],
            of: 28,
            by: 0.1,
        },
        nesterov: true,
        weight_decay: 5e-4,
        init: HeadInit::Normal(0.01),
        scaling: Scaling::Channels(channels),
        ..LinearPlan::default()
    }
}

/// Tried around VISSL's, layer by layer: its one rate was found for ImageNet and ResNet-50, and a layer of
/// a hundred numbers wants another than one of nine thousand.
pub const LAYER_RATES: [f32; 7] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluate::Input,
        nn::{Architecture, Layout, ResNet, Stem},
    };

    /// (name, dimensions) of each tap.
    fn dims(arch: Architecture, stem: Stem, size: u32) -> Vec<(String, usize)> {
        let mut layout = Layout::default();
        let network = ResNet::new(&mut layout, arch, stem, 1);
        let params = Params::new(&Device::null(Real::F32), &Arc::new(layout), 0).unwrap();
        let encoder = Encoder {
            network: &network,
            params: &params,
            input: Input {
                size,
                mean: [0.5; 3],
                std: [0.2; 3],
            },
        };
        let taps = taps(&encoder).unwrap();
        taps.iter()
            .map(|tap| (tap.name.clone(), tap.dim()))
            .collect()
    }

    fn named(dims: &[usize]) -> Vec<(String, usize)> {
        let names = ["conv1", "layer1", "layer2", "layer3", "layer4", "avgpool"];
        let named = names.iter().zip(dims);
        named.map(|(name, &dim)| (name.to_string(), dim)).collect()
    }

    #[test]
    fn resnet50_has_the_published_dimensions() {
        let wanted = named(&[9216, 9216, 8192, 9216, 8192, 2048]);
        assert_eq!(dims(Architecture::ResNet50, Stem::ImageNet, 224), wanted);
    }

    #[test]
    fn other_sizes_are_pooled_to_four_by_four_where_they_have_as_many() {
        let wanted = named(&[1024, 1024, 2048, 4096, 8192, 512]);
        assert_eq!(dims(Architecture::ResNet18, Stem::Cifar, 32), wanted);
        // 17 pixels: maps of 17, 17, 9, 5 and 3 a side.
        let small = named(&[1024, 1024, 2048, 4096, 512 * 9, 512]);
        assert_eq!(dims(Architecture::ResNet18, Stem::Cifar, 17), small);
    }

    #[test]
    fn vissls_plan_scales_with_the_batch() {
        let plan = layer_plan(64, 10_000, 512);
        assert_eq!((plan.rates, plan.epochs, plan.batch), (vec![0.02], 28, 512));
        assert_eq!(plan.scaling, Scaling::Channels(64));
        assert!(plan.nesterov && plan.weight_decay == 5e-4);
    }
}
