use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tape, Tensor, Var,
    ops::{
        self,
        concat_rows::{self, concat_rows},
    },
};

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn conforms(rows: [u8; 3], c in 1usize..40, seed: u64) {
        let rows = rows.map(|n| 1 + n as usize % 20);
        conform(|device| {
            let [a, b, z] = rows.map(|n| Tensor::from_slice(device, [n, c], &noise(seed ^ n as u64, n * c)));
            Ok(vec![concat_rows::forward([&a?, &b?, &z?])?])
        });
    }

    #[test]
    fn gradient(m in 1usize..5, n in 1usize..5, c in 1usize..10, seed in 0u64..1 << 40) {
        let [a, b] = [m, n].map(|n| Tensor::from_slice(&cpu(), [n, c], &noise(seed ^ n as u64, n * c)).unwrap());
        // One of them twice: its gradients are added.
        assert_gradient(&[a, b], seed, |tape, v| concat_rows(tape, [&v[0], &v[1], &v[0]]));
    }
}

/// Gradients that share dy's memory go on through another op, on every device.
#[test]
fn gradients_are_rows() {
    conform(|device| {
        let mut tape = Tape::default();
        let x = |seed: u64, n: usize| Tensor::from_slice(device, [n, 3], &noise(seed, 3 * n));
        let (a, b) = (tape.leaf(&x(1, 5)?), tape.leaf(&x(2, 3)?));
        let constant = Var::constant(x(3, 2)?);
        let positive = ops::relu(&mut tape, &b)?;
        let y = concat_rows(&mut tape, [&a, &constant, &positive])?;
        let loss = dot(&mut tape, &y, &noise(9, 30));
        let mut gradients = tape.backward(&loss)?;
        Ok([a, b].map(|x| gradients.take(&x).unwrap()).into())
    });
}

#[test]
fn one_below_the_other() {
    let t = |n: usize, values: &[f32]| Tensor::from_slice(&cpu(), [n, 2], values).unwrap();
    let y = concat_rows::forward([&t(1, &[1.0, 2.0]), &t(2, &[3.0, 4.0, 5.0, 6.0])]).unwrap();
    assert_eq!(y.dims(), [3, 2]);
    assert_eq!(y.to_vec().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}
