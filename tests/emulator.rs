//! The emulator itself: it finds every bug planted in `src/device/emulator/planted.cu` under all of 50
//! schedules, says where, and stays silent about sound kernels under 200.
#![cfg(emulated_kernels)]
use selfsame::{
    Device, Result, Tensor,
    device::{EmulatorOptions, Kernel, Ptr, Real, kernels::*},
};
use std::time::Duration;

/// Two blocks of 128 threads.
const N: usize = 256;
type Expected = fn(&[f32]) -> Vec<f32>;

/// Integers, so that sums in any order are exact.
fn input() -> Vec<f32> {
    (0..N).map(|i| (i * 7 % 31) as f32).collect()
}

fn device(seed: u64, workers: usize) -> Device {
    let patience = Duration::from_millis(60);
    Device::emulated_with(
        Real::F32,
        EmulatorOptions {
            seed,
            workers,
            patience,
        },
    )
}

/// What a launch left in `y`, which it found as NaN.
fn launch<K: Kernel>(device: &Device, kernel: fn(Ptr, Ptr) -> K) -> Result<Vec<f32>> {
    let x = Tensor::from_f32(device, [N], &input())?;
    let y = Tensor::from_f32(device, [N], &[f32::NAN; N])?;
    device.launch(kernel(x.ptr(), y.ptr()))?;
    y.to_vec()
}

/// `kernel` computes what is expected, whatever the schedule, on one worker and on two.
#[track_caller]
fn sound<K: Kernel>(kernel: fn(Ptr, Ptr) -> K, expected: Expected) {
    let expected = expected(&input());
    for seed in 0..200 {
        let found = launch(&device(seed, 1 + seed as usize % 2), kernel);
        let found = found.unwrap_or_else(|why| panic!("{}: {why}", K::INFO.name));
        assert_eq!(found, expected, "{}, seed {seed}", K::INFO.name);
    }
}

/// Every schedule fails; every message has all of `words`, and its seed.
#[track_caller]
fn refused<K: Kernel>(kernel: fn(Ptr, Ptr) -> K, words: &[&str]) {
    refused_in(50, kernel, words);
}

#[track_caller]
fn refused_in<K: Kernel>(seeds: u64, kernel: fn(Ptr, Ptr) -> K, words: &[&str]) {
    for seed in 0..seeds {
        let name = K::INFO.name;
        let found = launch(&device(seed, 1), kernel);
        let why = found
            .expect_err(&format!("{name}, seed {seed}"))
            .to_string();
        for word in words.iter().chain([&name, &&*format!("seed {seed}: ")]) {
            assert!(why.contains(word), "{name}: no `{word}` in: {why}");
        }
        if seed == 0 {
            println!("{why}");
        }
    }
}

/// Every schedule gives a wrong result; `at_least` says how many of 50 do where not all can.
#[track_caller]
fn wrong<K: Kernel>(at_least: usize, kernel: fn(Ptr, Ptr) -> K, expected: Expected) {
    let expected = expected(&input());
    let is_wrong = |seed: &u64| launch(&device(*seed, 1), kernel).map_or(true, |y| y != expected);
    let caught = (0..50).filter(is_wrong).count();
    println!("{}: {caught} of 50", K::INFO.name);
    assert!(caught >= at_least, "{}: only {caught} of 50", K::INFO.name);
}

fn same(x: &[f32]) -> Vec<f32> {
    x.to_vec()
}
fn block_sums(x: &[f32]) -> Vec<f32> {
    x.chunks(128)
        .flat_map(|block| [block.iter().sum::<f32>(); 128])
        .collect()
}
fn rotations(x: &[f32]) -> Vec<f32> {
    let sum = |block: &[f32], t: usize| (1..=8).map(|step| block[(t + step) % 128]).sum();
    x.chunks(128)
        .flat_map(|block| (0..128).map(move |t| sum(block, t)))
        .collect()
}
fn warp_scans(x: &[f32]) -> Vec<f32> {
    let scan = |sum: &mut f32, &v: &f32| {
        *sum += v;
        Some(*sum)
    };
    x.chunks(32)
        .flat_map(|warp| warp.iter().scan(0.0, scan))
        .collect()
}
fn neighbours(x: &[f32]) -> Vec<f32> {
    (0..x.len()).map(|i| x[i ^ 1]).collect()
}

#[test]
fn sound_kernels_raise_no_alarm() {
    sound(|x, y| SoundSum { x, y }, block_sums);
    sound(|x, y| SoundRotation { x, y }, rotations);
    sound(|x, y| SoundScan { x, y }, warp_scans);
    sound(|x, y| SoundExit { x, y }, same);
    sound(|x, y| SoundHandover { x, y }, same);
}

