//! The recipe as a whole; the kernels have files of their own.
use crate::check::*;
use selfsame::{
    Device, Tensor,
    ops::augment::{self, Recipe, table},
    random::{Draws, Purpose},
};

/// `n` pixels' worth of bytes.
pub fn bytes(seed: u64, n: usize) -> Vec<u8> {
    let mut draws = Draws::new(seed, Purpose::Synthetic, 0, 1, 0);
    (0..n).map(|_| draws.below(256) as u8).collect()
}

/// Channels as they are: 0..255, not normalised.
pub fn unscaled() -> Recipe {
    Recipe {
        mean: [0.0; 3],
        std: [1.0 / 255.0; 3],
        ..Recipe::none()
    }
}

/// A row of the table with one operation of the jitter.
pub fn only(op: usize, factor: f32) -> [f32; table::COLS] {
    let mut row = table::identity();
    (row[table::ORDER], row[table::FACTORS + op]) = (op as f32, factor);
    row
}

/// The seven pixels of PIL's golden table.
const PIXELS: [[u8; 3]; 7] = [
    [200, 30, 30],
    [30, 200, 30],
    [30, 30, 200],
    [120, 60, 200],
    [10, 10, 10],
    [255, 255, 255],
    [128, 64, 32],
];

fn on_golden_pixels(row: &[f32; table::COLS]) -> Vec<f32> {
    let pixels = Tensor::from_u8(&cpu(), [1, 1, 7, 3], PIXELS.as_flattened()).unwrap();
    let row = Tensor::from_f32(&cpu(), [1, table::COLS], row).unwrap();
    let y = augment::apply(&pixels, &row, &unscaled()).unwrap();
    y.to_vec().unwrap()
}

/// What Pillow makes of them. It rounds to bytes on the way where we do not, hue and its shift (0.1 is 25 of
/// 255) included; a byte of hue is up to four of a channel.
#[test]
fn jitter_is_pils() {
    let golden = [
        (
            table::HUE,
            25.0 / 255.0,
            4.01,
            [
                200, 130, 31, 31, 200, 130, 130, 31, 200, 200, 60, 198, 10, 10, 10, 255, 255, 255,
                128, 120, 32,
            ],
        ),
        (
            table::HUE,
            -25.0 / 255.0,
            4.01,
            [
                200, 31, 126, 130, 200, 31, 31, 130, 200, 60, 83, 200, 10, 10, 10, 255, 255, 255,
                128, 32, 55,
            ],
        ),
        (
            table::BRIGHTNESS,
            1.4,
            2.0,
            [
                255, 42, 42, 42, 255, 42, 42, 42, 255, 168, 84, 255, 14, 14, 14, 255, 255, 255,
                179, 89, 44,
            ],
        ),
        (
            table::SATURATION,
            0.3,
            2.0,
            [
                116, 65, 65, 100, 151, 100, 43, 43, 94, 101, 83, 125, 10, 10, 10, 255, 255, 255,
                93, 74, 64,
            ],
        ),
        (
            table::CONTRAST,
            0.5,
            2.0,
            [
                150, 65, 65, 65, 150, 65, 65, 65, 150, 110, 80, 150, 55, 55, 55, 177, 177, 177,
                114, 82, 66,
            ],
        ),
    ];
    for (op, factor, tolerance, expected) in golden {
        for (i, (y, e)) in on_golden_pixels(&only(op, factor))
            .iter()
            .zip(expected)
            .enumerate()
        {
            assert!(
                (y - e as f32).abs() <= tolerance,
                "operation {op}, channel {i}: {y}, Pillow's is {e}"
            );
        }
    }
}

