//! How well nearest neighbours tell the classes apart, before and after training: labels are only ever
//! used here.
use super::{
    build::{Network, recipe},
    feed::workers,
    stop::Stop,
};
use crate::{
    Device, Error, Result, Tensor, Var,
    config::Config,
    data::Dataset,
    device::Real,
    evaluate::{Encoder, Features, Input, NeighboursPlan, Score, knn},
    nn::{Layout, Params, Pass, ResNet},
    random::{Draws, Purpose},
    tensor::Element,
};
use std::{sync::Arc, time::Duration};

const QUERIES: usize = 2_000;
const BANK: usize = 10_000;
/// What two cores do in about half a minute.
const CPU_FLOPS: u64 = 4_000_000_000_000;

/// A bank of labelled images and others to be told by them.
#[derive(Clone)]
pub struct Neighbours {
    bank: Arc<Dataset>,
    queries: Arc<Dataset>,
    input: Input,
    workers: usize,
}

/// Features of some images, and their classes.
pub struct Labelled {
    values: Vec<f32>,
    labels: Vec<u32>,
    dim: usize,
}

impl Labelled {
    pub fn features(&self) -> Features<'_> {
        Features::new(&self.values, &self.labels, self.dim)
    }
}

impl Neighbours {
    /// Against `--val` or `synthetic-val`; else a tenth of the images is told by the others. `None`
    /// where there are no labels. Nothing is held out of the training.
    pub fn new(config: &Config, dataset: &Dataset) -> Result<Option<Neighbours>> {
        let seed = config.schedule.seed;
        let val = match &config.data.val[..] {
            "" => held_out_of(&config.data.images),
            val => Some(val.to_string()),
        };
        let val = val.map(|val| Dataset::open(&[val], seed)).transpose()?;
        let trained = labelled(dataset);
        let (bank, queries) = match val {
            None => split(dataset, trained, seed),
            Some(val) => {
                let images = labelled(&val);
                if images.is_empty() {
                    return Err(Error::Data(format!(
                        "--val {} has no labels\n  it needs a folder a class",
                        config.data.val
                    )));
                }
                match trained.is_empty() || val.classes() != dataset.classes() {
                    true => split(&val, images, seed),
                    false => {
                        let mut images = shuffled(images, seed);
                        images.truncate(QUERIES);
                        let (_, bank) = split_off(trained, 0, seed);
                        (dataset.only(&bank), val.only(&images))
                    }
                }
            }
        };
        if queries.is_empty() || bank.is_empty() {
            return Ok(None);
        }
        Ok(Some(Neighbours {
            bank: Arc::new(bank),
            queries: Arc::new(queries),
            input: input(config),
            workers: workers(config),
        }))
    }

    /// The same images, as the runs of `config` look at theirs.
    pub fn seen_by(mut self, config: &Config) -> Neighbours {
        self.input = input(config);
        self
    }

    /// On a CPU, no more images than `network` looks at in about half a minute.
    pub fn affordable(mut self, device: &Device, network: &Network) -> Result<Neighbours> {
        let (encoder, layout) = (&network.encoder, &network.layout);
        let Some(most) = affordable(device, encoder, layout, self.input)? else {
            return Ok(self);
        };
        let all = self.bank.len() + self.queries.len();
        for images in [&mut self.bank, &mut self.queries] {
            let share = (images.len() * most / all).clamp(1, images.len());
            let first: Vec<u32> = (0..share as u32).collect();
            *images = Arc::new(images.only(&first));
        }
        Ok(self)
    }

    pub fn queries(&self) -> &Arc<Dataset> {
        &self.queries
    }

    pub fn bank(&self) -> &Arc<Dataset> {
        &self.bank
    }

    pub fn classes(&self) -> usize {
        self.bank.classes().len()
    }

    pub fn workers(&self) -> usize {
        self.workers
    }

    /// `network` under `params`, as it looks at these images.
    pub fn encoder<'a>(&self, network: &'a ResNet, params: &'a Params) -> Encoder<'a> {
        Encoder {
            network,
            params,
            input: self.input,
        }
    }

