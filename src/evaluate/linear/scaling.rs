//! Features as the probe's classifiers read them.
use super::Scaling;
use crate::evaluate::Features;

/// Subtracts a mean and divides by a deviation, channel by channel.
pub struct Standard {
    mean: Vec<f32>,
    /// 0 for a channel that never varies: it says nothing.
    inverse: Vec<f32>,
}

impl Standard {
    pub fn of(train: Features, scaling: Scaling) -> Standard {
        let channels = match scaling {
            Scaling::Raw => {
                return Standard {
                    mean: vec![0.0; train.dim],
                    inverse: vec![1.0; train.dim],
                };
            }
            Scaling::Standardised => train.dim,
            Scaling::Channels(channels) => channels,
        };
        assert!(
            train.dim.is_multiple_of(channels),
            "{} features of {channels} channels",
            train.dim
        );
        let n = (train.values.len() / channels) as f64;
        let mut mean = vec![0.0f64; channels];
        let mut square = vec![0.0f64; channels];
        for row in train.values.chunks_exact(channels) {
            mean.iter_mut().zip(row).for_each(|(m, &x)| *m += x as f64);
        }
        mean.iter_mut().for_each(|m| *m /= n);
        for row in train.values.chunks_exact(channels) {
            let squares = square.iter_mut().zip(row).zip(&mean);
            squares.for_each(|((s, &x), m)| *s += (x as f64 - m).powi(2));
        }
        let inverse = |s: &f64| {
            let deviation = (s / n).sqrt();
            if deviation > 1e-8 {
                1.0 / deviation
            } else {
                0.0
            }
        };
        Standard {
            inverse: square.iter().map(|s| inverse(s) as f32).collect(),
            mean: mean.into_iter().map(|m| m as f32).collect(),
        }
    }

    /// Rows `images`, scaled, with a 1 behind each for the bias: (images.len(), dim + 1).
    pub fn gather(&self, features: Features, images: &[u32]) -> Vec<f32> {
        let mut rows = Vec::with_capacity(images.len() * (features.dim + 1));
        for &image in images {
            for place in features.row(image as usize).chunks_exact(self.mean.len()) {
                let scaled = place.iter().zip(&self.mean).zip(&self.inverse);
                rows.extend(scaled.map(|((x, mean), inverse)| (x - mean) * inverse));
            }
            rows.push(1.0);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of two places of two channels; the second channel never varies.
    #[test]
    fn channels_share_their_statistics_over_places() {
        let values = [1.0, 5.0, 3.0, 5.0, 1.0, 5.0, 3.0, 5.0];
        let features = Features::new(&values, &[0, 0], 4);
        let scaled = |scaling| Standard::of(features, scaling).gather(features, &[1]);
        assert_eq!(scaled(Scaling::Channels(2)), [-1.0, 0.0, 1.0, 0.0, 1.0]);
        assert_eq!(scaled(Scaling::Standardised), [0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(scaled(Scaling::Raw), [1.0, 5.0, 3.0, 5.0, 1.0]);
    }
}
