use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Device, Tape, Tensor, Var,
    ops::{
        self,
        matmul::Transpose::{No, Yes},
        sinkhorn::{Assignment, sinkhorn},
    },
};

const SWAV: Assignment = Assignment {
    epsilon: 0.05,
    iterations: 3,
    hard: false,
};

/// Samples, prototypes, codes asked for, and cosines that bf16 holds: past a chunk of rows and a pack of
/// columns, and down to one of each; whole packs in half of the cases.
fn problems() -> impl Strategy<Value = (usize, usize, usize, Vec<f32>)> {
    let prototypes = prop_oneof![1usize..70, (1usize..9).prop_map(|packs| 8 * packs)];
    (1usize..40, prototypes)
        .prop_flat_map(|(n, k)| (Just(n), Just(k), 1..=n, any::<u32>()))
        .prop_map(|(n, k, rows, seed)| (n, k, rows, noise(seed as u64, n * k)))
}

fn assignments() -> impl Strategy<Value = Assignment> {
    (0u32..5, prop_oneof![Just(0.05f32), Just(0.03), Just(0.5)]).prop_map(
        |(iterations, epsilon)| Assignment {
            epsilon,
            iterations,
            hard: false,
        },
    )
}

fn codes_on(device: &Device, n: usize, scores: &[f32], rows: usize, how: &Assignment) -> Vec<f32> {
    let scores = Tensor::from_slice(device, [n, scores.len() / n], scores).unwrap();
    sinkhorn(&scores, rows, how).unwrap().to_vec().unwrap()
}

/// `distributed_sinkhorn` of SwAV's own code, step by step, in f64: q (rows, prototypes).
fn reference(n: usize, scores: &[f32], rows: usize, how: &Assignment) -> Vec<f32> {
    let k = scores.len() / n;
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp = |s: &f32| ((s - most) as f64 / how.epsilon as f64).exp();
    let mut q: Vec<f64> = scores.iter().map(exp).collect();
    let all: f64 = q.iter().sum();
    q.iter_mut().for_each(|q| *q /= all);
    for _ in 0..how.iterations {
        for column in 0..k {
            let sum: f64 = q.iter().skip(column).step_by(k).sum();
            let column = q.iter_mut().skip(column).step_by(k);
            column.for_each(|q| *q /= sum * k as f64);
        }
        for sample in q.chunks_mut(k) {
            let sum: f64 = sample.iter().sum();
            sample.iter_mut().for_each(|q| *q /= sum * n as f64);
        }
    }
    q[(n - rows) * k..]
        .iter()
        .map(|q| (q * n as f64) as f32)
        .collect()
}

fn column_sums(codes: &[f32], k: usize) -> Vec<f32> {
    (0..k)
        .map(|column| codes.iter().skip(column).step_by(k).sum())
        .collect()
}