/// What `kernel` made of zeros, as bits.
fn counters<K: Kernel>(seed: u64, kernel: fn(Ptr, Ptr) -> K) -> Vec<u32> {
    let device = device(seed, 1 + seed as usize % 2);
    let y = Tensor::from_f32(&device, [N], &[0.0; N]).unwrap();
    device.launch(kernel(Ptr::NULL, y.ptr())).unwrap();
    y.to_vec().unwrap().iter().map(|c| c.to_bits()).collect()
}

#[test]
fn atomics_lose_nothing() {
    for seed in 0..200 {
        let found = counters(seed, |x, y| SoundCount { x, y });
        assert_eq!(found[..8], [256, 64, 64, 64, 64, 255, 1, 2], "seed {seed}");
    }
}

#[test]
fn locks_keep_others_out() {
    for seed in 0..50 {
        let found = counters(seed, |x, y| SoundLock { x, y });
        assert_eq!(found[..3], [0, 256f32.to_bits(), 256], "seed {seed}");
    }
}

#[test]
fn what_depends_on_the_schedule_comes_out_wrong() {
    wrong(50, |x, y| NoBarrier { x, y }, block_sums);
    wrong(50, |x, y| NoSecondBarrier { x, y }, rotations);
    wrong(50, |x, y| NoSyncwarp { x, y }, neighbours);
    wrong(50, |x, y| Unwritten { x, y }, same);
    wrong(50, |x, y| UnsetShared { x, y }, same);
}

#[test]
fn memory_ends_where_it_ends() {
    let past = "at offset 1024 of an allocation of 1024 bytes";
    refused(
        |x, y| WritePastEnd { x, y },
        &[past, "block (1,0,0), thread (127,0,0)", "planted.cu:"],
    );
    refused(
        |x, y| ReadPastEnd { x, y },
        &[past, "block (1,0,0), thread (127,0,0)", "planted.cu:"],
    );
    refused(
        |x, y| WriteBeforeStart { x, y },
        &["device memory written", "at offset -"],
    );
}

#[test]
fn shared_memory_ends_where_it_ends() {
    refused(
        |x, y| SharedOverrun { x, y },
        &["\"tile\" of 400 bytes", "at offset 400"],
    );
    refused(
        |x, y| DynamicOverrun { x, y },
        &["dynamic shared memory of 512 bytes", "at offset 512"],
    );
}

#[test]
fn faults_are_errors() {
    refused(|x, y| LargeFrame { x, y }, &["the stack", "thread ("]);
    refused(
        |x, y| DivideByZero { x, y },
        &["division by zero", "planted.cu:"],
    );
}

#[test]
fn a_block_has_the_threads_it_was_built_for() {
    refused_in(
        1,
        |x, y| TooManyThreads { x, y },
        &["more threads than its bounds allow", "planted.cu:"],
    );
}

#[test]
fn nobody_waits_for_ever() {
    refused(
        |x, y| NamedDeadlock { x, y },
        &[
            "deadlock",
            "0..=95 wait at barrier 1, at planted.cu:",
            "(96 of 128 arrived)",
            "96..=127 exited",
        ],
    );
    refused(
        |x, y| DivergentBarrier { x, y },
        &["divergent", "planted.cu:"],
    );
    refused(
        |x, y| ShuffleAndBarrier { x, y },
        &[
            "deadlock",
            "wait at barrier 0",
            "wait in a shuffle",
            "planted.cu:",
        ],
    );
    refused(|x, y| ShuffleMask { x, y }, &["a shuffle", "exited"]);
    refused(
        |x, y| ShuffleAndVote { x, y },
        &["different collectives", "a vote", "a shuffle"],
    );
}

#[test]
fn nothing_runs_for_ever() {
    refused_in(5, |x, y| EndlessLoop { x, y }, &["endless", "planted.cu:"]);
    refused_in(
        5,
        |x, y| EndlessLock { x, y },
        &["poll for what does not come"],
    );
}

/// The same seed is the same schedule, so that a failure can be looked at again.
#[test]
fn a_seed_repeats_itself() {
    for seed in 0..20 {
        let [a, b] = [0, 1].map(|_| {
            let y = launch(&device(seed, 1), |x, y| NoSecondBarrier { x, y }).unwrap();
            y.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        });
        assert_eq!(a, b, "seed {seed}");
    }
}
