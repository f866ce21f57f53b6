//! Crops and resampling against torchvision's rules and Pillow's pixels.
use proptest::prelude::*;
use selfsame::data::Image;
use selfsame::data::crop::*;
use selfsame::random::{Draws, Purpose};

use super::samples::fixture;

const RATIO: (f32, f32) = (3.0 / 4.0, 4.0 / 3.0);

fn draws(sample: u32) -> Draws {
    Draws::new(7, Purpose::Crop, 0, sample, 0)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crop_is_inside_its_image(width in 8u32..3000, height in 8u32..3000, sample: u32) {
        let crop = random_resized_crop(&mut draws(sample), width, height, (0.08, 1.0), RATIO);
        prop_assert!(crop.width >= 1 && crop.x + crop.width <= width);
        prop_assert!(crop.height >= 1 && crop.y + crop.height <= height);
        // Up to the rounding of both sides.
        let area = crop.width as f64 * crop.height as f64 / (width as f64 * height as f64);
        let slack = 1.0 / crop.width as f64 + 1.0 / crop.height as f64;
        let extreme = width > 10 * height || height > 10 * width; // the fallback may be smaller
        prop_assert!(extreme || area >= 0.08 * (1.0 - slack), "area {}", area);
        let ratio = crop.width as f64 / crop.height as f64;
        prop_assert!((0.75 - 0.75 * slack..=4.0 / 3.0 * (1.0 + slack)).contains(&ratio), "ratio {}", ratio);
    }
}

/// Areas are uniform and places cover the image: means over many draws.
#[test]
fn crops_are_spread_as_they_should_be() {
    let (mut area, mut x, n) = (0.0, 0.0, 20_000);
    for sample in 0..n {
        let crop = random_resized_crop(&mut draws(sample), 400, 400, (0.2, 0.6), RATIO);
        area += crop.width as f64 * crop.height as f64 / 160_000.0 / n as f64;
        x += (crop.x as f64 + crop.width as f64 / 2.0) / n as f64;
    }
    assert!((area - 0.4).abs() < 0.005, "mean area {area}");
    assert!((x - 200.0).abs() < 2.0, "mean centre {x}");
}

/// No box of these ratios with nearly the whole area fits: the centred one is taken.
#[test]
fn the_fallback_is_the_largest_centred_box() {
    let full = (1.0, 1.0);
    let wide = random_resized_crop(&mut draws(0), 400, 30, full, RATIO);
    assert_eq!(
        wide,
        CropBox {
            x: 180,
            y: 0,
            width: 40,
            height: 30
        }
    );
    let tall = random_resized_crop(&mut draws(0), 30, 400, full, RATIO);
    assert_eq!(
        tall,
        CropBox {
            x: 0,
            y: 180,
            width: 30,
            height: 40
        }
    );
}

#[test]
fn resize_and_center_crop_have_torchvisions_sizes() {
    assert_eq!(resized(640, 480, 256), (341, 256)); // int(341.33)
    assert_eq!(resized(480, 641, 256), (256, 341)); // int(341.87)
    assert_eq!(resized(100, 100, 256), (256, 256));
    // int(round(58.5)) is 58: half to even.
    let crop = center_crop(341, 256, 224);
    assert_eq!((crop.x, crop.y), (58, 16));
}

/// 40 x 30, as the script that made the golden files with Pillow (`images/make.py`) had it.
fn pattern() -> Image {
    let pixel = |y: u32, x: u32, c: u32| ((x * x * 3 + y * 37 + c * 53 + x * y) % 256) as u8;
    let row = |y| (0..40).flat_map(move |x| (0..3).map(move |c| pixel(y, x, c)));
    Image {
        width: 40,
        height: 30,
        pixels: (0..30).flat_map(row).collect(),
    }
}

fn assert_golden(found: &[u8], golden: &str) {
    let golden = fixture(golden);
    assert_eq!(found.len(), golden.len());
    let worst = found.iter().zip(&golden).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(1), "off by {worst:?}");
}

#[test]
fn resampling_agrees_with_pillow() {
    let from = CropBox {
        x: 3,
        y: 2,
        width: 25,
        height: 21,
    };
    let mut out = vec![0; 8 * 8 * 3];
    resize_into(&pattern(), from, 8, Filter::Bilinear, &mut out);
    assert_golden(&out, "golden_bilinear_8.bin");
    resize_into(&pattern(), from, 8, Filter::Bicubic, &mut out);
    assert_golden(&out, "golden_bicubic_8.bin");
    let mut out = vec![0; 12 * 12 * 3];
    let from = CropBox {
        x: 5,
        y: 6,
        width: 7,
        height: 6,
    };
    resize_into(&pattern(), from, 12, Filter::Bilinear, &mut out);
    assert_golden(&out, "golden_enlarged_12.bin");
}

#[test]
fn the_evaluation_view_agrees_with_pillow() {
    let mut out = vec![0; 16 * 16 * 3];
    evaluation_crop(&pattern(), 16, &mut out);
    assert_golden(&out, "golden_evaluation_16.bin");
}

#[test]
fn a_flip_mirrors_each_row() {
    let mut pixels = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    flip_horizontally(&mut pixels, 2);
    assert_eq!(pixels, [4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9]);
}
