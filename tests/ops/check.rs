//! What every op is checked with. `conform` runs one body on every device; `assert_gradient` compares
//! gradients with differences. Both are about the op; the shapes and data are the test's.
use proptest::prelude::*;
use selfsame::{Device, Result, Tape, Tensor, Var, device::Real, ops, tensor::Element};
use std::sync::{LazyLock, Once};

/// The devices a kernel must agree with the CPU on. `SELFSAME_DEVICE=cuda` makes this the GPU suite.
static OTHERS: LazyLock<Vec<Device>> =
    LazyLock::new(|| match std::env::var("SELFSAME_DEVICE").as_deref() {
        Ok("cuda") => [Real::F32, Real::Bf16]
            .map(|real| Device::cuda(0, real).unwrap())
            .into(),
        // Each generation of GPUs has kernels of its own, for bf16.
        _ => [(Real::F32, 80), (Real::Bf16, 80), (Real::Bf16, 90)]
            .into_iter()
            .filter_map(|(real, compute)| Device::emulated(real, compute).ok())
            .collect(),
    });
static CPU: LazyLock<Device> = LazyLock::new(Device::cpu);

pub fn cpu() -> Device {
    CPU.clone()
}

/// The CPU and all others.
pub fn devices() -> Vec<Device> {
    [cpu()].into_iter().chain(OTHERS.iter().cloned()).collect()
}

/// Few cases by default: each runs every thread of every block. PROPTEST_CASES asks for more.
pub fn cases(n: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(n),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Numbers that bf16 holds exactly, so that every device starts from the same.
pub fn values(n: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec((-512i32..=512).prop_map(|v| rounded(v as f32 / 128.0)), n)
}

/// `v` to the nearest bf16.
pub fn rounded(v: f32) -> f32 {
    half::bf16::from_f32(v).to_f32()
}

/// `n` numbers in [-1, 1) that bf16 holds exactly: for shapes too large to draw one by one.
pub fn noise(seed: u64, n: usize) -> Vec<f32> {
    let mut draws =
        selfsame::random::Draws::new(seed, selfsame::random::Purpose::Synthetic, 0, 0, 0);
    (0..n).map(|_| rounded(draws.uniform(-1.0, 1.0))).collect()
}

/// `body` on the CPU gives what it gives on every other device: within `tolerance` where real is f32,
/// within bf16's rounding (2^-7 of the larger of 1 and the value, times `bf16_scale`) where it is bf16.
#[track_caller]
pub fn conform_within(
    tolerance: f32,
    bf16_scale: f32,
    body: impl Fn(&Device) -> Result<Vec<Tensor>>,
) {
    let expected = run(&cpu(), &body);
    if OTHERS.is_empty() {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            eprintln!("skipped: no emulator in this build, so the .cu files were not run")
        });
    }
    for device in OTHERS.iter() {
        let tolerance = match device.real() {
            Real::F32 => tolerance,
            Real::Bf16 => bf16_scale / 128.0,
        };
        let found = run(device, &body);
        assert_eq!(found.len(), expected.len());
        for (output, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let what = format!(
                "output {output} on {} ({}, sm_{})",
                device.name(),
                device.real().name(),
                device.arch().compute
            );
            assert_close(&what, found, expected, tolerance);
        }
    }
}

/// `conform_within` one part in 10^5, and bf16's own rounding.
#[track_caller]
pub fn conform(body: impl Fn(&Device) -> Result<Vec<Tensor>>) {
    conform_within(1e-5, 1.0, body);
}

#[track_caller]
fn run(device: &Device, body: &impl Fn(&Device) -> Result<Vec<Tensor>>) -> Vec<Vec<f32>> {
    let tensors = body(device).unwrap_or_else(|why| panic!("{why}"));
    tensors.iter().map(|t| t.to_vec().unwrap()).collect()
}

#[track_caller]
pub fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        let close = (f - e).abs() <= tolerance * e.abs().max(1.0) || f == e;
        assert!(close, "{what}, element {i}: found {f}, expected {e}");
    }
}

