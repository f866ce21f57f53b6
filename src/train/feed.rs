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
    recipe: augment::Recipe,
    seed: u64,
    source: Source,
    /// (n) u32
    ids: Tensor,
}

enum Source {
    Block(Box<Block>),
    Loader {
        loader: Box<Loader>,
        /// (views n, s, s, 3) u8
        pixels: Tensor,
    },
}

/// What was fetched, and what it cost.
pub struct Fed {
    pub epoch: u32,
    pub images: usize,
    pub bad: Vec<BadImage>,
    /// How long the images were waited for.
    pub wait: Duration,
}

/// All images, on the device.
struct Block {
    images: Tensor, // (count, h, w, 3) u8
    /// (views n) u32: the image of each row.
    indices: Tensor,
    /// (views n, 5) f32: the box of each row.
    boxes: Tensor,
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
            Source::Block(Box::new(Block::new(device, held, config, start)?))
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
            let side = view.size as usize;
            Source::Loader {
                loader: Box::new(Loader::start(dataset.clone(), plan)?),
                pixels: Tensor::uninit(device, Element::U8, [VIEWS * batch, side, side, 3])?,
            }
        };
        Ok(Feed {
            recipe: build::recipe(&config.augment),
            seed,
            source,
            ids: Tensor::uninit(device, Element::U32, [batch])?,
        })
    }

    /// Fetches the next step's images: into memory of this feed's own, the same in every step.
    pub fn fetch(&mut self) -> Result<Fed> {
        match &mut self.source {
            Source::Block(block) => block.fetch(&self.ids),
            Source::Loader { loader, pixels } => {
                let host = loader
                    .next()
                    .expect("the plan has a batch for every step")?;
                let images = host.ids.len();
                for (view, bytes) in host.views.iter().enumerate() {
                    pixels.rows(view * images, images).overwrite(bytes)?;
                }
                self.ids.overwrite(&host.ids)?;
                Ok(Fed {
                    epoch: host.epoch,
                    images,
                    bad: host.bad,
                    wait: host.wait,
                })
            }
        }
    }

    /// The views of the images last fetched, in `epoch` (1) u32: the same launches in every step.
    pub fn batch(&self, epoch: &Tensor) -> Result<Batch> {
        let pixels = match &self.source {
            Source::Block(block) => block.cut()?,
            Source::Loader { pixels, .. } => pixels.clone(),
        };
        Ok(Batch {
            images: self.ids.len(),
            views: vec![self.color(&pixels, epoch)?],
            ids: self.ids.clone(),
        })
    }

    /// pixels (views n, s, s, 3) u8 to the same in real, each view under draws of its own.
    fn color(&self, pixels: &Tensor, epoch: &Tensor) -> Result<Tensor> {
        let n = self.ids.len();
        let columns = augment::table::COLS;
        let table = Tensor::uninit(pixels.device(), Element::F32, [VIEWS * n, columns])?;
        for view in 0..VIEWS {
            let rows = augment_draw::draw(&self.ids, &self.recipe, self.seed, epoch, view as u32)?;
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
        let batch = config.schedule.batch;
        Ok(Block {
            images: Tensor::from_u8(device, shape, &held.pixels)?,
            indices: Tensor::uninit(device, Element::U32, [VIEWS * batch])?,
            boxes: Tensor::uninit(device, Element::F32, [VIEWS * batch, 5])?,
            view: view(config),
            batch,
            steps_per_epoch: steps_per_epoch(count, batch)?,
            next: start,
            seed: config.schedule.seed,
            order: None,
            bad: held.bad,
        })
    }

    fn fetch(&mut self, to: &Tensor) -> Result<Fed> {
        let started = Instant::now();
        let epoch = (self.next / self.steps_per_epoch) as u32;
        let first = (self.next % self.steps_per_epoch) as usize * self.batch;
        self.next += 1;
        if self.order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            let order = permutation(self.seed, epoch, self.images.dims()[0]);
            self.order = Some((epoch, order));
        }
        let (_, order) = self.order.as_ref().expect("it was just made");
        let ids = &order[first..first + self.batch];
        let rows = VIEWS * ids.len();
        let boxes: Vec<f32> = (0..rows)
            .flat_map(|row| self.draw_box(epoch, ids[row % ids.len()], row / ids.len()))
            .collect();
        let wait = started.elapsed();
        to.overwrite(ids)?;
        self.indices.overwrite(&ids.repeat(VIEWS))?;
        self.boxes.overwrite(&boxes)?;
        Ok(Fed {
            epoch,
            images: self.batch,
            bad: std::mem::take(&mut self.bad),
            wait,
        })
    }

    /// The boxes last fetched: (views n, s, s, 3) u8.
    fn cut(&self) -> Result<Tensor> {
        let size = self.view.size as usize;
        augment::crop(&self.images, &self.indices, &self.boxes, size)
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