proptest! {
    #![proptest_config(cases(16))]
    /// Scores are the same on every device and all else is f32: no bf16 in it.
    #[test]
    fn conforms((n, k, rows, scores) in problems(), how in assignments()) {
        conform_within(1e-4, 0.0128, |device| {
            let scores = Tensor::from_slice(device, [n, k], &scores)?;
            Ok(vec![sinkhorn(&scores, rows, &how)?])
        });
    }

    #[test]
    fn is_distributed_sinkhorn((n, _, rows, scores) in problems(), iterations in 1u32..5) {
        for epsilon in [0.03, 0.05, 0.5] {
            let how = Assignment { epsilon, iterations, hard: false };
            let found = codes_on(&cpu(), n, &scores, rows, &how);
            assert_close("codes", &found, &reference(n, &scores, rows, &how), 1e-4);
        }
    }

    #[test]
    fn no_rounds_are_the_softmax_of_each_sample((n, k, rows, scores) in problems()) {
        let found = codes_on(&cpu(), n, &scores, rows, &Assignment { iterations: 0, ..SWAV });
        for (found, s) in found.chunks(k).zip(scores.chunks(k).skip(n - rows)) {
            let exp: Vec<f64> = s.iter().map(|&s| (s as f64 / 0.05).exp()).collect();
            let sum: f64 = exp.iter().sum();
            let expected: Vec<f32> = exp.iter().map(|e| (e / sum) as f32).collect();
            assert_close("softmax", found, &expected, 1e-5);
        }
    }

    /// As many samples to each prototype, one prototype to each sample; and another round changes nothing.
    #[test]
    fn in_the_end_shares_are_equal((n, k, _, scores) in problems()) {
        let how = Assignment { epsilon: 0.5, iterations: 60, hard: false };
        let codes = codes_on(&cpu(), n, &scores, n, &how);
        let share = n as f32 / k as f32;
        assert_close("prototypes", &column_sums(&codes, k), &vec![share; k], 1e-4);
        let samples: Vec<f32> = codes.chunks(k).map(|q| q.iter().sum()).collect();
        assert_close("samples", &samples, &vec![1.0; n], 1e-5);
        let once_more = codes_on(&cpu(), n, &scores, n, &Assignment { iterations: 61, ..how });
        assert_close("a fixed point", &once_more, &codes, 1e-5);
    }

    #[test]
    fn hard_codes_are_the_largest((n, k, rows, scores) in problems(), how in assignments()) {
        for device in devices() {
            let soft = codes_on(&device, n, &scores, rows, &how);
            let hard = codes_on(&device, n, &scores, rows, &Assignment { hard: true, ..how });
            for (soft, hard) in soft.chunks(k).zip(hard.chunks(k)) {
                let ones: Vec<usize> = (0..k).filter(|&at| hard[at] == 1.0).collect();
                prop_assert_eq!(ones.len(), 1);
                prop_assert!(hard.iter().sum::<f32>() == 1.0);
                let largest = soft.iter().copied().fold(0.0, f32::max);
                prop_assert!(soft[ones[0]] >= largest - 1e-5, "{} of {largest}", soft[ones[0]]);
            }
        }
    }
}

/// Every shift of one row: balanced as it stands, so that no round changes it.
#[test]
fn what_is_balanced_stays() {
    let k = 12;
    let row = noise(4, k);
    let scores: Vec<f32> = (0..k * k).map(|at| row[(at / k + at) % k]).collect();
    let plain = codes_on(
        &cpu(),
        k,
        &scores,
        k,
        &Assignment {
            iterations: 0,
            ..SWAV
        },
    );
    for iterations in [1, 2, 10] {
        let how = Assignment { iterations, ..SWAV };
        assert_close(
            "codes",
            &codes_on(&cpu(), k, &scores, k, &how),
            &plain,
            1e-5,
        );
    }
}

/// All samples at one prototype and opposite to the others; all at every prototype; all opposite to every one.
/// Every code is a number, and every sample's add up to one.
#[test]
fn the_farthest_cosines_are_finite() {
    for k in [8, 13] {
        let near: Vec<f32> = (0..20 * k)
            .map(|at| if at % k == 3 { 1.0 } else { -1.0 })
            .collect();
        for device in devices() {
            for scores in [near.clone(), vec![1.0; 20 * k], vec![-1.0; 20 * k]] {
                for iterations in [0, 1, 3, 50] {
                    let how = Assignment {
                        epsilon: 0.03,
                        iterations,
                        hard: false,
                    };
                    let codes = codes_on(&device, 20, &scores, 20, &how);
                    for q in codes.chunks(k) {
                        let sum: f32 = q.iter().sum();
                        assert!(
                            (sum - 1.0).abs() < 1e-4,
                            "{} at {iterations}: {q:?}",
                            device.name()
                        );
                    }
                }
            }
        }
    }
}

