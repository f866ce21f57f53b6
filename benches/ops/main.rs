//! `cargo bench --bench ops [-- relu]`: each kernel alone, at the sizes ResNet-50 gives it, in GB/s or
//! FLOP/s, and as a share of the roofline: the least time that its bytes and operations would take at what this
//! device was just seen to copy and to multiply. `SELFSAME_DEVICE=cuda` benches the GPU; the CPU gets a
//! smaller batch.
mod add;
mod augment_blur;
mod augment_color;
mod augment_crop;
mod augment_draw;
mod batch_norm;
mod batch_norm_add_relu;
mod batch_norm_relu;
mod batch_norm_relu_max_pool;
mod conv2d;
mod conv2d_image;
mod copy;
mod cross_entropy;
mod ema;
mod global_average_pool;
mod l2_normalize;
mod matmul;
mod max_pool;
mod nt_xent;
mod optimize;
mod relu;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selfsame::{
    Device,
    device::{Ceilings, Kernel, Real, Work},
};
use std::{
    cell::Cell,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Images a batch: ResNet-50's 256 on a GPU, what a CPU does in a moment otherwise.
pub fn batch(device: &Device) -> usize {
    if device.arch().compute > 0 { 256 } else { 4 }
}

fn device() -> Device {
    match std::env::var("SELFSAME_DEVICE").as_deref() {
        Ok("cuda") => Device::cuda(0, Real::Bf16).expect("a GPU"),
        _ => Device::cpu(),
    }
}

/// Times `kernel` alone, launched back to back, and checks nothing: tests/ops does that.
pub fn bench<K: Kernel>(c: &mut Criterion, device: &Device, name: &str, kernel: K) {
    let mut group = c.benchmark_group(K::INFO.name);
    let (bytes, flops) = (kernel.bytes(device.real()), kernel.flops());
    group.throughput(if flops > 20 * bytes {
        Throughput::Elements(flops)
    } else {
        Throughput::Bytes(bytes)
    });
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    let quickest = Cell::new(Duration::MAX);
    group.bench_function(name, |b| {
        b.iter_custom(|times| {
            device.synchronize().unwrap();
            let start = Instant::now();
            (0..times).for_each(|_| device.launch(kernel).unwrap());
            device.synchronize().unwrap();
            let took = start.elapsed();
            quickest.set(quickest.get().min(took / times as u32));
            took
        })
    });
    if quickest.get() < Duration::MAX {
        let work = Work {
            launches: 1,
            bytes,
            flops,
        };
        tell_roofline(device, &work, quickest.get().as_secs_f64());
    }
}

/// Below criterion's lines; of a kernel that a filter leaves out there is nothing to tell.
fn tell_roofline(device: &Device, work: &Work, seconds: f64) {
    static CEILINGS: OnceLock<Ceilings> = OnceLock::new();
    let ceilings = CEILINGS.get_or_init(|| Ceilings::measure(device).unwrap());
    let share = 100.0 * ceilings.least(work) / seconds;
    let ceiling = match ceilings.computes(work) {
        true => format!(
            "{:.3} TFLOP/s ({})",
            ceilings.flops / 1e12,
            ceilings.product.0
        ),
        false => format!("{:.1} GB/s (copy)", ceilings.bytes / 1e9),
    };
    println!("{:24}roofline: {share:.0} % of {ceiling}", "");
}

fn all(c: &mut Criterion) {
    let device = device();
    if device.arch().compute == 0 {
        println!(
            "on the CPU, at its sizes; the GPU's are skipped (SELFSAME_DEVICE=cuda runs them)"
        );
    }
    add::bench(c, &device);
    augment_blur::bench(c, &device);
    augment_color::bench(c, &device);
    augment_crop::bench(c, &device);
    augment_draw::bench(c, &device);
    batch_norm::bench(c, &device);
    batch_norm_add_relu::bench(c, &device);
    batch_norm_relu::bench(c, &device);
    batch_norm_relu_max_pool::bench(c, &device);
    conv2d::bench(c, &device);
    conv2d_image::bench(c, &device);
    copy::bench(c, &device);
    cross_entropy::bench(c, &device);
    ema::bench(c, &device);
    global_average_pool::bench(c, &device);
    l2_normalize::bench(c, &device);
    matmul::bench(c, &device);
    max_pool::bench(c, &device);
    nt_xent::bench(c, &device);
    optimize::bench(c, &device);
    relu::bench(c, &device);
}

criterion_group!(ops, all);
criterion_main!(ops);
