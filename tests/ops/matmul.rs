use crate::check::*;
use approx::assert_relative_eq;
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::matmul::{self, Transpose},
};

/// In f64, as the definition says.
fn reference(a: &[f32], b: &[f32], [m, k, n]: [usize; 3]) -> Vec<f32> {
    let at = |i: usize, j: usize| {
        (0..k)
            .map(|l| a[i * k + l] as f64 * b[l * n + j] as f64)
            .sum::<f64>()
    };
    (0..m * n).map(|i| at(i / n, i % n) as f32).collect()
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn conforms([m, k, n] in [1usize..90, 1usize..70, 1usize..90], ta: bool, tb: bool, seed in 0u64..1000) {
        let (a, b) = (noise(seed, m * k), noise(seed + 1, k * n));
        let way = |t| if t { Transpose::Yes } else { Transpose::No };
        conform_within(1e-4, 4.0, |device| {
            let a = Tensor::from_slice(device, if ta { [k, m] } else { [m, k] }, &a)?;
            let b = Tensor::from_slice(device, if tb { [n, k] } else { [k, n] }, &b)?;
            Ok(vec![matmul::forward(&a, &b, way(ta), way(tb))?])
        });
    }

    /// Sizes in eights, which tensor cores take, and a sum or a side that is not.
    #[test]
    fn tensor_cores_conform([m, k, n] in [1usize..34, 1usize..30, 1usize..20], ta: bool, tb: bool, odd in 0usize..8, seed in 0u64..1000) {
        // What lies along memory stays in eights: k of an operand read as it is, the side of a transposed one.
        let (m, k) = match (ta, tb) {
            (false, _) => (8 * m + odd, 8 * k),
            (true, true) => (8 * m, 8 * k),
            (true, false) => (8 * m, 8 * k + odd),
        };
        let n = 8 * n;
        let (a, b) = (noise(seed, m * k), noise(seed + 1, k * n));
        let way = |t| if t { Transpose::Yes } else { Transpose::No };
        conform_within(1e-4, 8.0, |device| {
            let a = Tensor::from_slice(device, if ta { [k, m] } else { [m, k] }, &a)?;
            let b = Tensor::from_slice(device, if tb { [n, k] } else { [k, n] }, &b)?;
            Ok(vec![matmul::forward(&a, &b, way(ta), way(tb))?])
        });
    }

    #[test]
    fn sums_of_columns_conform([rows, cols] in [1usize..80, 1usize..80], seed in 0u64..1000) {
        let dy = noise(seed, rows * cols);
        conform_within(1e-4, 1.0, |device| {
            Ok(vec![matmul::column_sums(&Tensor::from_slice(device, [rows, cols], &dy)?)?])
        });
    }

    #[test]
    fn gradients([m, k, n] in [1usize..8, 1usize..8, 1usize..8], seed in 0u64..1000) {
        let make = |s: u64, shape: [usize; 2]| Tensor::from_slice(&cpu(), shape, &noise(seed + s, shape[0] * shape[1])).unwrap();
        assert_gradient(&[make(1, [m, k]), make(2, [k, n])], seed, |t, v| matmul::matmul(t, &v[0], &v[1]));
        let bias = Tensor::from_f32(&cpu(), [n], &noise(seed, n)).unwrap();
        let (x, w) = (make(3, [m, k]), make(4, [n, k]));
        assert_gradient(&[x.clone(), w.clone()], seed, |t, v| matmul::linear(t, &v[0], &v[1]));
        assert_gradient(&[x, w, bias], seed, |t, v| matmul::linear_bias(t, &v[0], &v[1], &v[2]));
    }
}

/// The gradient of a weight is f32 and comes from its own kernel; with the bias it must conform too.
#[test]
fn linear_conforms_forward_and_backward() {
    for [m, k, n] in [[70, 33, 65], [130, 72, 88]] {
        linear_conforms([m, k, n]);
    }
}

fn linear_conforms([m, k, n]: [usize; 3]) {
    conform_within(1e-3, 8.0, |device| {
        let x = Tensor::from_slice(device, [m, k], &noise(1, m * k))?;
        let w = Tensor::from_slice(device, [n, k], &noise(2, n * k))?;
        let bias = Tensor::from_f32(device, [n], &noise(3, n))?;
        let mut tape = selfsame::Tape::default();
        let vars = [&x, &w, &bias].map(|t| tape.leaf(t));
        let y = matmul::linear_bias(&mut tape, &vars[0], &vars[1], &vars[2])?;
        let loss = dot(&mut tape, &y, &noise(4, m * n));
        let mut gradients = tape.backward(&loss)?;
        let mut outputs = vec![y.value];
        outputs.extend(vars.iter().map(|v| gradients.take(v).unwrap()));
        Ok(outputs)
    });
}

#[test]
fn equals_the_definition() {
    let size = [130, 77, 65];
    let [m, k, n] = size;
    let (a, b) = (noise(1, m * k), noise(2, k * n));
    let c = matmul::forward(
        &Tensor::from_slice(&cpu(), [m, k], &a).unwrap(),
        &Tensor::from_slice(&cpu(), [k, n], &b).unwrap(),
        Transpose::No,
        Transpose::No,
    );
    let expected = reference(&a, &b, size);
    assert_relative_eq!(
        c.unwrap().to_vec().unwrap()[..],
        expected[..],
        max_relative = 1e-4,
        epsilon = 1e-4
    );
}

/// One value used twice by one op: its two gradients must be added.
#[test]
fn gradient_of_a_matrix_times_itself() {
    let x = Tensor::from_slice(&cpu(), [3, 3], &noise(5, 9)).unwrap();
    assert_gradient(&[x], 3, |tape, v| matmul::matmul(tape, &v[0], &v[0]));
}
