mod groups;

use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Device, Result, Tape, Tensor, Var,
    ops::batch_norm::{self, Mode, Partial, Running, batch_norm},
};

/// Of sums over two thousand rows that nearly cancel, taken in another order.
pub const SUMS: f32 = 1e-4;

/// Inputs of one of the three batch normalisations.
#[derive(Clone, Debug)]
pub struct Case {
    pub rows: usize,
    pub channels: usize,
    pub mode: Mode,
    seed: u64,
}

/// Odd sizes, one row, one channel; rows of whole packs of 8 channels, of one block and of several; and
/// more rows than a chunk holds.
pub fn drawn() -> impl Strategy<Value = Case> {
    let sizes = prop_oneof![
        (1usize..40, 1usize..80),
        (
            1usize..150,
            prop::sample::select(vec![1, 3, 7, 8, 12, 24, 64, 72, 320])
        ),
        (100usize..300, 1usize..9),
        (1000usize..2100, prop::sample::select(vec![1, 2, 64])),
    ];
    let modes = prop_oneof![Just(Mode::Train), Just(Mode::Evaluate)];
    (sizes, modes, 0..u64::MAX / 2).prop_map(|((rows, channels), mode, seed)| Case {
        rows,
        channels,
        mode,
        seed,
    })
}

impl Case {
    pub fn new(rows: usize, channels: usize, mode: Mode) -> Case {
        Case {
            rows,
            channels,
            mode,
            seed: 1,
        }
    }
    /// Number `which` of this case's activations, (rows, channels).
    pub fn real(&self, device: &Device, which: u64) -> Result<Tensor> {
        let values = noise(self.seed ^ which, self.rows * self.channels);
        Tensor::from_slice(device, [self.rows, self.channels], &values)
    }
    /// (channels), f32, centre - 0.5 .. centre + 0.5.
    fn channel(&self, device: &Device, which: u64, centre: f32) -> Result<Tensor> {
        let values = noise(self.seed ^ which, self.channels);
        let values: Vec<f32> = values.iter().map(|v| centre + 0.5 * v).collect();
        Tensor::from_f32(device, [self.channels], &values)
    }
    pub fn gamma(&self, device: &Device) -> Result<Tensor> {
        self.channel(device, 101, 1.0)
    }
    pub fn beta(&self, device: &Device) -> Result<Tensor> {
        self.channel(device, 102, 0.0)
    }
    pub fn running(&self, device: &Device) -> Result<Running> {
        Ok(Running {
            mean: self.channel(device, 103, 0.0)?,
            variance: self.channel(device, 104, 1.0)?,
        })
    }
}

/// The mean and the squared differences of each chunk of rows of x, in f64.
fn partial(x: &Tensor, chunk_rows: usize) -> Result<Partial> {
    let [_, channels] = x.dims_of();
    let values = x.to_vec()?;
    let mut sums = Vec::new();
    for chunk in values.chunks(chunk_rows * channels) {
        let column = |c: usize| chunk.iter().skip(c).step_by(channels).map(|&x| x as f64);
        let n = (chunk.len() / channels) as f64;
        let means: Vec<f64> = (0..channels).map(|c| column(c).sum::<f64>() / n).collect();
        let squares =
            (0..channels).map(|c| column(c).map(|x| (x - means[c]) * (x - means[c])).sum());
        sums.extend(means.iter().copied().chain(squares).map(|v: f64| v as f32));
    }
    let shape = [sums.len() / channels / 2, 2, channels];
    Ok(Partial {
        chunks: Tensor::from_f32(x.device(), shape, &sums)?,
        chunk_rows: chunk_rows as u32,
    })
}

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms(case in drawn()) {
        conform_within(SUMS, 1.0, |device| {
            let (x, dy, running) = (case.real(device, 1)?, case.real(device, 2)?, case.running(device)?);
            let (gamma, beta) = (case.gamma(device)?, case.beta(device)?);
            let (y, norm) = batch_norm::forward(&x, &gamma, &beta, &running, case.mode.clone())?;
            let mut all = vec![y, running.mean, running.variance, norm.statistics.clone()];
            all.extend(batch_norm::backward(&norm, &dy, true)?.into_iter().flatten());
            Ok(all)
        });
    }

    /// Statistics in pieces of any length, as a convolution's tiles have them: many of a row each, or one.
    #[test]
    fn statistics_may_be_given(case in drawn(), chunk_rows in prop_oneof![1usize..5, 1usize..400]) {
        let forward = |device: &Device, given: bool| {
            let (x, running) = (case.real(device, 1)?, case.running(device)?);
            let (gamma, beta) = (case.gamma(device)?, case.beta(device)?);
            let mode = match given {
                true => Mode::Given(partial(&x, chunk_rows)?),
                false => Mode::Train,
            };
            let (y, norm) = batch_norm::forward(&x, &gamma, &beta, &running, mode)?;
            let dx = batch_norm::backward(&norm, &x, true)?.into_iter().flatten();
            Ok([y, running.mean, running.variance, norm.statistics].into_iter().chain(dx).collect())
        };
        conform_within(SUMS, 1.0, |device| forward(device, true));
        let [given, taken] = [true, false].map(|given| -> Vec<Tensor> { forward(&cpu(), given).unwrap() });
        for (given, taken) in given.iter().zip(&taken) {
            assert_close("given", &given.to_vec().unwrap(), &taken.to_vec().unwrap(), SUMS);
        }
    }

    #[test]
    fn gradient(mut case in drawn()) {
        case.rows += 3; // of one row or two, every y is beta or beta plus or minus gamma: a kink
        let device = cpu();
        let inputs = [case.real(&device, 1).unwrap(), case.gamma(&device).unwrap(), case.beta(&device).unwrap()];
        let running = case.running(&device).unwrap();
        assert_gradient(&inputs, case.seed, |tape, v| {
            batch_norm(tape, &v[0], &v[1], &v[2], &running, case.mode.clone())
        });
    }
}

