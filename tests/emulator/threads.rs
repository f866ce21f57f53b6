//! Threads of a block: barriers, shuffles, memory and its ends (planted.cu).
use super::{Mode, device, fails, modes};
use selfsame::{
    Device, Result, Tensor,
    device::{Kernel, Ptr, kernels::*},
};
use std::time::Instant;

/// Two blocks of 128 threads.
const N: usize = 256;
type Expected = fn(&[f32]) -> Vec<f32>;

/// Integers, so that sums in any order are exact.
fn input() -> Vec<f32> {
    (0..N).map(|i| (i * 7 % 31) as f32).collect()
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
    for &mode in modes() {
        for seed in 0..200 {
            let found = launch(&device(mode, seed, 1 + seed as usize % 2), kernel);
            let found = found.unwrap_or_else(|why| panic!("{}: {why}", K::INFO.name));
            assert_eq!(found, expected, "{}, {mode:?}, seed {seed}", K::INFO.name);
        }
    }
}

/// Every schedule fails in every mode; every message has all of `words`, and its seed.
#[track_caller]
fn refused<K: Kernel>(kernel: fn(Ptr, Ptr) -> K, words: &[&str]) {
    for &mode in modes() {
        refused_in(mode, 50, kernel, words);
    }
}

#[track_caller]
fn refused_in<K: Kernel>(mode: Mode, seeds: u64, kernel: fn(Ptr, Ptr) -> K, words: &[&str]) {
    fails::<K>(mode, seeds, |device| launch(device, kernel), words);
}

/// Every schedule gives a wrong result where nothing is checked; where all is, it is a race.
#[track_caller]
fn race<K: Kernel>(kernel: fn(Ptr, Ptr) -> K, expected: Expected) {
    wrong(Mode::Plain, kernel, expected);
    let words = [
        "race, shared array",
        "bytes, at offset",
        "by thread",
        "at planted.cu:",
    ];
    refused_in(Mode::Checked, 50, kernel, &words);
}

