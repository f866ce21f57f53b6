//! What goes wrong, on purpose: NaNs at known places, kills, full disks, broken images, and runs too large
//! for the machine. The program is asked as its user would ask it.
mod memory;
mod nan;
mod others;
#[path = "../process/mod.rs"]
mod process;
#[path = "../runs/mod.rs"]
mod runs;

use process::ends;
use std::{path::Path, process::Command};

fn selfsame(faults: &str) -> Command {
    let mut command = process::selfsame();
    command.env("SELFSAME_FAULT", faults);
    command
}

/// 8 steps of 8 images, 6 an epoch, at the full rate from the first on; numbers are read as `faults` has it,
/// not before for the log's sake.
fn train(out: &Path, faults: &str, more: &[&str]) -> Command {
    let mut command = process::train(out, &["--warmup", "0", "--set", "output.log_every=10"]);
    command.args(more).env("SELFSAME_FAULT", faults);
    command
}

fn resume(out: &Path, faults: &str) -> Command {
    let mut command = selfsame(faults);
    command.arg("resume").arg(out);
    command
}
