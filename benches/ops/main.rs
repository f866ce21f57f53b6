//! `cargo bench --bench ops [-- relu]`: each kernel alone, at the sizes ResNet-50 gives it, in GB/s or
//! FLOP/s, and as a share of the roofline: the least time that its bytes and operations would take at what this
//! device was just seen to copy and to multiply. On the CPU by criterion, of a smaller batch. With
//! `SELFSAME_DEVICE=cuda`, or `--table`, a quick table instead; `--roofline 3.0,790` tells it what
//! else was seen on this device, in TB/s and TFLOP/s.
mod add;
mod augment_blur;
mod augment_color;
mod augment_crop;
mod augment_draw;
mod augment_photometric;
mod bank_nce;
mod bank_update;
mod batch_norm;
mod batch_norm_add_relu;
mod batch_norm_relu;
mod batch_norm_relu_max_pool;
mod concat_rows;
mod conv2d;
mod conv2d_image;
mod copy;
mod cosine_distance;
mod cross_correlation;
mod cross_entropy;
mod deal_rows;
mod draw_negatives;
mod dropout;
mod ema;
mod global_average_pool;
mod info_nce;
mod l2_normalize;
mod matmul;
mod max_pool;
mod normalize_rows;
mod nt_xent;
mod optimize;
mod pair_patches;
mod relu;
mod ring_push;
mod sinkhorn;
mod swapped_prediction;
mod table;
#[path = "../timing/mod.rs"]
mod timing;
mod weighted_sum;

use criterion::{Criterion, Throughput};
use selfsame::{
    Device, Result, Tensor,
    device::{Ceilings, Kernel, Real, Work},
    ops,
    random::{Draws, Purpose},
    shape::Shape,
    tensor::Element,
};
use std::{
    cell::Cell,
    env,
    sync::OnceLock,
    time::{Duration, Instant},
};
use table::Table;

/// Images a batch: ResNet-50's 256 on a GPU, what a CPU does in a moment otherwise.
pub fn batch(device: &Device) -> usize {
    if device.arch().compute > 0 { 256 } else { 4 }
}

fn device() -> Device {
    match env::var("SELFSAME_DEVICE").as_deref() {
        Ok("cuda") => Device::cuda(0, Real::Bf16).expect("a GPU"),
        _ => Device::cpu(),
    }
}

/// An operand: of floating-point numbers, some from -1 to 1. Zeros take less power to multiply, and so
/// less time.
pub fn operand(device: &Device, element: Element, shape: impl Into<Shape>) -> Result<Tensor> {
    let t = Tensor::uninit(device, element, shape)?;
    if !matches!(element, Element::Real | Element::F32) {
        return Ok(t);
    }
    let (flat, n) = (t.reshape([t.len()]), t.len().min(1 << 18));
    let mut draws = Draws::new(0, Purpose::Synthetic, 0, 0, 0);
    let values: Vec<f32> = (0..n).map(|_| draws.uniform(-1.0, 1.0)).collect();
    let values = Tensor::from_f32(device, [n], &values)?;
    for start in (0..t.len()).step_by(n) {
        let n = n.min(t.len() - start);
        ops::copy::copy(&values.slice(0, [n]), &flat.slice(start, [n]))?;
    }
    Ok(t)
}

/// Where times are told in a table.
static TABLE: OnceLock<Table> = OnceLock::new();

/// Times `kernel` alone, launched back to back, and checks nothing: tests/ops does that.
pub fn bench<K: Kernel>(c: &mut Criterion, device: &Device, name: &str, kernel: K) {
    let how = kernel.kernel(device.arch()).name;
    let work = Work {
        launches: 1,
        bytes: kernel.bytes(device.real()),
        flops: kernel.flops(),
    };
    let launch = || device.launch(kernel);
    match TABLE.get() {
        Some(table) => table.add(device, &format!("{}/{name}", K::INFO.name), how, &launch),
        None => by_criterion(c, device, [K::INFO.name, name], &work, &launch),
    }
}

