use crate::{
    augment::{bytes, only, unscaled},
    check::*,
};
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::{
        augment::{self, Normalisation, Recipe, table},
        augment_color, augment_draw,
    },
};

proptest! {
    #![proptest_config(cases(10))]
    /// The threshold lies between two bytes and is its own inverse, so that solarizing is continuous.
    #[test]
    fn conforms(rows in 1usize..4, h in 1usize..12, w in 1usize..40, seed: u64, strong: bool) {
        let pixels = bytes(seed, rows * h * w * 3);
        let ids: Vec<u32> = (0..rows as u32).collect();
        let recipe = if strong { Recipe::simclr_imagenet() } else { Recipe::simclr_cifar() };
        let recipe = Recipe {
            solarize_probability: 0.5,
            solarize_threshold: 127.5,
            gray_probability: 0.5,
            gray_first: seed.is_multiple_of(2),
            ..recipe
        };
        let normalisation = Normalisation::new(recipe.mean, recipe.std);
        conform_within(2e-5, 1.0, |device| {
            let pixels = Tensor::from_u8(device, [rows, h, w, 3], &pixels)?;
            let ids = Tensor::from_u32(device, [rows], &ids)?;
            let epoch = Tensor::from_u32(device, [1], &[0])?;
            let table = augment_draw::draw(&ids, &recipe, seed, &epoch, 1)?;
            Ok(vec![
                augment_color::forward(&pixels, Some(&table), normalisation)?,
                augment_color::forward(&pixels, None, normalisation)?,
            ])
        });
        // `jitter` by what becomes of it: in 0..255 the rounding of 255 would be large beside a small value.
        let blurred = Recipe { blur_probability: 0.5, ..recipe };
        conform_within(2e-5, 1.0, |device| {
            let pixels = Tensor::from_u8(device, [rows, h, w, 3], &pixels)?;
            let ids = Tensor::from_u32(device, [rows], &ids)?;
            let epoch = Tensor::from_u32(device, [1], &[0])?;
            Ok(vec![augment::views(&pixels, &ids, &blurred, seed, &epoch, 1)?])
        });
    }

    /// A turn of the hue keeps the largest and the smallest channel; two half turns keep all three.
    #[test]
    fn hue_turns(turns in -0.5f32..0.5, seed: u64) {
        let pixels = bytes(seed, 30);
        let expected: Vec<f32> = pixels.iter().map(|&v| v as f32).collect();
        let extremes = |v: &[f32]| [v.iter().fold(0f32, |a, &b| a.max(b)), v.iter().fold(255f32, |a, &b| a.min(b))];
        let turned = applied(&pixels, &[only(table::HUE, turns)]);
        for (y, x) in turned.chunks(3).zip(expected.chunks(3)) {
            assert_close("extremes", &extremes(y), &extremes(x), 1e-4);
        }
        let mut whole = only(table::HUE, 0.5);
        whole[table::ORDER + 1] = table::HUE as f32;
        assert_close("a whole turn", &applied(&pixels, &[whole]), &expected, 1e-4);
    }
}

/// What is grey before its hue is turned stays grey; after, it is the turned colour's grey.
#[test]
fn grey_comes_first_or_last() {
    let pixels = [200, 30, 90];
    let mut row = only(table::HUE, 0.25);
    row[table::GRAY] = table::GRAY_FIRST;
    let first = applied(&pixels, &[row]);
    row[table::GRAY] = table::GRAY_LAST;
    let last = applied(&pixels, &[row]);
    let luma = |v: [f32; 3]| (19595.0 * v[0] + 38470.0 * v[1] + 7471.0 * v[2]) / 65536.0;
    assert_close("first", &first, &[luma([200.0, 30.0, 90.0]); 3], 1e-4);
    let turned = applied(&pixels, &[only(table::HUE, 0.25)]);
    let turned = luma([turned[0], turned[1], turned[2]]);
    assert_close("last", &last, &[turned; 3], 1e-4);
    assert!((first[0] - last[0]).abs() > 5.0);
}

fn applied(pixels: &[u8], rows: &[[f32; table::COLS]]) -> Vec<f32> {
    let width = pixels.len() / 3 / rows.len();
    let pixels = Tensor::from_u8(&cpu(), [rows.len(), 1, width, 3], pixels).unwrap();
    let rows = Tensor::from_f32(&cpu(), [rows.len(), table::COLS], rows.as_flattened()).unwrap();
    augment::apply(&pixels, &rows, &unscaled())
        .unwrap()
        .to_vec()
        .unwrap()
}

/// Contrast 0 is the mean of L everywhere, as it stands after what comes before: brightness 1/2 first
/// halves it, brightness 1/2 afterwards halves the result.
#[test]
fn contrast_takes_the_mean_where_it_is_met() {
    let pixels = [200, 100, 0, 40, 60, 250];
    let luma = |v: &[f32]| (19595.0 * v[0] + 38470.0 * v[1] + 7471.0 * v[2]) / 65536.0;
    let mean = (luma(&[200.0, 100.0, 0.0]) + luma(&[40.0, 60.0, 250.0])) / 2.0;
    let mut row = only(table::CONTRAST, 0.0);
    assert_close("contrast", &applied(&pixels, &[row]), &[mean; 6], 1e-5);
    row[table::FACTORS + table::BRIGHTNESS] = 2.0; // clips 200 and 250
    row[table::ORDER + 1] = table::BRIGHTNESS as f32;
    assert_close(
        "then brightness",
        &applied(&pixels, &[row]),
        &[2.0 * mean; 6],
        1e-5,
    );
    row.swap(table::ORDER, table::ORDER + 1);
    let clipped = (luma(&[255.0, 200.0, 0.0]) + luma(&[80.0, 120.0, 255.0])) / 2.0;
    assert_close(
        "brightness first",
        &applied(&pixels, &[row]),
        &[clipped; 6],
        1e-5,
    );
}

/// Each row of the table is for its own view.
#[test]
fn rows_are_apart() {
    let rows = [
        table::identity(),
        only(table::BRIGHTNESS, 0.5),
        table::identity(),
    ];
    let y = applied(&[100; 18], &rows);
    assert_close(
        "rows",
        &y,
        &[[100.0; 6], [50.0; 6], [100.0; 6]].concat(),
        1e-5,
    );
}
