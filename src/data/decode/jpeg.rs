//! JPEG.
use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Image, MAX_SIDE, check_size, guarded, upright};

/// A progressive JPEG of many scans is a cheap way to burn an hour.
pub(super) const MAX_SCANS: usize = 100;

/// By zune-jpeg; where it refuses a file whose header it can read, and the build has libjpeg-turbo (feature
/// `turbo`), by that. So both builds give the same pixels of what both can read.
pub(super) fn decode(bytes: &[u8]) -> Result<Image, String> {
    let pixels = guarded(|| by_zune(bytes));
    #[cfg(feature = "turbo")]
    let pixels = pixels.or_else(|why| super::turbo::pixels(bytes).map_err(|_| why));
    let pixels = pixels?;
    let mut decoder = decoder(bytes)?;
    let (width, height) = size(&mut decoder)?;
    if pixels.len() != width as usize * height as usize * 3 {
        return Err("JPEG: not three channels".into());
    }
    let orientation = orientation(&decoder);
    if orientation == Orientation::NoTransforms {
        return Ok(Image {
            width,
            height,
            pixels,
        });
    }
    let image = RgbImage::from_raw(width, height, pixels).expect("the length was checked");
    Ok(upright(DynamicImage::ImageRgb8(image), orientation))
}

fn by_zune(bytes: &[u8]) -> Result<Vec<u8>, String> {
    if is_in_several_scans(bytes) {
        return Err(
            "JPEG: baseline in a scan a colour, which its decoder gets wrong; save it again".into(),
        );
    }
    let mut decoder = decoder(bytes)?;
    size(&mut decoder)?;
    decoder.decode().map_err(|e| format!("JPEG: {e}"))
}

/// A baseline JPEG whose colours come one after the other: zune-jpeg 0.5.15 gives such pictures without their
/// colours where these are of half height or the picture is small, and says nothing.
fn is_in_several_scans(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    let mut components = None;
    while let [0xFF, marker, high, low, ..] = *rest {
        let length = u16::from_be_bytes([high, low]) as usize;
        match marker {
            0xFF => {
                rest = &rest[1..]; // a fill byte
                continue;
            }
            0xC0 | 0xC1 => components = rest.get(9),
            0xDA => return components.is_some_and(|of| rest.get(4).is_some_and(|n| n < of)),
            _ => {}
        }
        rest = rest.get(2 + length..).unwrap_or_default();
    }
    false
}

/// Strict: of truncated files it lets 0.02 % through, the lenient mode 94 %.
pub(super) fn decoder(bytes: &[u8]) -> Result<JpegDecoder<ZCursor<&[u8]>>, String> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| format!("JPEG: {e}"))?;
    Ok(decoder)
}

pub(super) fn size(decoder: &mut JpegDecoder<ZCursor<&[u8]>>) -> Result<(u32, u32), String> {
    let info = decoder.info().ok_or("JPEG: no header")?;
    let (width, height) = (info.width as u32, info.height as u32);
    check_size(width, height)?;
    Ok((width, height))
}

pub(super) fn orientation(decoder: &JpegDecoder<ZCursor<&[u8]>>) -> Orientation {
    decoder
        .exif()
        .and_then(|exif| Orientation::from_exif_chunk(exif))
        .unwrap_or(Orientation::NoTransforms)
}
