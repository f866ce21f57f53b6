//! Killed at any moment, while it saves at every step.
use super::{Unbroken, draws, resume, share};
use crate::process::train;
use selfsame::train::{checkpoint, log};
use std::{fs, path::Path, process::Stdio, thread::sleep, time::Instant};

const STEPS: u64 = 24;
const FLAGS: [&str; 6] = [
    "--checkpoint-every=1step",
    "--keep=2",
    "--set",
    "schedule.steps=24",
    "--set",
    "output.log_every=1",
];

#[test]
fn a_killed_run_resumes() {
    campaign(15);
}

#[test]
#[ignore = "minutes"]
fn five_hundred_kills() {
    campaign(500);
}

#[derive(Default, Debug)]
struct Found {
    kills: u32,
    /// Before the run had a configuration: nothing was lost, and it is started anew.
    before_it_began: u32,
    before_the_first_checkpoint: u32,
    /// Steps logged and not yet on the disk, by how many.
    behind: [u32; 2],
    runs_that_ended: u32,
}

fn campaign(kills: u32) {
    let folder = tempfile::tempdir().unwrap();
    let unbroken = Unbroken::of(folder.path(), &FLAGS, STEPS);
    let run = folder.path().join("killed");
    let (mut draws, mut found, started) = (draws(0), Found::default(), Instant::now());
    while found.kills < kills {
        let begun = run.join("config.toml").exists();
        let mut command = match begun {
            true => resume(&run, &[]),
            false => train(&run, &FLAGS),
        };
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = quiet.spawn().unwrap();
        sleep(share(&mut draws, unbroken.took));
        child.kill().unwrap();
        match child.wait().unwrap().code() {
            None => {
                found.kills += 1;
                look_at(&run, &mut found);
                continue;
            }
            Some(0) => (),
            Some(2) if at_its_end(&run) => (), // killed after its last save
            code => panic!("ended with {code:?} after {found:?}"),
        }
        unbroken.assert_equals(&run, STEPS);
        found.runs_that_ended += 1;
        fs::remove_dir_all(&run).unwrap();
    }
    if run.join("config.toml").exists() {
        let code = resume(&run, &[]).output().unwrap().status.code();
        assert!(code == Some(0) || at_its_end(&run), "{code:?}");
        unbroken.assert_equals(&run, STEPS);
    }
    println!(
        "{found:?} in {:.0} s; an unbroken run takes {:.2} s",
        started.elapsed().as_secs_f64(),
        unbroken.took.as_secs_f64()
    );
}

fn at_its_end(run: &Path) -> bool {
    checkpoint::newest(&run.join("checkpoints")).is_ok_and(|(meta, ..)| meta.step == STEPS)
}

/// The newest checkpoint is whole, and no more than one step older than what is logged.
fn look_at(run: &Path, found: &mut Found) {
    let checkpoints = run.join("checkpoints");
    if !run.join("config.toml").exists() {
        found.before_it_began += 1;
        return;
    }
    let newest = match checkpoint::never_written(&checkpoints).unwrap() {
        true => {
            found.before_the_first_checkpoint += 1;
            0
        }
        false => {
            let (meta, _, warnings) = checkpoint::newest(&checkpoints).unwrap();
            assert_eq!(warnings, Vec::<String>::new(), "after {found:?}");
            meta.step
        }
    };
    let logged = log::lines(run).unwrap_or_default();
    let logged = logged.last().map_or(0, |line| line.step);
    let behind = logged.saturating_sub(newest) as usize;
    assert!(behind <= 1, "{behind} steps were lost after {found:?}");
    found.behind[behind] += 1;
}

/// What was killed before its first checkpoint begins again, and says so.
#[test]
fn a_run_that_never_saved_resumes_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let unbroken = Unbroken::of(folder.path(), &[], 8);
    let run = folder.path().join("unbroken");
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    let words = ["none was written yet; going on from step 0"];
    crate::ends(&mut resume(&run, &[]), 0, &words);
    unbroken.assert_equals(&run, 8);

    // Killed before it had a configuration, it is no obstacle to another.
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let lock = "{\"pid\":4194305,\"host\":\"nowhere\",\"started\":1}";
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    fs::write(empty.join("LOCK"), lock.replace("nowhere", host.trim())).unwrap();
    let words = ["left its lock", "Done"];
    crate::ends(&mut train(&empty, &["--checkpoint-every=1s"]), 0, &words);
}
