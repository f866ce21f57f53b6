//! Whole steps in a table: what, how, milliseconds, images a second, gigabytes at the peak.
use super::{open, timing, training::Training};
use selfsame::{Device, Error, Result};
use std::time::Duration;

/// A network at its preset's sizes, and the batches it is timed at: on a GPU, and where there is none.
struct Case {
    network: &'static str,
    preset: &'static str,
    classes: usize,
    supervised: &'static [usize],
    /// Images, of two views each.
    simclr: &'static [usize],
    without_gpu: &'static [usize],
}

const CASES: [Case; 2] = [
    Case {
        network: "resnet50",
        preset: "simclr-imagenet",
        classes: 1000,
        supervised: &[256, 128, 512],
        simclr: &[256, 128],
        without_gpu: &[2],
    },
    Case {
        network: "resnet18-cifar",
        preset: "simclr-cifar",
        classes: 10,
        supervised: &[512, 1024],
        simclr: &[512, 1024],
        without_gpu: &[8],
    },
];

/// Steps before one is captured, as `train` has it.
const WARM_UP: usize = 2;
/// For one line.
const PATIENCE: Duration = Duration::from_millis(700);

/// Those whose name holds `filter`.
pub fn print(filter: &str) -> Result<()> {
    let has_gpu = open()?.arch().compute > 0;
    if !has_gpu {
        println!("on the CPU, of a few images; the GPU's batches are skipped");
    }
    line("what", "how", "ms", "images/s", "peak GB");
    for case in &CASES {
        let batches = |on_gpu| if has_gpu { on_gpu } else { case.without_gpu };
        for &batch in batches(case.supervised) {
            let what = format!("{} supervised, batch {batch}", case.network);
            if what.contains(filter) {
                tell(&what, batch, |device| {
                    Training::supervised(device, case.preset, batch, case.classes)
                })?;
            }
        }
        for &batch in batches(case.simclr) {
            let what = format!("{} SimCLR, batch 2 x {batch}", case.network);
            if what.contains(filter) {
                tell(&what, batch, |device| {
                    Training::simclr(device, case.preset, batch)
                })?;
            }
        }
    }
    Ok(())
}

/// Of one that does not fit, that line says so and the others follow.
fn tell(what: &str, batch: usize, make: impl Fn(&Device) -> Result<Training>) -> Result<()> {
    match time(what, batch, make) {
        Err(Error::OutOfMemory { .. }) => {
            line(what, "", "does not fit", "", "");
            Ok(())
        }
        other => other,
    }
}

/// On a device of its own, so that the peak is this one's.
fn time(what: &str, batch: usize, make: impl Fn(&Device) -> Result<Training>) -> Result<()> {
    let device = open()?;
    let mut training = make(&device)?;
    let row = |how: &str, seconds: f64| {
        let ms = format!("{:.3}", 1e3 * seconds);
        let rate = format!("{:.1}", batch as f64 / seconds);
        let peak = format!("{:.2}", device.memory().peak as f64 / 1e9);
        line(what, how, &ms, &rate, &peak);
    };
    (0..WARM_UP).try_for_each(|_| training.step())?;
    let eager = timing::median(&device, PATIENCE, || training.step())?;
    row("eager", eager);
    let ((), graph) = device.capture(|| training.step())?;
    let replayed = timing::median(&device, PATIENCE, || graph.replay())?;
    row("graph", replayed);
    Ok(())
}

fn line(what: &str, how: &str, ms: &str, rate: &str, peak: &str) {
    println!("{what:<42}  {how:<26}  {ms:>12}  {rate:>10}  {peak:>8}");
}

/// Each kernel of five SimCLR steps of a ResNet-50, launched one by one.
pub fn trace(device: &Device) -> Result<()> {
    let case = &CASES[0];
    let batch = match device.arch().compute {
        0 => case.without_gpu[0],
        _ => case.simclr[0],
    };
    let mut training = Training::simclr(device, case.preset, batch)?;
    (0..WARM_UP).try_for_each(|_| training.step())?;
    device.start_trace()?;
    (0..5).try_for_each(|_| training.step())?;
    device.synchronize()?;
    let trace = device.end_trace()?.expect("it was started");
    let network = case.network;
    println!("five steps of {network}, SimCLR, batch 2 x {batch}\n{trace}");
    Ok(())
}
