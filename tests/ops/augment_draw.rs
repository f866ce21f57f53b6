use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::{
        augment::{Recipe, table},
        augment_draw,
    },
    random::{Draws, Purpose},
};

fn drawn(rows: u32, recipe: &Recipe) -> Vec<Vec<f32>> {
    let ids: Vec<u32> = (0..rows).collect();
    let ids = Tensor::from_u32(&cpu(), [ids.len()], &ids).unwrap();
    let epoch = Tensor::from_u32(&cpu(), [1], &[1]).unwrap();
    let made = augment_draw::draw(&ids, recipe, 3, &epoch, 0).unwrap();
    let made = made.to_vec().unwrap();
    made.chunks(table::COLS).map(|row| row.to_vec()).collect()
}

proptest! {
    #![proptest_config(cases(8))]
    /// To the bit: `random.cuh` is the twin of `Draws`.
    #[test]
    fn conforms(ids in prop::collection::vec(any::<u32>(), 1..300), seed: u64, epoch: u32, view in 0u32..9, pieces in 1usize..10, gray_first: bool) {
        let recipe = Recipe { solarize_probability: 0.3, gray_first, photometric_probability: 0.5, ..Recipe::simclr_imagenet() };
        conform_within(0.0, 0.0, |device| {
            let ids = Tensor::from_u32(device, [ids.len()], &ids)?;
            let epoch = Tensor::from_u32(device, [1], &[epoch])?;
            Ok(vec![augment_draw::draw_pieces(&ids, pieces, &recipe, seed, &epoch, view)?])
        });
    }
}

/// Piece p of an image is drawn as its view p.
#[test]
fn pieces_are_views() {
    let recipe = Recipe::simclr_imagenet();
    let ids = Tensor::from_u32(&cpu(), [3], &[5, 0, 9]).unwrap();
    let epoch = Tensor::from_u32(&cpu(), [1], &[2]).unwrap();
    let pieces = augment_draw::draw_pieces(&ids, 4, &recipe, 1, &epoch, 6).unwrap();
    let pieces = pieces.to_vec().unwrap();
    for piece in 0..4 {
        let view = augment_draw::draw(&ids, &recipe, 1, &epoch, 6 + piece as u32).unwrap();
        let view = view.to_vec().unwrap();
        for (image, row) in view.chunks(table::COLS).enumerate() {
            let at = (image * 4 + piece) * table::COLS;
            assert_eq!(&pieces[at..at + table::COLS], row);
        }
    }
}

/// The first number of a row's stream decides its jitter, the twelfth whether it is solarized.
#[test]
fn the_draws_are_those_of_the_host() {
    let recipe = Recipe {
        solarize_probability: 0.5,
        ..Recipe::simclr_imagenet()
    };
    for (id, row) in drawn(50, &recipe).iter().enumerate() {
        let mut draws = Draws::new(3, Purpose::Color, 1, id as u32, 0);
        let units: Vec<f32> = (0..12).map(|_| draws.unit()).collect();
        assert_eq!(row[table::ORDER] != table::NONE as f32, units[0] < 0.8);
        assert_eq!(row[table::FACTORS + table::HUE], -0.2 + 0.4 * units[7]);
        assert_eq!(row[table::SOLARIZE] == 128.0, units[11] < 0.5);
    }
}

/// Of 20,000 rows: shares within a hundredth of the probabilities, means of the factors at the middle,
/// every one of the 24 orders equally often, everything within its limits.
#[test]
fn the_statistics_are_the_recipes() {
    let recipe = Recipe {
        solarize_probability: 0.3,
        photometric_probability: 0.66,
        ..Recipe::simclr_imagenet()
    };
    let rows = drawn(20_000, &recipe);
    let share =
        |holds: &dyn Fn(&[f32]) -> bool| rows.iter().filter(|row| holds(row)).count() as f32 / 2e4;
    let jittered = |row: &[f32]| row[table::ORDER] != table::NONE as f32;
    assert!((share(&jittered) - 0.8).abs() < 0.01);
    assert!((share(&|row| row[table::GRAY] == table::GRAY_PHOTOMETRIC) - 0.2).abs() < 0.01);
    assert!((share(&|row| row[table::SIGMA] > 0.0) - 0.5).abs() < 0.01);
    assert!((share(&|row| row[table::SOLARIZE] < 256.0) - 0.3).abs() < 0.01);
    assert!((share(&|row| row[table::PHOTOMETRIC] == 1.0) - 0.66).abs() < 0.01);
    for bits in 4..9 {
        let step = (1 << (8 - bits)) as f32;
        let share = share(&|row| row[table::POSTERIZE] == step);
        assert!((share - 0.2).abs() < 0.01, "{bits} bits: {share}");
    }
    for end in [0.0, 256.0] {
        assert!(share(&|row| row[table::INVERT] == end) > 0.0);
    }
    let limits = [
        (4, 0.2, 1.8),
        (5, 0.2, 1.8),
        (6, 0.2, 1.8),
        (7, -0.2, 0.2),
        (table::SHARPNESS, 0.1, 1.9),
    ];
    for (field, low, high) in limits {
        let mean = rows.iter().map(|row| row[field]).sum::<f32>() / 2e4;
        assert!(
            (mean - (low + high) / 2.0).abs() < 0.02,
            "field {field}: {mean}"
        );
        assert!(
            rows.iter().all(|row| (low..high).contains(&row[field])),
            "field {field}"
        );
    }
    assert!(
        rows.iter()
            .all(|row| row[table::SIGMA] == 0.0 || (0.1..2.0).contains(&row[table::SIGMA]))
    );
    let mut orders = std::collections::BTreeMap::<Vec<u8>, usize>::new();
    for row in rows.iter().filter(|row| jittered(row)) {
        *orders
            .entry(row[..4].iter().map(|&op| op as u8).collect())
            .or_default() += 1;
    }
    assert_eq!(orders.len(), 24);
    assert!(
        orders.values().all(|n| (550..790).contains(n)),
        "{orders:?}"
    ); // 667 expected
}

/// One probability changed leaves every other draw as it was.
#[test]
fn draws_do_not_depend_on_one_another() {
    let recipe = Recipe::simclr_imagenet();
    let gray = Recipe {
        gray_probability: 1.0,
        jitter_probability: 1.0,
        ..recipe
    };
    for (a, b) in drawn(30, &recipe).iter().zip(drawn(30, &gray)) {
        assert_eq!(
            a[table::FACTORS..table::GRAY],
            b[table::FACTORS..table::GRAY]
        );
        assert_eq!(a[table::SIGMA], b[table::SIGMA]);
    }
}
