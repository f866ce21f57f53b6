use crate::check::*;
use proptest::prelude::*;
use selfsame::{Tensor, ops::copy, tensor::Element};

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms(x in (1usize..2000).prop_flat_map(values), value in -4.0f32..4.0) {
        conform(|device| {
            let x = Tensor::from_f32(device, [x.len()], &x)?;
            let real = copy::to_real(&x)?;
            let same = Tensor::uninit(device, Element::F32, [x.len()])?;
            copy::copy(&x, &same)?;
            let again = Tensor::uninit(device, Element::Real, [x.len()])?;
            copy::copy(&real, &again)?;
            Ok(vec![copy::to_f32(&real)?, real, again, same, copy::full(device, [x.len()], value)?])
        });
    }
}

/// Views that start anywhere: 16 bytes at a time is not for them.
#[test]
fn of_views_off_the_beat() {
    conform(|device| {
        let x = Tensor::from_f32(device, [300], &noise(1, 300))?;
        let y = copy::full(device, [300], 0.0)?;
        copy::copy(&x.slice(1, [270]), &y.slice(8, [270]))?;
        let real = copy::to_real(&x.slice(3, [201]))?;
        copy::copy(&real.slice(5, [90]), &y.slice(20, [90]))?;
        copy::fill(&y.slice(130, [33]), 0.5)?;
        Ok(vec![y, real])
    });
}

/// What bf16 cannot hold is rounded to nearest even, on the device as on the host.
#[test]
fn rounds_to_nearest_even() {
    let x = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, -1e30, 3.3e38, 1e-40];
    conform_within(1e-5, 1.0, |device| {
        copy::to_real(&Tensor::from_f32(device, [5], &x)?).map(|y| vec![y])
    });
}
