//! How well nearest neighbours tell the classes apart, before and after training: labels are only ever
//! used here.
use crate::{
    Device, Error, Result, Tensor, Var,
    config::Config,
    data::{Dataset, Image, crop::evaluation_crop},
    device::Real,
    evaluate::{Features, NeighboursPlan, Score, knn},
    nn::{Params, Pass, ResNet},
    ops::augment,
    random::{Draws, Purpose},
    tensor::Element,
    train::{
        build::{Network, recipe},
        stop::Stop,
    },
};
use rayon::prelude::*;
use std::{sync::Arc, time::Duration};

const QUERIES: usize = 2_000;
const BANK: usize = 10_000;
/// What two cores do in about half a minute.
const CPU_FLOPS: u64 = 4_000_000_000_000;
/// Images a forward pass.
const BATCH: usize = 250;

/// A bank of labelled images and others to be told by them.
pub struct Neighbours {
    bank: Subset,
    queries: Subset,
    classes: usize,
    size: u32,
    mean: [f32; 3],
    std: [f32; 3],
}

/// Some of a dataset's images.
struct Subset {
    dataset: Arc<Dataset>,
    images: Vec<usize>,
}

impl Neighbours {
    /// Against `--val` or `synthetic-val`; else a tenth of the images is told by the others. `None`
    /// where there are no labels. Nothing is held out of the training.
    pub fn new(config: &Config, dataset: &Arc<Dataset>) -> Result<Option<Neighbours>> {
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
                let val = Arc::new(val);
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
                        (subset(dataset, bank), subset(&val, images))
                    }
                }
            }
        };
        if queries.images.is_empty() || bank.images.is_empty() {
            return Ok(None);
        }
        let recipe = recipe(&config.augment);
        Ok(Some(Neighbours {
            classes: bank.dataset.classes().len(),
            bank,
            queries,
            size: config.encoder.image_size as u32,
            mean: recipe.mean,
            std: recipe.std,
        }))
    }

    /// On a CPU, no more images than `network` looks at in about half a minute; its cost is what a device
    /// that runs nothing adds up for one image.
    pub fn affordable(mut self, device: &Device, network: &Network) -> Result<Neighbours> {
        if device.arch().compute > 0 {
            return Ok(self);
        }
        let null = Device::null(Real::F32);
        let params = Params::new(&null, &network.layout, 0)?;
        let side = self.size as usize;
        let x = Tensor::uninit(&null, Element::Real, [1, side, side, 3])?;
        network
            .encoder
            .forward(&mut Pass::evaluate(&params), &Var::constant(x))?;
        let most = (CPU_FLOPS / null.work().flops.max(1)) as usize;
        let all = self.bank.images.len() + self.queries.images.len();
        for subset in [&mut self.bank, &mut self.queries] {
            let share = subset.images.len() * most / all;
            subset.images.truncate(share.max(1));
        }
        Ok(self)
    }

    pub fn queries(&self) -> usize {
        self.queries.images.len()
    }

    pub fn bank(&self) -> usize {
        self.bank.images.len()
    }

    /// By `encoder` under `params`, in evaluation. `None` where `stop` asked to end before it was done.
    pub fn score(&self, encoder: &ResNet, params: &Params, stop: &Stop) -> Result<Option<Score>> {
        let bank = self.features(&self.bank, encoder, params, stop)?;
        let queries = self.features(&self.queries, encoder, params, stop)?;
        let (Some((bank, bank_labels)), Some((queries, labels))) = (bank, queries) else {
            return Ok(None);
        };
        if labels.is_empty() || bank_labels.is_empty() {
            let why = "none of the labelled images can be decoded";
            return Err(Error::Data(why.into()));
        }
        let dim = encoder.features();
        let bank = Features::new(&bank, &bank_labels, dim);
        let queries = Features::new(&queries, &labels, dim);
        let plan = NeighboursPlan::default();
        Ok(Some(knn(bank, queries, self.classes, plan)))
    }

    fn features(
        &self,
        of: &Subset,
        encoder: &ResNet,
        params: &Params,
        stop: &Stop,
    ) -> Result<Option<(Vec<f32>, Vec<u32>)>> {
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        for images in of.images.chunks(BATCH) {
            if stop.reason(0, Duration::ZERO).is_some() {
                return Ok(None);
            }
            let views: Vec<(Vec<u8>, u32)> = images
                .par_iter()
                .filter_map(|&image| {
                    let label = of.dataset.label(image)?;
                    let image = of.dataset.decode(image).ok()?; // a bad one is told of by training
                    Some((self.view(image), label))
                })
                .collect();
            if views.is_empty() {
                continue;
            }
            let pixels: Vec<u8> = views.iter().flat_map(|(view, _)| view).copied().collect();
            let shape = [views.len(), self.size as usize, self.size as usize, 3];
            let pixels = Tensor::from_u8(params.device(), shape, &pixels)?;
            let x = augment::normalize(&pixels, self.mean, self.std)?;
            let mut pass = Pass::evaluate(params);
            let y = encoder.forward(&mut pass, &Var::constant(x))?;
            features.extend(y.value.to_vec()?);
            labels.extend(views.iter().map(|(_, label)| label));
        }
        Ok(Some((features, labels)))
    }

    fn view(&self, image: Image) -> Vec<u8> {
        if (image.width, image.height) == (self.size, self.size) {
            return image.pixels;
        }
        let mut view = vec![0; (self.size * self.size * 3) as usize];
        evaluation_crop(&image, self.size, &mut view);
        view
    }
}

/// `synthetic:20000:48` has `synthetic-val` at 48 pixels beside it.
fn held_out_of(images: &[String]) -> Option<String> {
    let [only] = images else { return None };
    let mut words = only.split(':');
    let synthetic = words.next() == Some("synthetic");
    let side = words
        .nth(1)
        .map_or(String::new(), |side| format!(":{QUERIES}:{side}"));
    synthetic.then(|| format!("synthetic-val{side}"))
}

fn labelled(dataset: &Dataset) -> Vec<usize> {
    let labelled = |&image: &usize| dataset.label(image).is_some();
    (0..dataset.len()).filter(labelled).collect()
}

fn subset(dataset: &Arc<Dataset>, images: Vec<usize>) -> Subset {
    Subset {
        dataset: dataset.clone(),
        images,
    }
}

/// A bank of the rest, and a tenth as queries.
fn split(dataset: &Arc<Dataset>, images: Vec<usize>, seed: u64) -> (Subset, Subset) {
    let (queries, bank) = split_off(images, 10, seed);
    (subset(dataset, bank), subset(dataset, queries))
}

/// One in `share` of the images (none for 0), at most `QUERIES`; and at most `BANK` of the others.
fn split_off(images: Vec<usize>, share: usize, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let count = images.len().checked_div(share).unwrap_or(0).min(QUERIES);
    let mut queries = shuffled(images, seed);
    let mut bank = queries.split_off(count);
    bank.truncate(BANK);
    (queries, bank)
}

/// The same order each time (Fisher and Yates).
fn shuffled(mut images: Vec<usize>, seed: u64) -> Vec<usize> {
    let mut draws = Draws::new(seed, Purpose::Split, 0, 0, 0);
    for last in (1..images.len()).rev() {
        let other = draws.below(last as u32 + 1);
        images.swap(last, other as usize);
    }
    images
}
