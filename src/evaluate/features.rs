//! What a frozen backbone makes of images.
use crate::{
    Error, Result, Tensor, Var,
    data::{BadImage, Dataset, EvaluationBatch, EvaluationBatches, evaluation_batches},
    nn::{Params, Pass, ResNet},
    ops::augment,
};
use std::sync::Arc;

/// How images are made ready: `size` pixels a side, each channel less its mean over its deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input {
    pub size: u32,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

/// A backbone that does not learn. `params` may hold more than it: a head that is not asked.
#[derive(Clone, Copy)]
pub struct Encoder<'a> {
    pub network: &'a ResNet,
    pub params: &'a Params,
    pub input: Input,
}

impl Encoder<'_> {
    /// Numbers of a feature vector.
    pub fn dim(&self) -> usize {
        self.network.features()
    }

    /// pixels (n, size, size, 3) to features (n, d), as they are pooled.
    pub fn embed(&self, pixels: &[u8]) -> Result<Vec<f32>> {
        let x = self.normalized(pixels)?;
        let mut pass = Pass::evaluate(self.params);
        finite(self.network.forward(&mut pass, &x)?.value.to_vec()?)
    }

    /// pixels (n, size, size, 3) as the network takes them.
    pub(super) fn normalized(&self, pixels: &[u8]) -> Result<Var> {
        let Input { size, mean, std } = self.input;
        let side = size as usize;
        let n = pixels.len() / (side * side * 3);
        let pixels = Tensor::from_u8(self.params.device(), [n, side, side, 3], pixels)?;
        Ok(Var::constant(augment::normalize(&pixels, mean, std)?))
    }

    /// All of `dataset` in its order, un-augmented, as many at a time as are embedded together.
    pub(super) fn batches(
        &self,
        dataset: &Arc<Dataset>,
        workers: usize,
    ) -> Result<EvaluationBatches> {
        evaluation_batches(dataset.clone(), self.input.size, self.batch(), workers)
    }

    /// Images embedded together: about a million pixels, fewer than memory asks for and enough to keep
    /// a device busy.
    fn batch(&self) -> usize {
        let pixels = self.input.size as usize * self.input.size as usize;
        ((1 << 20) / pixels).clamp(8, 512)
    }

    /// Calls `each(batch, its features)` for all of `dataset` in its order, the images un-augmented.
    pub fn embed_all(
        &self,
        dataset: &Arc<Dataset>,
        workers: usize,
        mut each: impl FnMut(&EvaluationBatch, &[f32]) -> Result<()>,
    ) -> Result<()> {
        for batch in self.batches(dataset, workers)? {
            let features = match batch.ids.is_empty() {
                true => Vec::new(), // every image of it was bad
                false => self.embed(&batch.pixels)?,
            };
            each(&batch, &features)?;
        }
        Ok(())
    }
}

/// Features that are numbers.
pub(super) fn finite(features: Vec<f32>) -> Result<Vec<f32>> {
    if features.iter().all(|x| x.is_finite()) {
        return Ok(features);
    }
    Err(Error::Numeric(
        "the encoder's features are not finite; are its weights those of a run that diverged?"
            .into(),
    ))
}

/// A dataset's features, kept.
#[derive(Debug)]
pub struct Embedded {
    /// (ids, dim).
    pub values: Vec<f32>,
    pub dim: usize,
    /// Ascending; a bad image's is missing.
    pub ids: Vec<u32>,
    pub labels: Vec<Option<u32>>,
    pub bad: Vec<BadImage>,
}

/// `progress(images done)` after each batch.
pub fn embedded(
    encoder: &Encoder,
    dataset: &Arc<Dataset>,
    workers: usize,
    progress: &dyn Fn(usize),
) -> Result<Embedded> {
    let mut all = Embedded {
        values: Vec::with_capacity(dataset.len() * encoder.dim()),
        dim: encoder.dim(),
        ids: Vec::new(),
        labels: Vec::new(),
        bad: Vec::new(),
    };
    encoder.embed_all(dataset, workers, |batch, features| {
        all.values.extend_from_slice(features);
        all.ids.extend(&batch.ids);
        all.labels.extend(&batch.labels);
        all.bad.extend(batch.bad.iter().cloned());
        progress(all.ids.len() + all.bad.len());
        Ok(())
    })?;
    Ok(all)
}
