use crate::{
    batch_norm::{SUMS, drawn},
    check::*,
};
use proptest::prelude::*;
use selfsame::ops::{
    batch_norm::{self, Mode},
    batch_norm_relu::{self, batch_norm_relu},
    relu,
};

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms(case in drawn()) {
        conform_within(SUMS, 1.0, |device| {
            let (x, dy, running) = (case.real(device, 1)?, case.real(device, 2)?, case.running(device)?);
            let (gamma, beta) = (case.gamma(device)?, case.beta(device)?);
            let (y, norm) = batch_norm_relu::forward(&x, &gamma, &beta, &running, case.mode.clone())?;
            let mut all = vec![y, running.mean, running.variance, norm.statistics.clone()];
            all.extend(batch_norm_relu::backward(&norm, &dy, true)?.into_iter().flatten());
            Ok(all)
        });
    }

    /// Fused, and in two ops: the same bits forward, and the same gradients.
    #[test]
    fn is_relu_of_batch_norm(case in drawn()) {
        let device = cpu();
        let (x, dy) = (case.real(&device, 1).unwrap(), case.real(&device, 2).unwrap());
        let (gamma, beta) = (case.gamma(&device).unwrap(), case.beta(&device).unwrap());
        let running = || case.running(&device).unwrap();
        let (fused, norm) = batch_norm_relu::forward(&x, &gamma, &beta, &running(), case.mode.clone()).unwrap();
        let found = batch_norm_relu::backward(&norm, &dy, true).unwrap();
        let (y, norm) = batch_norm::forward(&x, &gamma, &beta, &running(), case.mode.clone()).unwrap();
        let y = relu::forward(&y).unwrap();
        prop_assert_eq!(fused.to_vec().unwrap(), y.to_vec().unwrap());
        let dy = relu::backward(&y, &dy).unwrap();
        let expected = batch_norm::backward(&norm, &dy, true).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            let [found, expected] = [found, expected].map(|t| t.as_ref().unwrap().to_vec().unwrap());
            assert_close("gradient", &found, &expected, 1e-6);
        }
    }

    /// Away from the kink: beta is so large, or so small, that a channel is all on one side.
    #[test]
    fn gradient(mut case in drawn(), seed in 0..u64::MAX / 2) {
        case.rows = case.rows.min(60) + 3;
        let device = cpu();
        let signs = noise(seed, case.channels);
        let far: Vec<f32> = signs.iter().map(|v| 40.0f32.copysign(*v)).collect();
        let beta = selfsame::Tensor::from_f32(&device, [case.channels], &far).unwrap();
        let inputs = [case.real(&device, 1).unwrap(), case.gamma(&device).unwrap(), beta];
        let running = case.running(&device).unwrap();
        assert_gradient(&inputs, seed, |tape, v| {
            batch_norm_relu(tape, &v[0], &v[1], &v[2], &running, Mode::Train)
        });
    }
}
