use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Result, Tensor,
    ops::cosine_distance::{self, cosine_distance},
};

fn pair(device: &selfsame::Device, rows: usize, cols: usize, seed: u64) -> Result<[Tensor; 2]> {
    let a = Tensor::from_slice(device, [rows, cols], &noise(seed, rows * cols))?;
    let b = Tensor::from_slice(device, [rows, cols], &noise(seed + 1, rows * cols))?;
    Ok([a, b])
}

proptest! {
    #![proptest_config(cases(10))]
    #[test]
    fn conforms(rows in 1usize..40, cols in 1usize..300, seed in 0u64..1 << 40, needs: [bool; 2]) {
        conform_within(2e-5, 1.0, |device| {
            let pair = pair(device, rows, cols, seed)?;
            let dy = Tensor::from_f32(device, [1], &[rows as f32])?;
            let (loss, terms) = cosine_distance::forward(&pair[0], &pair[1])?;
            let gradients = cosine_distance::backward(&pair, &terms, &dy, needs)?;
            Ok([loss, terms].into_iter().chain(gradients.into_iter().flatten()).collect())
        });
    }

    #[test]
    fn gradient(rows in 1usize..6, cols in 2usize..20, seed in 0u64..1 << 40) {
        let pair = pair(&cpu(), rows, cols, seed).unwrap();
        assert_gradient_with(1e-3, &pair, seed, |tape, v| cosine_distance(tape, &v[0], &v[1]));
    }
}

#[test]
fn equal_directions_cost_nothing_and_opposite_ones_two() {
    let a = Tensor::from_slice(&cpu(), [2, 2], &[3.0, 4.0, 1.0, 0.0]).unwrap();
    let b = Tensor::from_slice(&cpu(), [2, 2], &[0.6, 0.8, -9.0, 0.0]).unwrap();
    let loss = |a: &Tensor, b: &Tensor| {
        let (loss, _) = cosine_distance::forward(a, b).unwrap();
        loss.item().unwrap()
    };
    assert!(loss(&a, &a).abs() < 1e-6);
    assert!((loss(&a, &b) - 1.0).abs() < 1e-6, "the mean of 0 and 2");
}
