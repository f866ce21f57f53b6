use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Device, Tape, Tensor, Var, ops,
    ops::{
        cross_entropy,
        sinkhorn::{self, Assignment, sinkhorn},
        swapped_prediction::{self, swapped_prediction},
    },
};

/// V crops of b images, K prototypes, with scores and with codes that need not add up to 1.
#[derive(Clone, Debug)]
struct Problem {
    crops: usize,
    batch: usize,
    prototypes: usize,
    scores: Vec<f32>,
    codes: Vec<f32>,
}

fn problems() -> impl Strategy<Value = Problem> {
    let prototypes = prop_oneof![1usize..70, (1usize..40).prop_map(|packs| 8 * packs)];
    let crops = prop_oneof![Just(2usize), Just(3), Just(8)];
    (crops, 1usize..6, prototypes, any::<u32>()).prop_map(|(crops, batch, prototypes, seed)| {
        let codes = noise(seed as u64 + 1, 2 * batch * prototypes);
        Problem {
            crops,
            batch,
            prototypes,
            scores: noise(seed as u64, crops * batch * prototypes),
            codes: codes.iter().map(|q| q.abs()).collect(),
        }
    })
}

impl Problem {
    fn scores_on(&self, device: &Device) -> Tensor {
        let shape = [self.crops * self.batch, self.prototypes];
        Tensor::from_slice(device, shape, &self.scores).unwrap()
    }
    fn codes_on(&self, device: &Device) -> Tensor {
        Tensor::from_f32(device, [2 * self.batch, self.prototypes], &self.codes).unwrap()
    }
    /// Crop `crop` of image `image`: its scores over the temperature.
    fn logits(&self, crop: usize, image: usize, temperature: f32) -> Vec<f64> {
        let row = (crop * self.batch + image) * self.prototypes;
        let scores = &self.scores[row..][..self.prototypes];
        scores
            .iter()
            .map(|&s| s as f64 / temperature as f64)
            .collect()
    }
    fn code(&self, crop: usize, image: usize) -> &[f32] {
        &self.codes[(crop * self.batch + image) * self.prototypes..][..self.prototypes]
    }
    /// The loss, term by term as main_swav.py adds them up, and its gradient, in f64.
    fn reference(&self, temperature: f32) -> (f64, Vec<f32>) {
        let scale = 1.0 / (2 * (self.crops - 1) * self.batch) as f64;
        let (mut loss, mut gradient) = (0.0, vec![0.0; self.scores.len()]);
        for a in 0..2 {
            for v in (0..self.crops).filter(|&v| v != a) {
                for image in 0..self.batch {
                    let (s, q) = (self.logits(v, image, temperature), self.code(a, image));
                    let lse = s.iter().map(|s| s.exp()).sum::<f64>().ln();
                    let weight: f64 = q.iter().map(|&q| q as f64).sum();
                    let row = (v * self.batch + image) * self.prototypes;
                    for (k, (s, &q)) in s.iter().zip(q).enumerate() {
                        loss -= scale * q as f64 * (s - lse);
                        let d = weight * (s - lse).exp() - q as f64;
                        gradient[row + k] += scale / temperature as f64 * d;
                    }
                }
            }
        }
        (loss, gradient.iter().map(|&g| g as f32).collect())
    }
}

fn loss_and_gradient(scores: &Tensor, codes: &Tensor, temperature: f32) -> (f32, Vec<f32>) {
    let mut tape = Tape::default();
    let scores = tape.leaf(scores);
    let loss = swapped_prediction(&mut tape, &scores, codes, temperature).unwrap();
    let value = loss.value.item().unwrap();
    let dscores = tape.backward(&loss).unwrap().take(&scores).unwrap();
    (value, dscores.to_vec().unwrap())
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn conforms(problem in problems()) {
        conform_within(2e-5, 1.0, |device| {
            let (scores, codes) = (problem.scores_on(device), problem.codes_on(device));
            let dy = Tensor::from_f32(device, [1], &[1.5])?;
            let kept = swapped_prediction::forward(&scores, &codes, 0.1)?;
            let dscores = swapped_prediction::backward(&scores, &codes, &kept, &dy, 0.1)?;
            Ok(vec![kept.loss, kept.lse, kept.weight, dscores])
        });
    }

    #[test]
    fn matches_the_definition(problem in problems()) {
        for temperature in [0.1, 1.0] {
            let (scores, codes) = (problem.scores_on(&cpu()), problem.codes_on(&cpu()));
            let (loss, gradient) = loss_and_gradient(&scores, &codes, temperature);
            let (expected, expected_gradient) = problem.reference(temperature);
            assert_close("loss", &[loss], &[expected as f32], 1e-5);
            assert_close("gradient", &gradient, &expected_gradient, 1e-5);
        }
    }

    /// With one-hot codes, the mean of cross-entropies of crops with one another's classes.
    #[test]
    fn is_a_mean_of_cross_entropies(mut problem in problems()) {
        let (b, k) = (problem.batch, problem.prototypes);
        let classes: Vec<u32> = (0..2 * b).map(|row| (row * 5 % k) as u32).collect();
        problem.codes.fill(0.0);
        for (code, &class) in problem.codes.chunks_mut(k).zip(&classes) {
            code[class as usize] = 1.0;
        }
        let mut sum = 0.0;
        for a in 0..2 {
            let classes = Tensor::from_u32(&cpu(), [b], &classes[a * b..][..b]).unwrap();
            for v in (0..problem.crops).filter(|&v| v != a) {
                let logits: Vec<f32> = problem.scores[v * b * k..][..b * k].iter().map(|s| s / 0.1).collect();
                let logits = Tensor::from_slice(&cpu(), [b, k], &logits).unwrap();
                sum += cross_entropy::forward(&logits, &classes).unwrap().0.item().unwrap();
            }
        }
        let expected = sum / (2 * (problem.crops - 1)) as f32;
        let (loss, _) = loss_and_gradient(&problem.scores_on(&cpu()), &problem.codes_on(&cpu()), 0.1);
        assert_close("loss", &[loss], &[expected], 1e-5);
    }

    #[test]
    fn gradient(problem in problems(), seed in 0u64..1 << 40) {
        let codes = problem.codes_on(&cpu());
        assert_gradient(&[problem.scores_on(&cpu())], seed, |tape, v| {
            swapped_prediction(tape, &v[0], &codes, 0.5)
        });
    }
}

