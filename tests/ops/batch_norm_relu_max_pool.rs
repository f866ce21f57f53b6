use crate::{batch_norm::SUMS, check::*};
use proptest::prelude::*;
use selfsame::{
    Device, Result, Tensor,
    ops::{
        batch_norm::{Mode, Running},
        batch_norm_relu,
        batch_norm_relu_max_pool::{self, Pooled, batch_norm_relu_max_pool},
        max_pool,
    },
};

/// ResNet's own.
const SIZES: max_pool::Sizes = max_pool::Sizes {
    window: 3,
    stride: 2,
    padding: 1,
};

#[derive(Clone, Debug)]
struct Case {
    dims: [usize; 4],
    mode: Mode,
    seed: u64,
}

/// Odd and even sizes, one pixel, and rows of whole packs of 8 channels or not.
fn drawn() -> impl Strategy<Value = Case> {
    let channels = prop::sample::select(vec![1, 3, 7, 8, 12, 24, 64, 72]);
    let modes = prop_oneof![Just(Mode::Train), Just(Mode::Evaluate)];
    let sizes = (1usize..4, 1usize..10, 1usize..10, channels);
    (sizes, modes, 0..u64::MAX / 2).prop_map(|((n, h, w, c), mode, seed)| Case {
        dims: [n, h, w, c],
        mode,
        seed,
    })
}

impl Case {
    /// Few values, so that equals meet in one window.
    fn x(&self, device: &Device) -> Result<Tensor> {
        let x = noise(self.seed, self.dims.iter().product());
        let x: Vec<f32> = x.iter().map(|x| (x * 8.0).round() / 4.0).collect();
        Tensor::from_slice(device, self.dims, &x)
    }
    fn pooled(&self, device: &Device, which: u64) -> Result<Tensor> {
        let [n, h, w, c] = self.dims;
        let dims = [n, h.div_ceil(2), w.div_ceil(2), c];
        Tensor::from_slice(
            device,
            dims,
            &noise(self.seed ^ which, dims.iter().product()),
        )
    }
    fn channel(&self, device: &Device, which: u64, centre: f32) -> Result<Tensor> {
        let values = noise(self.seed ^ which, self.dims[3]);
        let values: Vec<f32> = values.iter().map(|v| centre + 0.5 * v).collect();
        Tensor::from_f32(device, [self.dims[3]], &values)
    }
    fn running(&self, device: &Device) -> Result<Running> {
        Ok(Running {
            mean: self.channel(device, 103, 0.0)?,
            variance: self.channel(device, 104, 1.0)?,
        })
    }
    fn forward(&self, device: &Device, running: &Running) -> Result<(Tensor, Pooled)> {
        let (gamma, beta) = (
            self.channel(device, 101, 1.0)?,
            self.channel(device, 102, 0.0)?,
        );
        let x = self.x(device)?;
        batch_norm_relu_max_pool::forward(&x, &gamma, &beta, running, self.mode.clone())
    }
}

