use crate::{
    augment::{bytes, unscaled},
    check::*,
};
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::{
        augment::{self, Normalisation, Recipe, table},
        augment_blur,
    },
};

fn table_with(sigmas: &[f32]) -> Vec<f32> {
    let row = |&sigma: &f32| {
        let mut row = table::identity();
        row[table::SIGMA] = sigma;
        row[table::SOLARIZE] = 127.5; // its own inverse: continuous
        row
    };
    sigmas.iter().flat_map(row).collect()
}

/// The definition: a two-dimensional Gaussian, cut to a square, edges repeated; f64.
fn reference(x: &[f32], [h, w]: [usize; 2], sigma: f64) -> Vec<f32> {
    let radius = (h.max(w) / 20).max(1) as i64;
    let tap = |i: i64| (-0.5 * (i * i) as f64 / (sigma * sigma)).exp();
    let sum: f64 = (-radius..=radius).map(tap).sum();
    let inside = |i: i64, n: usize| i.clamp(0, n as i64 - 1) as usize;
    let value = |at: usize| {
        let (line, column, c) = ((at / (3 * w)) as i64, (at / 3 % w) as i64, at % 3);
        let mut y = 0.0;
        for (i, j) in (-radius..=radius).flat_map(|i| (-radius..=radius).map(move |j| (i, j))) {
            let from = (inside(line + i, h) * w + inside(column + j, w)) * 3 + c;
            y += tap(i) * tap(j) * x[from] as f64;
        }
        (y / (sum * sum)) as f32
    };
    (0..h * w * 3).map(value).collect()
}

proptest! {
    #![proptest_config(cases(8))]
    #[test]
    fn conforms(h in 1usize..45, w in 1usize..45, sigma in 0.1f32..2.0, seed: u64) {
        let x: Vec<f32> = bytes(seed, 2 * h * w * 3).iter().map(|&v| v as f32).collect();
        conform_within(2e-5, 1.0, |device| {
            let x = Tensor::from_f32(device, [2, h, w, 3], &x)?;
            let table = Tensor::from_f32(device, [2, table::COLS], &table_with(&[sigma, 0.0]))?;
            let recipe = Recipe::simclr_imagenet();
            Ok(vec![augment_blur::forward(&x, &table, Normalisation::new(recipe.mean, recipe.std))?])
        });
    }

    #[test]
    fn matches_reference(h in 1usize..45, w in 1usize..45, sigma in 0.1f32..2.0, seed: u64) {
        let x: Vec<f32> = bytes(seed, h * w * 3).iter().map(|&v| v as f32).collect();
        let t = Tensor::from_f32(&cpu(), [1, h, w, 3], &x).unwrap();
        let mut row = table_with(&[sigma]);
        row[table::SOLARIZE] = 256.0;
        let row = Tensor::from_f32(&cpu(), [1, table::COLS], &row).unwrap();
        let as_they_are = Normalisation { scale: [1.0; 3], shift: [0.0; 3] };
        let y = augment_blur::forward(&t, &row, as_they_are).unwrap();
        assert_close("blur", &y.to_vec().unwrap(), &reference(&x, [h, w], sigma as f64), 1e-5);
    }
}

/// A recipe with blur, on views that drew none, gives what the recipe without gives.
#[test]
fn no_blur_drawn_is_no_blur() {
    let pixels = Tensor::from_u8(&cpu(), [2, 6, 7, 3], &bytes(1, 2 * 6 * 7 * 3)).unwrap();
    let rows = Tensor::from_f32(&cpu(), [2, table::COLS], &table_with(&[0.0, 0.0])).unwrap();
    let blurry = Recipe {
        blur_probability: 0.5,
        ..unscaled()
    };
    let (a, b) = (
        augment::apply(&pixels, &rows, &blurry).unwrap(),
        augment::apply(&pixels, &rows, &unscaled()).unwrap(),
    );
    assert_eq!(a.to_vec().unwrap(), b.to_vec().unwrap());
}

/// 23 taps at 224, SimCLR's: a white line spreads over 11 pixels to either side and no further.
#[test]
fn as_many_taps_as_simclr() {
    let (side, mut x) = (224, vec![0.0; 224 * 224 * 3]);
    x[(side * 100 + 50) * 3] = 255.0;
    let t = Tensor::from_f32(&cpu(), [1, side, side, 3], &x).unwrap();
    let mut row = table_with(&[2.0]);
    row[table::SOLARIZE] = 256.0;
    let row = Tensor::from_f32(&cpu(), [1, table::COLS], &row).unwrap();
    let as_they_are = Normalisation {
        scale: [1.0; 3],
        shift: [0.0; 3],
    };
    let y = augment_blur::forward(&t, &row, as_they_are)
        .unwrap()
        .to_vec()
        .unwrap();
    let reached: Vec<usize> = (0..side)
        .filter(|w| y[(side * 100 + w) * 3] > 0.0)
        .collect();
    assert_eq!((reached[0], reached.len()), (39, 23));
    assert!((y.iter().sum::<f32>() - 255.0).abs() < 1e-2);
}
