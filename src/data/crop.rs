//! Crops: RandomResizedCrop, Resize and CenterCrop with torchvision's semantics on 8-bit images,
//! and the antialiased resampling under them (PIL's, whose support grows with the downscale
//! factor).
use std::cell::RefCell;

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ImageView, ResizeAlg, ResizeOptions, Resizer};

use super::Image;
use crate::random::Draws;

/// MoCo, SwAV, PIRL and lightly resample bilinearly; SimCLR-TF, Barlow Twins and solo-learn
/// bicubically.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    Bilinear,
    /// Catmull and Rom's, a = -0.5.
    Bicubic,
}

/// A rectangle of whole pixels inside an image; (x, y) is its top left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropBox {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl CropBox {
    pub fn whole(image: &Image) -> CropBox {
        CropBox {
            x: 0,
            y: 0,
            width: image.width,
            height: image.height,
        }
    }
}

/// torchvision's RandomResizedCrop: ten tries at an area of `scale` times the image's and an aspect
/// ratio log-uniform in `ratio`; then the largest centred box whose ratio is allowed.
pub fn random_resized_crop(
    draws: &mut Draws,
    width: u32,
    height: u32,
    scale: (f32, f32),
    ratio: (f32, f32),
) -> CropBox {
    let area = width as f64 * height as f64;
    for _ in 0..10 {
        let area = area * draws.uniform(scale.0, scale.1) as f64;
        let ratio = (draws.uniform(ratio.0.ln(), ratio.1.ln()) as f64).exp();
        let w = (area * ratio).sqrt().round_ties_even() as u32;
        let h = (area / ratio).sqrt().round_ties_even() as u32;
        if 0 < w && w <= width && 0 < h && h <= height {
            let y = draws.below(height - h + 1);
            let x = draws.below(width - w + 1);
            return CropBox {
                x,
                y,
                width: w,
                height: h,
            };
        }
    }
    central_crop(width, height, ratio)
}

fn central_crop(width: u32, height: u32, ratio: (f32, f32)) -> CropBox {
    let (low, high) = (ratio.0 as f64, ratio.1 as f64);
    let given = width as f64 / height as f64;
    let (w, h) = if given < low {
        (width, (width as f64 / low).round_ties_even() as u32)
    } else if given > high {
        ((height as f64 * high).round_ties_even() as u32, height)
    } else {
        (width, height)
    };
    let (w, h) = (w.clamp(1, width), h.clamp(1, height));
    CropBox {
        x: (width - w) / 2,
        y: (height - h) / 2,
        width: w,
        height: h,
    }
}

/// `image`'s pixels in `from`, resampled to (size, size, 3) in `out`. Nothing outside the box is
/// read, as when torchvision crops first and resizes then.
pub fn resize_into(image: &Image, from: CropBox, size: u32, filter: Filter, out: &mut [u8]) {
    resize_to(image, from, (size, size), filter, out);
}

/// As [`resize_into`], of a box x, y, width, height of any place and size; pixels beside it count where
/// the filter reaches them.
pub fn resize_box_into(image: &Image, from: [f32; 4], size: u32, filter: Filter, out: &mut [u8]) {
    let [x, y, width, height] = from.map(f64::from);
    // Rounding may have put the far edge a little outside.
    let width = width.min(image.width as f64 - x);
    let height = height.min(image.height as f64 - y);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter.kernel()))
        .crop(x, y, width, height);
    resize(&typed(image), (size, size), &options, out);
}

/// Turns `pixels` (size, size, 3) counter-clockwise by `quarters`, in place.
pub fn turn(pixels: &mut [u8], size: u32, quarters: u32) {
    let (size, old) = (size as usize, pixels.to_vec());
    let (old, _) = old.as_chunks::<3>();
    let (new, _) = pixels.as_chunks_mut::<3>();
    for (at, pixel) in new.iter_mut().enumerate() {
        let (i, j) = (at / size, at % size);
        let last = size - 1;
        let (i, j) = match quarters % 4 {
            0 => return,
            1 => (j, last - i),
            2 => (last - i, last - j),
            _ => (last - j, i),
        };
        *pixel = old[i * size + j];
    }
}

/// Mirrors each row of `pixels` (n, width, 3) in place.
pub fn flip_horizontally(pixels: &mut [u8], width: u32) {
    for row in pixels.chunks_exact_mut(width as usize * 3) {
        let (pixels, _) = row.as_chunks_mut::<3>();
        pixels.reverse();
    }
}

/// torchvision's Resize(short_side): the size that `width` x `height` becomes.
pub fn resized(width: u32, height: u32, short_side: u32) -> (u32, u32) {
    let (short, long) = (width.min(height) as u64, width.max(height) as u64);
    let long_side = (short_side as u64 * long / short) as u32;
    if width <= height {
        (short_side, long_side)
    } else {
        (long_side, short_side)
    }
}

/// torchvision's CenterCrop(size) of an image no smaller than it.
pub fn center_crop(width: u32, height: u32, size: u32) -> CropBox {
    assert!(
        size <= width && size <= height,
        "a crop is inside its image"
    );
    let offset = |side: u32| ((side - size) as f64 / 2.0).round_ties_even() as u32;
    CropBox {
        x: offset(width),
        y: offset(height),
        width: size,
        height: size,
    }
}

/// The un-augmented view: Resize(short side = size * 256 / 224) and CenterCrop(size), bilinear.
pub fn evaluation_crop(image: &Image, size: u32, out: &mut [u8]) {
    let short_side = (size as f64 * 256.0 / 224.0).round() as u32;
    let (width, height) = resized(image.width, image.height, short_side);
    let mut pixels = vec![0; width as usize * height as usize * 3];
    resize_to(
        image,
        CropBox::whole(image),
        (width, height),
        Filter::Bilinear,
        &mut pixels,
    );
    let crop = center_crop(width, height, size);
    let rows = pixels.chunks_exact(width as usize * 3);
    for (y, row) in out
        .chunks_exact_mut(size as usize * 3)
        .zip(rows.skip(crop.y as usize))
    {
        y.copy_from_slice(&row[crop.x as usize * 3..][..size as usize * 3]);
    }
}

thread_local! {
    /// It keeps its intermediate rows between calls.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// As [`resize_into`], to (width, height) `to`.
pub fn resize_to(image: &Image, from: CropBox, to: (u32, u32), filter: Filter, out: &mut [u8]) {
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter.kernel()));
    let (x, y, width, height) = (from.x, from.y, from.width, from.height);
    let source = TypedCroppedImage::new(typed(image), x, y, width, height)
        .expect("a crop is inside its image");
    resize(&source, to, &options, out);
}

/// Typed by its one pixel format: the resizer's code for the others is then not compiled.
fn typed(image: &Image) -> TypedImageRef<'_, U8x3> {
    TypedImageRef::from_buffer(image.width, image.height, &image.pixels)
        .expect("an image holds width x height x 3 bytes")
}

fn resize(
    source: &impl ImageView<Pixel = U8x3>,
    to: (u32, u32),
    options: &ResizeOptions,
    out: &mut [u8],
) {
    let mut target = TypedImage::<U8x3>::from_buffer(to.0, to.1, out)
        .expect("the output holds width x height x 3 bytes");
    RESIZER
        .with_borrow_mut(|resizer| resizer.resize_typed(source, &mut target, options))
        .expect("both are RGB of 8 bits");
}

impl Filter {
    fn kernel(self) -> FilterType {
        match self {
            Filter::Bilinear => FilterType::Bilinear,
            Filter::Bicubic => FilterType::CatmullRom,
        }
    }
}
