use crate::{
    batch_norm::{SUMS, drawn},
    check::*,
};
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::{
        add,
        batch_norm::{self, Mode},
        batch_norm_add_relu::{self, batch_norm_add_relu},
        relu,
    },
};

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms(case in drawn()) {
        conform_within(SUMS, 1.0, |device| {
            let (x, dy, running) = (case.real(device, 1)?, case.real(device, 2)?, case.running(device)?);
            let (gamma, beta, residual) = (case.gamma(device)?, case.beta(device)?, case.real(device, 3)?);
            let inputs = [&x, &gamma, &beta, &residual];
            let (y, norm) = batch_norm_add_relu::forward(inputs, &running, case.mode)?;
            let mask = case.real(device, 4)?; // y > 0 near 0 is a matter of rounding: any mask will do
            let mut all = vec![y, running.mean, running.variance, norm.statistics.clone()];
            all.extend(batch_norm_add_relu::backward(&norm, &mask, &dy, true)?.into_iter().flatten());
            Ok(all)
        });
    }

    /// Fused, and in three ops: the same bits forward, and the same gradients.
    #[test]
    fn is_relu_of_the_sum(case in drawn()) {
        let device = cpu();
        let (x, dy) = (case.real(&device, 1).unwrap(), case.real(&device, 2).unwrap());
        let residual = case.real(&device, 3).unwrap();
        let (gamma, beta) = (case.gamma(&device).unwrap(), case.beta(&device).unwrap());
        let running = || case.running(&device).unwrap();
        let inputs = [&x, &gamma, &beta, &residual];
        let (fused, norm) = batch_norm_add_relu::forward(inputs, &running(), case.mode).unwrap();
        let found = batch_norm_add_relu::backward(&norm, &fused, &dy, true).unwrap();
        let (y, norm) = batch_norm::forward(&x, &gamma, &beta, &running(), case.mode).unwrap();
        let y = relu::forward(&add::forward(&y, &residual).unwrap()).unwrap();
        prop_assert_eq!(fused.to_vec().unwrap(), y.to_vec().unwrap());
        let dy = relu::backward(&y, &dy).unwrap();
        let [dx, dgamma, dbeta] = batch_norm::backward(&norm, &dy, true).unwrap();
        for (found, expected) in found.iter().zip(&[dx, dgamma, dbeta, Some(dy)]) {
            let [found, expected] = [found, expected].map(|t| t.as_ref().unwrap().to_vec().unwrap());
            assert_close("gradient", &found, &expected, 1e-6);
        }
    }

    /// Away from the kink: a residual so large that its sign decides.
    #[test]
    fn gradient(mut case in drawn(), seed in 0..u64::MAX / 2) {
        case.rows = case.rows.min(60) + 3;
        let device = cpu();
        let signs = noise(seed, case.rows * case.channels);
        let far: Vec<f32> = signs.iter().map(|v| 40.0f32.copysign(*v)).collect();
        let residual = Tensor::from_slice(&device, [case.rows, case.channels], &far).unwrap();
        let inputs = [
            case.real(&device, 1).unwrap(),
            case.gamma(&device).unwrap(),
            case.beta(&device).unwrap(),
            residual,
        ];
        let running = case.running(&device).unwrap();
        assert_gradient(&inputs, seed, |tape, v| {
            batch_norm_add_relu(tape, &v[0], &v[1], &v[2], &v[3], &running, Mode::Train)
        });
    }
}
