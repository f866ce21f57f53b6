//! A NaN in each of six places: found at its step, run again, gone back from.
use crate::{ends, resume, selfsame, train};
use selfsame::train::log;
use serde_json::Value;
use std::{fs, path::Path};

/// The place; the first tensor that the dump names of gradient, weights after the step, and statistics; what
/// replay finds first. A gradient that is not finite moves nothing.
const PLACES: [(&str, [&str; 3], &str); 6] = [
    ("pixels", [WEIGHT, "", MEAN], "first  the views"),
    (
        "weights",
        [WEIGHT, WEIGHT, MEAN],
        "first  weight conv1.weight",
    ),
    (
        "velocity",
        ["", WEIGHT, ""],
        "first  velocity of conv1.weight",
    ),
    (
        "statistics",
        ["", "", MEAN],
        "first  after the step, bn1.running_mean",
    ),
    ("loss", ["", "", ""], "first  the loss"),
    (
        "gradient",
        [WEIGHT, "", ""],
        "first  gradient of conv1.weight",
    ),
];
const WEIGHT: &str = "conv1.weight";
const MEAN: &str = "bn1.running_mean";

/// Read at every step; and, as from a GPU, when one more was launched. With them, the checkpoint before.
const READ: [(&str, &[&str], u64); 2] = [
    (
        "",
        &[
            "--checkpoint-every",
            "2steps",
            "--set",
            "output.log_every=4",
        ],
        6,
    ),
    (
        ";late:16",
        &[
            "--checkpoint-every",
            "4steps",
            "--set",
            "output.log_every=3",
        ],
        4,
    ),
];

/// Where it is planted: in the second epoch.
const STEP: u64 = 7;

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn last_state(run: &Path) -> Vec<u8> {
    fs::read(run.join("checkpoints/step-00000008/state.safetensors")).unwrap()
}

#[test]
fn a_nan_is_found_at_its_step_and_comes_again() {
    for (place, named, first) in PLACES {
        for (late, flags, from) in READ {
            let folder = tempfile::tempdir().unwrap();
            let run = folder.path().join("run");
            let fault = format!("nan:{place},step={STEP}{late}");
            let dump = run.join("debug/nan-00000007");
            let replay = format!("selfsame replay {}", dump.display());
            let words = ["error[numeric]: step 7: loss", &replay, "--on-nan rollback"];
            ends(&mut train(&run, &fault, flags), Some(7), &words);
            assert!(!run.join("checkpoints/step-00000008").exists(), "{fault}");

            let note = json(&dump.join("nan.json"));
            let what = format!("{fault}: {note}");
            assert_eq!((&note["step"], &note["from"]), (&STEP.into(), &from.into()));
            assert_eq!(note["images"].as_array().unwrap().len(), 8, "{what}");
            for (part, name) in ["gradient", "weights", "statistics"].into_iter().zip(named) {
                let counts = note[part].as_array().unwrap();
                let found = counts
                    .first()
                    .map_or("", |first| first["name"].as_str().unwrap());
                assert_eq!(found, name, "{part} of {what}");
            }

            let again = |fault: &str, words: &[&str]| {
                ends(selfsame(fault).arg("replay").arg(&dump), Some(0), words);
            };
            again(&fault, &[first, "It came again", "with the same loss"]);
            again("", &["It did not come again", "layer3"]);
        }
    }
}

