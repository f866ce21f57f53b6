//! Bytes to RGB8, by magic bytes and never by suffix (ImageNet has a PNG named .JPEG).
//!
//! As PIL's `convert("RGB")` after `exif_transpose`: EXIF orientation applied, CMYK and YCCK
//! converted, gray and palette expanded, alpha dropped without compositing, the first frame of an
//! animation. Sizes are checked before pixels are allocated, and a decoder's panic is a reason like
//! any other.
mod jpeg;
#[cfg(feature = "turbo")]
mod turbo;

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::Image;

pub const MAX_FILE_BYTES: u64 = 256 << 20;
pub const MAX_SIDE: u32 = 16_384;
pub const MIN_SIDE: u32 = 8;
pub const MAX_PIXELS: u64 = 100_000_000;

/// The image in `bytes`; the reason why not, in words, otherwise.
pub fn decode(bytes: &[u8]) -> Result<Image, String> {
    guarded(|| match format_of(bytes)? {
        ImageFormat::Jpeg => jpeg::decode(bytes),
        format => decode_other(bytes, format),
    })
}

/// (width, height) as [`decode`] would give them, from the header alone.
pub fn dimensions(bytes: &[u8]) -> Result<(u32, u32), String> {
    guarded(|| {
        let ((width, height), orientation) = match format_of(bytes)? {
            ImageFormat::Jpeg => {
                let mut decoder = jpeg::decoder(bytes)?;
                (jpeg::size(&mut decoder)?, jpeg::orientation(&decoder))
            }
            format => {
                let mut decoder = other_decoder(bytes, format)?;
                (decoder.dimensions(), other_orientation(&mut decoder))
            }
        };
        Ok(if orientation.to_exif() >= 5 {
            (height, width)
        } else {
            (width, height)
        })
    })
}

/// `JPEG`, `PNG`, ...
pub fn format_name(bytes: &[u8]) -> &'static str {
    match format_of(bytes) {
        Ok(ImageFormat::Jpeg) => "JPEG",
        Ok(ImageFormat::Png) => "PNG",
        Ok(ImageFormat::WebP) => "WebP",
        Ok(ImageFormat::Bmp) => "BMP",
        Ok(ImageFormat::Gif) => "GIF",
        Ok(ImageFormat::Tiff) => "TIFF",
        Ok(ImageFormat::Pnm) => "PNM",
        _ => "unknown",
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the decoder panicked".into()))
}

fn format_of(bytes: &[u8]) -> Result<ImageFormat, String> {
    if bytes.is_empty() {
        return Err("empty file".into());
    }
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{} bytes are over the limit", bytes.len()));
    }
    let format = image::guess_format(bytes).map_err(|_| "not an image format we know")?;
    if format == ImageFormat::WebP {
        check_webp_length(bytes)?;
    }
    Ok(format)
}

/// The WebP decoder has no memory limit of its own: what a chunk may claim is bounded here.
fn check_webp_length(bytes: &[u8]) -> Result<(), String> {
    let claimed = bytes[4..8].try_into().map(u32::from_le_bytes).unwrap_or(0);
    if claimed as usize + 8 > bytes.len() {
        return Err("truncated WebP".into());
    }
    Ok(())
}

fn check_size(width: u32, height: u32) -> Result<(), String> {
    if width.max(height) > MAX_SIDE || width as u64 * height as u64 > MAX_PIXELS {
        return Err(format!("{width} x {height} is over the limit"));
    }
    if width.min(height) < MIN_SIDE {
        return Err(format!(
            "{width} x {height} is too small; {MIN_SIDE} x {MIN_SIDE} is the least"
        ));
    }
    Ok(())
}

fn decode_other(bytes: &[u8], format: ImageFormat) -> Result<Image, String> {
    let mut decoder = other_decoder(bytes, format)?;
    let orientation = other_orientation(&mut decoder);
    let image = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
    Ok(upright(image, orientation))
}

fn other_decoder(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder + '_, String> {
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_PIXELS * 8); // RGBA of 16 bits
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    Ok(decoder)
}

fn other_orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

fn upright(mut image: DynamicImage, orientation: Orientation) -> Image {
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    let pixels = image.into_rgb8().into_raw();
    Image {
        width,
        height,
        pixels,
    }
}
