use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Device, Tape, Tensor,
    device::{Arch, Real},
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

/// What tensor cores take: (n, d, z) where d is a multiple of 8, for each of their three kernels; down to one
/// image, up to four blocks of rows and four stages. Lengths differ by powers of two, and the second views
/// are the first ones in half of the cases, as after training.
fn for_tensor_cores() -> impl Strategy<Value = (usize, usize, Vec<f32>)> {
    let n = prop_oneof![1usize..6, 20usize..45, 65usize..100];
    let eighths = prop_oneof![1usize..=8, 9usize..=16, 17usize..=32];
    (n, eighths, any::<u32>(), any::<bool>()).prop_map(|(n, eighths, seed, trained)| {
        let d = 8 * eighths;
        let mut z = noise(seed as u64, 2 * n * d);
        if trained {
            z.copy_within(..n * d, n * d);
        }
        for (row, z) in z.chunks_exact_mut(d).enumerate() {
            let length = 2f32.powi((row * 7 % 17) as i32 - 8);
            z.iter_mut().for_each(|z| *z *= length);
        }
        (2 * n, d, z)
    })
}

/// The definition, unfused, in f64: normalise, multiply, mask, cross-entropy; its gradient, and how large
/// what that gradient is a sum of is.
struct Reference {
    loss: f64,
    dz: Vec<f64>,
    size: Vec<f64>,
}

fn reference(z: &[f32], rows: usize, temperature: f64) -> Reference {
    let d = z.len() / rows;
    let norm = |row: usize| {
        z[row * d..][..d]
            .iter()
            .map(|&z| (z as f64).powi(2))
            .sum::<f64>()
            .sqrt()
            .max(1e-12)
    };
    let norms: Vec<f64> = (0..rows).map(norm).collect();
    let zhat: Vec<f64> = (0..rows * d).map(|i| z[i] as f64 / norms[i / d]).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (mut loss, mut dzhat) = (0.0, vec![0.0; rows * d]);
    let mut size = dzhat.clone();
    for i in 0..rows {
        let row: Vec<f64> = (0..rows)
            .map(|j| dot(&zhat[i * d..][..d], &zhat[j * d..][..d]) / temperature)
            .collect();
        let others: Vec<usize> = (0..rows).filter(|&j| j != i).collect();
        let most = others.iter().map(|&j| row[j]).fold(f64::MIN, f64::max);
        let sum: f64 = others.iter().map(|&j| (row[j] - most).exp()).sum();
        let lse = most + sum.ln();
        let positive = (i + rows / 2) % rows;
        loss += (lse - row[positive]) / rows as f64;
        for j in others {
            let p = (row[j] - lse).exp();
            let scale = 1.0 / (rows as f64 * temperature);
            let ds = scale * (p - f64::from(j == positive));
            let rounded = ds.abs() + 0.1 * scale * p; // p has been rounded before 1 is taken from it
            for k in 0..d {
                let (at_i, at_j) = (i * d + k, j * d + k);
                dzhat[at_i] += ds * zhat[at_j];
                dzhat[at_j] += ds * zhat[at_i];
                size[at_i] += rounded * zhat[at_j].abs();
                size[at_j] += rounded * zhat[at_i].abs();
            }
        }
    }
    let row = |values: &[f64], i: usize| values[i * d..][..d].to_vec();
    let across = |at: usize| {
        let (zhat, dzhat, i) = (row(&zhat, at / d), row(&dzhat, at / d), at % d);
        (dzhat[i] - zhat[i] * dot(&zhat, &dzhat)) / norms[at / d]
    };
    let size_across = |at: usize| {
        let (zhat, size, i) = (row(&zhat, at / d), row(&size, at / d), at % d);
        let along: f64 = zhat.iter().zip(&size).map(|(z, s)| z.abs() * s).sum();
        (size[i] + zhat[i].abs() * along) / norms[at / d]
    };
    Reference {
        loss,
        dz: (0..rows * d).map(across).collect(),
        size: (0..rows * d).map(size_across).collect(),
    }
}

fn loss_and_gradient(rows: usize, z: &[f32], temperature: f32) -> (f32, Vec<f32>) {
    loss_and_gradient_on(&cpu(), rows, z, temperature)
}

