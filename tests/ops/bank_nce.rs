use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Device, Result, Tape, Tensor, Var,
    ops::{
        self,
        bank_nce::{self, Candidates, Form, bank_nce},
    },
};

/// Rows of length 1.
fn unit(values: &[f32], d: usize) -> Vec<f32> {
    let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
    let rows = values.chunks(d).map(|row| (row, length(row)));
    rows.flat_map(|(row, length)| row.iter().map(move |x| x / length))
        .collect()
}

/// n, K, images, d, and what the rest is drawn from.
#[derive(Clone, Debug)]
struct Problem {
    n: usize,
    count: usize,
    images: usize,
    d: usize,
    seed: u64,
}

impl Problem {
    fn v(&self, device: &Device) -> Result<Tensor> {
        let v: Vec<f32> = noise(self.seed, self.n * self.d);
        Tensor::from_slice(device, [self.n, self.d], &v)
    }
    fn candidates(&self, device: &Device) -> Result<Candidates> {
        let bank = unit(&noise(self.seed ^ 1, self.images * self.d), self.d);
        let positives: Vec<u32> = (0..self.n).map(|i| (i * 5 % self.images) as u32).collect();
        let step = Tensor::from_u32(device, [1], &[3])?;
        Ok(Candidates {
            bank: Tensor::from_f32(device, [self.images, self.d], &bank)?,
            positives: Tensor::from_u32(device, [self.n], &positives)?,
            negatives: ops::draw_negatives(self.seed, &step, [self.n, self.count], self.images)?,
        })
    }
}

/// One negative, tails of every kind, several blocks of columns and of d; d with packs of four and without.
fn problems() -> impl Strategy<Value = Problem> {
    let count = prop_oneof![1usize..80, 500usize..540, 1020usize..1030];
    let d = prop_oneof![
        1usize..12,
        (1usize..40).prop_map(|n| 4 * n),
        Just(128usize),
        125usize..140
    ];
    (1usize..4, count, 1usize..50, d, 0..u64::MAX / 2).prop_map(|(n, count, images, d, seed)| {
        Problem {
            n,
            count,
            images,
            d,
            seed,
        }
    })
}