/// Each input's gradient of <op(inputs), w>, w random, against central differences along a random
/// direction: two forwards an input, whatever its size. On the CPU, where real is f32. `step` is the
/// difference's length: shorter than the distance to the next kink.
#[track_caller]
pub fn assert_gradient_with(
    step: f32,
    inputs: &[Tensor],
    seed: u64,
    op: impl Fn(&mut Tape, &[Var]) -> Result<Var>,
) {
    let mut tape = Tape::default();
    let vars: Vec<Var> = inputs.iter().map(|t| tape.leaf(t)).collect();
    let y = op(&mut tape, &vars).unwrap();
    let w = noise(seed, y.value.len());
    let loss = dot(&mut tape, &y, &w);
    let mut gradients = tape.backward(&loss).unwrap();
    let value_at = |inputs: &[Tensor]| -> f64 {
        let vars: Vec<Var> = inputs.iter().cloned().map(Var::constant).collect();
        let y = op(&mut Tape::default(), &vars)
            .unwrap()
            .value
            .to_vec()
            .unwrap();
        y.iter().zip(&w).map(|(&y, &w)| y as f64 * w as f64).sum()
    };
    for (i, (input, var)) in inputs.iter().zip(&vars).enumerate() {
        let dx = gradients
            .take(var)
            .unwrap_or_else(|| panic!("input {i} has no gradient"));
        assert_eq!(dx.shape(), input.shape(), "gradient of input {i}");
        let (dx, x, v) = (
            dx.to_vec().unwrap(),
            input.to_vec().unwrap(),
            noise(seed + 1 + i as u64, input.len()),
        );
        let along: f64 = dx.iter().zip(&v).map(|(&g, &v)| g as f64 * v as f64).sum();
        let moved = |sign: f32| {
            let x: Vec<f32> = x.iter().zip(&v).map(|(x, v)| x + sign * step * v).collect();
            let mut inputs = inputs.to_vec();
            inputs[i] = like(input, &x);
            value_at(&inputs)
        };
        let differences = (moved(1.0) - moved(-1.0)) / (2.0 * step as f64);
        let scale = 1.0 + along.abs().max(differences.abs());
        assert!(
            (along - differences).abs() <= 1e-2 * scale,
            "input {i}: gradient {along}, differences {differences}"
        );
    }
}

#[track_caller]
pub fn assert_gradient(
    inputs: &[Tensor],
    seed: u64,
    op: impl Fn(&mut Tape, &[Var]) -> Result<Var>,
) {
    assert_gradient_with(1e-2, inputs, seed, op);
}

fn like(t: &Tensor, values: &[f32]) -> Tensor {
    let made = match t.element() {
        Element::F32 => Tensor::from_f32(t.device(), t.shape().clone(), values),
        _ => Tensor::from_slice(t.device(), t.shape().clone(), values),
    };
    made.unwrap()
}

/// <y, w>, recorded: the scalar whose gradient is w.
pub fn dot(tape: &mut Tape, y: &Var, w: &[f32]) -> Var {
    let values = y.value.to_vec().unwrap();
    let sum: f64 = values
        .iter()
        .zip(w)
        .map(|(&y, &w)| y as f64 * w as f64)
        .sum();
    let output = Tensor::from_f32(y.value.device(), [1], &[sum as f32]).unwrap();
    let w = like(&y.value, w);
    // dy is 1 when this is the loss, and whatever follows otherwise; the tests use it as the loss.
    tape.record("dot", [y], output, move |_, _| Ok([Some(w)]))
}

#[test]
fn a_value_used_twice_has_the_sum_of_its_gradients() {
    let x = Tensor::from_slice(&cpu(), [3], &[0.5, -1.0, 2.0]).unwrap();
    assert_gradient(&[x], 3, |tape, v| {
        let doubled = ops::add(tape, &v[0], &v[0])?;
        ops::add(tape, &doubled, &v[0])
    });
}