fn loss_and_gradient_on(
    device: &Device,
    rows: usize,
    z: &[f32],
    temperature: f32,
) -> (f32, Vec<f32>) {
    let z = Tensor::from_slice(device, [rows, z.len() / rows], z).unwrap();
    let mut tape = Tape::default();
    let z = tape.leaf(&z);
    let loss = nt_xent(&mut tape, &z, temperature).unwrap();
    let dz = tape.backward(&loss).unwrap().take(&z).unwrap();
    (loss.value.item().unwrap(), dz.to_vec().unwrap())
}

/// Times |z_i| and temperature: both make gradients, and the rounding of f32 in them, larger.
#[track_caller]
fn assert_near(z: &[f32], d: usize, temperature: f32, found: &[f32], expected: &[f64]) {
    let rows = found.chunks(d).zip(expected.chunks(d)).zip(z.chunks(d));
    for ((found, expected), z) in rows {
        let norm = z.iter().map(|&z| (z as f64).powi(2)).sum::<f64>().sqrt();
        for (f, e) in found.iter().zip(expected) {
            let error = (*f as f64 - e).abs() * norm * temperature as f64;
            assert!(error <= 1e-5, "found {f}, expected {e}, norm {norm}");
        }
    }
}

/// Against the definition, on a device that was given the same numbers. The loss is f32 throughout, as z is
/// multiplied as it is stored. A gradient is a sum of G_ij zhat_j, where tensor cores take G rounded to bf16:
/// 2^-8 of each term at most; the same again for bf16's rounding of the gradient itself. The tenth of P in `size` allows
/// for f32, where G is a small difference.
#[track_caller]
fn assert_defined(device: &Device, loss: f32, dz: &[f32], expected: &Reference) {
    let what = format!("{} ({})", device.name(), device.real().name());
    let error = (loss as f64 - expected.loss).abs();
    assert!(
        error <= 1e-4 * (1.0 + expected.loss.abs()),
        "{what}: loss {loss}, expected {}",
        expected.loss
    );
    let rounding = match device.real() {
        Real::F32 => 1e-4,
        Real::Bf16 => 2f64.powi(-7),
    };
    for (at, (&dz, &size)) in dz.iter().zip(&expected.size).enumerate() {
        let (error, expected) = ((dz as f64 - expected.dz[at]).abs(), expected.dz[at]);
        assert!(
            error <= rounding * size,
            "{what}, element {at}: {dz}, expected {expected}, of terms that are {size} in all"
        );
    }
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn tensor_cores_do_as_defined(
        (rows, _, z) in for_tensor_cores(), temperature in 0.05f32..1.0, stages in 1u32..4,
    ) {
        let expected = reference(&z, rows, temperature as f64);
        for device in devices() {
            let z = Tensor::from_slice(&device, [rows, z.len() / rows], &z).unwrap();
            let dy = Tensor::from_f32(&device, [1], &[1.0]).unwrap();
            let run = || {
                let kept = nt_xent::forward_in(&z, temperature, 64 * stages).unwrap();
                let dz = nt_xent::backward(&z, &kept, &dy, temperature).unwrap();
                (kept.loss.item().unwrap(), dz.to_vec().unwrap())
            };
            let (loss, dz) = run();
            assert_defined(&device, loss, &dz, &expected);
            if device.real() == Real::Bf16 {
                prop_assert!((loss, dz) == run(), "{}: not the same twice", device.name());
            }
        }
    }

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
    fn equals_the_unfused_composition((rows, d, z) in embeddings(), temperature in 0.02f32..20.0) {
        let (loss, dz) = loss_and_gradient(rows, &z, temperature);
        let expected = reference(&z, rows, temperature as f64);
        let error = (loss as f64 - expected.loss).abs();
        prop_assert!(error < 1e-4 * (1.0 + expected.loss.abs()), "{loss} {}", expected.loss);
        assert_near(&z, d, temperature, &dz, &expected.dz);
    }

    #[test]
    fn gradient(seed in 0u64..1 << 40, rows in 1usize..6) {
        let z = Tensor::from_slice(&cpu(), [2 * rows, 5], &noise(seed, rows * 10)).unwrap();
        assert_gradient(&[z], seed, |tape, v| nt_xent(tape, &v[0], 0.5));
    }
}

