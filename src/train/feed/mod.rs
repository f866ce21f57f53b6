//! Where batches come from: small images lie on the device as one block of uint8 and only boxes are
//! sent to it; others are decoded and cropped by the loader's threads. Colour is the device's either way.
//! A batch is a function of (seed, step): the feed may begin at any step.
mod block;

use super::{
    build::{self, Sight},
    preview::Shown,
    scalars::Scalars,
};
use crate::{
    Device, Error, Result, Tensor,
    config::Config,
    data::{BadImage, Dataset, HostBatch, Loader, Plan, Resident, crop::Filter, views::Cut},
    methods::Batch,
    ops::{
        augment::{self, Recipe},
        augment_draw, copy,
    },
    tensor::Element,
};
use block::{Block, Boxes};
use std::{ops::Range, sync::Arc, thread::available_parallelism, time::Duration};

/// Whether to end now, and not to wait for images any more.
pub type Asked<'a> = &'a (dyn Fn() -> bool + Sync);

/// Steps whose images are fetched, counted from the run's beginning.
pub struct Stretch<'a> {
    pub start: u64,
    /// The first that is not.
    pub end: u64,
    /// Bad images met before.
    pub bad: u64,
    pub asked: Asked<'a>,
    /// The images of the first epoch, where they are others than the seed says.
    pub first_order: Option<Vec<u32>>,
}

/// Batches made ahead by the loader.
const DEPTH: usize = 4;

pub struct Feed {
    sights: Vec<Sight>,
    seed: u64,
    source: Source,
    /// (n) u32 each.
    ids: Tensor,
    labels: Tensor,
    targets: Tensor,
}

enum Source {
    Block {
        block: Box<Block>,
        /// Of each sight.
        boxes: Vec<Boxes>,
    },
    Loader {
        /// `None` where no image is read.
        loader: Option<Box<Loader>>,
        /// Of each sight: (pieces n, s, s, 3) u8.
        pixels: Vec<Tensor>,
    },
}

/// What was fetched, and what it cost.
pub struct Fed {
    pub epoch: u32,
    pub ids: Vec<u32>,
    pub labels: Vec<Option<u32>>,
    pub targets: Vec<u32>,
    pub bad: Vec<BadImage>,
    /// How long the images were waited for.
    pub wait: Duration,
}

impl Feed {
    /// Of the steps of a stretch. `None` where it was asked to end.
    pub fn start(
        device: &Device,
        dataset: &Arc<Dataset>,
        config: &Config,
        stretch: Stretch,
    ) -> Result<Option<Feed>> {
        Feed::new(device, dataset, config, Some(stretch))
    }

    /// Of these steps, where nobody asks it to end.
    pub fn patient(
        device: &Device,
        dataset: &Arc<Dataset>,
        config: &Config,
        steps: Range<u64>,
    ) -> Result<Feed> {
        let stretch = Stretch {
            start: steps.start,
            end: steps.end,
            bad: 0,
            asked: &|| false,
            first_order: None,
        };
        let feed = Feed::start(device, dataset, config, stretch)?;
        Ok(feed.expect("nobody asked to end"))
    }

    /// The memory of one, and no images: there is nothing to fetch.
    pub fn blank(device: &Device, dataset: &Arc<Dataset>, config: &Config) -> Result<Feed> {
        let feed = Feed::new(device, dataset, config, None)?;
        Ok(feed.expect("nobody asked to end"))
    }

