use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::{copy, ema::ema},
};

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms(n in 1usize..3000, momentum in 0.0f32..=1.0, seed: u64) {
        conform(|device| {
            let target = Tensor::from_f32(device, [n], &noise(seed, n))?;
            let source = Tensor::from_f32(device, [n], &noise(seed ^ 1, n))?;
            let reals = copy::to_real(&target)?;
            ema(&target, Some(&reals), &source, momentum)?;
            let alone = Tensor::from_f32(device, [n], &noise(seed, n))?;
            ema(&alone, None, &source, momentum)?;
            Ok(vec![target, reals, alone])
        });
    }
}

#[test]
fn a_quarter_of_the_way() {
    let target = Tensor::from_f32(&cpu(), [3], &[0.0, 4.0, -8.0]).unwrap();
    let source = Tensor::from_f32(&cpu(), [3], &[4.0, 4.0, 8.0]).unwrap();
    ema(&target, None, &source, 0.75).unwrap();
    assert_eq!(target.to_vec().unwrap(), [1.0, 4.0, -4.0]);
    ema(&target, None, &source, 1.0).unwrap();
    assert_eq!(
        target.to_vec().unwrap(),
        [1.0, 4.0, -4.0],
        "momentum 1 changes nothing"
    );
    ema(&target, None, &source, 0.0).unwrap();
    assert_eq!(
        target.to_vec().unwrap(),
        [4.0, 4.0, 8.0],
        "momentum 0 copies"
    );
}

/// The copy in real numbers is the target's own rounding, not a walk of its own; views start anywhere.
#[test]
fn reals_follow() {
    for device in devices() {
        let target = Tensor::from_f32(&device, [301], &noise(1, 301)).unwrap();
        let target = target.slice(1, [300]);
        let source = Tensor::from_f32(&device, [300], &noise(2, 300)).unwrap();
        let reals = copy::to_real(&target).unwrap();
        for _ in 0..5 {
            ema(&target, Some(&reals), &source, 0.3).unwrap();
        }
        let expected = copy::to_real(&target).unwrap().to_vec().unwrap();
        assert_eq!(reals.to_vec().unwrap(), expected, "{}", device.name());
    }
}
