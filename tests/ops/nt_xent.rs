use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tape, Tensor,
    ops::nt_xent::{self, nt_xent},
};

/// Rows (n of each view), d, and z: past one tile in each direction, and down to one image of one number.
fn embeddings() -> impl Strategy<Value = (usize, usize, Vec<f32>)> {
    let sizes = prop_oneof![
        (1usize..6, 1usize..9),
        (20usize..45, 1usize..40),
        (1usize..4, 120usize..140)
    ];
    (sizes, any::<u32>()).prop_map(|((n, d), seed)| (2 * n, d, noise(seed as u64, 2 * n * d)))
}

/// The definition, unfused, in f64: normalise, multiply, mask, cross-entropy; and its gradient.
fn reference(z: &[f32], rows: usize, temperature: f64) -> (f64, Vec<f64>) {
    let d = z.len() / rows;
    let norm = |row: usize| {
        z[row * d..][..d]
            .iter()
            .map(|&z| (z as f64).powi(2))
            .sum::<f64>()
            .sqrt()
            .max(1e-12)
    };
    let zhat: Vec<f64> = (0..rows * d).map(|i| z[i] as f64 / norm(i / d)).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (mut loss, mut dzhat) = (0.0, vec![0.0; rows * d]);
    for i in 0..rows {
        let s = |j: usize| dot(&zhat[i * d..][..d], &zhat[j * d..][..d]) / temperature;
        let others: Vec<usize> = (0..rows).filter(|&j| j != i).collect();
        let most = others.iter().map(|&j| s(j)).fold(f64::MIN, f64::max);
        let lse = most
            + others
                .iter()
                .map(|&j| (s(j) - most).exp())
                .sum::<f64>()
                .ln();
        let positive = (i + rows / 2) % rows;
        loss += (lse - s(positive)) / rows as f64;
        for j in others {
            let ds = ((s(j) - lse).exp() - f64::from(j == positive)) / (rows as f64 * temperature);
            for k in 0..d {
                dzhat[i * d + k] += ds * zhat[j * d + k];
                dzhat[j * d + k] += ds * zhat[i * d + k];
            }
        }
    }
    let along = |i: usize| dot(&zhat[i * d..][..d], &dzhat[i * d..][..d]);
    let dz = (0..rows * d)
        .map(|at| (dzhat[at] - zhat[at] * along(at / d)) / norm(at / d))
        .collect();
    (loss, dz)
}

fn loss_and_gradient(rows: usize, z: &[f32], temperature: f32) -> (f32, Vec<f32>) {
    let z = Tensor::from_slice(&cpu(), [rows, z.len() / rows], z).unwrap();
    let mut tape = Tape::default();
    let z = tape.leaf(&z);
    let loss = nt_xent(&mut tape, &z, temperature).unwrap();
    let dz = tape.backward(&loss).unwrap().take(&z).unwrap();
    (loss.value.item().unwrap(), dz.to_vec().unwrap())
}

/// Relative to the largest element: gradients grow with 1 / temperature and 1 / norm.
#[track_caller]
fn assert_near(found: &[f32], expected: &[f64], tolerance: f64) {
    let scale = expected.iter().fold(1e-3, |most: f64, e| most.max(e.abs()));
    for (f, e) in found.iter().zip(expected) {
        assert!(
            (*f as f64 - e).abs() <= tolerance * scale,
            "found {f}, expected {e}, of {scale}"
        );
    }
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn conforms((rows, d, z) in embeddings(), temperature in 0.05f32..1.0) {
        conform_within(2e-4, 4.0, |device| {
            let z = Tensor::from_slice(device, [rows, d], &z)?;
            let dy = Tensor::from_f32(device, [1], &[0.5])?;
            let kept = nt_xent::forward(&z, temperature)?;
            let dz = nt_xent::backward(&z, &kept, &dy, temperature)?;
            Ok(vec![kept.loss, kept.inv_norm, kept.lse, dz])
        });
    }

    #[test]
    fn equals_the_unfused_composition((rows, _, z) in embeddings(), temperature in 0.02f32..20.0) {
        let (loss, dz) = loss_and_gradient(rows, &z, temperature);
        let (expected, dz_expected) = reference(&z, rows, temperature as f64);
        prop_assert!((loss as f64 - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{loss} {expected}");
        assert_near(&dz, &dz_expected, 2e-3);
    }

    #[test]
    fn gradient(seed in 0u64..1 << 40, rows in 1usize..6) {
        let z = Tensor::from_slice(&cpu(), [2 * rows, 5], &noise(seed, rows * 10)).unwrap();
        assert_gradient(&[z], seed, |tape, v| nt_xent(tape, &v[0], 0.5));
    }
}

/// X1[i,j] = sin(.7i + .3j + .1), X2[i,j] = sin(.7i + .3j + .1 + .2 cos(1.3i + .5j)), stacked; the
/// values are lightly's, in f64.
#[test]
fn golden_values() {
    let x = |moved: f64| {
        (0..24).map(move |at| {
            let (i, j) = ((at / 6) as f64, (at % 6) as f64);
            (0.7 * i + 0.3 * j + 0.1 + moved * (1.3 * i + 0.5 * j).cos()).sin() as f32
        })
    };
    let z: Vec<f32> = x(0.0).chain(x(0.2)).collect();
    let golden = [
        (
            0.5,
            1.3815569129,
            [
                0.05343579,
                0.0407822,
                0.02779676,
                0.01134458,
                -0.01080504,
                -0.03827435,
            ],
        ),
        (
            0.1,
            0.6551459429,
            [
                0.09595004,
                0.06806143,
                0.04900235,
                0.02581202,
                -0.01404317,
                -0.07587258,
            ],
        ),
    ];
    for (temperature, loss, dx) in golden {
        let (found, dz) = loss_and_gradient(8, &z, temperature);
        assert!(
            (found as f64 - loss).abs() < 1e-6,
            "loss {found}, expected {loss}"
        );
        assert_close("dX1[0]", &dz[..6], &dx, 1e-6);
    }
}

/// The only other row is the positive: nothing to tell apart.
#[test]
fn one_image_costs_nothing() {
    let (loss, dz) = loss_and_gradient(2, &[1.0, 2.0, -3.0, 0.5], 0.1);
    assert!(loss.abs() < 1e-6, "{loss}");
    assert!(dz.iter().all(|dz| dz.abs() < 1e-5), "{dz:?}");
}

/// Temperature to infinity: every other row is as likely, log(2n - 1). And a hundredth of the usual
/// leaves every number finite.
#[test]
fn temperatures_far_from_usual() {
    let z = noise(7, 2 * 40 * 8);
    let (loss, _) = loss_and_gradient(80, &z, 1e6);
    assert!((loss - 79f32.ln()).abs() < 1e-4, "{loss}");
    let (loss, dz) = loss_and_gradient(80, &z, 1e-3);
    assert!(loss.is_finite() && loss > 100.0 && dz.iter().all(|dz| dz.is_finite()));
}

/// A row of zeros has norm eps, and no NaN comes of it.
#[test]
fn a_row_of_zeros() {
    let (loss, dz) = loss_and_gradient(4, &[0.0, 0.0, 1.0, 2.0, 3.0, 1.0, -1.0, 0.5], 0.5);
    assert!(
        loss.is_finite() && dz.iter().all(|dz| dz.is_finite()),
        "{loss} {dz:?}"
    );
}
