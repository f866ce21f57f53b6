use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tape, Tensor, Var,
    ops::{
        batch_norm::{self, Mode, Running},
        cross_correlation::{self, cross_correlation},
    },
};

/// n, d, and two views: past a tile either way, and down to one number; what tensor cores take in half of
/// the cases.
fn problems() -> impl Strategy<Value = (usize, usize, Vec<f32>, Vec<f32>)> {
    let d = prop_oneof![
        1usize..10,
        60usize..80,
        (1usize..=18).prop_map(|eighths| 8 * eighths)
    ];
    (1usize..80, d, any::<u32>()).prop_map(|(n, d, seed)| {
        let (a, other) = (noise(seed as u64, n * d), noise(seed as u64 + 1, n * d));
        let b = a
            .iter()
            .zip(&other)
            .map(|(a, o)| rounded(a + 0.5 * o))
            .collect();
        (n, d, a, b)
    })
}

/// C = aᵀ b / n, in f64.
fn correlation(n: usize, d: usize, a: &[f32], b: &[f32]) -> Vec<f64> {
    let mut c = vec![0.0; d * d];
    for (a, b) in a.chunks(d).zip(b.chunks(d)) {
        for (row, a) in c.chunks_mut(d).zip(a) {
            let columns = row.iter_mut().zip(b);
            columns.for_each(|(c, b)| *c += *a as f64 * *b as f64 / n as f64);
        }
    }
    c
}

/// On the diagonal, off it, da and db, from the definition in f64.
fn reference(n: usize, a: &[f32], b: &[f32], off_diagonal: f64) -> ([f64; 2], [Vec<f32>; 2]) {
    let d = a.len() / n;
    let c = correlation(n, d, a, b);
    let mut parts = [0.0; 2];
    let dc: Vec<f64> = (0..d * d)
        .map(|at| {
            let diagonal = at / d == at % d;
            let term = if diagonal { 1.0 - c[at] } else { c[at] };
            parts[!diagonal as usize] += term * term;
            let scale = if diagonal { -2.0 } else { 2.0 * off_diagonal };
            scale * term / n as f64
        })
        .collect();
    let (mut da, mut db) = (vec![0f64; n * d], vec![0f64; n * d]);
    for sample in 0..n {
        for (at, dc) in dc.iter().enumerate() {
            let (i, j) = (sample * d + at / d, sample * d + at % d);
            da[i] += dc * b[j] as f64;
            db[j] += dc * a[i] as f64;
        }
    }
    let f32s = |v: Vec<f64>| v.iter().map(|&v| v as f32).collect();
    (parts, [f32s(da), f32s(db)])
}

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms((n, d, a, b) in problems()) {
        conform(|device| {
            let a = Tensor::from_slice(device, [n, d], &a)?;
            let b = Tensor::from_slice(device, [n, d], &b)?;
            let dy = Tensor::from_f32(device, [1], &[1.5])?;
            let kept = cross_correlation::forward(&a, &b, 0.2)?;
            let da = cross_correlation::backward_a(&b, &kept.dc, &dy)?;
            let db = cross_correlation::backward_b(&a, &kept.dc, &dy)?;
            Ok(vec![kept.dc, da, db])
        });
    }

    /// Products of bf16 are exact in f32, and so the loss is the same on every device.
    #[test]
    fn the_loss_conforms((n, d, a, b) in problems()) {
        conform_within(2e-5, 2.56e-3, |device| {
            let a = Tensor::from_slice(device, [n, d], &a)?;
            let b = Tensor::from_slice(device, [n, d], &b)?;
            let kept = cross_correlation::forward(&a, &b, 0.2)?;
            Ok(vec![kept.loss, kept.parts])
        });
    }

    #[test]
    fn matches_the_definition((n, d, a, b) in problems()) {
        let ([on, off], gradients) = reference(n, &a, &b, 0.2);
        let mut tape = Tape::default();
        let [av, bv] = [&a, &b].map(|x| tape.leaf(&Tensor::from_slice(&cpu(), [n, d], x).unwrap()));
        let parts = cross_correlation::forward(&av.value, &bv.value, 0.2).unwrap().parts;
        assert_close("parts", &parts.to_vec().unwrap(), &[on as f32, off as f32], 2e-5);
        let loss = cross_correlation(&mut tape, &av, &bv, 0.2).unwrap();
        assert_close("loss", &[loss.value.item().unwrap()], &[(on + 0.2 * off) as f32], 2e-5);
        let mut found = tape.backward(&loss).unwrap();
        for (what, var, expected) in [("da", &av, &gradients[0]), ("db", &bv, &gradients[1])] {
            assert_close(what, &found.take(var).unwrap().to_vec().unwrap(), expected, 1e-5);
        }
    }

    #[test]
    fn gradient(n in 1usize..12, d in 1usize..12, seed in 0u64..1 << 40) {
        let views = [seed, seed + 1].map(|seed| {
            Tensor::from_slice(&cpu(), [n, d], &noise(seed, n * d)).unwrap()
        });
        assert_gradient(&views, seed, |tape, v| cross_correlation(tape, &v[0], &v[1], 0.5));
    }
}

