use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::pair_patches::{self, pair_patches},
};

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn conforms(images in 1usize..5, c in prop_oneof![1usize..40, (1usize..30).prop_map(|n| 8 * n)], seed: u64) {
        conform(|device| {
            let x = Tensor::from_slice(device, [9 * images, c], &noise(seed, 9 * images * c))?;
            let dy = Tensor::from_slice(device, [8 * images, 2 * c], &noise(seed ^ 1, 16 * images * c))?;
            Ok(vec![pair_patches::forward(&x)?, pair_patches::backward(&dy)?])
        });
    }

    #[test]
    fn gradient(images in 1usize..3, c in 1usize..20, seed in 0u64..1 << 40) {
        let x = Tensor::from_slice(&cpu(), [9 * images, c], &noise(seed, 9 * images * c)).unwrap();
        assert_gradient(&[x], seed, |tape, v| pair_patches(tape, &v[0]));
    }
}

/// Patch p of image i is written 10 i + p.
#[test]
fn the_centre_and_its_neighbours_in_reading_order() {
    let x: Vec<f32> = (0..18).map(|row| (row / 9 * 10 + row % 9) as f32).collect();
    let x = Tensor::from_slice(&cpu(), [18, 1], &x).unwrap();
    let y = pair_patches::forward(&x).unwrap();
    assert_eq!(y.dims(), [16, 2]);
    let around = [0.0, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 8.0];
    let pairs = |image: f32| around.map(|p| [10.0 * image + 4.0, 10.0 * image + p]);
    let expected: Vec<f32> = [pairs(0.0), pairs(1.0)]
        .as_flattened()
        .as_flattened()
        .to_vec();
    assert_eq!(y.to_vec().unwrap(), expected);
    let dx = pair_patches::backward(&y).unwrap().to_vec().unwrap();
    assert_eq!(dx[..9], [0.0, 1.0, 2.0, 3.0, 32.0, 5.0, 6.0, 7.0, 8.0]);
}