/// Embeddings that were never normalised cost no NaN.
#[test]
fn scores_that_are_no_cosines() {
    let scores: Vec<f32> = noise(8, 30 * 11).iter().map(|s| s * 512.0).collect();
    for device in devices() {
        let codes = codes_on(&device, 30, &scores, 30, &SWAV);
        assert!(codes.iter().all(|q| q.is_finite()), "{}", device.name());
    }
}

/// Of equal prototypes, the first.
#[test]
fn ties_go_to_the_first() {
    let (n, k) = (9, 21);
    let mut scores = noise(2, n * k);
    for s in scores.chunks_mut(k) {
        [s[5], s[12], s[20]] = [1.0; 3];
    }
    for device in devices() {
        for iterations in [0, 3] {
            let how = Assignment {
                iterations,
                hard: true,
                ..SWAV
            };
            for q in codes_on(&device, n, &scores, n, &how).chunks(k) {
                let best = q.iter().position(|&q| q == 1.0).unwrap();
                let same = [12, 20].contains(&best);
                assert!(!same, "{}: {best}, where 5 is as large", device.name());
            }
        }
    }
}

/// As many prototypes as a block of the fused kernel holds, and more; chunks of more rows than four, and more
/// chunks than threads that add them up.
#[test]
fn many_prototypes_and_many_samples() {
    for (n, k) in [(6, 8192), (6, 8200), (6, 8201), (2200, 9)] {
        let scores = noise(k as u64, n * k);
        conform_within(1e-4, 0.0128, |device| {
            let scores = Tensor::from_slice(device, [n, k], &scores)?;
            Ok(vec![sinkhorn(&scores, 2, &SWAV)?])
        });
        let found = codes_on(&cpu(), n, &scores, 2, &SWAV);
        let expected = reference(n, &scores, 2, &SWAV);
        assert_close("codes", &found, &expected, 1e-4);
    }
}

/// Row `row`, number `column` of a matrix of the golden values, before its rows are normalised.
fn golden(rows: usize, value: impl Fn(f64, f64) -> f64) -> Tensor {
    let at = |i: usize| value((i / 6) as f64, (i % 6) as f64) as f32;
    let values: Vec<f32> = (0..6 * rows).map(at).collect();
    let x = Tensor::from_slice(&cpu(), [rows, 6], &values).unwrap();
    let x = Var::constant(x);
    ops::l2_normalize(&mut Tape::default(), &x).unwrap().value
}

/// SwAV's own `distributed_sinkhorn` in f64: X1[i, j] = sin(.7i + .3j + .1) and five prototypes C[p, j] =
/// cos(1.1p - .6j + .3), rows of length one.
#[test]
fn golden_values() {
    let x1 = golden(4, |i, j| (0.7 * i + 0.3 * j + 0.1).sin());
    let c = golden(5, |p, j| (1.1 * p - 0.6 * j + 0.3).cos());
    let scores = ops::matmul::forward(&x1, &c, No, Yes).unwrap();
    let s1 = [-0.1423702, 0.7541413, 0.7673504, 0.01026259, -0.8343237];
    assert_close("s1[0]", &scores.to_vec().unwrap()[..5], &s1, 1e-6);

    let q = sinkhorn(&scores, 4, &SWAV).unwrap().to_vec().unwrap();
    let q1 = [0.0, 0.00132575, 0.4946862, 0.5039847, 0.00000336];
    assert_close("q1[0]", &q[..5], &q1, 1e-5);
    let sums = [0.538603, 1.906633, 0.536998, 0.511248, 0.506518];
    assert_close("sums", &column_sums(&q, 5), &sums, 1e-5);

    let hard = Assignment { hard: true, ..SWAV };
    let q = sinkhorn(&scores, 4, &hard).unwrap().to_vec().unwrap();
    let best = q
        .chunks(5)
        .map(|q| q.iter().position(|&q| q == 1.0).unwrap());
    assert_eq!(best.collect::<Vec<_>>(), [3, 1, 1, 4]);
}