#[test]
fn gray_and_solarize_are_pils() {
    let mut row = table::identity();
    row[table::GRAY] = 1.0;
    let gray = on_golden_pixels(&row);
    for (y, e) in gray
        .chunks(3)
        .zip([81.0, 130.0, 49.0, 94.0, 10.0, 255.0, 79.0])
    {
        assert!(
            (y[0] - e).abs() <= 0.51 && y[1] == y[0] && y[2] == y[0],
            "{y:?}, Pillow's is {e}"
        );
    }
    let mut row = table::identity();
    row[table::SOLARIZE] = 128.0;
    let expected = [
        55, 30, 30, 30, 55, 30, 30, 30, 55, 120, 60, 55, 10, 10, 10, 0, 0, 0, 127, 64, 32,
    ];
    let expected: Vec<f32> = expected.iter().map(|&e| e as f32).collect();
    assert_close("solarize", &on_golden_pixels(&row), &expected, 1e-6);
}

/// A row of zeros' probabilities changes nothing: the view is the image, normalised.
#[test]
fn nothing_probable_is_normalisation() {
    let pixels = bytes(5, 3 * 4 * 5 * 3);
    let x = Tensor::from_u8(&cpu(), [3, 4, 5, 3], &pixels).unwrap();
    let ids = Tensor::from_u32(&cpu(), [3], &[9, 4, 7]).unwrap();
    let recipe = Recipe::none();
    let epoch = Tensor::from_u32(&cpu(), [1], &[2]).unwrap();
    let y = augment::views(&x, &ids, &recipe, 1, &epoch, 0).unwrap();
    let expected: Vec<f32> = pixels
        .iter()
        .enumerate()
        .map(|(i, &v)| (v as f32 / 255.0 - recipe.mean[i % 3]) / recipe.std[i % 3])
        .collect();
    assert_close("views", &y.to_vec().unwrap(), &expected, 1e-5);
    let y = augment::normalize(&x, recipe.mean, recipe.std).unwrap();
    assert_close("normalize", &y.to_vec().unwrap(), &expected, 1e-5);
}

/// A view depends on the image's id, not on its place in the batch, and differs by view and by epoch.
#[test]
fn views_follow_their_ids() {
    let (image, recipe) = (bytes(8, 8 * 8 * 3), Recipe::simclr_cifar());
    let views = |ids: &[u32], epoch: u32, view: u32| {
        let pixels =
            Tensor::from_u8(&cpu(), [ids.len(), 8, 8, 3], &image.repeat(ids.len())).unwrap();
        let ids = Tensor::from_u32(&cpu(), [ids.len()], ids).unwrap();
        let epoch = Tensor::from_u32(&cpu(), [1], &[epoch]).unwrap();
        augment::views(&pixels, &ids, &recipe, 11, &epoch, view)
            .unwrap()
            .to_vec()
            .unwrap()
    };
    let (forth, back) = (views(&[0, 1, 2, 3], 0, 0), views(&[3, 2, 1, 0], 0, 0));
    for (a, b) in forth.chunks(192).zip(back.chunks(192).rev()) {
        assert_eq!(a, b);
    }
    assert_ne!(forth, views(&[0, 1, 2, 3], 0, 1));
    assert_ne!(forth, views(&[0, 1, 2, 3], 1, 0));
}

/// With no blur in the recipe two kernels run, with blur four.
#[test]
fn the_blur_is_launched_only_where_it_may_happen() {
    let device = Device::null(selfsame::device::Real::Bf16);
    let pixels = Tensor::from_u8(&device, [2, 8, 8, 3], &[0; 384]).unwrap();
    let ids = Tensor::from_u32(&device, [2], &[0, 1]).unwrap();
    let epoch = Tensor::from_u32(&device, [1], &[0]).unwrap();
    let launches = |recipe: &Recipe| {
        let before = device.work().launches;
        augment::views(&pixels, &ids, recipe, 0, &epoch, 0).unwrap();
        device.work().launches - before
    };
    assert_eq!(launches(&Recipe::simclr_cifar()), 2);
    assert_eq!(launches(&Recipe::simclr_imagenet()), 4);
}
