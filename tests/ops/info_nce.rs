mod definition;

use crate::check::*;
use definition::{Case, Reference, reference};
use proptest::prelude::*;
use selfsame::{
    Device, Tape, Tensor, Var,
    device::{Arch, Real},
    ops::{
        self,
        info_nce::{self, info_nce},
    },
    tensor::Element,
};

/// Past one tile each way, and down to one row, one negative, one number.
fn any_case() -> impl Strategy<Value = Case> {
    let sizes = prop_oneof![
        (1usize..6, 1usize..9, 1usize..9),
        (20usize..45, 50usize..200, 1usize..40),
        (1usize..4, 60usize..70, 120usize..140),
    ];
    (sizes, any::<u32>(), any::<bool>()).prop_map(|((rows, count, d), seed, trained)| {
        Case::new(rows, count, d, seed as u64, trained)
    })
}

/// What tensor cores take: d a multiple of 8, for each of their three kernels; up to three blocks of rows
/// and five stages, the last of them not full.
fn for_tensor_cores() -> impl Strategy<Value = Case> {
    let rows = prop_oneof![1usize..6, 60usize..80, 120usize..200];
    let count = prop_oneof![1usize..6, 60usize..70, 120usize..300];
    let eighths = prop_oneof![1usize..=8, 9usize..=16, 17usize..=32];
    let sizes = (rows, count, eighths);
    (sizes, any::<u32>(), any::<bool>()).prop_map(|((rows, count, eighths), seed, trained)| {
        Case::new(rows, count, 8 * eighths, seed as u64, trained)
    })
}

fn loss_and_gradients([q, k, negatives]: &[Tensor; 3], temperature: f32) -> (f32, [Vec<f32>; 2]) {
    let mut tape = Tape::default();
    let (q, k) = (tape.leaf(q), tape.leaf(k));
    let loss = info_nce(&mut tape, &q, &k, negatives, temperature).unwrap();
    let mut gradients = tape.backward(&loss).unwrap();
    let gradients = [&q, &k].map(|x| gradients.take(x).unwrap().to_vec().unwrap());
    (loss.value.item().unwrap(), gradients)
}

