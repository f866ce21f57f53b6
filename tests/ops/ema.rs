use crate::check::*;
use proptest::prelude::*;
use selfsame::{Tensor, ops::ema::ema};

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms(n in 1usize..3000, momentum in 0.0f32..=1.0, seed: u64) {
        conform(|device| {
            let target = Tensor::from_f32(device, [n], &noise(seed, n))?;
            ema(&target, &Tensor::from_f32(device, [n], &noise(seed ^ 1, n))?, momentum)?;
            Ok(vec![target])
        });
    }
}

#[test]
fn a_quarter_of_the_way() {
    let target = Tensor::from_f32(&cpu(), [3], &[0.0, 4.0, -8.0]).unwrap();
    let source = Tensor::from_f32(&cpu(), [3], &[4.0, 4.0, 8.0]).unwrap();
    ema(&target, &source, 0.75).unwrap();
    assert_eq!(target.to_vec().unwrap(), [1.0, 4.0, -4.0]);
    ema(&target, &source, 1.0).unwrap();
    assert_eq!(
        target.to_vec().unwrap(),
        [1.0, 4.0, -4.0],
        "momentum 1 changes nothing"
    );
    ema(&target, &source, 0.0).unwrap();
    assert_eq!(
        target.to_vec().unwrap(),
        [4.0, 4.0, 8.0],
        "momentum 0 copies"
    );
}
