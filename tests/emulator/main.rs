//! The emulator itself: it finds every bug planted in `src/device/emulator/planted*.cu` under all of 50
//! schedules, says where, and stays silent about sound kernels under 200.
#![cfg(emulated_kernels)]
use selfsame::{
    Device, Result,
    device::{EmulatorOptions, Kernel, Real},
};
use std::time::Duration;

mod counts;
mod matrix;
mod tensor;
mod threads;

/// What a launch is run with; without checks, a bug shows only in what the schedule makes of it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Mode {
    Plain,
    Checked,
}

/// The modes of this build.
fn modes() -> &'static [Mode] {
    let modes = &[Mode::Plain, Mode::Checked];
    if EmulatorOptions::can_check() {
        modes
    } else {
        &modes[..1]
    }
}

fn device(mode: Mode, seed: u64, workers: usize) -> Device {
    device_of(Real::F32, mode, seed, workers)
}

fn device_of(real: Real, mode: Mode, seed: u64, workers: usize) -> Device {
    // One worker waits for itself only; two wait for each other, on a machine that may be busy.
    let patience = Duration::from_millis(if workers == 1 { 100 } else { 20_000 });
    let check = mode == Mode::Checked;
    let options = EmulatorOptions {
        seed,
        workers,
        patience,
        check,
        compute: 80,
    };
    Device::emulated_with(real, options)
}

/// Every one of `seeds` schedules fails; every message has all of `words`, and its seed.
#[track_caller]
fn fails<K: Kernel>(
    mode: Mode,
    seeds: u64,
    launch: impl Fn(&Device) -> Result<Vec<f32>>,
    words: &[&str],
) {
    fails_of::<K>(Real::F32, mode, seeds, launch, words);
}

#[track_caller]
fn fails_of<K: Kernel>(
    real: Real,
    mode: Mode,
    seeds: u64,
    launch: impl Fn(&Device) -> Result<Vec<f32>>,
    words: &[&str],
) {
    if !modes().contains(&mode) {
        return eprintln!("skipped: this build cannot check accesses");
    }
    let name = K::INFO.name;
    for seed in 0..seeds {
        let found = launch(&device_of(real, mode, seed, 1));
        let why = found
            .expect_err(&format!("{name}, {mode:?}, seed {seed}"))
            .to_string();
        for word in words.iter().chain([&name, &&*format!("seed {seed}: ")]) {
            assert!(
                why.contains(word),
                "{name}, {mode:?}: no `{word}` in: {why}"
            );
        }
        if seed == 0 {
            println!("{mode:?}: {why}");
        }
    }
}
