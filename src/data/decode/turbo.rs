//! JPEG by libjpeg-turbo, for what zune-jpeg refuses.
use turbojpeg::{Decompressor, Image, PixelFormat};

use super::check_size;
use super::jpeg::MAX_SCANS;

/// RGB, rows from the top, not turned upright. A handle of its own for each file: one that has refused a file may
/// refuse the good ones after it.
pub(super) fn pixels(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let refused = |why: turbojpeg::Error| format!("JPEG: {why}");
    let mut handle = Decompressor::new().map_err(refused)?;
    handle.set_scan_limit(MAX_SCANS as u32).map_err(refused)?;
    let header = handle.read_header(bytes).map_err(refused)?;
    check_size(header.width as u32, header.height as u32)?;
    let mut pixels = vec![0; header.width * header.height * 3];
    let image = Image {
        pixels: &mut pixels[..],
        width: header.width,
        pitch: header.width * 3,
        height: header.height,
        format: PixelFormat::RGB,
    };
    handle.decompress(bytes, image).map_err(refused)?;
    Ok(pixels)
}