/// Mean 100, deviation 1, against f64: what subtracts large squares gets this wrong. (What is left is the
/// rounding of the mean itself, 4e-6.)
#[test]
fn statistics_and_output_are_right_where_the_mean_dwarfs_the_deviation() {
    let (rows, channels) = (3000, 5);
    let mut x = noise(7, rows * channels);
    x.iter_mut().for_each(|x| *x = 100.0 + 1.75 * *x);
    let device = cpu();
    let of = |value: f32| Tensor::from_f32(&device, [channels], &[value; 5]).unwrap();
    let running = Running {
        mean: of(0.0),
        variance: of(1.0),
    };
    let t = Tensor::from_slice(&device, [30, 10, 10, channels], &x).unwrap();
    let (y, norm) = batch_norm::forward(&t, &of(1.0), &of(0.5), &running, Mode::Train).unwrap();
    let (y, statistics) = (y.to_vec().unwrap(), norm.statistics.to_vec().unwrap());
    let (running_mean, running_variance) = (
        running.mean.to_vec().unwrap(),
        running.variance.to_vec().unwrap(),
    );
    for c in 0..channels {
        let column = || x.iter().skip(c).step_by(channels).map(|&x| x as f64);
        let n = rows as f64;
        let mean = column().sum::<f64>() / n;
        let squares: f64 = column().map(|x| (x - mean) * (x - mean)).sum();
        let inverse = 1.0 / (squares / n + 1e-5).sqrt();
        let found = [
            statistics[c],
            statistics[channels + c],
            running_mean[c],
            running_variance[c],
        ];
        let expected = [mean, inverse, 0.1 * mean, 0.9 + 0.1 * squares / (n - 1.0)];
        assert_close("statistics", &found, &expected.map(|v| v as f32), 1e-6);
        let found: Vec<f32> = y.iter().skip(c).step_by(channels).copied().collect();
        let expected: Vec<f32> = column()
            .map(|x| ((x - mean) * inverse + 0.5) as f32)
            .collect();
        assert_close("output", &found, &expected, 1e-5);
    }
}

/// PyTorch's own numbers: x = 1, 2, 4, 9 in one channel.
#[test]
fn a_small_case_by_hand() {
    let device = cpu();
    let one = |value: f32| Tensor::from_f32(&device, [1], &[value]).unwrap();
    let running = Running {
        mean: one(0.0),
        variance: one(1.0),
    };
    let x = Tensor::from_slice(&device, [4, 1], &[1.0, 2.0, 4.0, 9.0]).unwrap();
    let mut tape = Tape::default();
    let (gamma, beta) = (tape.leaf(&one(2.0)), tape.leaf(&one(1.0)));
    let x = Var::constant(x);
    let y = batch_norm(&mut tape, &x, &gamma, &beta, &running, Mode::Train).unwrap();
    // mean 4, biased variance 9.5, unbiased 38 / 3
    let scale = 2.0 / (9.5f32 + 1e-5).sqrt();
    let expected = [-3.0, -2.0, 0.0, 5.0].map(|x| x * scale + 1.0);
    assert_close("y", &y.value.to_vec().unwrap(), &expected, 1e-6);
    let found = [
        running.mean.item().unwrap(),
        running.variance.item().unwrap(),
    ];
    assert_close("running", &found, &[0.4, 0.9 + 3.8 / 3.0], 1e-6);

    let y = batch_norm(&mut tape, &x, &gamma, &beta, &running, Mode::Evaluate).unwrap();
    let scale = 2.0 / (0.9f32 + 3.8 / 3.0 + 1e-5).sqrt();
    let expected = [1.0, 2.0, 4.0, 9.0].map(|x| (x - 0.4) * scale + 1.0);
    assert_close("y", &y.value.to_vec().unwrap(), &expected, 1e-6);
    assert_eq!(
        running.mean.item().unwrap(),
        found[0],
        "evaluation changes nothing"
    );
}

/// One row has no variance: y is beta, no gradient reaches x, and nothing divides by zero.
#[test]
fn one_row() {
    let device = cpu();
    let of = |value: f32| Tensor::from_f32(&device, [3], &[value; 3]).unwrap();
    let running = Running {
        mean: of(0.0),
        variance: of(1.0),
    };
    let x = Tensor::from_slice(&device, [1, 3], &[5.0, -1.0, 0.0]).unwrap();
    let (y, norm) = batch_norm::forward(&x, &of(2.0), &of(0.25), &running, Mode::Train).unwrap();
    assert_eq!(y.to_vec().unwrap(), [0.25; 3]);
    assert_eq!(running.variance.to_vec().unwrap(), [0.9; 3]);
    let dx = &batch_norm::backward(&norm, &x, true).unwrap()[0];
    assert_eq!(dx.as_ref().unwrap().to_vec().unwrap(), [0.0; 3]);
}
