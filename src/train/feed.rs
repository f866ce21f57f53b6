//! Where batches come from: small images lie on the device as one block of uint8 and only boxes are
//! sent to it; others are decoded and cropped by the loader's threads. Colour is the device's either way.
//! A batch is a function of (seed, step): the feed may begin at any step.
use super::build::{self, VIEWS};
use crate::{
    Device, Error, Result, Tensor,
    config::Config,
    data::{
        BadImage, Dataset, Loader, Plan, Resident, View,
        crop::{Filter, random_resized_crop},
        resident,
        sampler::{permutation, steps_per_epoch},
    },
    methods::Batch,
    ops::{augment, augment_draw, copy},
    random::{Draws, Purpose},
    tensor::Element,
};
use std::{
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, Instant},
};

/// Batches made ahead by the loader.
const DEPTH: usize = 4;

pub struct Feed {
    device: Device,
    recipe: augment::Recipe,
    seed: u64,
    source: Source,
}

enum Source {
    Block(Block),
    Loader(Box<Loader>),
}

/// A batch and what it cost.
pub struct Fed {
    pub batch: Batch,
    pub epoch: u32,
    pub bad: Vec<BadImage>,
    /// How long the images were waited for.
    pub wait: Duration,
}

/// A batch before its colours are changed.
struct Cut {
    /// (views n, s, s, 3) u8
    pixels: Tensor,
    ids: Vec<u32>,
    epoch: u32,
    bad: Vec<BadImage>,
    wait: Duration,
}

/// All images, on the device.
struct Block {
    images: Tensor, // (count, h, w, 3) u8
    view: View,
    batch: usize,
    steps_per_epoch: u64,
    next: u64,
    seed: u64,
    /// The current epoch's order.
    order: Option<(u32, Vec<u32>)>,
    /// Told with the first batch.
    bad: Vec<BadImage>,
}

impl Feed {
    /// From `start` to before `end`, counted in steps from the run's beginning.
    pub fn start(
        device: &Device,
        dataset: &Arc<Dataset>,
        config: &Config,
        start: u64,
        end: u64,
    ) -> Result<Feed> {
        let workers = workers(config);
        let view = view(config);
        let (batch, seed) = (config.schedule.batch, config.schedule.seed);
        // The device resamples bilinearly; a bicubic crop is the loader's.
        let bilinear = config.augment.crop_filter == Filter::Bilinear;
        let source = if bilinear && dataset.resident_size().is_some() {
            let held = resident(dataset, workers)?;
            Source::Block(Block::new(device, held, config, start)?)
        } else {
            let plan = Plan {
                batch,
                seed,
                start_step: start,
                steps: end,
                workers,
                depth: DEPTH,
                views: vec![view; VIEWS],
                max_bad: config.data.max_bad as f32,
            };
            Source::Loader(Box::new(Loader::start(dataset.clone(), plan)?))
        };
        Ok(Feed {
            device: device.clone(),
            recipe: build::recipe(&config.augment),
            seed,
            source,
        })
    }

    /// The next step's batch.
    pub fn batch(&mut self) -> Result<Fed> {
        let Cut {
            pixels,
            ids,
            epoch,
            bad,
            wait,
        } = match &mut self.source {
            Source::Block(block) => block.next()?,
            Source::Loader(loader) => {
                let host = loader
                    .next()
                    .expect("the plan has a batch for every step")?;
                let size = (host.views[0].len() / host.ids.len() / 3).isqrt();
                let shape = [VIEWS * host.ids.len(), size, size, 3];
                let pixels = Tensor::from_u8(&self.device, shape, &host.views.concat())?;
                Cut {
                    pixels,
                    ids: host.ids,
                    epoch: host.epoch,
                    bad: host.bad,
                    wait: host.wait,
                }
            }
        };
        let images = ids.len();
        let ids = Tensor::from_u32(&self.device, [images], &ids)?;
        let views = vec![self.color(&pixels, &ids, epoch)?];
        let batch = Batch { images, views, ids };
        Ok(Fed {
            batch,
            epoch,
            bad,
            wait,
        })
    }