/// To the checkpoint before, with half the rate; killed after that, it resumes to the same weights.
#[test]
fn a_run_that_goes_back_goes_on_and_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let untouched = folder.path().join("untouched");
    let back = ["--on-nan", "rollback"];
    let flags = |flags: &[&'static str]| [flags, &back].concat();
    ends(&mut train(&untouched, "", &flags(READ[0].1)), Some(0), &[]);
    for (place, ..) in PLACES {
        for (late, more, from) in READ {
            let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
            let fault = format!("nan:{place},step={STEP},times=1{late}");
            let said = format!("back to step {from}, and on at 0.5 of the rate (1 of 3 times)");
            let words = ["warning: [numeric]: step 7: loss", &said, "Done: 8 steps"];
            ends(&mut train(&whole, &fault, &flags(more)), Some(0), &words);
            let rollbacks = json(&whole.join("checkpoints/rollbacks.json")).to_string();
            assert_eq!(
                rollbacks,
                format!(r#"[{{"from":7,"to":{from}}}]"#),
                "{fault}"
            );
            let unlike = last_state(&whole) != last_state(&untouched);
            assert!(unlike, "{fault}: half the rate is another");
            let lines = log::lines(&whole).unwrap();
            let steps: Vec<u64> = lines.iter().map(|line| line.step).collect();
            assert!(steps.is_sorted_by(|a, b| a < b), "{fault}: {steps:?}");

            // Where the NaN was not read when it was killed, it is met again.
            let kill = format!("{fault};kill:step=8");
            let (before, after) = match late {
                "" => (&said[..], ""),
                _ => ("", &fault[..]),
            };
            ends(
                &mut train(&killed, &kill, &flags(more)),
                None::<i32>,
                &[before],
            );
            ends(&mut resume(&killed, after), Some(0), &["Done: 8 steps"]);
            let same = last_state(&whole) == last_state(&killed);
            assert!(same, "{fault}: the states differ");
            for run in [whole, killed] {
                fs::remove_dir_all(run).unwrap();
            }
        }
    }
}

/// A run that ended can be made to go back.
#[test]
fn a_run_that_ended_goes_back_when_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let fault = "nan:gradient,step=7";
    ends(&mut train(&run, fault, READ[0].1), Some(7), &[]);
    ends(&mut resume(&run, fault), Some(7), &["step 7: loss"]);
    let mut back = resume(&run, "nan:gradient,step=7,times=1");
    let words = ["back to step 6", "Done: 8 steps"];
    ends(back.args(["--on-nan", "rollback"]), Some(0), &words);
}

/// Nothing planted: a rate that is too high. Replayed as graphs, too, whose steps are captured.
#[test]
fn a_run_that_diverges_is_replayed_and_goes_back_three_times() {
    for graph in ["off", "on"] {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let graph = format!("engine.graph={graph}");
        let high = [
            "--lr",
            "1e34",
            "--optimizer",
            "sgd",
            "--set",
            &graph,
            "--set",
            "output.log_every=8",
        ];
        let mut stopped = train(&run, "late:16", &high);
        assert_comes_again(&ends(&mut stopped, Some(7), &[]), 0);

        let run = folder.path().join("rolled");
        let back = [&high[..], &["--on-nan", "rollback"]].concat();
        let words = ["(3 of 3 times)", "went back 3 times before", "replay shows"];
        let text = ends(&mut train(&run, "", &back), Some(7), &words);
        assert!(text.contains("on at 0.125 of the rate"), "{text}");
        assert_comes_again(&text, 3);
    }
}

/// The dump that `text` told of last: without a checkpoint, after so many rollbacks.
#[track_caller]
fn assert_comes_again(text: &str, rollbacks: usize) {
    let (_, dump) = text.rsplit_once("selfsame replay ").unwrap();
    let dump = Path::new(dump.lines().next().unwrap());
    assert_eq!(json(&dump.join("nan.json"))["from"], 0);
    let kept = dump.join("checkpoints/rollbacks.json");
    let kept = if kept.exists() {
        json(&kept).as_array().unwrap().len()
    } else {
        0
    };
    assert_eq!(kept, rollbacks);
    let words = ["It came again", "with the same loss"];
    ends(selfsame("").arg("replay").arg(dump), Some(0), &words);
}

#[test]
fn a_folder_that_is_no_dump_is_told_of() {
    let words = ["error[config]", "RUN/debug/nan-STEP"];
    ends(selfsame("").args(["replay", "src"]), Some(2), &words);
    let words = [
        "unknown value `retry` (--on-nan)",
        "there are stop, rollback",
    ];
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    ends(
        &mut train(&out, "", &["--on-nan", "retry"]),
        Some(2),
        &words,
    );
}
