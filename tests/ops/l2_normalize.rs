use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::l2_normalize::{self, l2_normalize},
};

/// Rows, columns, and two matrices of that shape.
fn matrices() -> impl Strategy<Value = (usize, usize, Vec<f32>, Vec<f32>)> {
    (1usize..8, 1usize..600).prop_flat_map(|(rows, cols)| {
        let n = rows * cols;
        (Just(rows), Just(cols), values(n), values(n))
    })
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn conforms((rows, cols, x, dy) in matrices()) {
        conform_within(2e-5, 2.0, |device| {
            let x = Tensor::from_slice(device, [rows, cols], &x)?;
            let dy = Tensor::from_slice(device, [rows, cols], &dy)?;
            let (y, inv_norm) = l2_normalize::forward(&x)?;
            Ok(vec![l2_normalize::backward(&y, &inv_norm, &dy)?, y, inv_norm])
        });
    }

    #[test]
    fn gradient(rows in 1usize..5, cols in 2usize..40, seed in 0u64..1 << 40) {
        let x = Tensor::from_slice(&cpu(), [rows, cols], &noise(seed, rows * cols)).unwrap();
        assert_gradient_with(1e-3, &[x], seed, |tape, v| l2_normalize(tape, &v[0]));
    }

    #[test]
    fn rows_have_length_one((rows, cols, x, _) in matrices()) {
        let t = Tensor::from_slice(&cpu(), [rows, cols], &x).unwrap();
        let y = l2_normalize::forward(&t).unwrap().0.to_vec().unwrap();
        for (y, x) in y.chunks(cols).zip(x.chunks(cols)) {
            let length: f32 = y.iter().map(|y| y * y).sum();
            let expected = if x.iter().all(|&x| x == 0.0) { 0.0 } else { 1.0 };
            prop_assert!((length - expected).abs() < 1e-4, "{length}");
        }
    }
}

/// A row of zeros stays zero, and its gradient is finite.
#[test]
fn zeros_stay_zeros() {
    let x = Tensor::from_slice(&cpu(), [1, 3], &[0.0; 3]).unwrap();
    let (y, inv_norm) = l2_normalize::forward(&x).unwrap();
    assert_eq!(y.to_vec().unwrap(), [0.0; 3]);
    assert_eq!(inv_norm.to_vec().unwrap(), [1e12]);
}

/// What points along y changes nothing: its gradient is zero.
#[test]
fn a_gradient_along_the_row_vanishes() {
    let x = Tensor::from_slice(&cpu(), [1, 2], &[3.0, 4.0]).unwrap();
    let (y, inv_norm) = l2_normalize::forward(&x).unwrap();
    let dx = l2_normalize::backward(&y, &inv_norm, &x).unwrap();
    assert_close("dx", &dx.to_vec().unwrap(), &[0.0; 2], 1e-6);
}