/// The loss is f32 throughout, as rows are multiplied as they are stored. dq is a sum of P_ij m_j, where tensor
/// cores take P rounded to bf16: 2^-8 of each term at most; the same again for bf16's rounding of the
/// gradient itself.
#[track_caller]
fn assert_defined(device: &Device, loss: f32, gradients: &[Vec<f32>; 2], expected: &Reference) {
    let what = format!("{} ({})", device.name(), device.real().name());
    let error = (loss as f64 - expected.loss).abs();
    let allowed = 1e-4 * (1.0 + expected.loss.abs());
    assert!(
        error <= allowed,
        "{what}: loss {loss}, expected {}",
        expected.loss
    );
    let rounding = match device.real() {
        Real::F32 => 1e-4,
        Real::Bf16 => 2f64.powi(-7),
    };
    for (input, found) in ["dq", "dk"].into_iter().zip(gradients).enumerate() {
        let ((name, found), (expected, sizes)) =
            (found, (&expected.gradients[input], &expected.sizes[input]));
        assert_eq!(found.len(), expected.len(), "{what}, {name}");
        for (at, (&found, &size)) in found.iter().zip(sizes).enumerate() {
            let expected = expected[at];
            assert!(
                (found as f64 - expected).abs() <= rounding * size,
                "{what}, {name}, element {at}: {found}, expected {expected}, of terms that are {size} in all"
            );
        }
    }
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn tensor_cores_do_as_defined(
        case in for_tensor_cores(), temperature in 0.05f32..1.0, stages in 1u32..4,
    ) {
        let expected = reference(&case, temperature as f64);
        for device in devices() {
            let [q, k, negatives] = case.on(&device);
            let dy = Tensor::from_f32(&device, [1], &[1.0]).unwrap();
            let run = || {
                let kept = info_nce::forward_in(&q, &k, &negatives, temperature, 64 * stages).unwrap();
                let gradients = [kept.backward_q(&dy), kept.backward_k(&dy)];
                let gradients = gradients.map(|dx| dx.unwrap().to_vec().unwrap());
                (kept.loss.item().unwrap(), gradients)
            };
            let (loss, gradients) = run();
            assert_defined(&device, loss, &gradients, &expected);
            if device.real() == Real::Bf16 {
                prop_assert!((loss, gradients) == run(), "{}: not the same twice", device.name());
            }
        }
    }

    #[test]
    fn does_as_defined(case in any_case(), temperature in 0.03f32..20.0) {
        let expected = reference(&case, temperature as f64);
        for device in devices() {
            let (loss, gradients) = loss_and_gradients(&case.on(&device), temperature);
            assert_defined(&device, loss, &gradients, &expected);
        }
    }

    #[test]
    fn conforms(case in any_case(), temperature in 0.05f32..1.0, ranges in 1u32..4) {
        conform_within(2e-4, 4.0, |device| {
            let [q, k, negatives] = case.on(device);
            let dy = Tensor::from_f32(device, [1], &[0.5])?;
            let kept = info_nce::forward_in(&q, &k, &negatives, temperature, 64 * ranges)?;
            // Times the norm, as gradients are larger where it is small.
            let unit = |dx: Tensor, x: &[f32]| {
                let dx = dx.to_vec()?.into_iter().zip(x.chunks(case.d).flat_map(|x| {
                    let norm = x.iter().map(|x| x * x).sum::<f32>().sqrt();
                    x.iter().map(move |_| norm)
                }));
                let dx: Vec<f32> = dx.map(|(dx, norm)| dx * norm).collect();
                Tensor::from_f32(device, [dx.len()], &dx)
            };
            let dq = unit(kept.backward_q(&dy)?, &case.q)?;
            let dk = unit(kept.backward_k(&dy)?, &case.k)?;
            Ok(vec![kept.loss, kept.positive, kept.lse, dq, dk])
        });
    }

    #[test]
    fn gradient(seed in 0u64..1 << 40, rows in 1usize..6, count in 1usize..20) {
        let case = Case::new(rows, count, 5, seed, false);
        let [_, _, negatives] = case.on(&cpu());
        let inputs = [seed, seed + 1].map(|seed| {
            Tensor::from_slice(&cpu(), [rows, 5], &noise(seed, rows * 5)).unwrap()
        });
        assert_gradient(&inputs, seed, |tape, v| info_nce(tape, &v[0], &v[1], &negatives, 0.5));
    }

    /// The composition it replaces, with the positive's key among the other columns: of one query.
    #[test]
    fn is_cross_entropy_of_cosines(seed in any::<u32>(), count in 1usize..30, d in 1usize..20) {
        let case = Case::new(1, count, d, seed as u64, false);
        let inputs = case.on(&cpu());
        let (loss, [dq, _]) = loss_and_gradients(&inputs, 0.2);
        let [q, k, negatives] = &inputs;
        let mut tape = Tape::default();
        let q = tape.leaf(q);
        let unit = ops::l2_normalize(&mut tape, &q).unwrap();
        let key = ops::l2_normalize::forward(k).unwrap().0.to_vec().unwrap();
        let rows = key.into_iter().chain(negatives.to_vec().unwrap());
        let rows: Vec<f32> = rows.map(|x| x / 0.2).collect(); // the temperature
        let rows = Tensor::from_slice(&cpu(), [1 + count, d], &rows).unwrap();
        let logits = ops::linear(&mut tape, &unit, &Var::constant(rows)).unwrap();
        let first = Tensor::from_u32(&cpu(), [1], &[0]).unwrap();
        let expected = ops::cross_entropy(&mut tape, &logits, &first).unwrap();
        assert_close("loss", &[loss], &[expected.value.item().unwrap()], 1e-5);
        let expected = tape.backward(&expected).unwrap().take(&q).unwrap();
        let norm = case.q.iter().map(|q| q * q).sum::<f32>().sqrt();
        let unit = |dq: Vec<f32>| dq.iter().map(|dq| dq * norm).collect::<Vec<f32>>();
        assert_close("dq", &unit(dq), &unit(expected.to_vec().unwrap()), 1e-4);
    }
}

/// X1[i,j] = sin(.7i + .3j + .1), X2[i,j] = sin(.7i + .3j + .1 + .2 cos(1.3i + .5j)), (4, 6); M[k,j] =
/// cos(.9k + .4j + .2), (8, 6), its rows normalised; each row with two zeros more, which change nothing.
fn golden_case() -> Case {
    let of = |rows: usize, value: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
        let at = |at: usize| value((at / 8) as f64, (at % 8) as f64);
        (0..8 * rows)
            .map(|i| if i % 8 < 6 { at(i) } else { 0.0 })
            .collect()
    };
    let narrow = |x: Vec<f64>| x.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
    let angle = |i: f64, j: f64| 0.7 * i + 0.3 * j + 0.1;
    let mut negatives = of(8, &|k, j| (0.9 * k + 0.4 * j + 0.2).cos());
    for row in negatives.chunks_mut(8) {
        let norm = row.iter().map(|m| m * m).sum::<f64>().sqrt();
        row.iter_mut().for_each(|m| *m /= norm);
    }
    Case {
        rows: 4,
        count: 8,
        d: 8,
        q: narrow(of(4, &|i, j| angle(i, j).sin())),
        k: narrow(of(4, &|i, j| {
            (angle(i, j) + 0.2 * (1.3 * i + 0.5 * j).cos()).sin()
        })),
        negatives: narrow(negatives),
    }
}

