//! Disks that are full, or will be.
use super::{resume, state};
use crate::process::{ends, said, train};
use std::{fs, process::Command};

/// No file of it may grow over `blocks` of 512 bytes: as a full disk, to a checkpoint.
fn limited(inner: &Command, blocks: u32) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -f {blocks}; exec \"$@\"");
    command.args(["-c", &script, "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command
}

#[test]
fn a_full_disk_does_not_stop_training() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let train = train(&run, &["--checkpoint-every", "2steps"]);
    let words = [
        "step 2 was not saved, training goes on",
        "step 4 was not saved, training goes on",
        "step=8 ",
        "error[file]",
    ];
    ends(&mut limited(&train, 128), 6, &words);
    let left: Vec<_> = fs::read_dir(run.join("checkpoints")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// There is a checkpoint, and room for the weights alone: the old one is kept, and the run is done.
#[test]
fn what_was_saved_before_the_disk_was_full_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    ends(
        &mut train(&run, &["--checkpoint-every=4steps"]),
        0,
        &["Done"],
    );
    let before = state(&run, 8);
    let weights = fs::metadata(run.join("exports/encoder.safetensors"))
        .unwrap()
        .len();
    assert!(
        weights * 2 < before.len() as u64,
        "a checkpoint holds the momentum too"
    );
    let longer = resume(&run, &["--steps=14", "--checkpoint-every=2steps"]);
    let output = limited(&longer, weights as u32 / 512 + 8).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for word in [
        "step 10 was not saved, training goes on",
        "step 12 was not saved, training goes on",
        "step 14 was not saved",
        "the last checkpoint is of step 8",
        "Done: 14 steps",
    ] {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
    assert!(state(&run, 8) == before);
    ends(&mut resume(&run, &[]), 0, &["8 done", "Done: 14 steps"]);
}

#[test]
fn room_for_what_is_kept_is_looked_at_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let words = [
        "warning: [checkpoint]: the disk has",
        "keep fewer: --keep 1",
        "Done",
    ];
    ends(&mut train(&run, &["--keep=1000000000"]), 0, &words);
}
