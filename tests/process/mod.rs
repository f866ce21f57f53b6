//! The program as a process: what it is asked, how it ends, what it said.
#![allow(dead_code)] // each test uses its part
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

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
    "--log-every",
    "4",
    "--set",
    "method.head_hidden=32",
    "--set",
    "method.head_out=16",
    "--workers=1",
];

pub fn selfsame() -> Command {
    Command::new(env!("CARGO_BIN_EXE_selfsame"))
}

pub fn train(out: &Path, more: &[&str]) -> Command {
    let mut command = selfsame();
    command.arg("train").args(TINY).args(more);
    command.arg("--out").arg(out);
    command
}

pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// What `command` said, that ended with `code` and said each of `words`; `None` is a signal.
#[track_caller]
pub fn ends(command: &mut Command, code: impl Into<Option<i32>>, words: &[&str]) -> String {
    let output = command.output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), code.into(), "{command:?}\n{text}");
    for word in words {
        assert!(text.contains(word), "{command:?}\nno `{word}` in:\n{text}");
    }
    text
}

/// Of a run of 8 steps.
pub fn last_state(run: &Path) -> Vec<u8> {
    fs::read(run.join("checkpoints/step-00000008/state.safetensors")).unwrap()
}
