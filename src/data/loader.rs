//! Training batches: decoded once, every view cut from the same pixels, in an order and with crops
//! that are functions of (seed, step) alone. A run that starts at step k sees what an unbroken run
//! sees.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::crop::{Filter, flip_horizontally, random_resized_crop, resize_into};
use super::image::Tally;
use super::ordered::{Ordered, Stop};
use super::{BadImage, Dataset, Image, sampler};
use crate::random::{Draws, Purpose};
use crate::{Error, Result};

/// Bad images in a row after which a place in a batch is given up.
const MAX_REPLACEMENTS: usize = 100;

/// One random crop of each image: RandomResizedCrop to `size`, then a flip for every second one.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub size: u32,
    /// Share of the image's area.
    pub scale: (f32, f32),
    /// Width over height.
    pub ratio: (f32, f32),
    pub filter: Filter,
}

#[derive(Clone, Debug)]
pub struct Plan {
    /// Images a step.
    pub batch: usize,
    pub seed: u64,
    /// The first step made, counted from the run's beginning over all epochs.
    pub start_step: u64,
    /// The step to stop before.
    pub steps: u64,
    pub workers: usize,
    /// Batches made ahead.
    pub depth: usize,
    pub views: Vec<View>,
    /// Share of bad images above which the run stops, once 1000 (or all, if fewer) are read.
    pub max_bad: f32,
}

#[derive(Clone, Debug)]
pub struct HostBatch {
    pub step: u64,
    pub epoch: u32,
    /// Each image's place in the dataset.
    pub ids: Vec<u32>,
    pub labels: Vec<Option<u32>>,
    /// A view each: (batch, size, size, 3).
    pub views: Vec<Vec<u8>>,
    /// Images that others stand in for.
    pub bad: Vec<BadImage>,
    /// How long the taker waited.
    pub wait: Duration,
}

pub struct Loader {
    batches: Ordered<Result<HostBatch>>,
    tally: Tally,
    failed: bool,
}

impl Loader {
    /// Errors where the dataset holds no whole batch.
    pub fn start(dataset: Arc<Dataset>, plan: Plan) -> Result<Loader> {
        let steps = plan.start_step..plan.steps.max(plan.start_step);
        let (workers, depth) = (plan.workers, plan.depth);
        let tally = Tally::new(dataset.len(), plan.max_bad);
        let maker = Maker {
            steps_per_epoch: sampler::steps_per_epoch(dataset.len(), plan.batch)?,
            orders: Mutex::default(),
            dataset,
            plan,
        };
        let make = move |step, stop: &Stop| maker.make(step, stop);
        Ok(Loader {
            batches: Ordered::start(steps, workers, depth, make)?,
            tally,
            failed: false,
        })
    }
}

/// Ends after the plan's last step, or after the first error.
impl Iterator for Loader {
    type Item = Result<HostBatch>;

    fn next(&mut self) -> Option<Result<HostBatch>> {
        if self.failed {
            return None;
        }
        let started = Instant::now();
        let batch = self.batches.next()?.and_then(|mut batch| {
            batch.wait = started.elapsed();
            self.tally.add(batch.ids.len(), &batch.bad)?;
            Ok(batch)
        });
        self.failed = batch.is_err();
        Some(batch)
    }
}

/// What the threads share.
struct Maker {
    dataset: Arc<Dataset>,
    plan: Plan,
    steps_per_epoch: u64,
    /// The latest epochs' permutations.
    orders: Mutex<Vec<(u32, Arc<Vec<u32>>)>>,
}

/// One image's part of a batch.
struct Filled {
    id: u32,
    bad: Vec<BadImage>,
}

impl Maker {
    fn make(&self, step: u64, stop: &Stop) -> Result<HostBatch> {
        let epoch = (step / self.steps_per_epoch) as u32;
        let order = self.order(epoch);
        let first = (step % self.steps_per_epoch) as usize * self.plan.batch;
        let mut views: Vec<Vec<u8>> = self.plan.views.iter().map(|v| self.room(v)).collect();
        let filled = self
            .places(&mut views)
            .into_par_iter()
            .with_max_len(1)
            .enumerate()
            .map(|(place, mut out)| self.fill(&order, epoch, first + place, &mut out, stop))
            .collect::<Result<Vec<Filled>>>()?;
        let label = |filled: &Filled| self.dataset.label(filled.id as usize);
        Ok(HostBatch {
            step,
            epoch,
            ids: filled.iter().map(|filled| filled.id).collect(),
            labels: filled.iter().map(label).collect(),
            views,
            bad: filled.into_iter().flat_map(|filled| filled.bad).collect(),
            wait: Duration::ZERO,
        })
    }

    fn order(&self, epoch: u32) -> Arc<Vec<u32>> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = orders.iter().find(|(known, _)| *known == epoch) {
            return order.clone();
        }
        let order = sampler::permutation(self.plan.seed, epoch, self.dataset.len());
        let order = Arc::new(order);
        orders.push((epoch, order.clone()));
        if orders.len() > 2 {
            orders.remove(0);
        }
        order
    }

    fn room(&self, view: &View) -> Vec<u8> {
        vec![0; self.plan.batch * view.size as usize * view.size as usize * 3]
    }

    /// For each place in the batch, its part of each view.
    fn places<'a>(&self, views: &'a mut [Vec<u8>]) -> Vec<Vec<&'a mut [u8]>> {
        let mut places: Vec<Vec<&mut [u8]>> = Vec::new();
        places.resize_with(self.plan.batch, Vec::new);
        for pixels in views {
            let bytes = pixels.len() / self.plan.batch;
            for (place, part) in places.iter_mut().zip(pixels.chunks_exact_mut(bytes)) {
                place.push(part);
            }
        }
        places
    }

    /// The image at `position` of the epoch's order; for a bad one, that at the same place of the
    /// next batch, so that no image is twice in one batch (unless the set holds less than two).
    fn fill(
        &self,
        order: &[u32],
        epoch: u32,
        position: usize,
        out: &mut [&mut [u8]],
        stop: &Stop,
    ) -> Result<Filled> {
        let mut bad = Vec::new();
        for replacement in 0..MAX_REPLACEMENTS {
            let id = order[(position + replacement * self.plan.batch) % order.len()];
            if stop.requested() {
                return Ok(Filled { id, bad });
            }
            match self.dataset.decode(id as usize) {
                Ok(image) => {
                    self.cut(&image, epoch, id, out);
                    return Ok(Filled { id, bad });
                }
                Err(image) => bad.push(image),
            }
        }
        Err(Error::Data(format!(
            "{MAX_REPLACEMENTS} bad images in a row, the last {}\n  are these images?",
            bad[MAX_REPLACEMENTS - 1]
        )))
    }

    fn cut(&self, image: &Image, epoch: u32, id: u32, out: &mut [&mut [u8]]) {
        for (number, (view, out)) in self.plan.views.iter().zip(out).enumerate() {
            let (seed, number) = (self.plan.seed, number as u32);
            let mut draws = Draws::new(seed, Purpose::Crop, epoch, id, number);
            let (width, height) = (image.width, image.height);
            let from = random_resized_crop(&mut draws, width, height, view.scale, view.ratio);
            let flip = draws.unit() < 0.5;
            resize_into(image, from, view.size, view.filter, out);
            if flip {
                flip_horizontally(out, view.size);
            }
        }
    }
}
