//! Studies of minute runs: what they leave, that they go on where they stopped, what they refuse.
mod runs;

use runs::photographs;
use selfsame::{
    Device, Error,
    config::MethodName,
    study::{Findings, Place, Plan, STUDIES, Study},
    train::stop::Stop,
};
use serde_json::Value;
use std::{
    cell::RefCell,
    fs,
    path::Path,
    process::{Command, Output},
};

/// Four steps of sixteen images.
fn plan(study: &str) -> Plan {
    Plan {
        study: study.into(),
        images: vec!["synthetic:64:16".into()],
        val: "synthetic-val:40:16".into(),
        steps: 4,
        batch: 16,
        seed: 0,
        set: vec!["method.prototypes=16".into()],
    }
}

/// And what it said of its runs.
fn study(plan: &Plan, out: &Path, stop: Stop) -> (Result<Findings, Error>, Vec<String>) {
    let said = RefCell::new(Vec::new());
    let found = Study::named(&plan.study).unwrap().run(
        plan,
        &Place {
            out,
            open: &|| Ok(Device::cpu()),
            workers: 1,
            stop: &stop,
            say: &|text| said.borrow_mut().push(text.to_string()),
        },
    );
    (found, said.into_inner())
}

/// The numbers of a whole study, and its folder: all it should leave is there.
fn whole(plan: &Plan) -> (Value, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (found, _) = study(plan, folder.path(), Stop::never());
    let found = found.unwrap();
    let file = |ending: &str| {
        let path = folder.path().join(format!("{}.{ending}", plan.study));
        fs::read_to_string(path).unwrap()
    };
    let page = file("md");
    for line in found.text.lines() {
        assert!(page.contains(line), "no `{line}` in:\n{page}");
    }
    assert!(file("svg").starts_with("<svg"));
    let numbers: Value = serde_json::from_str(&file("json")).unwrap();
    assert!(
        numbers == found.numbers,
        "what is written is what was found"
    );
    assert!(!numbers["seen"].as_array().unwrap().is_empty(), "{numbers}");
    for run in numbers["runs"].as_array().unwrap() {
        let name = run["name"].as_str().unwrap();
        assert!(found.text.contains(&format!("| {name} ")), "{}", found.text);
        let last = &run["curve"].as_array().unwrap().last().unwrap()["step"];
        let of = folder.path().join("runs").join(name);
        let checkpoint = format!("checkpoints/step-{:08}", last.as_u64().unwrap());
        assert!(of.join(checkpoint).exists(), "{name}");
        assert!(run["seconds"].as_f64().unwrap() > 0.0, "{name}");
        assert!(run["peak_bytes"].as_u64().unwrap() > 100_000, "{name}");
    }
    (numbers, folder)
}

fn names(numbers: &Value) -> Vec<&str> {
    let runs = numbers["runs"].as_array().unwrap().iter();
    runs.map(|run| run["name"].as_str().unwrap()).collect()
}

/// Without what the clock decides.
fn timeless(numbers: &Value) -> Value {
    let mut numbers = numbers.clone();
    for run in numbers["runs"].as_array_mut().unwrap() {
        let run = run.as_object_mut().unwrap();
        for key in ["seconds", "images_per_second", "peak_bytes"] {
            run.remove(key);
        }
        for line in run["curve"].as_array_mut().unwrap() {
            line.as_object_mut().unwrap().retain(|key, _| {
                let clock = ["images_per_second", "wait"];
                !clock.contains(&key.as_str())
            });
        }
    }
    numbers
}

#[track_caller]
fn assert_same(a: &Value, b: &Value) {
    let [a, b] = [a, b].map(|numbers| format!("{:#}", timeless(numbers)));
    let other = a.lines().zip(b.lines()).find(|(a, b)| a != b);
    assert!(a == b, "they differ, first in {other:?}");
}

#[test]
fn collapse_shows_every_method_and_goes_on_where_it_stopped() {
    let plan = plan("collapse");
    let (numbers, _) = whole(&plan);
    let methods = ["invariance", "simclr", "moco", "swav", "barlow", "pirl"];
    assert_eq!(names(&numbers), methods);
    for run in numbers["runs"].as_array().unwrap() {
        assert_eq!(run["curve"].as_array().unwrap().len(), 4);
        assert!(run["curve"][3]["spread"].is_f64());
    }

    let folder = tempfile::tempdir().unwrap();
    let (stopped, said) = study(&plan, folder.path(), Stop::before(2));
    let error = stopped.err().unwrap();
    assert_eq!((error.exit_code(), said.len()), (75, 1), "{error}");
    let words = "the run invariance after step 2 of 4";
    assert!(error.to_string().contains(words), "{error}");
    let (found, said) = study(&plan, folder.path(), Stop::never());
    assert_same(&found.unwrap().numbers, &numbers);
    assert_eq!(said.len(), 6);

    fs::remove_dir_all(folder.path().join("runs/moco/checkpoints")).unwrap(); // nobody needs them
    let (found, said) = study(&plan, folder.path(), Stop::never());
    assert_same(&found.unwrap().numbers, &numbers);
    let measured = |line: &String| line.ends_with("measured before");
    assert!(said.iter().all(measured), "{said:?}");
}