/// Times all that `launch` launches: a whole op.
pub fn bench_op(
    c: &mut Criterion,
    device: &Device,
    [op, name]: [&str; 2],
    how: &str,
    launch: impl Fn() -> Result<()>,
) {
    if let Some(table) = TABLE.get() {
        return table.add(device, &format!("{op}/{name}"), how, &launch);
    }
    let ((), graph) = device.capture(&launch).unwrap();
    by_criterion(c, device, [op, name], &graph.work(), &launch);
}

fn by_criterion(
    c: &mut Criterion,
    device: &Device,
    [op, name]: [&str; 2],
    work: &Work,
    launch: &dyn Fn() -> Result<()>,
) {
    let mut group = c.benchmark_group(op);
    group.throughput(if work.flops > 20 * work.bytes {
        Throughput::Elements(work.flops)
    } else {
        Throughput::Bytes(work.bytes)
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
            (0..times).for_each(|_| launch().unwrap());
            device.synchronize().unwrap();
            let took = start.elapsed();
            quickest.set(quickest.get().min(took / times as u32));
            took
        })
    });
    if quickest.get() < Duration::MAX {
        tell_roofline(device, work, quickest.get().as_secs_f64());
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

fn all(c: &mut Criterion, device: &Device) {
    add::bench(c, device);
    augment_blur::bench(c, device);
    augment_color::bench(c, device);
    augment_crop::bench(c, device);
    augment_draw::bench(c, device);
    augment_photometric::bench(c, device);
    bank_nce::bench(c, device);
    bank_update::bench(c, device);
    batch_norm::bench(c, device);
    batch_norm_add_relu::bench(c, device);
    batch_norm_relu::bench(c, device);
    batch_norm_relu_max_pool::bench(c, device);
    concat_rows::bench(c, device);
    conv2d::bench(c, device);
    conv2d_image::bench(c, device);
    copy::bench(c, device);
    cross_correlation::bench(c, device);
    cosine_distance::bench(c, device);
    cross_entropy::bench(c, device);
    draw_negatives::bench(c, device);
    dropout::bench(c, device);
    deal_rows::bench(c, device);
    ema::bench(c, device);
    global_average_pool::bench(c, device);
    info_nce::bench(c, device);
    l2_normalize::bench(c, device);
    matmul::bench(c, device);
    max_pool::bench(c, device);
    normalize_rows::bench(c, device);
    nt_xent::bench(c, device);
    optimize::bench(c, device);
    pair_patches::bench(c, device);
    relu::bench(c, device);
    weighted_sum::bench(c, device);
    ring_push::bench(c, device);
    sinkhorn::bench(c, device);
    swapped_prediction::bench(c, device);
}

fn main() {
    let device = device();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has_gpu = device.arch().compute > 0;
    if !has_gpu {
        println!(
            "on the CPU, at its sizes; the GPU's are skipped (SELFSAME_DEVICE=cuda runs them)"
        );
    }
    if has_gpu || arguments.iter().any(|a| a == "--table") {
        let (given, filter) = asked(&arguments);
        let table = Table::begin(&device, given, filter).expect("a device that runs kernels");
        assert!(TABLE.set(table).is_ok(), "set once");
        return all(&mut Criterion::default(), &device);
    }
    let mut criterion = Criterion::default().configure_from_args();
    all(&mut criterion, &device);
    criterion.final_summary();
}

/// Bytes and operations a second after `--roofline`, in 10^12, and the filter, if there is any.
fn asked(arguments: &[String]) -> (Option<[f64; 2]>, String) {
    let (mut given, mut filter) = (None, String::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--roofline" => {
                let numbers = rest.next().and_then(|pair| pair.split_once(','));
                let number = |text: &str| 1e12 * text.parse::<f64>().expect("a number");
                given = numbers.map(|(bytes, flops)| [number(bytes), number(flops)]);
                assert!(given.is_some(), "--roofline takes TB/s,TFLOP/s");
            }
            flag if flag.starts_with("--") => {} // `--table`, and cargo's own
            word => filter = word.to_string(),
        }
    }
    (given, filter)
}