/// X1[i,j] = sin(.7i + .3j + .1), X2[i,j] = sin(.7i + .3j + .1 + .2 cos(1.3i + .5j)), (4, 6), stacked.
fn golden_views() -> Vec<f32> {
    let x = |moved: f64| {
        (0..24).map(move |at| {
            let (i, j) = ((at / 6) as f64, (at % 6) as f64);
            (0.7 * i + 0.3 * j + 0.1 + moved * (1.3 * i + 0.5 * j).cos()).sin() as f32
        })
    };
    x(0.0).chain(x(0.2)).collect()
}

/// Temperature, loss and dX1[0] of `golden_views`: lightly's, in f64.
const GOLDEN: [(f32, f64, [f32; 6]); 2] = [
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

#[test]
fn golden_values() {
    for (temperature, loss, dx) in GOLDEN {
        let (found, dz) = loss_and_gradient(8, &golden_views(), temperature);
        assert!(
            (found as f64 - loss).abs() < 1e-6,
            "loss {found}, expected {loss}"
        );
        assert_close("dX1[0]", &dz[..6], &dx, 1e-6);
    }
}

/// Two zeros more a row change nothing, and make it one for tensor cores. bf16 rounds each of two factors by
/// 2^-8 at most, a cosine by half of the sum of both, as signs differ: 2^-8. The loss is a difference of two
/// over the temperature; a probability, and with it the gradient, changes by that part of itself.
#[test]
fn golden_values_on_every_device() {
    let rows = golden_views();
    let rows = rows.chunks(6).flat_map(|row| [row, &[0.0, 0.0]].concat());
    let z: Vec<f32> = rows.collect();
    for device in devices() {
        for (temperature, loss, dx) in GOLDEN {
            let (found, dz) = loss_and_gradient_on(&device, 8, &z, temperature);
            let rounding = 2.0 * 2f64.powi(-8) / temperature as f64;
            assert!(
                (found as f64 - loss).abs() <= rounding,
                "{}: loss {found}, expected {loss}",
                device.name()
            );
            let largest = dx.iter().fold(0f32, |most, dx| most.max(dx.abs()));
            assert_close(&device.name(), &dz[..6], &dx, rounding as f32 * largest);
        }
    }
}

/// A row whose likeness to all others is -1, and one of zeros, at the lowest temperature that tensor cores
/// take and at one below it: the widest range of exponentials.
#[test]
fn as_far_apart_as_can_be() {
    let v = noise(5, 8);
    let opposite: Vec<f32> = v.iter().map(|v| -v).collect();
    for last in [opposite.clone(), vec![0.0; 8]] {
        let z = [&v[..], &opposite, &opposite, &last].concat();
        for temperature in [0.0334, 0.02] {
            let expected = reference(&z, 4, temperature as f64);
            for device in devices() {
                let (loss, dz) = loss_and_gradient_on(&device, 4, &z, temperature);
                assert_defined(&device, loss, &dz, &expected);
            }
        }
    }
}

/// Forward and backward of 65,536 views take sixteen bytes at most for each number of z, where one row of
/// similarities for each view would take 2,048; and ranges keep to that on a GPU.
#[test]
fn memory_grows_with_the_batch_and_not_with_its_square() {
    let device = Device::null(Real::Bf16);
    let (rows, d) = (65_536, 128);
    let z = Tensor::uninit(&device, selfsame::tensor::Element::Real, [rows, d]).unwrap();
    let mut tape = Tape::default();
    let z = tape.leaf(&z);
    let loss = nt_xent(&mut tape, &z, 0.5).unwrap();
    tape.backward(&loss).unwrap();
    let peak = device.memory().peak;
    assert!(peak <= 16 * (rows * d) as u64, "{peak}");

    let h100 = Arch {
        compute: 90,
        multiprocessors: 132,
        real: Real::Bf16,
    };
    for rows in [2, 512, 4096, 8192, 16_384, 32_768, 65_536] {
        for d in [64, 128, 256] {
            let range = nt_xent::range(rows, d, 0.5, h100);
            assert!(range > 0 && range.is_multiple_of(64));
            let summed = rows.div_ceil(range) * rows;
            assert!(summed <= rows.max(2 * 132 * 128), "{rows} x {d}: {range}");
        }
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