/// Temperature, loss and dX1[0] of MoCo with queries X1, keys X2 and queue M: lightly's, in f64.
const GOLDEN: [(f32, f64, [f32; 6]); 2] = [
    (
        0.07,
        0.7803947951,
        [
            -0.156705,
            -0.07634378,
            0.00722863,
            0.05518833,
            0.04011447,
            -0.04439368,
        ],
    ),
    (
        0.2,
        1.0103401991,
        [
            -0.04005764,
            -0.01347531,
            0.01225641,
            0.02327055,
            0.01023496,
            -0.02810463,
        ],
    ),
];

/// bf16 rounds each of two factors by 2^-8 at most, a cosine by half of the sum of both, as signs differ: 2^-8.
/// The loss is a difference of two over the temperature; a probability, and with it the gradient,
/// changes by that part of itself.
#[test]
fn golden_values() {
    for device in devices() {
        for (temperature, loss, dx) in GOLDEN {
            let inputs = golden_case().on(&device);
            let (found, [dq, _]) = loss_and_gradients(&inputs, temperature);
            let (within, part) = match device.real() {
                Real::F32 => (1e-6, 2e-6),
                Real::Bf16 => [2.0, 2.0]
                    .map(|n| n * 2f64.powi(-8) / temperature as f64)
                    .into(),
            };
            let error = (found as f64 - loss).abs();
            assert!(
                error <= within,
                "{}: loss {found}, expected {loss}",
                device.name()
            );
            let largest = dx.iter().fold(0f32, |most, dx| most.max(dx.abs()));
            assert_close(&device.name(), &dq[..6], &dx, part as f32 * largest);
        }
    }
}

/// All negatives opposite to the query, and its key too: the lowest similarities there are, at the lowest
/// temperature that tensor cores take and at one below it.
#[test]
fn as_far_apart_as_can_be() {
    let v = noise(5, 8);
    let norm = v.iter().map(|v| v * v).sum::<f32>().sqrt();
    let opposite: Vec<f32> = v.iter().map(|v| rounded(-v / norm)).collect();
    for key in [opposite.clone(), v.clone(), vec![0.0; 8]] {
        let case = Case {
            rows: 1,
            count: 3,
            d: 8,
            q: v.clone(),
            k: key,
            negatives: opposite.repeat(3),
        };
        for temperature in [0.0334, 0.02] {
            let expected = reference(&case, temperature as f64);
            for device in devices() {
                let (loss, gradients) = loss_and_gradients(&case.on(&device), temperature);
                assert_defined(&device, loss, &gradients, &expected);
            }
        }
    }
}

/// A constant, of queries or of keys, gets no gradient and no launch for one.
#[test]
fn only_the_gradients_asked_for() {
    let device = Device::cpu(); // nobody else's, as launches are counted
    let inputs = Case::new(3, 5, 4, 1, false).on(&device);
    let (_, both) = loss_and_gradients(&inputs, 0.2);
    // Besides the one that makes dy.
    for (asked, launches) in [(0, 2), (1, 1)] {
        let mut tape = Tape::default();
        let mut vars = [0, 1].map(|i| Var::constant(inputs[i].clone()));
        vars[asked] = tape.leaf(&inputs[asked]);
        let loss = info_nce(&mut tape, &vars[0], &vars[1], &inputs[2], 0.2).unwrap();
        let before = device.work().launches;
        let found = tape.backward(&loss).unwrap().take(&vars[asked]).unwrap();
        assert_eq!(device.work().launches, before + 1 + launches);
        assert_eq!(found.to_vec().unwrap(), both[asked]);
    }
}

/// Ranges keep each row's f32 sums to what fills a GPU once; and 4,096 queries with a queue of 65,536 take less
/// than a quarter of what their logits alone would.
#[test]
fn memory_does_not_grow_with_rows_times_negatives() {
    let h100 = Arch {
        compute: 90,
        multiprocessors: 132,
        real: Real::Bf16,
    };
    for (rows, count) in [(256, 65_536), (4096, 65_536), (32, 4096), (1, 1)] {
        for d in [64, 128, 256] {
            let range = info_nce::range(rows, count, d, 0.2, h100);
            assert!(range > 0 && range.is_multiple_of(64));
            let summed = count.div_ceil(range) * rows;
            assert!(
                summed <= rows.max(2 * 132 * 128),
                "{rows}, {count}: {range}"
            );
        }
    }
    let device = Device::null(Real::Bf16);
    let new = |rows: usize| Tensor::uninit(&device, Element::Real, [rows, 128]).unwrap();
    let inputs = [new(4096), new(4096), new(65_536)];
    let mut tape = Tape::default();
    let (q, k) = (tape.leaf(&inputs[0]), tape.leaf(&inputs[1]));
    let loss = info_nce(&mut tape, &q, &k, &inputs[2], 0.2).unwrap();
    tape.backward(&loss).unwrap();
    let (peak, logits) = (device.memory().peak, 4 * 4096 * 65_536);
    assert!(peak <= logits / 4, "{peak}");
}
