//! Training batches: decoded once, every view cut from the same pixels, in an order and with crops
//! that are functions of (seed, step) alone. A run that starts at step k sees what an unbroken run
//! sees.
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::image::Tally;
use super::ordered::{Ordered, Stop};
use super::recycled::{Pixels, Shelf};
use super::sampler::{self, Share};
use super::{BadImage, Dataset, Image, Views};
use crate::{Error, Result};

/// Bad images in a row after which a place in a batch is given up.
const MAX_REPLACEMENTS: usize = 100;

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
    pub views: Vec<Views>,
    /// Share of bad images above which the run stops, once 1000 (or all, if fewer) are read.
    pub max_bad: f32,
    /// Bad images met in the steps before `start_step`: the share is of the whole run.
    pub bad_before: u64,
}

#[derive(Clone, Debug)]
pub struct HostBatch {
    pub step: u64,
    pub epoch: u32,
    /// Each image's place in the dataset.
    pub ids: Vec<u32>,
    pub labels: Vec<Option<u32>>,
    /// Of each of the plan's views: (pieces batch, size, size, 3), in the order of [`Views::row`].
    pub views: Vec<Pixels>,
    /// What was done to each image, where one of the plan's views tells (the last that does).
    pub targets: Vec<u32>,
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
        Loader::start_share(dataset, plan, Share::ALL)
    }

    /// Makes this process's part of each of the plan's batches.
    /// Errors where the dataset holds no whole batch, or a batch no equal shares.
    pub fn start_share(dataset: Arc<Dataset>, plan: Plan, share: Share) -> Result<Loader> {
        Loader::begin(dataset, plan, share, None)
    }

    /// As [`Loader::start`]; the images of the first epoch are `first_order`, if it is given, and not those
    /// that the seed says.
    pub fn start_in_order(
        dataset: Arc<Dataset>,
        plan: Plan,
        first_order: Option<Vec<u32>>,
    ) -> Result<Loader> {
        Loader::begin(dataset, plan, Share::ALL, first_order)
    }

    fn begin(
        dataset: Arc<Dataset>,
        plan: Plan,
        share: Share,
        first_order: Option<Vec<u32>>,
    ) -> Result<Loader> {
        let steps = plan.start_step..plan.steps.max(plan.start_step);
        let (workers, depth) = (plan.workers, plan.depth);
        let mut tally = Tally::new(dataset.len(), plan.max_bad);
        let good = plan.start_step as usize * plan.batch;
        tally.resume(good, plan.bad_before as usize);
        let known = first_order.into_iter().map(|order| (0, Arc::new(order)));
        let maker = Maker {
            steps_per_epoch: sampler::steps_per_epoch(dataset.len(), plan.batch)?,
            orders: Mutex::new(known.collect()),
            places: share.places(plan.batch)?,
            dataset,
            plan,
            shelf: Shelf::default(),
        };
        let make = move |step, stop: &Stop| maker.make(step, stop);
        Ok(Loader {
            batches: Ordered::start(steps, workers, depth, make)?,
            tally,
            failed: false,
        })
    }
}

impl Loader {
    /// The next batch; `None` where `asked` says before it is made that nobody waits for it any more.
    pub fn next_unless(&mut self, asked: &dyn Fn() -> bool) -> Option<Result<HostBatch>> {
        if self.failed {
            return None;
        }
        let started = Instant::now();
        let batch = self.batches.next_unless(asked)?.and_then(|mut batch| {
            batch.wait = started.elapsed();
            self.tally.add(batch.ids.len(), &batch.bad)?;
            Ok(batch)
        });
        self.failed = batch.is_err();
        Some(batch)
    }

    /// Bad images met so far, those before `Plan::start_step` included.
    pub fn bad(&self) -> u64 {
        self.tally.bad as u64
    }
}

/// Ends after the plan's last step, or after the first error.
impl Iterator for Loader {
    type Item = Result<HostBatch>;

    fn next(&mut self) -> Option<Result<HostBatch>> {
        self.next_unless(&|| false)
    }
}

/// What the threads share.
struct Maker {
    dataset: Arc<Dataset>,
    plan: Plan,
    /// This process's in each batch.
    places: Range<usize>,
    steps_per_epoch: u64,
    /// The latest epochs' permutations.
    orders: Mutex<Vec<(u32, Arc<Vec<u32>>)>>,
    /// Of the views of batches that are no longer used.
    shelf: Shelf,
}

/// One image's part of a batch.
struct Filled {
    id: u32,
    target: u32,
    bad: Vec<BadImage>,
}

impl Maker {
    fn make(&self, step: u64, stop: &Stop) -> Result<HostBatch> {
        let epoch = (step / self.steps_per_epoch) as u32;
        let order = self.order(epoch);
        let first = (step % self.steps_per_epoch) as usize * self.plan.batch + self.places.start;
        let mut views: Vec<Pixels> = self.plan.views.iter().map(|v| self.room(v)).collect();
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
            targets: filled.iter().map(|filled| filled.target).collect(),
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

    fn room(&self, views: &Views) -> Pixels {
        self.shelf
            .lend(self.places.len() * views.pieces() * bytes(views))
    }

    /// For each place in the batch, its pieces of each of the views.
    fn places<'a>(&self, views: &'a mut [Pixels]) -> Vec<Vec<&'a mut [u8]>> {
        let batch = self.places.len();
        let mut places: Vec<Vec<&mut [u8]>> = Vec::new();
        places.resize_with(batch, Vec::new);
        for (views, pixels) in self.plan.views.iter().zip(views) {
            let mut rows: Vec<Option<&mut [u8]>> =
                pixels.chunks_exact_mut(bytes(views)).map(Some).collect();
            for (place, parts) in places.iter_mut().enumerate() {
                let row = |piece| views.row(batch, place, piece);
                parts.extend((0..views.pieces()).filter_map(|piece| rows[row(piece)].take()));
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
                return Ok(Filled { id, target: 0, bad });
            }
            match self.dataset.decode(id as usize) {
                Ok(image) => {
                    let target = self.cut(&image, epoch, id, out);
                    return Ok(Filled { id, target, bad });
                }
                Err(image) => bad.push(image),
            }
        }
        Err(Error::Data(format!(
            "{MAX_REPLACEMENTS} bad images in a row, the last {}\n  are these images?",
            bad[MAX_REPLACEMENTS - 1]
        )))
    }

    /// The image's target.
    fn cut(&self, image: &Image, epoch: u32, id: u32, mut out: &mut [&mut [u8]]) -> u32 {
        let mut target = 0;
        for views in &self.plan.views {
            let drawn = views.draw(self.plan.seed, epoch, id, image.width, image.height);
            let (now, later) = out.split_at_mut(views.pieces());
            views.cut(image, &drawn, now);
            out = later;
            if views.targets() > 0 {
                target = drawn.target;
            }
        }
        target
    }
}

/// Of one piece.
fn bytes(views: &Views) -> usize {
    views.size as usize * views.size as usize * 3
}