/// A crop is not asked for its own codes: with two crops, whatever crop 0's scores are, codes of crop 0 alone
/// move crop 1 alone.
#[test]
fn no_crop_tells_its_own_codes() {
    let (b, k) = (3, 10);
    let scores = Tensor::from_slice(&cpu(), [2 * b, k], &noise(1, 2 * b * k)).unwrap();
    let mut codes: Vec<f32> = noise(2, 2 * b * k).iter().map(|q| q.abs()).collect();
    codes[b * k..].fill(0.0);
    let codes = Tensor::from_f32(&cpu(), [2 * b, k], &codes).unwrap();
    let (_, gradient) = loss_and_gradient(&scores, &codes, 0.1);
    assert!(gradient[..b * k].iter().all(|&d| d == 0.0));
    assert!(gradient[b * k..].iter().all(|&d| d != 0.0));
}

/// Scores that tell nothing cost log K, where SwAV's loss begins.
#[test]
fn equal_scores_cost_the_logarithm_of_their_number() {
    let (b, k) = (4, 3000);
    let scores = Tensor::from_slice(&cpu(), [8 * b, k], &vec![0.25; 8 * b * k]).unwrap();
    let how = Assignment {
        epsilon: 0.05,
        iterations: 3,
        hard: false,
    };
    let codes = sinkhorn(&scores.rows(0, 2 * b), 2 * b, &how).unwrap();
    let (loss, _) = loss_and_gradient(&scores, &codes, 0.1);
    assert!((loss - 3000f32.ln()).abs() < 1e-4, "{loss}");
}

/// SwAV's loss of two crops in f64, from X1[i, j] = sin(.7i + .3j + .1), X2[i, j] = sin(.7i + .3j + .1 +
/// .2 cos(1.3i + .5j)) and prototypes C[p, j] = cos(1.1p - .6j + .3), rows of length one.
#[test]
fn golden_values() {
    let values = |rows: usize, value: &dyn Fn(f64, f64) -> f64| {
        let at = |i: usize| value((i / 6) as f64, (i % 6) as f64) as f32;
        (0..6 * rows).map(at).collect::<Vec<f32>>()
    };
    let x = |moved: f64| {
        values(4, &|i, j| {
            (0.7 * i + 0.3 * j + 0.1 + moved * (1.3 * i + 0.5 * j).cos()).sin()
        })
    };
    let x = Tensor::from_slice(&cpu(), [8, 6], &[x(0.0), x(0.2)].concat()).unwrap();
    let c = values(5, &|p, j| (1.1 * p - 0.6 * j + 0.3).cos());
    let c = Tensor::from_f32(&cpu(), [5, 6], &c).unwrap();
    ops::normalize_rows(&c, None).unwrap();

    let mut tape = Tape::default();
    let x = tape.leaf(&x);
    let z = ops::l2_normalize(&mut tape, &x).unwrap();
    let scores = ops::linear(&mut tape, &z, &Var::constant(c.as_real())).unwrap();
    let how = Assignment {
        epsilon: 0.05,
        iterations: 3,
        hard: false,
    };
    let codes = Tensor::from_f32(&cpu(), [8, 5], &[f32::NAN; 40]).unwrap();
    for crop in [0, 4] {
        sinkhorn::write(&scores.value.rows(crop, 4), &codes.rows(crop, 4), &how).unwrap();
    }
    let loss = swapped_prediction(&mut tape, &scores, &codes, 0.1).unwrap();
    let value = loss.value.item().unwrap() as f64;
    assert!((value - 3.1763628031).abs() < 2e-5, "{value}");
    let dx = tape
        .backward(&loss)
        .unwrap()
        .take(&x)
        .unwrap()
        .to_vec()
        .unwrap();
    let expected = [
        0.1831761,
        0.2760933,
        0.2569032,
        0.12206283,
        -0.08925646,
        -0.3081444,
    ];
    assert_close("dX1[0]", &dx[..6], &expected, 1e-5);
}
