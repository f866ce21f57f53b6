use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::global_average_pool::{self, global_average_pool},
};

fn dims() -> impl Strategy<Value = [usize; 4]> {
    (
        1usize..5,
        1usize..8,
        1usize..8,
        prop_oneof![1usize..70, Just(64)],
    )
        .prop_map(|(n, h, w, c)| [n, h, w, c])
}

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms(dims in dims(), seed: u64) {
        conform(|device| {
            let x = Tensor::from_slice(device, dims, &noise(seed, dims.iter().product()))?;
            let y = global_average_pool::forward(&x)?;
            let dy = Tensor::from_slice(device, y.shape().clone(), &noise(seed ^ 1, y.len()))?;
            Ok(vec![global_average_pool::backward(&dy, dims)?, y])
        });
    }

    #[test]
    fn gradient(dims in dims(), seed in 0..u64::MAX / 2) {
        let x = Tensor::from_slice(&cpu(), dims, &noise(seed, dims.iter().product())).unwrap();
        assert_gradient(&[x], seed, |tape, v| global_average_pool(tape, &v[0]));
    }
}

#[test]
fn the_mean_over_pixels() {
    let x = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 6.0, 60.0];
    let x = Tensor::from_slice(&cpu(), [1, 2, 2, 2], &x).unwrap();
    let y = global_average_pool::forward(&x).unwrap();
    assert_eq!(y.dims(), [1, 2]);
    assert_eq!(y.to_vec().unwrap(), [3.0, 30.0]);
}
