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

/// Of each row's packs of 8, where y > 0: the first is the lowest bit.
fn bits_of(y: &Tensor, channels: usize) -> Vec<f32> {
    let y = y.to_vec().unwrap();
    let packs = y.chunks(channels).flat_map(|row| row.chunks(8));
    let bits = |pack: &[f32]| -> u32 {
        let bits = pack.iter().enumerate();
        bits.map(|(i, &y)| u32::from(y > 0.0) << i).sum()
    };
    packs.map(|pack| bits(pack) as f32).collect()
}

fn bytes(seed: u64, n: usize) -> Vec<u8> {
    let noise = noise(seed, n);
    noise.iter().map(|v| (v * 128.0 + 128.0) as u8).collect()
}

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms(case in drawn()) {
        conform_within(SUMS, 1.0, |device| {
            let (x, dy, running) = (case.real(device, 1)?, case.real(device, 2)?, case.running(device)?);
            let (gamma, beta, residual) = (case.gamma(device)?, case.beta(device)?, case.real(device, 3)?);
            let inputs = [&x, &gamma, &beta, &residual];
            let (y, mask, norm) = batch_norm_add_relu::forward(inputs, &running, case.mode.clone())?;
            assert_eq!(mask.to_vec()?, bits_of(&y, case.channels));
            // y > 0 near 0 is a matter of rounding: backward is given another mask, the same everywhere.
            let mask = Tensor::from_u8(device, mask.shape().clone(), &bytes(case.rows as u64, mask.len()))?;
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
        let (fused, mask, norm) = batch_norm_add_relu::forward(inputs, &running(), case.mode.clone()).unwrap();
        let found = batch_norm_add_relu::backward(&norm, &mask, &dy, true).unwrap();
        let (y, norm) = batch_norm::forward(&x, &gamma, &beta, &running(), case.mode.clone()).unwrap();
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
