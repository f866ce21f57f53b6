//! What an encoder is worth: its features judged by their neighbours and by linear classifiers, the whole
//! of it by what it becomes when it is fine-tuned; and whether it has collapsed.
mod collapse;
mod features;
mod finetune;
mod judged;
mod knn;
mod layers;
mod linear;
mod pool;
mod principal;
mod recipe;
mod stochastic;
mod subset;

pub use collapse::{Collapse, Family, is_at_chance};
pub use features::{Embedded, Encoder, Input, embedded};
pub use finetune::{Classifier, FinetunePlan};
pub use judged::Judged;
use judged::Verdict;
pub use knn::{Neighbour, NeighboursPlan, knn, knn_by_each, neighbours};
pub use layers::{LAYER_RATES, Staged, Tap, layer_plan, staged, staged_bytes, taps, widened};
pub use linear::{HeadInit, LinearOutcome, LinearPlan, RateDecay, Scaling, linear};
pub use pool::Pool;
pub use principal::{Principal, principal};
pub use recipe::Recipe;
pub use stochastic::tsne;
pub use subset::{class_balanced, long_tailed};

/// Features and the class of each: `values` (labels.len(), dim) row-major.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    pub values: &'a [f32],
    pub labels: &'a [u32],
    pub dim: usize,
}

impl<'a> Features<'a> {
    pub fn new(values: &'a [f32], labels: &'a [u32], dim: usize) -> Features<'a> {
        assert_eq!(
            values.len(),
            labels.len() * dim,
            "{} labels of {dim} features each",
            labels.len()
        );
        Features {
            values,
            labels,
            dim,
        }
    }

    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.values[index * self.dim..][..self.dim]
    }
}

/// How often the right class came first, or among the first five, in percent.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Score {
    pub top1: f64,
    pub top5: f64,
    pub images: usize,
}

impl Score {
    /// `ranks`: where each image's right class stood, 0 the first; `None` where it was not even listed.
    pub fn of(ranks: &[Option<usize>]) -> Score {
        let within = |n| {
            let hits = ranks.iter().flatten().filter(|&&rank| rank < n).count();
            100.0 * hits as f64 / ranks.len().max(1) as f64
        };
        Score {
            top1: within(1),
            top5: within(5),
            images: ranks.len(),
        }
    }
}

/// Where `label` stands when `scores` are sorted downwards, the smaller class first among equals.
/// NaN is no score: `None`.
fn rank<T: PartialOrd + Copy>(scores: &[T], label: usize) -> Option<usize> {
    let own = scores[label];
    own.partial_cmp(&own)?;
    let before = |(class, &score): (usize, &T)| score > own || (score == own && class < label);
    Some(scores.iter().enumerate().filter(|&c| before(c)).count())
}

/// Rows of length 1 (a row of zeros stays one).
pub fn l2_normalized(values: &[f32], dim: usize) -> Vec<f32> {
    let mut unit = values.to_vec();
    for row in unit.chunks_exact_mut(dim) {
        let length = row.iter().map(|&x| x as f64 * x as f64).sum::<f64>().sqrt();
        let scale = (1.0 / length.max(1e-12)) as f32;
        row.iter_mut().for_each(|x| *x *= scale);
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_are_ranked_by_class() {
        assert_eq!(rank(&[1.0, 2.0, 2.0, 0.0], 1), Some(0));
        assert_eq!(rank(&[1.0, 2.0, 2.0, 0.0], 2), Some(1));
        assert_eq!(rank(&[1.0, f32::NAN, 2.0], 1), None);
    }

    #[test]
    fn scores_are_percent_of_all_images() {
        let score = Score::of(&[Some(0), Some(4), Some(5), None]);
        assert_eq!((score.top1, score.top5, score.images), (25.0, 50.0, 4));
    }
}
