use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::relu::{self, relu},
};

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms((x, dy) in (1usize..2000).prop_flat_map(|n| (values(n), values(n)))) {
        conform(|device| {
            let x = Tensor::from_slice(device, [x.len()], &x)?;
            let dy = Tensor::from_slice(device, [dy.len()], &dy)?;
            let y = relu::forward(&x)?;
            Ok(vec![relu::backward(&y, &dy)?, y])
        });
    }

    #[test]
    fn gradient(x in (1usize..50).prop_flat_map(values), seed: u64) {
        let x: Vec<f32> = x.iter().map(|x| x + 0.1 * x.signum()).collect(); // away from the kink
        let x: Vec<f32> = x.iter().map(|&x| if x == 0.0 { 1.0 } else { x }).collect();
        assert_gradient(&[Tensor::from_slice(&cpu(), [x.len()], &x).unwrap()], seed >> 1, |t, v| relu(t, &v[0]));
    }
}

#[test]
fn negative_numbers_become_zero() {
    let x = Tensor::from_slice(&cpu(), [4], &[-1.0, 0.0, 2.0, -0.5]).unwrap();
    assert_eq!(
        relu::forward(&x).unwrap().to_vec().unwrap(),
        [0.0, 0.0, 2.0, 0.0]
    );
}
