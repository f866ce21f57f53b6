use crate::check::*;
use proptest::prelude::*;
use selfsame::{Tensor, ops::add};

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms((a, b) in (1usize..2000).prop_flat_map(|n| (values(n), values(n)))) {
        conform(|device| {
            let (a, b) = (Tensor::from_slice(device, [a.len()], &a)?, Tensor::from_slice(device, [b.len()], &b)?);
            Ok(vec![add::forward(&a, &b)?])
        });
    }
}

#[test]
fn gradient() {
    let [a, b] = [1, 2].map(|seed| Tensor::from_slice(&cpu(), [3, 5], &noise(seed, 15)).unwrap());
    assert_gradient(&[a, b], 9, |tape, v| add::add(tape, &v[0], &v[1]));
}