#[test]
fn layers_are_probed_before_and_after() {
    let (numbers, _) = whole(&plan("layers"));
    assert_eq!(names(&numbers), ["pirl", "jigsaw"]);
    let layers = |run: usize, when: &str| numbers["runs"][run][when].as_array().unwrap().clone();
    let trained = layers(0, "after");
    let name = |layer: &Value| layer["name"].as_str().unwrap().to_string();
    let stages = ["conv1", "layer1", "layer2", "layer3", "avgpool"];
    assert_eq!(trained.iter().map(name).collect::<Vec<_>>(), stages);
    assert!(trained.iter().all(|layer| layer["probe"]["images"] == 40));
    // One seed, one backbone: the table shows the first's as that of both.
    assert_eq!(layers(0, "before"), layers(1, "before"));
}

#[test]
fn a_long_tail_is_judged_by_its_parts() {
    let (numbers, _) = whole(&plan("imbalance"));
    let runs = ["soft-equal", "hard-equal", "soft-free", "hard-free"];
    assert_eq!(names(&numbers), runs);
    for run in numbers["runs"].as_array().unwrap() {
        let images = |part: &str| run["after"][part]["images"].as_u64().unwrap();
        assert_eq!(
            [images("head"), images("middle"), images("tail")],
            [12, 16, 12]
        );
        assert_eq!(images("all"), 40);
        assert!(run["curve"][3]["usage_entropy"].as_f64().unwrap() <= 16f64.ln() + 1e-3);
    }
    let seen = numbers["seen"][0].as_str().unwrap();
    let words = "of the first class, 1 of the last; head, middle and tail are 3, 4 and 3";
    assert!(seen.contains(words), "{seen}");
}

#[test]
fn negatives_come_from_batches_banks_and_queues_of_equal_images() {
    let (numbers, _) = whole(&plan("negatives"));
    let told = |run: &Value| {
        let steps = run["curve"].as_array().unwrap().last().unwrap()["step"].clone();
        let name = run["name"].as_str().unwrap().to_string();
        let number = |value: &Value| value.as_u64().unwrap();
        (name, number(&run["negatives"]), number(&steps))
    };
    let runs: Vec<_> = numbers["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(told)
        .collect();
    let wanted = [
        ("simclr-batch-2", 2, 32),
        ("simclr-batch-4", 6, 16),
        ("simclr-batch-8", 14, 8),
        ("simclr-batch-16", 30, 4),
        ("simclr-bank-16", 16, 4),
        ("simclr-bank-64", 64, 4),
        ("simclr-bank-256", 256, 4),
        ("moco-queue-16", 16, 4),
        ("moco-queue-64", 64, 4),
        ("moco-queue-256", 256, 4),
    ];
    assert_eq!(
        runs,
        wanted.map(|(name, n, steps)| (name.to_string(), n, steps))
    );
}

#[test]
fn methods_are_all_of_them_and_judged_both_ways() {
    let (numbers, _) = whole(&plan("methods"));
    let methods = MethodName::ALL.map(|(_, name)| name);
    assert_eq!(names(&numbers), methods);
    for run in numbers["runs"].as_array().unwrap() {
        for (when, how) in [("before", "knn"), ("after", "knn"), ("after", "linear")] {
            assert_eq!(run[when][how]["images"], 40);
        }
    }
}

fn selfsame(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selfsame"));
    command.arg("study").args(arguments);
    command.output().unwrap()
}

#[track_caller]
fn ends(arguments: &[&str], code: i32, words: &[&str]) -> String {
    let output = selfsame(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in:\n{said}");
    }
    text(&output.stdout)
}

#[test]
fn the_command_lists_runs_stops_and_goes_on() {
    let names: Vec<&str> = STUDIES.iter().map(|study| study.name).collect();
    let listed = ends(&[], 0, &names);
    assert_eq!(listed.lines().count(), names.len());

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    let tiny = [
        "collapse",
        "synthetic:64:16",
        "--val=synthetic-val:40:16",
        "--steps=2",
        "--batch=16",
        "--device=cpu",
        "--out",
        out,
    ];
    let with = |more| [&tiny[..], more].concat();
    ends(
        &with(&["--max-time=0s"]),
        75,
        &["invariance", "same command"],
    );
    let stdout = ends(&with(&["--json"]), 0, &[]);
    let numbers: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(numbers["study"]["steps"], 2);
    ends(&tiny, 0, &["| invariance ", "measured before"]);
    ends(
        &with(&["--seed=1"]),
        2,
        &["holds the study collapse", "--out"],
    );
}

#[test]
fn what_cannot_be_studied_is_refused_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    ends(&["colapse", "--out", out], 2, &["did you mean `collapse`?"]);
    ends(&["collapse"], 2, &["--out"]);
    let unlabelled = photographs();
    let unlabelled = unlabelled.path().to_str().unwrap();
    ends(
        &["collapse", unlabelled, "--out", out],
        3,
        &["has no label"],
    );
    let too_few = ["collapse", "synthetic:64:16", "--out", out];
    ends(&too_few, 3, &["a batch of 256", "64 images"]);
    let key = ["collapse", "--set=method.tau=1", "--out", out];
    ends(&key, 2, &["did you mean `temperature`"]);
    fs::write(folder.path().join("letter.txt"), "mine").unwrap();
    let occupied = folder.path().to_str().unwrap();
    ends(&["collapse", "--out", occupied], 2, &["is not empty"]);
}