    /// pixels (views n, s, s, 3) u8 to the same in real, each view under draws of its own.
    fn color(&self, pixels: &Tensor, ids: &Tensor, epoch: u32) -> Result<Tensor> {
        let n = ids.len();
        let columns = augment::table::COLS;
        let table = Tensor::uninit(&self.device, Element::F32, [VIEWS * n, columns])?;
        for view in 0..VIEWS {
            let rows = augment_draw::draw(ids, &self.recipe, self.seed, epoch, view as u32)?;
            copy::copy(&rows, &table.rows(view * n, n))?;
        }
        augment::apply(pixels, &table, &self.recipe)
    }
}

impl Block {
    fn new(device: &Device, held: Resident, config: &Config, start: u64) -> Result<Block> {
        let count = held.labels.len();
        check_bad(&held, config.data.max_bad)?;
        let shape = [count, held.height as usize, held.width as usize, 3];
        Ok(Block {
            images: Tensor::from_u8(device, shape, &held.pixels)?,
            view: view(config),
            batch: config.schedule.batch,
            steps_per_epoch: steps_per_epoch(count, config.schedule.batch)?,
            next: start,
            seed: config.schedule.seed,
            order: None,
            bad: held.bad,
        })
    }

    fn next(&mut self) -> Result<Cut> {
        let started = Instant::now();
        let epoch = (self.next / self.steps_per_epoch) as u32;
        let first = (self.next % self.steps_per_epoch) as usize * self.batch;
        self.next += 1;
        if self.order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            let order = permutation(self.seed, epoch, self.images.dims()[0]);
            self.order = Some((epoch, order));
        }
        let (_, order) = self.order.as_ref().expect("it was just made");
        let ids = order[first..first + self.batch].to_vec();
        let rows = VIEWS * ids.len();
        let boxes: Vec<f32> = (0..rows)
            .flat_map(|row| self.draw_box(epoch, ids[row % ids.len()], row / ids.len()))
            .collect();
        let wait = started.elapsed();
        let device = self.images.device();
        let indices = Tensor::from_u32(device, [rows], &ids.repeat(VIEWS))?;
        let boxes = Tensor::from_f32(device, [rows, 5], &boxes)?;
        let pixels = augment::crop(&self.images, &indices, &boxes, self.view.size as usize)?;
        Ok(Cut {
            pixels,
            ids,
            epoch,
            bad: std::mem::take(&mut self.bad),
            wait,
        })
    }

    /// As the loader draws it: x, y, width, height, and 1 to mirror.
    fn draw_box(&self, epoch: u32, id: u32, view: usize) -> [f32; 5] {
        let &[_, height, width, _] = self.images.dims() else {
            unreachable!("images have four dimensions");
        };
        let mut draws = Draws::new(self.seed, Purpose::Crop, epoch, id, view as u32);
        let View { scale, ratio, .. } = self.view;
        let cut = random_resized_crop(&mut draws, width as u32, height as u32, scale, ratio);
        let mirror = if draws.unit() < 0.5 { 1.0 } else { 0.0 };
        let [x, y, w, h] = [cut.x, cut.y, cut.width, cut.height].map(|side| side as f32);
        [x, y, w, h, mirror]
    }
}

fn view(config: &Config) -> View {
    let pair = |[low, high]: [f64; 2]| (low as f32, high as f32);
    View {
        size: config.encoder.image_size as u32,
        scale: pair(config.augment.crop_scale),
        ratio: pair(config.augment.crop_ratio),
        filter: config.augment.crop_filter,
    }
}

pub fn workers(config: &Config) -> usize {
    match config.data.workers {
        0 => available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

fn check_bad(held: &Resident, max_bad: f64) -> Result<()> {
    let (bad, count) = (held.bad.len(), held.labels.len());
    if bad as f64 <= max_bad * count as f64 {
        return Ok(());
    }
    Err(Error::Data(format!(
        "{bad} of {count} images are bad, e.g. {}\n  repair or remove them, or allow more than {} % with --max-bad",
        held.bad[0],
        max_bad * 100.0
    )))
}
