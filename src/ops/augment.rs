//! `augment`: from pixels to what the network takes, on the device. What happens to each view is drawn
//! into a table ([`augment_draw`]), then applied: colour jitter, photometric changes, grayscale, blur,
//! solarize, normalise, in this order. Nothing here is recorded: no gradient flows to pixels.
pub use super::augment_crop::crop;
use super::{augment_blur, augment_color, augment_draw, augment_photometric};
use crate::{Result, Tensor};

/// How likely each operation is on a view, and how strong. In the notation of the papers, this is
/// J(jitter) @ jitter_probability, RandomPhotometric @ photometric_probability, G @ gray_probability, B(blur_sigma) @ blur_probability, S @
/// solarize_probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// Strengths of brightness, contrast, saturation (factors are uniform in max(0, 1 - s) .. 1 + s) and
    /// hue (a shift uniform in -s .. s, in turns of the colour circle: at most 1/2).
    pub jitter: [f32; 4],
    pub jitter_probability: f32,
    pub photometric_probability: f32,
    pub gray_probability: f32,
    /// Grey before the jitter, as MoCo v1 has it, and not after.
    pub gray_first: bool,
    pub blur_probability: f32,
    /// Least and greatest standard deviation of the blur, in pixels.
    pub blur_sigma: [f32; 2],
    pub solarize_probability: f32,
    /// Channels at or above it are inverted.
    pub solarize_threshold: f32,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

/// Statistics of the training images, in 0..1.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
const CIFAR10: [[f32; 3]; 2] = [[0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]];

impl Recipe {
    /// Only normalise, by the statistics of ImageNet.
    pub fn none() -> Recipe {
        Recipe {
            jitter: [0.0; 4],
            jitter_probability: 0.0,
            photometric_probability: 0.0,
            gray_probability: 0.0,
            gray_first: false,
            blur_probability: 0.0,
            blur_sigma: [0.1, 2.0],
            solarize_probability: 0.0,
            solarize_threshold: 128.0,
            mean: IMAGENET[0],
            std: IMAGENET[1],
        }
    }
    /// SimCLR on ImageNet (Chen et al. 2020, appendix A): colour distortion of strength 1, and blur.
    pub fn simclr_imagenet() -> Recipe {
        Recipe {
            jitter: [0.8, 0.8, 0.8, 0.2],
            jitter_probability: 0.8,
            gray_probability: 0.2,
            blur_probability: 0.5,
            ..Recipe::none()
        }
    }
    /// SimCLR on CIFAR-10 (appendix B.9): colour distortion of strength 1/2, no blur.
    pub fn simclr_cifar() -> Recipe {
        Recipe {
            jitter: [0.4, 0.4, 0.4, 0.1],
            jitter_probability: 0.8,
            gray_probability: 0.2,
            mean: CIFAR10[0],
            std: CIFAR10[1],
            ..Recipe::none()
        }
    }
}

/// Views of pixels (rows, h, w, 3) u8 under `recipe`: real, the same shape. `ids` (rows) u32 say which
/// image each row shows; with the seed, `epoch` (1) u32 and the number of the view they decide every draw.
pub fn views(
    pixels: &Tensor,
    ids: &Tensor,
    recipe: &Recipe,
    seed: u64,
    epoch: &Tensor,
    view: u32,
) -> Result<Tensor> {
    let table = augment_draw::draw(ids, recipe, seed, epoch, view)?;
    apply(pixels, &table, recipe)
}

/// What a table (rows, 16) says, done to pixels (rows, h, w, 3) u8. Of `recipe` only the statistics count,
/// and what is never drawn: without any blur or photometric changes, their kernels are not launched.
pub fn apply(pixels: &Tensor, table: &Tensor, recipe: &Recipe) -> Result<Tensor> {
    let normalisation = Normalisation::new(recipe.mean, recipe.std);
    let photometric = recipe.photometric_probability > 0.0;
    if !photometric && recipe.blur_probability == 0.0 {
        return augment_color::forward(pixels, Some(table), normalisation);
    }
    let mut jittered = augment_color::jitter(pixels, table)?;
    if photometric {
        jittered = augment_photometric::forward(&jittered, table)?;
    }
    augment_blur::forward(&jittered, table, normalisation)
}

/// Pixels (rows, h, w, 3) u8 as the network takes them in evaluation: (v / 255 - mean) / std, real.
pub fn normalize(pixels: &Tensor, mean: [f32; 3], std: [f32; 3]) -> Result<Tensor> {
    augment_color::forward(pixels, None, Normalisation::new(mean, std))
}

/// From channels in 0..255 to what the network takes: value * scale + shift.
#[derive(Clone, Copy)]
pub struct Normalisation {
    pub scale: [f32; 3],
    pub shift: [f32; 3],
}

impl Normalisation {
    pub fn new(mean: [f32; 3], std: [f32; 3]) -> Normalisation {
        Normalisation {
            scale: std.map(|std| 1.0 / (255.0 * std)),
            shift: [0, 1, 2].map(|c| -mean[c] / std[c]),
        }
    }
}

/// A row of the table; the same numbers as in `kernels/augment.cuh`.
pub mod table {
    pub const COLS: usize = 16;
    /// `ORDER..ORDER + 4`: the operation applied first, second, ..: its number, or `NONE` for no jitter.
    pub const ORDER: usize = 0;
    /// `FACTORS + operation`: factors of brightness, contrast, saturation; the hue's shift in turns.
    pub const FACTORS: usize = 4;
    /// `GRAY_FIRST` for a view that is grey before its jitter, `GRAY_LAST` after it, `GRAY_PHOTOMETRIC` after
    /// the photometric changes; 0 for none.
    pub const GRAY: usize = 8;
    /// The blur's standard deviation in pixels; 0 for none.
    pub const SIGMA: usize = 9;
    /// Channels at or above it are inverted; 256 or more for none.
    pub const SOLARIZE: usize = 10;

    /// 1 where the photometric changes are made, which the next three describe.
    pub const PHOTOMETRIC: usize = 11;
    /// Channels are rounded down to a multiple of it: 1, 2, .. 16.
    pub const POSTERIZE: usize = 12;
    /// 1 for an image as it is; below it is blurred, above sharpened.
    pub const SHARPNESS: usize = 13;
    /// Channels at or above it are inverted, before contrast is stretched; 256 for none.
    pub const INVERT: usize = 14;

    pub const GRAY_LAST: f32 = 1.0;
    pub const GRAY_FIRST: f32 = 2.0;
    pub const GRAY_PHOTOMETRIC: f32 = 3.0;

    pub const BRIGHTNESS: usize = 0;
    pub const CONTRAST: usize = 1;
    pub const SATURATION: usize = 2;
    pub const HUE: usize = 3;
    pub const NONE: usize = 4;

    /// The row that changes nothing.
    pub fn identity() -> [f32; COLS] {
        let mut row = [0.0; COLS];
        row[ORDER..ORDER + 4].fill(NONE as f32);
        row[FACTORS..FACTORS + 3].fill(1.0);
        row[SOLARIZE] = 256.0;
        (row[POSTERIZE], row[SHARPNESS], row[INVERT]) = (1.0, 1.0, 256.0);
        row
    }
}