proptest! {
    #![proptest_config(cases(24))]
    #[test]
    fn conforms(case in drawn()) {
        conform_within(SUMS, 1.0, |device| {
            let running = case.running(device)?;
            let (y, mut pooled) = case.forward(device, &running)?;
            let (values, index) = (y.to_vec()?, pooled.index.to_vec()?);
            assert!(values.iter().zip(&index).all(|(y, index)| (*y > 0.0) == (*index < 9.0)));
            // What is above 0 or largest may be a matter of rounding: backward is given places of its
            // own, the same everywhere.
            let places: Vec<u8> = noise(case.seed, y.len()).iter().map(|v| (v * 5.0 + 5.0) as u8).collect();
            pooled.index = Tensor::from_u8(device, y.shape().clone(), &places)?;
            pooled.winner = case.pooled(device, 3)?;
            let dy = case.pooled(device, 2)?;
            let mut all = vec![y, running.mean, running.variance];
            all.extend(batch_norm_relu_max_pool::backward(&pooled, &dy, true)?.into_iter().flatten());
            Ok(all)
        });
    }

    /// Fused, and in two ops: the same bits forward, the same winners, and the same gradients.
    #[test]
    fn is_max_pool_of_batch_norm_relu(case in drawn()) {
        let device = cpu();
        let (y, pooled) = case.forward(&device, &case.running(&device).unwrap()).unwrap();
        let (gamma, beta) = (&pooled.norm.gamma, &pooled.norm.beta);
        let running = case.running(&device).unwrap();
        let x = case.x(&device).unwrap();
        let (active, norm) = batch_norm_relu::forward(&x, gamma, beta, &running, case.mode.clone()).unwrap();
        let (expected, places) = max_pool::forward(&active, SIZES).unwrap();
        prop_assert_eq!(y.to_vec().unwrap(), expected.to_vec().unwrap());
        let winners = pooled.index.to_vec().unwrap().into_iter().zip(places.to_vec().unwrap());
        for ((found, expected), y) in winners.zip(y.to_vec().unwrap()) {
            prop_assert_eq!(found, if y > 0.0 { expected } else { 9.0 });
        }
        let dy = case.pooled(&device, 2).unwrap();
        let found = batch_norm_relu_max_pool::backward(&pooled, &dy, true).unwrap();
        let dy = max_pool::backward(&places, &dy, case.dims, SIZES).unwrap();
        let expected = batch_norm_relu::backward(&norm, &dy, true).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            let [found, expected] = [found, expected].map(|t| t.as_ref().unwrap().to_vec().unwrap());
            assert_close("gradient", &found, &expected, 1e-5);
        }
    }

    /// Away from the kinks: pixels of any 4 x 4 are an eighth apart, and beta puts a channel on one side of 0.
    #[test]
    fn gradient(case in drawn()) {
        let device = cpu();
        let [n, h, w, c] = [case.dims[0] + 1, case.dims[1] + 1, case.dims[2], case.dims[3]];
        let ranks = (0..n * h * w * c).map(|i| {
            let (y, x, c) = (i / (w * c) % h, i / c % w, i % c);
            ((y % 4 * 4 + x % 4) * 7 + c * 3 + case.seed as usize % 16) % 16
        });
        let x: Vec<f32> = ranks.map(|rank| rank as f32 / 8.0).collect();
        let far: Vec<f32> = noise(case.seed, c).iter().map(|v| 40.0f32.copysign(*v)).collect();
        let inputs = [
            Tensor::from_slice(&device, [n, h, w, c], &x).unwrap(),
            case.channel(&device, 101, 1.0).unwrap(),
            Tensor::from_f32(&device, [c], &far).unwrap(),
        ];
        let running = case.running(&device).unwrap();
        assert_gradient(&inputs, case.seed, |tape, v| {
            batch_norm_relu_max_pool(tape, &v[0], &v[1], &v[2], &running, case.mode.clone())
        });
    }
}

/// As max_pool's own test has it: all equal, and above 0 by beta.
#[test]
fn the_first_of_equals_wins() {
    let device = cpu();
    let one = |value: f32| Tensor::from_f32(&device, [1], &[value]).unwrap();
    let running = Running {
        mean: one(0.0),
        variance: one(1.0),
    };
    let x = Tensor::from_slice(&device, [1, 4, 4, 1], &[1.0; 16]).unwrap();
    let forward = |beta: f32| {
        batch_norm_relu_max_pool::forward(&x, &one(1.0), &one(beta), &running, Mode::Train).unwrap()
    };
    let (y, pooled) = forward(0.5);
    assert_eq!(y.to_vec().unwrap(), [0.5; 4]);
    assert_eq!(pooled.index.to_vec().unwrap(), [4.0, 3.0, 1.0, 0.0]);
    let (y, pooled) = forward(-0.5);
    assert_eq!(y.to_vec().unwrap(), [0.0; 4]);
    assert_eq!(pooled.index.to_vec().unwrap(), [9.0; 4]);
}