    fn new(
        device: &Device,
        dataset: &Arc<Dataset>,
        config: &Config,
        stretch: Option<Stretch>,
    ) -> Result<Option<Feed>> {
        let (batch, seed) = (config.schedule.batch, config.schedule.seed);
        let sights = build::sights(config)?;
        // The device resamples bilinearly; a bicubic crop is the loader's.
        let bilinear = config.augment.crop_filter == Filter::Bilinear;
        let resident = dataset.resident_size().filter(|_| bilinear);
        let source = if let Some(size) = resident {
            let boxes = |sight: &Sight| Boxes::new(device, batch * sight.views.pieces());
            let block = match &stretch {
                Some(stretch) => Block::new(device, dataset, config, stretch)?,
                None => Some(Block::blank(device, dataset.len(), size)?),
            };
            let Some(block) = block else {
                return Ok(None);
            };
            Source::Block {
                block: Box::new(block),
                boxes: sights.iter().map(boxes).collect::<Result<_>>()?,
            }
        } else {
            let plan = |stretch: &Stretch| Plan {
                batch,
                seed,
                start_step: stretch.start,
                steps: stretch.end,
                workers: workers(config),
                depth: DEPTH,
                views: sights.iter().map(|sight| sight.views.clone()).collect(),
                max_bad: config.data.max_bad as f32,
                bad_before: stretch.bad,
            };
            let pixels = |sight: &Sight| {
                let (rows, side) = (sight.views.pieces() * batch, sight.views.size as usize);
                Tensor::uninit(device, Element::U8, [rows, side, side, 3])
            };
            let loader = |stretch: Stretch| {
                let plan = plan(&stretch);
                Loader::start_in_order(dataset.clone(), plan, stretch.first_order).map(Box::new)
            };
            Source::Loader {
                loader: stretch.map(loader).transpose()?,
                pixels: sights.iter().map(pixels).collect::<Result<_>>()?,
            }
        };
        let numbers = || Tensor::uninit(device, Element::U32, [batch]);
        Ok(Some(Feed {
            sights,
            seed,
            source,
            ids: numbers()?,
            labels: numbers()?,
            targets: numbers()?,
        }))
    }

    /// Fetches the next step's images: into memory of this feed's own, the same in every step. `None` where
    /// `asked` said so before they came.
    pub fn fetch(&mut self, asked: Asked) -> Result<Option<Fed>> {
        let fed = match &mut self.source {
            Source::Block { block, boxes } => {
                let views = self.sights.iter().map(|sight| &sight.views);
                block.fetch(&views.zip(boxes.iter()).collect::<Vec<_>>())?
            }
            Source::Loader { loader, pixels } => {
                let loader = loader.as_mut().expect("a feed with images");
                let Some(host) = loader.next_unless(&asked) else {
                    assert!(asked(), "the plan has a batch for every step");
                    return Ok(None);
                };
                let host = host?;
                for (views, pixels) in host.views.iter().zip(pixels) {
                    pixels.overwrite(views)?;
                }
                Fed::of(host)
            }
        };
        let labels: Vec<u32> = fed.labels.iter().map(|l| l.unwrap_or(u32::MAX)).collect();
        self.ids.overwrite(&fed.ids)?;
        self.labels.overwrite(&labels)?;
        self.targets.overwrite(&fed.targets)?;
        Ok(Some(fed))
    }

    /// As `fetch`, where nobody asks it to end.
    pub fn fetch_patiently(&mut self) -> Result<Fed> {
        let fed = self.fetch(&|| false)?;
        Ok(fed.expect("nobody asked to end"))
    }

    /// Bad images met so far in the run's steps; a block's are counted when it is made.
    pub fn bad(&self) -> u64 {
        match &self.source {
            Source::Block { .. } => 0,
            Source::Loader { loader, .. } => loader.as_ref().map_or(0, |loader| loader.bad()),
        }
    }

    /// The views of the images last fetched: the same launches in every step.
    pub fn batch(&self, scalars: &Scalars) -> Result<Batch> {
        let views = (0..self.sights.len()).map(|number| {
            let pieces = 0..self.sights[number].views.pieces();
            self.views(number, pieces, self.ids.len(), scalars)
        });
        let views = views.collect::<Result<_>>()?;
        Ok(Batch {
            images: self.ids.len(),
            views,
            ids: self.ids.clone(),
            labels: self.labels.clone(),
            targets: self.targets.clone(),
            step: scalars.step.clone(),
        })
    }

