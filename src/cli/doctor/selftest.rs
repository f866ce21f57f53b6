//! The kernels in this build, and a small network run by each device there is.
use super::Finding;
use crate::{
    Device, Error, Result,
    cli::format::bytes,
    device::{IMAGES, Matrix, MatrixMut, Real, host_matmul},
    evaluate::{Encoder, Input},
    nn::{Architecture, Layout, Params, ResNet, Stem},
    random::{Draws, Purpose},
};
use rayon::prelude::*;
use std::{collections::BTreeSet, sync::Arc, time::Instant};

pub fn findings() -> Vec<Finding> {
    let mut findings = vec![kernels(), products()];
    match features(&Device::cpu()) {
        Ok(expected) => {
            findings.push(Finding::ok("cpu", "a tiny ResNet runs"));
            findings.extend(gpus(&expected));
        }
        Err(why) => findings.push(Finding::warn(
            "cpu",
            format!("a tiny ResNet fails: {why}"),
            REPORT,
        )),
    }
    findings
}

const REPORT: &str = "this is a bug: report it with this output";

fn kernels() -> Finding {
    let targets: BTreeSet<&str> = IMAGES.iter().map(|image| image.target).collect();
    let files: BTreeSet<&str> = IMAGES.iter().map(|image| image.file).collect();
    if IMAGES.is_empty() {
        let advice =
            "for --device cuda build again where python3 with pip or a CUDA toolkit is installed";
        return Finding::warn("CUDA kernels", "none in this build", advice);
    }
    let targets: Vec<&str> = targets.into_iter().collect();
    Finding::ok(
        "CUDA kernels",
        format!("{} files for {}", files.len(), targets.join(", ")),
    )
}

/// How fast this CPU multiplies: what its training speed follows.
fn products() -> Finding {
    const N: usize = 512;
    const TIMES: usize = 8;
    let a = vec![0.5f32; N * N];
    let once = || {
        let mut c = vec![0.0f32; N * N];
        for _ in 0..TIMES {
            let a = Matrix::new(&a, N, N);
            host_matmul(MatrixMut::new(&mut c, N, N), a, a, false);
        }
        c[0]
    };
    once(); // the first touches memory
    let threads = rayon::current_num_threads();
    let start = Instant::now();
    let right = (0..threads)
        .into_par_iter()
        .all(|_| once() == 0.25 * N as f32);
    let seconds = start.elapsed().as_secs_f64();
    let speed = (2 * N * N * N * TIMES * threads) as f64 / seconds / 1e9;
    let found = format!("{speed:.0} GFLOP/s in f32 on {threads} threads");
    match right {
        true => Finding::ok("products", found),
        false => Finding::warn("products", format!("{found}, and wrong"), REPORT),
    }
}

/// Each GPU, against the CPU's numbers.
fn gpus(expected: &[f32]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ordinal in 0.. {
        let device = match Device::cuda(ordinal, Real::F32) {
            Ok(device) => device,
            Err(Error::Environment(_)) if ordinal > 0 => break, // no more of them
            Err(why) => {
                let why = why.to_string();
                let why = why.trim_start_matches("error[env]: ");
                findings.push(Finding::warn(
                    "cuda",
                    why,
                    "training goes by the CPU: --device cpu",
                ));
                break;
            }
        };
        findings.push(judge(&device, expected));
    }
    findings
}

fn judge(device: &Device, expected: &[f32]) -> Finding {
    let arch = device.arch();
    let memory = device.free_memory().ok().flatten();
    let memory = memory.map_or(String::new(), |free| format!(", {} free", bytes(free)));
    let name = format!(
        "{}: compute capability {}.{}, {} multiprocessors{memory}",
        device.name(),
        arch.compute / 10,
        arch.compute % 10,
        arch.multiprocessors
    );
    match features(device) {
        Err(why) => Finding::warn(
            "cuda",
            format!("{name}: a tiny ResNet fails: {why}"),
            REPORT,
        ),
        Ok(found) => {
            let largest = expected.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            let apart = found.iter().zip(expected).map(|(f, e)| (f - e).abs());
            let apart = apart.fold(0.0, f32::max) / largest;
            let found = format!("{name}; a tiny ResNet is {apart:.1e} from the CPU's");
            match apart < 1e-2 {
                true => Finding::ok("cuda", found), // f32 sums in another order, TF32 at most
                false => Finding::warn("cuda", found, REPORT),
            }
        }
    }
}

/// A tiny ResNet's features of four images of noise.
fn features(device: &Device) -> Result<Vec<f32>> {
    const SIDE: u32 = 32;
    let mut layout = Layout::default();
    let network = ResNet::new(&mut layout, Architecture::Tiny, Stem::Cifar, 1);
    let params = Params::new(device, &Arc::new(layout), 0)?;
    let mut draws = Draws::new(0, Purpose::Synthetic, 0, 0, 0);
    let pixels: Vec<u8> = (0..4 * SIDE * SIDE * 3)
        .map(|_| draws.bits() as u8)
        .collect();
    let encoder = Encoder {
        network: &network,
        params: &params,
        input: Input {
            size: SIDE,
            mean: [0.5; 3],
            std: [0.25; 3],
        },
    };
    encoder.embed(&pixels)
}
