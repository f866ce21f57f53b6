//! Un-augmented batches in the dataset's order: Resize and CenterCrop, or the images as they are
//! where all are of the wanted size already.
use std::sync::Arc;

use rayon::prelude::*;

use super::crop::evaluation_crop;
use super::ordered::{Ordered, Stop};
use super::{BadImage, Dataset, Image};
use crate::Result;

/// Batches made ahead.
const DEPTH: usize = 2;

#[derive(Clone, Debug)]
pub struct EvaluationBatch {
    /// Ascending; a bad image's is missing.
    pub ids: Vec<u32>,
    pub labels: Vec<Option<u32>>,
    /// (ids, size, size, 3).
    pub pixels: Vec<u8>,
    pub bad: Vec<BadImage>,
}

pub type EvaluationBatches = Box<dyn Iterator<Item = EvaluationBatch> + Send>;

/// Each image once. A batch holds `batch` images less its bad ones; the last may be smaller.
pub fn evaluation_batches(
    dataset: Arc<Dataset>,
    size: u32,
    batch: usize,
    workers: usize,
) -> Result<EvaluationBatches> {
    assert!(batch > 0, "a batch holds images");
    let as_they_are = dataset.common_size() == Some((size, size));
    let batches = dataset.len().div_ceil(batch) as u64;
    let make = move |number: u64, stop: &Stop| {
        let first = number as usize * batch;
        let ids = first..dataset.len().min(first + batch);
        let view = |image: &Image, out: &mut [u8]| {
            if as_they_are && (image.width, image.height) == (size, size) {
                out.copy_from_slice(&image.pixels);
            } else {
                evaluation_crop(image, size, out);
            }
        };
        make(&dataset, ids, size as usize * size as usize * 3, view, stop)
    };
    Ok(Box::new(Ordered::start(0..batches, workers, DEPTH, make)?))
}

fn make(
    dataset: &Dataset,
    ids: std::ops::Range<usize>,
    bytes: usize,
    view: impl Fn(&Image, &mut [u8]) + Sync,
    stop: &Stop,
) -> EvaluationBatch {
    let mut pixels = vec![0; ids.len() * bytes];
    let first = ids.start;
    let decoded: Vec<Result<(), BadImage>> = pixels
        .par_chunks_exact_mut(bytes)
        .with_max_len(1)
        .enumerate()
        .map(|(place, out)| {
            if !stop.requested() {
                view(&dataset.decode(first + place)?, out);
            }
            Ok(())
        })
        .collect();
    let mut batch = EvaluationBatch {
        ids: Vec::with_capacity(ids.len()),
        labels: Vec::with_capacity(ids.len()),
        pixels,
        bad: Vec::new(),
    };
    for (place, decoded) in decoded.into_iter().enumerate() {
        batch.keep(dataset, first, place, bytes, decoded);
    }
    batch.pixels.truncate(batch.ids.len() * bytes);
    batch
}

impl EvaluationBatch {
    /// Closes the gap that bad images before `place` left.
    fn keep(
        &mut self,
        dataset: &Dataset,
        first: usize,
        place: usize,
        bytes: usize,
        decoded: Result<(), BadImage>,
    ) {
        if let Err(bad) = decoded {
            self.bad.push(bad);
            return;
        }
        let from = place * bytes;
        let to = self.ids.len() * bytes;
        if from != to {
            self.pixels.copy_within(from..from + bytes, to);
        }
        self.ids.push((first + place) as u32);
        self.labels.push(dataset.label(first + place));
    }
}
