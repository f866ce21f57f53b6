//! The newest checkpoint cut, flipped, emptied, gone: the one before is used, with a warning.
use super::{Unbroken, draws, resume, state};
use crate::process::ends;
use selfsame::random::Draws;
use std::{fs, path::Path, time::Instant};

/// Checkpoints of steps 4, 6 and 8.
const FLAGS: [&str; 2] = ["--checkpoint-every=2steps", "--keep=3"];
const KEPT: [u64; 3] = [8, 6, 4];

#[derive(Clone, Copy, Debug)]
enum Damage {
    Cut,
    Flipped,
    Emptied,
    Lengthened,
    Removed,
    /// By the same file of another checkpoint.
    Replaced,
}
use Damage::*;

/// Of each file, and of the whole folder.
const DAMAGES: [(&str, Damage); 14] = [
    ("state.safetensors", Cut),
    ("meta.json", Cut),
    ("state.safetensors", Flipped),
    ("meta.json", Flipped),
    ("", Removed),
    ("state.safetensors", Emptied),
    ("meta.json", Emptied),
    ("state.safetensors", Lengthened),
    ("meta.json", Lengthened),
    ("state.safetensors", Removed),
    ("meta.json", Removed),
    ("", Replaced),
    ("state.safetensors", Replaced),
    ("meta.json", Replaced),
];

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    campaign(14, 7);
}

#[test]
#[ignore = "a minute"]
fn two_hundred_damaged_checkpoints() {
    campaign(200, 10);
}

/// All kept checkpoints are damaged in each `all`-th case.
fn campaign(cases: usize, all: usize) {
    let folder = tempfile::tempdir().unwrap();
    let unbroken = Unbroken::of(folder.path(), &FLAGS, 8);
    let run = folder.path().join("unbroken");
    let (mut draws, started, mut none_left) = (draws(1), Instant::now(), 0);
    for case in 0..cases {
        let (file, how) = DAMAGES[case % DAMAGES.len()];
        if case % all == all - 1 {
            let kept = KEPT.map(|step| (step, state(&run, step)));
            let how = match (file, how) {
                ("", how) => how,
                (_, Replaced) => Cut, // by what, where all are?
                (_, how) => how,
            };
            KEPT.iter()
                .for_each(|&step| damage(&run, step, file, how, &mut draws));
            none_is_left(&run, file, how);
            none_left += 1;
            // The run heals by itself where one is left; where none is, it is begun again.
            fs::remove_dir_all(&run).unwrap();
            Unbroken::of(folder.path(), &FLAGS, 8);
            assert!(kept.iter().all(|(step, was)| *was == state(&run, *step)));
            continue;
        }
        damage(&run, 8, file, how, &mut draws);
        let what = match (file, how) {
            ("", Removed) => "is missing",
            _ => "is damaged (",
        };
        let words = [
            &format!("warning: step-00000008 {what}"),
            "; using step-00000006",
        ];
        ends(&mut resume(&run, &[]), 0, &words);
        unbroken.assert_equals(&run, 8);
    }
    println!(
        "{cases} damaged: {} fell back by one and ended as if nothing had been, {none_left} said that none is left; {:.0} s",
        cases - none_left,
        started.elapsed().as_secs_f64()
    );
}

fn none_is_left(run: &Path, file: &str, how: Damage) {
    let mut words = vec![
        "error[checkpoint]",
        "no checkpoint is usable",
        "step-00000008",
    ];
    if !matches!((file, how), ("", Removed)) {
        words.extend(["step-00000006", "step-00000004"]);
    }
    ends(&mut resume(run, &["--steps=10"]), 6, &words);
}

fn damage(run: &Path, step: u64, file: &str, how: Damage, draws: &mut Draws) {
    let folder = |step: u64| run.join(format!("checkpoints/step-{step:08}"));
    let path = folder(step).join(file);
    if file.is_empty() {
        fs::remove_dir_all(folder(step)).unwrap();
        if let Replaced = how {
            fs::write(folder(step), "no folder").unwrap();
        }
        return;
    }
    let mut bytes = fs::read(&path).unwrap();
    let at = draws.below(bytes.len() as u32) as usize;
    match how {
        Cut => bytes.truncate(at),
        Flipped => bytes[at] ^= 1 << draws.below(8),
        Emptied => bytes.clear(),
        Lengthened => bytes.push(draws.below(256) as u8 | 128),
        Removed => return fs::remove_file(&path).unwrap(),
        Replaced => {
            let other = if step == 4 { 6 } else { 4 };
            let other = folder(other).join(file);
            bytes = fs::read(other).unwrap_or_default();
        }
    }
    fs::write(&path, bytes).unwrap();
}