/// A view with itself, whose features are orthogonal and of variance one: nothing to lose. Without the weight
/// of what is off the diagonal, that is not looked at.
#[test]
fn what_costs_nothing() {
    let (n, d) = (8, 3);
    // Feature j of sample i is the sign of bit j of i.
    let sign = |i: usize, j: usize| if i & (1 << j) == 0 { 1.0 } else { -1.0 };
    let x: Vec<f32> = (0..n * d).map(|at| sign(at / d, at % d)).collect();
    let x = Tensor::from_slice(&cpu(), [n, d], &x).unwrap();
    let kept = cross_correlation::forward(&x, &x, 0.5).unwrap();
    assert_eq!(kept.loss.item().unwrap(), 0.0);

    let equal = Tensor::from_slice(&cpu(), [n, d], &[1.0; 24]).unwrap();
    let kept = cross_correlation::forward(&equal, &equal, 0.5).unwrap();
    assert_eq!(kept.parts.to_vec().unwrap(), [0.0, 6.0]);
    assert_eq!(kept.loss.item().unwrap(), 3.0);
    let kept = cross_correlation::forward(&equal, &equal, 0.0).unwrap();
    assert_eq!(kept.loss.item().unwrap(), 0.0);
}

/// One view is a constant: the other has its gradient all the same.
#[test]
fn one_view_alone_may_have_a_past() {
    let (n, d) = (5, 4);
    let [a, b] =
        [1, 2].map(|seed| Tensor::from_slice(&cpu(), [n, d], &noise(seed, n * d)).unwrap());
    let (_, [da, db]) = reference(n, &a.to_vec().unwrap(), &b.to_vec().unwrap(), 0.5);
    for (first, expected) in [(true, da), (false, db)] {
        let mut tape = Tape::default();
        let leaf = tape.leaf(if first { &a } else { &b });
        let constant = Var::constant(if first { b.clone() } else { a.clone() });
        let [a, b] = if first {
            [&leaf, &constant]
        } else {
            [&constant, &leaf]
        };
        let loss = cross_correlation(&mut tape, a, b, 0.5).unwrap();
        let found = tape.backward(&loss).unwrap().take(&leaf).unwrap();
        assert_close("gradient", &found.to_vec().unwrap(), &expected, 1e-5);
    }
}

/// Barlow Twins' own loss in f64, of X1[i, j] = sin(.7i + .3j + .1) and X2[i, j] = sin(.7i + .3j + .1 +
/// .2 cos(1.3i + .5j)), (4, 6), each through a batch norm without scale and shift.
#[test]
fn golden_values() {
    let x = |moved: f64| {
        let at = |at: usize| {
            let (i, j) = ((at / 6) as f64, (at % 6) as f64);
            (0.7 * i + 0.3 * j + 0.1 + moved * (1.3 * i + 0.5 * j).cos()).sin() as f32
        };
        let values: Vec<f32> = (0..24).map(at).collect();
        Tensor::from_slice(&cpu(), [4, 6], &values).unwrap()
    };
    let ones = Var::constant(Tensor::from_f32(&cpu(), [6], &[1.0; 6]).unwrap());
    let zeros = Var::constant(Tensor::from_f32(&cpu(), [6], &[0.0; 6]).unwrap());
    let mut tape = Tape::default();
    let x1 = tape.leaf(&x(0.0));
    let mut standardised = |x: &Var| {
        let running = Running {
            mean: Tensor::from_f32(&cpu(), [6], &[0.0; 6]).unwrap(),
            variance: Tensor::from_f32(&cpu(), [6], &[1.0; 6]).unwrap(),
        };
        batch_norm::batch_norm(&mut tape, x, &ones, &zeros, &running, Mode::Train).unwrap()
    };
    let (z1, z2) = (standardised(&x1), standardised(&Var::constant(x(0.2))));

    let [n, d] = [4, 6];
    let c = correlation(
        n,
        d,
        &z1.value.to_vec().unwrap(),
        &z2.value.to_vec().unwrap(),
    );
    assert!((c[0] - 0.9953407107).abs() < 1e-6 && (c[1] - 0.7917547695).abs() < 1e-6);
    let parts = cross_correlation::forward(&z1.value, &z2.value, 0.0051)
        .unwrap()
        .parts;
    assert_close(
        "parts",
        &parts.to_vec().unwrap(),
        &[0.0007866396, 13.367185],
        1e-6,
    );

    let loss = cross_correlation(&mut tape, &z1, &z2, 0.0051).unwrap();
    let value = loss.value.item().unwrap() as f64;
    assert!((value - 0.0689592832).abs() < 1e-6, "{value}");
    let dx = tape
        .backward(&loss)
        .unwrap()
        .take(&x1)
        .unwrap()
        .to_vec()
        .unwrap();
    let expected = [
        0.00069695,
        -0.00191171,
        0.00501982,
        0.00366918,
        -0.00039144,
        -0.00189666,
    ];
    assert_close("dX1[0]", &dx[..6], &expected, 1e-6);
}
