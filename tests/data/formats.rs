//! One test a format or a rule of decoding.
use image::{DynamicImage, GrayAlphaImage, ImageFormat, LumaA, Rgba, RgbaImage};
use selfsame::data::Image;
use selfsame::data::decode::{decode, dimensions};

use super::samples::*;

/// The four quarters' middles, within a lossy format's error.
fn assert_quarters(image: &Image, expected: [[u8; 3]; 4], tolerance: u8) {
    let (w, h) = (image.width as usize, image.height as usize);
    let at = |x: usize, y: usize| &image.pixels[(y * w + x) * 3..][..3];
    let found = [
        at(w / 4, h / 4),
        at(3 * w / 4, h / 4),
        at(w / 4, 3 * h / 4),
        at(3 * w / 4, 3 * h / 4),
    ];
    for (found, expected) in found.iter().zip(expected) {
        for (a, b) in found.iter().zip(expected) {
            assert!(a.abs_diff(b) <= tolerance, "{found:?} for {expected:?}");
        }
    }
}

fn assert_upright(bytes: &[u8], tolerance: u8) {
    let image = decode(bytes).unwrap();
    assert_eq!((image.width, image.height), (24, 16));
    assert_eq!(dimensions(bytes), Ok((24, 16)));
    assert_quarters(&image, [RED, GREEN, BLUE, WHITE], tolerance);
}

#[test]
fn lossless_formats_come_back_exactly() {
    use ImageFormat::{Bmp, Gif, Png, Pnm, Tiff, WebP};
    for format in [Png, Bmp, Tiff, Pnm, WebP, Gif] {
        let bytes = encoded(&quarters(), format);
        assert_upright(&bytes, if format == Gif { 4 } else { 0 });
    }
}

#[test]
fn jpegs_of_every_kind() {
    for name in ["baseline.jpg", "progressive.jpg", "cmyk.jpg"] {
        assert_upright(&fixture(name), 3);
    }
    let gray = [[80; 3], [127; 3], [48; 3], [240; 3]]; // PIL's
    assert_quarters(&decode(&fixture("gray.jpg")).unwrap(), gray, 2);
    assert_upright(&fixture("lossy.webp"), 12);
}

/// What its decoder would get wrong without a word is refused, or libjpeg-turbo's where the build has it; the
/// same image in one scan is not.
#[test]
fn a_baseline_jpeg_in_several_scans_is_refused_or_turbos() {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
    let jpeg = |several, sampling| {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 95);
        encoder.set_optimized_huffman_tables(several);
        encoder.set_sampling_factor(sampling);
        let image = quarters();
        encoder
            .encode(image.as_raw(), 24, 16, ColorType::Rgb)
            .unwrap();
        bytes
    };
    for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_2] {
        assert_upright(&jpeg(false, sampling), 12);
        let several = jpeg(true, sampling);
        if cfg!(feature = "turbo") {
            assert_upright(&several, 12);
            continue;
        }
        let why = decode(&several).unwrap_err();
        assert!(why.contains("a scan a colour"), "{why}");
    }
}

/// Orientation 6: the camera lay on its side; the left column becomes the top row.
#[test]
fn exif_orientation_is_applied() {
    let image = decode(&fixture("orientation6.jpg")).unwrap();
    assert_eq!((image.width, image.height), (16, 24));
    assert_eq!(dimensions(&fixture("orientation6.jpg")), Ok((16, 24)));
    assert_quarters(&image, [BLUE, RED, WHITE, GREEN], 3);
}

#[test]
fn a_format_is_known_by_its_first_bytes() {
    assert_upright(&fixture("png_named.jpg"), 0);
}

/// As PIL's convert("RGB"): what was under the transparency shows.
#[test]
fn alpha_is_dropped_without_compositing() {
    let clear = RgbaImage::from_pixel(9, 9, Rgba([10, 20, 30, 0]));
    let png = png(clear.into());
    assert_eq!(decode(&png).unwrap().pixels[..3], [10, 20, 30]);

    let gray = GrayAlphaImage::from_pixel(9, 9, LumaA([77, 0]));
    assert_eq!(decode(&png_of(gray)).unwrap().pixels[..3], [77, 77, 77]);
}

#[test]
fn sixteen_bits_become_eight() {
    let deep = image::ImageBuffer::from_pixel(9, 9, image::Rgb([0x1234u16, 0xABCD, 0xFF00]));
    let pixels = decode(&png(DynamicImage::ImageRgb16(deep))).unwrap().pixels;
    for (found, expected) in pixels.iter().zip([0x12u8, 0xAB, 0xFF]) {
        assert!(found.abs_diff(expected) <= 1);
    }
}

#[test]
fn an_animation_gives_its_first_frame() {
    let mut bytes = Vec::new();
    {
        let mut gif = image::codecs::gif::GifEncoder::new(&mut bytes);
        let frame =
            |image: image::RgbImage| image::Frame::new(DynamicImage::ImageRgb8(image).into_rgba8());
        gif.encode_frame(frame(quarters())).unwrap();
        gif.encode_frame(frame(numbered(1, 16))).unwrap();
    }
    assert_upright(&bytes, 4);
}

#[test]
fn damage_and_excess_are_refused_with_a_reason() {
    let refused = |bytes: &[u8], why: &str| {
        let reason = decode(bytes).expect_err(why);
        assert!(reason.contains(why), "{reason} (expected: {why})");
    };
    refused(b"", "empty");
    refused(b"hello, world: no image", "not an image");
    refused(&fixture("truncated.jpg"), "JPEG");
    refused(&fixture("bomb.jpg"), ""); // 30,000 x 30,000: before allocation
    refused(&encoded(&numbered(0, 7), ImageFormat::Png), "too small");
    let png = encoded(&numbered(0, 64), ImageFormat::Png);
    refused(&png[..png.len() / 2], "");
    let webp = encoded(&numbered(0, 64), ImageFormat::WebP);
    refused(&webp[..webp.len() / 2], "truncated");
}

/// 3,000 seeded mutations of each fixture: any answer but a panic or a wrong length.
#[test]
fn mutations_never_escape() {
    use selfsame::random::{Draws, Purpose};
    for (kind, name) in [
        "baseline.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "png_named.jpg",
        "lossy.webp",
    ]
    .iter()
    .enumerate()
    {
        for number in 0..3000 {
            let mut draws = Draws::new(1, Purpose::Split, kind as u32, number, 0);
            let mut bytes = fixture(name);
            for _ in 0..1 + draws.below(8) {
                let at = draws.below(bytes.len() as u32) as usize;
                bytes[at] = draws.bits() as u8;
            }
            if let Ok(image) = decode(&bytes) {
                assert_eq!(image.pixels.len() as u32, image.width * image.height * 3);
            }
        }
    }
}

fn png(image: DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn png_of(image: GrayAlphaImage) -> Vec<u8> {
    png(DynamicImage::ImageLumaA8(image))
}
