use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::weighted_sum::{self, weighted_sum},
};

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms(a in -2.0f32..2.0, b in -2.0f32..2.0, x in -9.0f32..9.0, y in -9.0f32..9.0) {
        conform(|device| {
            let (x, y) = (Tensor::from_f32(device, [1], &[x])?, Tensor::from_f32(device, [1], &[y])?);
            let [dx, dy] = weighted_sum::backward([a, b], &x)?;
            // A value may stand on both sides.
            Ok(vec![
                weighted_sum::forward([a, b], [&x, &y])?,
                weighted_sum::forward([a, b], [&x, &x])?,
                dx,
                dy,
            ])
        });
    }

    #[test]
    fn gradient(a in -2.0f32..2.0, b in -2.0f32..2.0, seed in 0u64..1 << 40) {
        let [x, y] = [1, 2].map(|k| Tensor::from_f32(&cpu(), [1], &noise(seed ^ k, 1)).unwrap());
        assert_gradient(&[x, y], seed, |tape, v| weighted_sum(tape, [a, b], [&v[0], &v[1]]));
    }
}

#[test]
fn a_quarter_and_three() {
    let [x, y] = [8.0, 4.0].map(|x| Tensor::from_f32(&cpu(), [1], &[x]).unwrap());
    let z = weighted_sum::forward([0.25, 0.75], [&x, &y]).unwrap();
    assert_eq!(z.item().unwrap(), 5.0);
    let [dx, dy] = weighted_sum::backward([0.25, 0.75], &x).unwrap();
    assert_eq!([dx, dy].map(|d| d.item().unwrap()), [2.0, 6.0]);
}
