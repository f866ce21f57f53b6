//! The program as its user meets it: what it says, how it ends, what it leaves behind.
mod process;

mod cli {
    mod config;
    mod errors;
    mod help;
    mod talk;
}

use process::{ends, last_state, said, selfsame, train};
use std::{fs, path::Path};

#[track_caller]
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut command = selfsame();
    command.arg("train").args(arguments).arg("--out").arg(&out);
    ends(&mut command, code, words);
    assert!(!out.exists(), "an error leaves no folder behind");
}

#[test]
fn a_trace_tells_where_the_time_went_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, traced) = (folder.path().join("plain"), folder.path().join("traced"));
    ends(&mut train(&plain, &[]), 0, &[]);
    ends(
        &mut train(&traced, &["--trace", "--no-tensorboard"]), // which draws views too
        0,
        &["a roofline of", "(between kernels)"],
    );
    assert_eq!(last_state(&plain), last_state(&traced));
    let table = fs::read_to_string(traced.join("trace.txt")).unwrap();
    let row = |kernel: &str| -> Vec<&str> {
        let line = table.lines().find(|line| line.starts_with(kernel));
        let line = line.unwrap_or_else(|| panic!("no `{kernel}` in:\n{table}"));
        line.split_whitespace().collect()
    };
    assert_eq!(row("optimize_step ")[1], "8", "one a step");
    assert_eq!(row("augment_draw ")[1], "16", "one a step and view");
    assert!(row("conv2d_forward ").contains(&"TFLOP/s"));
    assert!(row("copy ").contains(&"GB/s"));
    let milliseconds = |row: Vec<&str>, at: usize| row[at].parse::<f64>().unwrap();
    let sum: f64 = table
        .lines()
        .skip(2)
        .take_while(|line| !line.starts_with('('))
        .map(|line| milliseconds(line.split_whitespace().collect(), 2))
        .sum();
    let all = milliseconds(row("all "), 2);
    let between = milliseconds(row("(between kernels)"), 2);
    assert!(
        between >= 0.0 && (sum + between - all).abs() < 0.5,
        "{table}"
    );
}

#[test]
fn a_run_ends_with_neighbours_weights_and_what_to_do_next() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let text = ends(
        &mut train(&out, &[]),
        0,
        &["Done: 8 steps", "before", "Next  "],
    );
    assert!(
        text.contains("step=4 ") && text.contains("step=8 "),
        "{text}"
    );
    for file in [
        "config.toml",
        "env.json",
        "data.json",
        "bad_images.jsonl",
        "checkpoints/LATEST",
        "checkpoints/step-00000008/meta.json",
        "exports/encoder.safetensors",
    ] {
        assert!(out.join(file).exists(), "{file}");
    }
    let metrics = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 2);
    assert!(!out.join("LOCK").exists());

    ends(
        &mut train(&out, &[]),
        2,
        &["is not empty", "selfsame resume"],
    );
    ends(
        selfsame().arg("resume").arg(&out),
        2,
        &["has done its 8 steps"],
    );
}

#[test]
fn what_cannot_be_trained_is_refused_with_a_way_out() {
    refused(&[], 3, &["no images named"]);
    refused(&["/nowhere/at/all"], 3, &["/nowhere/at/all"]);
    refused(
        &["synthetic", "--arch", "resnet5"],
        2,
        &[
            "unknown value `resnet5` (--arch)",
            "did you mean `resnet50`?",
        ],
    );
    refused(
        &["synthetic", "--preset", "simclr-cifr"],
        2,
        &[
            "unknown preset `simclr-cifr`",
            "did you mean `simclr-cifar`?",
        ],
    );
    refused(
        &["synthetic:100:16", "--device", "cpu", "--batch", "256"],
        3,
        &["a batch of 256 cannot be drawn from 100 images", "--batch"],
    );
    refused(
        &["synthetic", "--set", "schedule.learning_rate=1"],
        2,
        &[
            "unknown key `learning_rate`",
            "did you mean `lr` in [optimize]?",
        ],
    );
    refused(
        &["synthetic", "--device", "gpu"],
        2,
        &["unknown device `gpu`"],
    );
    refused(&["synthetic", "--epoch", "3"], 2, &["--epochs"]);
    refused_methods();
    let no_run = ["resume", "/nowhere/at/all"];
    ends(selfsame().args(no_run), 2, &["is no run", "selfsame train"]);
}

fn refused_methods() {
    let unlabelled = tempfile::tempdir().unwrap();
    for number in 0..4 {
        let image = [b"P6 16 16 255\n".to_vec(), vec![9 * number; 768]].concat();
        fs::write(unlabelled.path().join(format!("{number}.ppm")), image).unwrap();
    }
    let images = unlabelled.path().to_str().unwrap();
    let cases: [(&[&str], &[&str]); 9] = [
        (
            &[images, "--method", "supervised", "--batch", "2"],
            &["learns from labels", "a folder of its own"],
        ),
        (
            &["synthetic", "--method", "mocco"],
            &["did you mean `moco`?"],
        ),
        (
            &["synthetic", "--accumulate", "4"],
            &["--accumulate-exact 4"],
        ),
        (
            &["synthetic", "--method", "moco", "--accumulate-exact", "4"],
            &["only simclr's batch"],
        ),
        (
            &["synthetic", "--method", "moco", "--bn-groups", "7"],
            &["method.bn_groups is 7", "divisor of the batch"],
        ),
        (
            &["synthetic", "--method", "moco", "--queue", "10"],
            &["method.queue is 10", "the 256 keys of a step"],
        ),
        (
            &["synthetic", "--method", "swav", "--queue", "1000"],
            &["method.queue is 1000", "multiple of the batch"],
        ),
        (
            &["synthetic", "--preset", "pirl", "--temperature", "0.01"],
            &["method.temperature is 0.01", "--loss infonce"],
        ),
        (
            &["synthetic", "--method", "swav", "--crops", "3x32"],
            &["`--crops 3x32` is not understood", "2x224+6x96"],
        ),
    ];
    for (flags, words) in cases {
        let cpu = [flags, &["--device", "cpu"]].concat();
        refused(&cpu, 2, words);
    }
}

#[test]
fn presets_are_listed_and_can_be_a_file_to_start_from() {
    let list = said(&selfsame().arg("presets").output().unwrap());
    assert!(
        list.contains("moco-v2") && list.contains("swav-tiny"),
        "{list}"
    );
    let one = selfsame().args(["presets", "moco-v2"]).output().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    fs::write(&file, &one.stdout).unwrap();
    let config = selfsame::config::Config::read(&file).unwrap();
    assert_eq!(config.method.queue, 65_536);
    let unknown = ["presets", "moco-v3"];
    ends(selfsame().args(unknown), 2, &["did you mean `moco-v"]);
}

#[test]
fn cuda_without_a_driver_is_an_error_of_the_environment() {
    if Path::new("/dev/nvidiactl").exists() {
        return; // there is a driver here
    }
    refused(
        &["synthetic", "--device", "cuda"],
        4,
        &["error[env]", "--device cpu"],
    );
}

#[test]
fn help_is_grouped_and_has_examples() {
    let words = ["Data:", "Method:", "Schedule:", "Output:", "Examples:"];
    ends(selfsame().args(["train", "--help"]), 0, &words);
    ends(
        &mut selfsame(),
        2,
        &["selfsame train synthetic --out runs/first"],
    );
}