fn nce(device: &Device, z: f32) -> Result<Form> {
    Ok(Form::Nce {
        constant: Tensor::from_f32(device, [1], &[z])?,
    })
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn conforms(problem in problems(), softmax: bool, first: bool, temperature in 0.05f32..1.0) {
        // A vector of one dimension has no gradient: it is what is left of sums of hundreds.
        let tolerance = if problem.d == 1 { 1e-3 } else { 5e-5 };
        conform_within(tolerance, 1.0, |device| {
            let (v, among) = (problem.v(device)?, problem.candidates(device)?);
            let form = match softmax {
                true => Form::Softmax,
                false => nce(device, if first { 0.0 } else { 50.0 })?,
            };
            let dy = Tensor::from_f32(device, [1], &[1.5])?;
            let kept = bank_nce::forward(&v, &among, &form, temperature)?;
            let dv = bank_nce::backward(&v, &among, &form, temperature, &kept, &dy)?;
            let mut found = vec![kept.loss, kept.inv_norm, kept.scores, dv];
            found.extend(kept.lse);
            if let Form::Nce { constant } = form {
                found.push(constant);
            }
            Ok(found)
        });
    }

    #[test]
    fn gradient(problem in problems(), softmax: bool, temperature in 0.2f32..1.0) {
        let (v, among) = (problem.v(&cpu()).unwrap(), problem.candidates(&cpu()).unwrap());
        let form = if softmax { Form::Softmax } else { nce(&cpu(), 50.0).unwrap() };
        assert_gradient_with(1e-3, &[v], problem.seed, |tape, v| {
            bank_nce(tape, &v[0], &among, &form, temperature)
        });
    }

    /// Softmax over gathered rows, row by row: `l2_normalize`, `linear`, `cross_entropy`.
    #[test]
    fn softmax_is_its_composition(problem in problems(), temperature in 0.1f32..1.0) {
        let Problem { n, d, count, .. } = problem;
        let (v, among) = (problem.v(&cpu()).unwrap(), problem.candidates(&cpu()).unwrap());
        let bank = among.bank.to_vec().unwrap();
        let (positives, negatives) = (among.positives.to_u32().unwrap(), among.negatives.to_u32().unwrap());
        let target = Tensor::from_u32(&cpu(), [1], &[0]).unwrap();
        let (mut loss, mut dv) = (0.0, Vec::new());
        for (row, &positive) in positives.iter().enumerate() {
            let images = [positive].into_iter().chain(negatives[row * count..][..count].iter().copied());
            let gathered: Vec<f32> = images
                .flat_map(|image| bank[image as usize * d..][..d].iter().map(|m| m / temperature))
                .collect();
            let gathered = Tensor::from_slice(&cpu(), [count + 1, d], &gathered).unwrap();
            let mut tape = Tape::default();
            let v = tape.leaf(&v.rows(row, 1));
            let unit = ops::l2_normalize(&mut tape, &v).unwrap();
            let logits = ops::linear(&mut tape, &unit, &Var::constant(gathered)).unwrap();
            let y = ops::cross_entropy(&mut tape, &logits, &target).unwrap();
            loss += y.value.item().unwrap() / n as f32;
            let d = tape.backward(&y).unwrap().take(&v).unwrap().to_vec().unwrap();
            dv.extend(d.iter().map(|d| d / n as f32));
        }
        let (found, gradient) = both_ways(&v, &among, &Form::Softmax, temperature);
        assert_close("loss", &[found], &[loss], 1e-5);
        assert_close("gradient", &gradient, &dv, 1e-4);
    }

    /// The formula as it is written, in f64.
    #[test]
    fn nce_is_its_formula(problem in problems(), temperature in 0.1f32..1.0) {
        let (v, among) = (problem.v(&cpu()).unwrap(), problem.candidates(&cpu()).unwrap());
        let form = nce(&cpu(), 0.0).unwrap();
        let kept = bank_nce::forward(&v, &among, &form, temperature).unwrap();
        let scores = kept.scores.to_vec().unwrap();
        let exps: Vec<f64> = scores.iter().map(|&s| (s as f64 / temperature as f64).exp()).collect();
        let z = problem.images as f64 * exps.iter().sum::<f64>() / exps.len() as f64;
        let c = problem.count as f64 / problem.images as f64;
        let term = |(k, exp): (usize, &f64)| {
            let x = exp / z;
            -if k == 0 { x / (x + c + EPSILON) } else { c / (x + c + EPSILON) }.ln()
        };
        let rows = exps.chunks(problem.count + 1);
        let sum: f64 = rows.flat_map(|row| row.iter().enumerate().map(term)).sum();
        assert_close("loss", &[kept.loss.item().unwrap()], &[(sum / problem.n as f64) as f32], 1e-5);
        let Form::Nce { constant } = form else { unreachable!() };
        assert_close("Z", &[constant.item().unwrap()], &[z as f32], 1e-5);
    }
}

const EPSILON: f64 = 1.1920929e-7;

/// The loss, and v's gradient.
fn both_ways(v: &Tensor, among: &Candidates, form: &Form, temperature: f32) -> (f32, Vec<f32>) {
    let mut tape = Tape::default();
    let v = tape.leaf(v);
    let loss = bank_nce(&mut tape, &v, among, form, temperature).unwrap();
    let value = loss.value.item().unwrap();
    let dv = tape.backward(&loss).unwrap().take(&v).unwrap();
    (value, dv.to_vec().unwrap())
}

/// Four samples of six numbers: an image, and its patches.
fn golden_views() -> [Tensor; 2] {
    let x = |(i, j): (f64, f64)| (0.7 * i + 0.3 * j + 0.1).sin();
    let moved =
        |(i, j): (f64, f64)| (0.7 * i + 0.3 * j + 0.1 + 0.2 * (1.3 * i + 0.5 * j).cos()).sin();
    let at = |k: usize| ((k / 6) as f64, (k % 6) as f64);
    let image: Vec<f32> = (0..24).map(|k| x(at(k)) as f32).collect();
    let patches: Vec<f32> = (0..24).map(|k| moved(at(k)) as f32).collect();
    [image, patches].map(|x| Tensor::from_slice(&cpu(), [4, 6], &x).unwrap())
}

