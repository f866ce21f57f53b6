//! What a run survives, as a process: kills, signals, damaged files, disks that are full or do not answer,
//! the end of what started it. Here each campaign is short; the long ones print what they found:
//!
//! `cargo test --release --features emulator --test campaigns -- --ignored --nocapture --test-threads=1`
mod changes;
mod cost;
mod damage;
mod disks;
mod kills;
#[path = "../process/mod.rs"]
mod process;
#[path = "../runs/mod.rs"]
mod runs;
mod signals;

use process::{ends, selfsame, train};
use selfsame::random::{Draws, Purpose};
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// A run that nothing happened to.
struct Unbroken {
    last: Vec<u8>,
    took: Duration,
}

impl Unbroken {
    fn of(folder: &Path, flags: &[&str], steps: u64) -> Unbroken {
        let out = folder.join("unbroken");
        let started = Instant::now();
        ends(&mut train(&out, flags), 0, &["Done"]);
        Unbroken {
            took: started.elapsed(),
            last: state(&out, steps),
        }
    }

    #[track_caller]
    fn assert_equals(&self, run: &Path, steps: u64) {
        assert!(self.last == state(run, steps), "the states differ");
    }
}

/// As it was saved.
#[track_caller]
fn state(run: &Path, step: u64) -> Vec<u8> {
    fs::read(run.join(format!("checkpoints/step-{step:08}/state.safetensors"))).unwrap()
}

fn resume(run: &Path, flags: &[&str]) -> Command {
    let mut command = selfsame();
    command.arg("resume").arg(run).args(flags);
    command
}

/// Numbers that differ from campaign to campaign, and are the same in each repetition.
fn draws(campaign: u32) -> Draws {
    Draws::new(0, Purpose::Split, 0, campaign, 0)
}

/// From nothing to all of `time`.
fn share(draws: &mut Draws, time: Duration) -> Duration {
    time.mul_f64(draws.below(10_000) as f64 / 10_000.0)
}