#[track_caller]
fn wrong<K: Kernel>(mode: Mode, kernel: fn(Ptr, Ptr) -> K, expected: Expected) {
    let expected = expected(&input());
    for seed in 0..50 {
        let found = launch(&device(mode, seed, 1), kernel).unwrap();
        assert_ne!(found, expected, "{}, {mode:?}, seed {seed}", K::INFO.name);
    }
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

/// Matrices through shared memory and back; which lane holds what is said in ptx.cuh.
#[test]
fn matrices_are_stored_as_they_are_loaded() {
    let transposed = |x: &[f32]| {
        let number = |lane: usize, matrix: usize, half: usize| {
            let (column, row) = (lane / 4, lane % 4 * 2 + half);
            8 * (4 * row + column / 2) + 2 * matrix + column % 2
        };
        let of_lane = |lane| number(lane, 0, 0) + 256 * number(lane, 3, 1);
        (x.iter().enumerate())
            .map(|(i, x)| x + of_lane(i % 32) as f32)
            .collect()
    };
    sound(|x, y| SoundTransposition { x, y }, transposed);
    let words = ["load_matrices_transposed at planted_matrix.cu:", "race"];
    refused_in(
        Mode::Checked,
        50,
        |x, y| NoSyncwarpAfterStore { x, y },
        &words,
    );
    let words = ["store_matrices at planted_matrix.cu:", "lanes 0 and 8"];
    refused(|x, y| SharedRow { x, y }, &words);
}

/// What `kernel` made of zeros, as bits.
fn counters<K: Kernel>(mode: Mode, seed: u64, kernel: fn(Ptr, Ptr) -> K) -> Vec<u32> {
    let device = device(mode, seed, 1 + seed as usize % 2);
    let y = Tensor::from_f32(&device, [N], &[0.0; N]).unwrap();
    device.launch(kernel(Ptr::NULL, y.ptr())).unwrap();
    y.to_vec().unwrap().iter().map(|c| c.to_bits()).collect()
}

#[test]
fn atomics_lose_nothing() {
    for (&mode, seed) in modes()
        .iter()
        .flat_map(|mode| (0..200).map(move |seed| (mode, seed)))
    {
        let found = counters(mode, seed, |x, y| SoundCount { x, y });
        assert_eq!(
            found[..8],
            [256, 64, 64, 64, 64, 255, 1, 2],
            "{mode:?}, seed {seed}"
        );
    }
}

#[test]
fn locks_keep_others_out() {
    for (&mode, seed) in modes()
        .iter()
        .flat_map(|mode| (0..50).map(move |seed| (mode, seed)))
    {
        let found = counters(mode, seed, |x, y| SoundLock { x, y });
        assert_eq!(
            found[..3],
            [0, 256f32.to_bits(), 256],
            "{mode:?}, seed {seed}"
        );
    }
}

#[test]
fn races_are_found() {
    race(|x, y| NoBarrier { x, y }, block_sums);
    race(|x, y| NoSecondBarrier { x, y }, rotations);
    race(|x, y| NoSyncwarp { x, y }, neighbours);
}

#[test]
fn what_nobody_wrote_is_not_a_number() {
    for &mode in modes() {
        wrong(mode, |x, y| Unwritten { x, y }, same);
        wrong(mode, |x, y| UnsetShared { x, y }, same);
    }
}

#[test]
fn memory_ends_where_it_ends() {
    let past = [
        "at offset 1024 of an allocation of 1024 bytes",
        "(1,0,0), thread (127,0,0)",
        "planted.cu:",
    ];
    refused(|x, y| WritePastEnd { x, y }, &past);
    refused(|x, y| ReadPastEnd { x, y }, &past);
    refused(
        |x, y| WriteBeforeStart { x, y },
        &["device memory", "at offset -4 of"],
    );
    let before = [
        "write of 4 bytes",
        "block (0,0,0), thread (0,0,0)",
        "planted.cu:",
    ];
    refused_in(Mode::Checked, 50, |x, y| WriteBeforeStart { x, y }, &before);
    let not_given = [
        "read of 4 bytes",
        "which the kernel was not given",
        "planted.cu:",
    ];
    refused_in(
        Mode::Checked,
        50,
        |x, y| NotPassed { x, y: !y.0 },
        &not_given,
    );
}

#[test]
fn shared_memory_ends_where_it_ends() {
    let words = ["shared array \"tile\" of 400 bytes", "at offset 4"];
    refused(|x, y| SharedOverrun { x, y }, &words);
    refused_in(
        Mode::Checked,
        50,
        |x, y| SharedOverrun { x, y },
        &["write of 4 bytes", "planted.cu:"],
    );
    let words = ["dynamic shared memory of 512 bytes", "at offset 512"];
    refused(|x, y| DynamicOverrun { x, y }, &words);
    refused_in(
        Mode::Checked,
        50,
        |x, y| DynamicOverrun { x, y },
        &["planted.cu:"],
    );
}

#[test]
fn faults_are_errors() {
    refused(
        |x, y| LargeFrame { x, y },
        &["the stack", "thread (", "planted.cu:"],
    );
    refused(
        |x, y| DivideByZero { x, y },
        &["an integer division by zero", "planted.cu:"],
    );
}

#[test]
fn undefined_is_an_error() {
    let words = ["an address that is not aligned", "planted.cu:"];
    refused_in(Mode::Checked, 50, |x, y| Misaligned { x, y }, &words);
    refused_in(
        Mode::Checked,
        50,
        |x, y| WideShift { x, y },
        &["a shift by more", "planted.cu:"],
    );
    refused_in(
        Mode::Checked,
        50,
        |x, y| LocalIndex { x, y },
        &["an index outside", "planted.cu:"],
    );
}

#[test]
fn a_block_has_the_threads_it_was_built_for() {
    let words = ["more threads than its bounds allow", "planted.cu:"];
    refused(|x, y| TooManyThreads { x, y }, &words);
}

#[test]
fn nobody_waits_for_ever() {
    let words = [
        "deadlock: threads 0..=95 wait at barrier 1, at planted.cu:",
        "(96 of 128 arrived); threads 96..=127 exited",
    ];
    refused(|x, y| NamedDeadlock { x, y }, &words);
    refused(
        |x, y| DivergentBarrier { x, y },
        &["divergent", "planted.cu:"],
    );
    let words = [
        "deadlock",
        "wait at barrier 0",
        "wait in a shuffle",
        "planted.cu:",
    ];
    refused(|x, y| ShuffleAndBarrier { x, y }, &words);
    refused(|x, y| ShuffleMask { x, y }, &["a shuffle", "exited"]);
    refused(
        |x, y| ShuffleAndVote { x, y },
        &["different collectives", "a vote", "a shuffle"],
    );
}

#[test]
fn nothing_runs_for_ever() {
    for &mode in modes() {
        refused_in(
            mode,
            3,
            |x, y| EndlessLoop { x, y },
            &["endless", "planted.cu:"],
        );
        refused_in(
            mode,
            3,
            |x, y| EndlessLock { x, y },
            &["poll for what does not come"],
        );
    }
}

/// The same seed is the same schedule, so that a failure can be looked at again.
#[test]
fn a_seed_repeats_itself() {
    for seed in 0..20 {
        let [a, b] = [0, 1].map(|_| {
            let y = launch(&device(Mode::Plain, seed, 1), |x, y| NoSecondBarrier {
                x,
                y,
            })
            .unwrap();
            y.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        });
        assert_eq!(a, b, "seed {seed}");
    }
}

/// `cargo test --release --features emulator --test emulator -- --ignored --nocapture` says what it costs.
#[test]
#[ignore = "a measurement"]
fn costs() {
    cost("a thread without barriers", 1, |x, y| Unwritten { x, y });
    cost("a barrier, and two accesses", 16, |x, y| SoundRotation {
        x,
        y,
    });
    cost("a shuffle or a vote", 9, |x, y| SoundScan { x, y });
}

/// The fastest of many launches, for each of `times` in each thread.
fn cost<K: Kernel>(what: &str, times: u32, kernel: fn(Ptr, Ptr) -> K) {
    for &mode in modes() {
        let device = device(mode, 0, 1);
        let x = Tensor::from_f32(&device, [N], &input()).unwrap();
        let y = Tensor::from_f32(&device, [N], &input()).unwrap();
        let time = || {
            let start = Instant::now();
            device.launch(kernel(x.ptr(), y.ptr())).unwrap();
            start.elapsed()
        };
        let fastest = (0..2000).map(|_| time()).min().unwrap_or_default();
        let each = fastest.as_nanos() as f64 / (N as u32 * times) as f64;
        println!("{what}, {mode:?}: {each:.0} ns");
    }
}