/// A bank of eight rows; sample i is row i, its negatives (i + 1 + 3 k) mod 8.
fn golden_candidates() -> Candidates {
    let bank: Vec<f32> = (0..48)
        .map(|k| (0.9 * (k / 6) as f64 + 0.4 * (k % 6) as f64 + 0.2).cos() as f32)
        .collect();
    let negatives: Vec<u32> = (0..12).map(|at| (at / 3 + 1 + 3 * (at % 3)) % 8).collect();
    Candidates {
        bank: Tensor::from_f32(&cpu(), [8, 6], &unit(&bank, 6)).unwrap(),
        positives: Tensor::from_u32(&cpu(), [4], &[0, 1, 2, 3]).unwrap(),
        negatives: Tensor::from_u32(&cpu(), [4, 3], &negatives).unwrap(),
    }
}

/// PIRL's two terms: the patches' comes first and fixes Z for both.
#[test]
fn pirl_nce_golden() {
    let ([image, patches], among) = (golden_views(), golden_candidates());
    for (temperature, z, expected) in [
        (0.07, 1304721.7538773292, [21.2010286519, 21.9929520450]),
        (0.5, 15.1149628466, [3.7463701126, 3.8445043113f64]),
    ] {
        let form = nce(&cpu(), 0.0).unwrap();
        let found = [&patches, &image].map(|v| both_ways(v, &among, &form, temperature).0);
        assert_close("losses", &found, &expected.map(|loss| loss as f32), 3e-6);
        let Form::Nce { constant } = form else {
            unreachable!()
        };
        assert_close("Z", &[constant.item().unwrap()], &[z as f32], 1e-5);
    }
}

#[test]
fn pirl_softmax_golden() {
    let ([image, patches], among) = (golden_views(), golden_candidates());
    for (temperature, expected) in [(0.07, 19.6391865499f64), (0.1, 13.7645211663)] {
        let [a, b] =
            [&patches, &image].map(|v| both_ways(v, &among, &Form::Softmax, temperature).0);
        assert_close("loss", &[0.5 * (a + b)], &[expected as f32], 3e-6);
    }
}

/// Z is kept once it is set, whatever scores come later.
#[test]
fn the_constant_is_set_once() {
    let ([image, patches], among) = (golden_views(), golden_candidates());
    for device in devices() {
        let on = |t: &Tensor| Tensor::from_f32(&device, t.shape().clone(), &t.to_vec().unwrap());
        let ids = |t: &Tensor| Tensor::from_u32(&device, t.shape().clone(), &t.to_u32().unwrap());
        let among = Candidates {
            bank: on(&among.bank).unwrap(),
            positives: ids(&among.positives).unwrap(),
            negatives: ids(&among.negatives).unwrap(),
        };
        let constant = Tensor::from_f32(&device, [1], &[0.0]).unwrap();
        let form = Form::Nce {
            constant: constant.clone(),
        };
        let after = |v: &Tensor| {
            let v = Tensor::from_slice(&device, [4, 6], &v.to_vec().unwrap()).unwrap();
            bank_nce::forward(&v, &among, &form, 0.5).unwrap();
            constant.item().unwrap()
        };
        let first = after(&patches);
        assert!((first - 15.11496).abs() < 0.1, "{first}");
        assert_eq!(after(&image), first);
    }
}

/// A row of zeros has scores of zero and a gradient that is finite.
#[test]
fn zeros_are_no_division_by_zero() {
    let among = golden_candidates();
    let v = Tensor::from_slice(&cpu(), [4, 6], &[0.0; 24]).unwrap();
    let (loss, dv) = both_ways(&v, &among, &Form::Softmax, 0.5);
    assert!((loss - 4f32.ln()).abs() < 1e-6, "{loss}");
    assert!(dv.iter().all(|d| d.is_finite()));
}
