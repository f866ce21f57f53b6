//! Kills, full disks, slow steps, broken images, and what is no fault at all.
use crate::{ends, resume, train};
use std::{fs, time::Instant};

#[test]
fn a_fault_that_is_not_understood_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let words = ["error[config]", "unknown fault `flood`", "SELFSAME_FAULT"];
    ends(&mut train(&out, "flood:step=1", &[]), Some(2), &words);
    assert!(!out.exists());
}

#[test]
fn faults_happen_where_they_are_planted() {
    let folder = tempfile::tempdir().unwrap();
    let [killed, full, broken, slow] =
        ["killed", "full", "broken", "slow"].map(|name| folder.path().join(name));
    let every = ["--checkpoint-every", "2steps"];
    ends(&mut train(&killed, "kill:step=7", &every), None::<i32>, &[]);
    let at = |step: u64| killed.join(format!("checkpoints/step-{step:08}"));
    assert!(at(4).exists() && !at(8).exists()); // that of step 6 may have been in flight
    ends(&mut resume(&killed, ""), Some(0), &["Done: 8 steps"]);

    let words = ["step 4 was not saved, training goes on", "Done: 8 steps"];
    ends(
        &mut train(&full, "enospc:checkpoint=2", &every),
        Some(0),
        &words,
    );

    let some = ["--max-bad", "0.5"];
    ends(
        &mut train(&broken, "badimg:0.2", &some),
        Some(0),
        &["Done: 8 steps"],
    );
    let listed = fs::read_to_string(broken.join("bad_images.jsonl")).unwrap();
    let listed = listed.lines().count();
    assert!((3..20).contains(&listed), "{listed} of 48");

    let took = |fault: &str| {
        let started = Instant::now();
        let out = slow.join(fault.replace(':', "-"));
        ends(&mut train(&out, fault, &[]), Some(0), &["Done"]);
        started.elapsed().as_secs_f64()
    };
    assert!(took("slow:ms=300") > 2.4);
}