    /// As `batch`, of its first `images` alone and as pictures, whatever they cost the device.
    pub fn shown(&self, scalars: &Scalars, images: usize) -> Result<Vec<Shown>> {
        let images = images.min(self.ids.len());
        let shown = self.sights.iter().enumerate().map(|(number, sight)| {
            // Crops lie view by view: an image's are not neighbours.
            let count = sight.views.pieces();
            let together = match sight.views.cut {
                Cut::Patches { .. } => count,
                _ => 1,
            };
            let mut values = Vec::new();
            for first in (0..count).step_by(together) {
                let pieces = first..first + together;
                values.extend(self.views(number, pieces, images, scalars)?.to_vec()?);
            }
            let Recipe { mean, std, .. } = sight.recipes[0];
            Ok(Shown::new(&sight.views, images, &values, [mean, std]))
        });
        shown.collect()
    }

    /// (pieces images, s, s, 3) real: `pieces` of the first `images` of sight `number`, where those are all, or
    /// the pieces all of patches, or one of crops.
    fn views(
        &self,
        number: usize,
        pieces: Range<usize>,
        images: usize,
        scalars: &Scalars,
    ) -> Result<Tensor> {
        let sight = &self.sights[number];
        let (first, rows) = (pieces.start * self.ids.len(), pieces.len() * images);
        let pixels = match &self.source {
            Source::Block { block, boxes } => {
                block.cut(&sight.views, &boxes[number].rows(first, rows))?
            }
            Source::Loader { pixels, .. } => pixels[number].rows(first, rows),
        };
        let ids = self.ids.slice(0, [images]);
        self.color(sight, pieces, &pixels, &ids, &scalars.epoch)
    }

    /// pixels (pieces n, s, s, 3) u8 of images `ids` (n) to the same in real, each piece under draws of its own.
    fn color(
        &self,
        sight: &Sight,
        pieces: Range<usize>,
        pixels: &Tensor,
        ids: &Tensor,
        epoch: &Tensor,
    ) -> Result<Tensor> {
        let (n, first) = (ids.len(), sight.views.first);
        let draw = |pieces, recipe, view| {
            augment_draw::draw_pieces(ids, pieces, recipe, self.seed, epoch, view)
        };
        if let Cut::Patches { .. } = sight.views.cut {
            let table = draw(pieces.len(), &sight.recipes[0], first)?;
            return augment::apply(pixels, &table, &sight.recipes[0]);
        }
        let columns = augment::table::COLS;
        let table = Tensor::uninit(pixels.device(), Element::F32, [pieces.len() * n, columns])?;
        for (place, view) in pieces.enumerate() {
            let recipe = &sight.recipes[view % sight.recipes.len()];
            let rows = draw(1, recipe, first + view as u32)?;
            copy::copy(&rows, &table.rows(place * n, n))?;
        }
        // One kernel colours all views: with the blur of whichever has some.
        let blurs = |recipe: &&Recipe| recipe.blur_probability > 0.0;
        let recipe = sight.recipes.iter().find(blurs);
        augment::apply(pixels, &table, recipe.unwrap_or(&sight.recipes[0]))
    }
}

impl Fed {
    fn of(host: HostBatch) -> Fed {
        Fed {
            epoch: host.epoch,
            ids: host.ids,
            labels: host.labels,
            targets: host.targets,
            bad: host.bad,
            wait: host.wait,
        }
    }
}

/// Bytes of host memory for batches made ahead; none where the device holds all images.
pub fn ahead_bytes(dataset: &Dataset, config: &Config) -> Result<u64> {
    let bilinear = config.augment.crop_filter == Filter::Bilinear;
    if bilinear && dataset.resident_size().is_some() {
        return Ok(0);
    }
    let sights = build::sights(config)?;
    let image = |sight: &Sight| 3 * sight.views.pieces() as u64 * (sight.views.size as u64).pow(2);
    let images = sights.iter().map(image).sum::<u64>();
    Ok((DEPTH * config.schedule.batch) as u64 * images)
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
