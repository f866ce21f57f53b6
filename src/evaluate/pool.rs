//! Average pools of a map on the host: how a probe makes a vector of a layer.
use rayon::prelude::*;
use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Windows of `kernel` pixels every `stride`, `padding` zeros around the map. A mean's divisor counts
    /// the padding, as PyTorch's `AvgPool2d` has it.
    Windows {
        kernel: usize,
        stride: usize,
        padding: usize,
    },
    /// To this many pixels a side, or the map's where it has fewer: from floor(i h / side) to
    /// ceil((i + 1) h / side), as PyTorch's `AdaptiveAvgPool2d` has it.
    Adaptive(usize),
}

/// Pixels of one side that a mean is of, and what it is divided by.
struct Window {
    pixels: Range<usize>,
    divisor: usize,
}

impl Pool {
    fn windows(self, side: usize) -> Vec<Window> {
        match self {
            Pool::Windows {
                kernel,
                stride,
                padding,
            } => (0..=(side + 2 * padding - kernel) / stride)
                .map(|i| Window {
                    pixels: (i * stride).saturating_sub(padding)
                        ..(i * stride + kernel).saturating_sub(padding).min(side),
                    divisor: kernel,
                })
                .collect(),
            Pool::Adaptive(wanted) => {
                let n = wanted.min(side);
                let range = |i: usize| i * side / n..((i + 1) * side).div_ceil(n);
                let window = |pixels: Range<usize>| Window {
                    divisor: pixels.len(),
                    pixels,
                };
                (0..n).map(|i| window(range(i))).collect()
            }
        }
    }

    /// Pixels a side of what it makes of `side`.
    pub fn output(self, side: usize) -> usize {
        self.windows(side).len()
    }

    /// map (n, h, w, c) to (n, p, q, c).
    pub fn average(self, map: &[f32], [h, w, c]: [usize; 3]) -> Vec<f32> {
        let (rows, columns) = (self.windows(h), self.windows(w));
        let mut pooled = vec![0.0; map.len() / (h * w * c) * rows.len() * columns.len() * c];
        let images = pooled.par_chunks_exact_mut(rows.len() * columns.len() * c);
        images
            .zip(map.par_chunks_exact(h * w * c))
            .for_each(|(pooled, map)| {
                for (at, mean) in pooled.chunks_exact_mut(c).enumerate() {
                    let (row, column) = (&rows[at / columns.len()], &columns[at % columns.len()]);
                    for y in row.pixels.clone() {
                        let row = &map[y * w * c..][..w * c];
                        let pixels = &row[column.pixels.start * c..column.pixels.end * c];
                        for pixel in pixels.chunks_exact(c) {
                            mean.iter_mut().zip(pixel).for_each(|(mean, x)| *mean += x);
                        }
                    }
                    let divisor = (row.divisor * column.divisor) as f32;
                    mean.iter_mut().for_each(|mean| *mean /= divisor);
                }
            });
        pooled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0, 1, 2, ... of 4 x 4, one channel; the numbers are PyTorch's `AvgPool2d(3, 2, 1)`.
    #[test]
    fn padding_counts() {
        let map: Vec<f32> = (0..16).map(|x| x as f32).collect();
        let pool = Pool::Windows {
            kernel: 3,
            stride: 2,
            padding: 1,
        };
        let means = pool.average(&map, [4, 4, 1]);
        let wanted = [10.0, 24.0, 51.0, 90.0].map(|sum: f32| sum / 9.0);
        assert_eq!(means, wanted);
    }

    /// Two images of 5 x 5 and two channels, the second the first's negative: windows of 5 rows to 2 are
    /// 0..3 and 2..5.
    #[test]
    fn adaptive_windows_overlap_where_sides_do_not_divide() {
        let pixel = |i: usize| [i as f32, -(i as f32)];
        let map: Vec<f32> = (0..50).flat_map(|i| pixel(i % 25)).collect();
        let means = Pool::Adaptive(2).average(&map, [5, 5, 2]);
        let one = [6.0, -6.0, 8.0, -8.0, 16.0, -16.0, 18.0, -18.0];
        assert_eq!(means, one.repeat(2));
        assert_eq!(Pool::Adaptive(4).average(&map[..2], [1, 1, 2]), [0.0, -0.0]);
    }

    #[test]
    fn the_published_pools_have_the_published_sizes() {
        for (side, kernel, stride, padding, out) in [
            (112, 10, 10, 4, 12),
            (56, 16, 8, 0, 6),
            (28, 13, 5, 0, 4),
            (14, 8, 3, 0, 3),
            (7, 6, 1, 0, 2),
        ] {
            let pool = Pool::Windows {
                kernel,
                stride,
                padding,
            };
            assert_eq!(pool.output(side), out);
        }
    }
}
