//! `cargo bench --bench step [-- resnet18]`: whole training steps, forward and backward, in images a
//! second; on a GPU also captured and replayed. On a CPU: what `benches/peers/resnet_step.py` does in
//! PyTorch, at the same sizes.
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selfsame::{
    Device, Result, Tensor, Var,
    device::Real,
    nn::{Architecture, Layout, Params, Pass, ResNet, Stem},
    ops,
};
use std::{sync::Arc, time::Duration};

fn all(c: &mut Criterion) {
    let (device, scale) = match std::env::var("SELFSAME_DEVICE").as_deref() {
        Ok("cuda") => (Device::cuda(0, Real::Bf16).expect("a GPU"), 16),
        _ => (Device::cpu(), 1),
    };
    step(
        c,
        &device,
        "resnet18-cifar",
        Architecture::ResNet18,
        Stem::Cifar,
        [64 * scale, 32],
    );
    step(
        c,
        &device,
        "resnet50",
        Architecture::ResNet50,
        Stem::ImageNet,
        [8 * scale, 224],
    );
    step(
        c,
        &device,
        "tiny",
        Architecture::Tiny,
        Stem::Cifar,
        [256 * scale, 32],
    );
}

/// Forward, NT-Xent on the features, and backward to every parameter.
fn step(
    c: &mut Criterion,
    device: &Device,
    name: &str,
    arch: Architecture,
    stem: Stem,
    [n, s]: [usize; 2],
) {
    let mut layout = Layout::default();
    let network = ResNet::new(&mut layout, arch, stem, 1);
    let params = Params::new(device, &Arc::new(layout), 0).unwrap();
    let gradients = params.zeros().unwrap();
    let x: Vec<f32> = (0..n * s * s * 3)
        .map(|i| (i % 251) as f32 / 125.0 - 1.0)
        .collect();
    let x = Var::constant(Tensor::from_slice(device, [n, s, s, 3], &x).unwrap());

    let mut group = c.benchmark_group("step");
    group.throughput(Throughput::Elements(n as u64));
    group
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5));
    let launch = || -> Result<()> {
        let mut pass = Pass::train(&params);
        let f = network.forward(&mut pass, &x)?;
        let loss = ops::nt_xent(&mut pass.tape, &f, 0.5)?;
        pass.backward(&loss, &gradients)
    };
    let launch_and_wait = || launch().and_then(|()| device.synchronize()).unwrap();
    group.bench_function(name, |b| b.iter(launch_and_wait));
    if device.arch().compute > 0 {
        let ((), graph) = device.capture(launch).unwrap();
        let replay_and_wait = || graph.replay().and_then(|()| device.synchronize()).unwrap();
        group.bench_function(format!("{name}-replayed"), |b| b.iter(replay_and_wait));
    }
}

criterion_group!(steps, all);
criterion_main!(steps);