    /// By `network` under `params`, in evaluation. `Error::Stopped` where `stop` asked to end.
    pub fn score(&self, network: &ResNet, params: &Params, stop: &Stop) -> Result<Score> {
        let [bank, queries] = self.embed(network, params, stop)?;
        let plan = NeighboursPlan::default();
        Ok(knn(
            bank.features(),
            queries.features(),
            self.classes(),
            plan,
        ))
    }

    /// The bank's features and the queries'.
    pub fn embed(&self, network: &ResNet, params: &Params, stop: &Stop) -> Result<[Labelled; 2]> {
        let encoder = self.encoder(network, params);
        Ok([
            self.embed_one(&encoder, &self.bank, stop)?,
            self.embed_one(&encoder, &self.queries, stop)?,
        ])
    }

    /// Without the bad ones: they are told of by training.
    fn embed_one(&self, encoder: &Encoder, images: &Arc<Dataset>, stop: &Stop) -> Result<Labelled> {
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        encoder.embed_all(images, self.workers, |batch, features| {
            if let Some(why) = stop.reason(0, Duration::ZERO) {
                return Err(Error::Stopped(format!("Stopped: {why}")));
            }
            values.extend_from_slice(features);
            labels.extend(batch.labels.iter().map(|label| label.expect("chosen so")));
            Ok(())
        })?;
        if labels.is_empty() {
            let why = "none of the labelled images can be decoded";
            return Err(Error::Data(why.into()));
        }
        let dim = encoder.dim();
        Ok(Labelled {
            values,
            labels,
            dim,
        })
    }
}

/// Images that `encoder` looks at in about half a minute of a CPU; `None` on a GPU. Its cost is what a
/// device that runs nothing adds up for one image.
pub fn affordable(
    device: &Device,
    encoder: &ResNet,
    layout: &Arc<Layout>,
    input: Input,
) -> Result<Option<usize>> {
    if device.arch().compute > 0 {
        return Ok(None);
    }
    let null = Device::null(Real::F32);
    let params = Params::new(&null, layout, 0)?;
    let side = input.size as usize;
    let x = Tensor::uninit(&null, Element::Real, [1, side, side, 3])?;
    encoder.forward(&mut Pass::evaluate(&params), &Var::constant(x))?;
    Ok(Some((CPU_FLOPS / null.work().flops.max(1)) as usize))
}

/// How a run of `config` looks at images when it does not train on them.
pub fn input(config: &Config) -> Input {
    let recipe = recipe(&config.augment);
    Input {
        size: config.encoder.image_size as u32,
        mean: recipe.mean,
        std: recipe.std,
    }
}

/// `synthetic:20000:48` has `synthetic-val` at 48 pixels beside it.
pub fn held_out_of(images: &[String]) -> Option<String> {
    let [only] = images else { return None };
    let mut words = only.split(':');
    let synthetic = words.next() == Some("synthetic");
    let side = words
        .nth(1)
        .map_or(String::new(), |side| format!(":{QUERIES}:{side}"));
    synthetic.then(|| format!("synthetic-val{side}"))
}

fn labelled(dataset: &Dataset) -> Vec<u32> {
    let labelled = |&image: &u32| dataset.label(image as usize).is_some();
    (0..dataset.len() as u32).filter(labelled).collect()
}

/// A bank of the rest, and a tenth as queries.
fn split(dataset: &Dataset, images: Vec<u32>, seed: u64) -> (Dataset, Dataset) {
    let (queries, bank) = split_off(images, 10, seed);
    (dataset.only(&bank), dataset.only(&queries))
}

/// One in `share` of the images (none for 0), at most `QUERIES`; and at most `BANK` of the others.
fn split_off(images: Vec<u32>, share: usize, seed: u64) -> (Vec<u32>, Vec<u32>) {
    let count = images.len().checked_div(share).unwrap_or(0).min(QUERIES);
    let mut queries = shuffled(images, seed);
    let mut bank = queries.split_off(count);
    bank.truncate(BANK);
    (queries, bank)
}

/// The same order each time (Fisher and Yates).
fn shuffled(mut images: Vec<u32>, seed: u64) -> Vec<u32> {
    let mut draws = Draws::new(seed, Purpose::Split, 0, 0, 0);
    for last in (1..images.len()).rev() {
        let other = draws.below(last as u32 + 1);
        images.swap(last, other as usize);
    }
    images
}
