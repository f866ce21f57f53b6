//! A whole training step as each generation of GPUs takes it, in the emulator, against the CPU: stem, strided
//! convolutions, batch norm, loss, backward. The kernels' own tests are tests/ops; this is that they fit.
#![cfg(all(feature = "emulator", emulated_kernels))]
use selfsame::{
    Device, Result, Tensor, Var,
    device::{EmulatorOptions, Real},
    nn::{Architecture, Layout, Params, Pass, ResNet, Stem},
    ops,
    random::{Draws, Purpose},
};
use std::sync::Arc;

type Named = Vec<(String, Vec<f32>)>;

/// The loss, and the gradient of every parameter.
fn step(device: &Device) -> Result<(f32, Named)> {
    const SIDE: usize = 32;
    const IMAGES: usize = 8;
    let mut layout = Layout::default();
    let network = ResNet::new(&mut layout, Architecture::ResNet18, Stem::ImageNet, 1);
    let params = Params::new(device, &Arc::new(layout), 7)?;
    let gradients = params.zeros()?;
    let mut draws = Draws::new(1, Purpose::Synthetic, 0, 0, 0);
    let x: Vec<f32> = (0..IMAGES * SIDE * SIDE * 3)
        .map(|_| draws.uniform(-1.0, 1.0))
        .collect();
    let x = Var::constant(Tensor::from_slice(device, [IMAGES, SIDE, SIDE, 3], &x)?);
    let mut pass = Pass::train(&params);
    let features = network.forward(&mut pass, &x)?;
    let loss = ops::nt_xent(&mut pass.tape, &features, 0.5)?;
    let value = loss.value.to_vec()?[0];
    pass.backward(&loss, &gradients)?;
    let entries = params.layout().parameters().iter();
    let named = entries.map(|entry| {
        let gradient = params.view(&gradients, entry).to_vec()?;
        Ok((entry.name.clone(), gradient))
    });
    Ok((value, named.collect::<Result<_>>()?))
}

/// The cosine of the angle between two gradients.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| a as f64 * b as f64).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// bf16 rounds every activation to 8 bits, 20 layers deep: a gradient still points where the CPU's does.
#[test]
fn every_generation_takes_the_cpus_step() {
    let (expected, gradients) = step(&Device::cpu()).unwrap();
    for (real, compute, least) in [
        (Real::F32, 80, 0.9999),
        (Real::Bf16, 80, 0.85),
        (Real::Bf16, 90, 0.85),
    ] {
        let options = EmulatorOptions {
            compute,
            workers: 2,
            check: false, // tests/ops does
            ..EmulatorOptions::default()
        };
        let (loss, found) = step(&Device::emulated_with(real, options)).unwrap();
        let what = format!("{}, sm_{compute}", real.name());
        let off = (loss - expected).abs() / expected;
        assert!(off < 0.02, "{what}: loss {loss}, the CPU's {expected}");
        for ((name, found), (_, expected)) in found.iter().zip(&gradients) {
            let cosine = cosine(found, expected);
            assert!(cosine > least, "{what}: {name} has cosine {cosine}");
        }
    }
}
