//! What goes wrong, on purpose: NaNs at known places, kills, full disks, broken images, and runs too large
//! for the machine. The program is asked as its user would ask it.
mod memory;
mod nan;
mod others;
#[path = "../runs/mod.rs"]
mod runs;

use std::{
    path::Path,
    process::{Command, Output},
};

/// 8 steps of 8 images, 6 an epoch.
const TINY: [&str; 16] = [
    "synthetic:48:16",
    "--val",
    "synthetic-val:20:16",
    "--device",
    "cpu",
    "--batch",
    "8",
    "--steps",
    "8",
    "--warmup",
    "0",
    "--set",
    "method.head_hidden=32",
    "--set",
    "method.head_out=16",
    "--workers=1",
];

fn selfsame(faults: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selfsame"));
    command.env("SELFSAME_FAULT", faults);
    command
}

fn train(out: &Path, faults: &str, more: &[&str]) -> Command {
    let mut command = selfsame(faults);
    command.arg("train").args(TINY).args(more);
    command.arg("--out").arg(out);
    command
}

fn resume(out: &Path, faults: &str) -> Command {
    let mut command = selfsame(faults);
    command.arg("resume").arg(out);
    command
}

/// What `command` said, that ended with `code` and said each of `words`; `None` is a signal.
#[track_caller]
fn ends(command: &mut Command, code: Option<i32>, words: &[&str]) -> String {
    let output = command.output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), code, "{command:?}\n{text}");
    for word in words {
        assert!(text.contains(word), "{command:?}\nno `{word}` in:\n{text}");
    }
    text
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}
