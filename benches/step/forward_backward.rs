//! Forward and backward, no optimizer: what the README compares with PyTorch on a CPU.
use criterion::{Criterion, Throughput};
use selfsame::{
    Device, Result, Tensor, Var,
    nn::{Architecture, Layout, Params, Pass, ResNet, Stem},
    ops,
};
use std::{sync::Arc, time::Duration};

pub fn bench(c: &mut Criterion, device: &Device) {
    let (cifar, imagenet) = (Stem::Cifar, Stem::ImageNet);
    for (name, arch, stem, size) in [
        ("resnet18-cifar", Architecture::ResNet18, cifar, [64, 32]),
        ("resnet50", Architecture::ResNet50, imagenet, [8, 224]),
        ("tiny", Architecture::Tiny, cifar, [256, 32]),
    ] {
        step(c, device, name, arch, stem, size);
    }
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
}
