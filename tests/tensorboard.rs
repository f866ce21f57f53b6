//! TensorBoard's files of a run that lost steps and went on: what they hold is what `metrics.jsonl` holds, once.
//! TensorBoard itself reads them in a test that installs it with pip, if that works:
//!
//! `cargo test --release --test tensorboard -- --ignored --nocapture`
mod process;

use process::{ends, selfsame, train};
use prost::Message;
use selfsame::interop::events::{Content, Event, What};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// By tag, (step, value) in the order written.
type Scalars = BTreeMap<String, Vec<(i64, f32)>>;

/// 8 steps, 6 of which are an epoch; then the last checkpoint is lost, the clock is set back by centuries, and
/// steps 7 and 8 are done again.
fn run_that_lost_steps() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    ends(
        &mut train(&run, &["--checkpoint-every=epoch"]),
        0,
        &["Done"],
    );
    let [file] = &files(&run)[..] else { panic!() };
    let (_, host) = file.to_str().unwrap().rsplit_once("tfevents.").unwrap();
    let (_, host) = host.split_once('.').unwrap();
    let later = format!("events.out.tfevents.9000000000.{host}");
    fs::rename(file, run.join(later)).unwrap();
    fs::remove_dir_all(run.join("checkpoints/step-00000008")).unwrap();
    ends(
        selfsame().arg("resume").arg(&run),
        0,
        &["using step-00000006", "Done"],
    );
    (folder, run)
}

/// In the order TensorBoard reads them.
fn files(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_of_events = |path: &PathBuf| path.to_str().unwrap().contains("tfevents");
    let mut files: Vec<PathBuf> = entries.filter(is_of_events).collect();
    files.sort();
    files
}

fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| crc >> 1 ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
    !bytes
        .iter()
        .fold(!0, |crc, &byte| (0..8).fold(crc ^ byte as u32, bit))
}

/// Checks the frame of each record.
fn events(file: &Path) -> Vec<Event> {
    let bytes = fs::read(file).unwrap();
    let (mut left, mut events) = (&bytes[..], Vec::new());
    let checked = |data: &[u8], masked: &[u8]| {
        let masked = u32::from_le_bytes(masked.try_into().unwrap());
        let crc = masked.wrapping_sub(0xA282_EAD8).rotate_left(15);
        assert_eq!(crc, crc32c(data));
    };
    while !left.is_empty() {
        let length = u64::from_le_bytes(left[..8].try_into().unwrap()) as usize;
        checked(&left[..8], &left[8..12]);
        let data = &left[12..12 + length];
        checked(data, &left[12 + length..16 + length]);
        events.push(Event::decode(data).unwrap());
        left = &left[16 + length..];
    }
    events
}

/// What is left of them once each START has had those dropped that it says are void.
fn shown(run: &Path) -> Vec<Event> {
    let mut shown: Vec<Event> = Vec::new();
    for event in files(run).iter().flat_map(|file| events(file)) {
        if let Some(What::SessionLog(_)) = event.what {
            shown.retain(|earlier| earlier.step < event.step);
        }
        shown.push(event);
    }
    shown
}

fn contents(events: &[Event]) -> Vec<(&str, i64, &Content)> {
    let mut contents = Vec::new();
    for event in events {
        if let Some(What::Summary(summary)) = &event.what {
            for value in &summary.values {
                let content = value.content.as_ref().unwrap();
                contents.push((&value.tag[..], event.step, content));
            }
        }
    }
    contents
}

fn scalars(events: &[Event]) -> Scalars {
    let mut scalars = Scalars::new();
    for (tag, step, content) in contents(events) {
        if let Content::Scalar(value) = content {
            scalars.entry(tag.into()).or_default().push((step, *value));
        }
    }
    scalars
}

/// Every number of `metrics.jsonl` is shown, once, under a tag that ends with its key; beside them kNN alone.
fn assert_as_logged(run: &Path, mut scalars: Scalars) {
    let knn = scalars.remove("knn/top1").unwrap();
    assert_eq!(
        knn.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
        [0, 8]
    );
    let mut logged = Scalars::new();
    for line in fs::read_to_string(run.join("metrics.jsonl"))
        .unwrap()
        .lines()
    {
        let line: BTreeMap<String, Json> = serde_json::from_str(line).unwrap();
        let step = line["step"].as_i64().unwrap();
        for (key, value) in line.iter().filter(|(key, _)| *key != "step") {
            let value = (step, value.as_f64().unwrap() as f32);
            logged.entry(key.clone()).or_default().push(value);
        }
    }
    let by_key = scalars.into_iter().map(|(tag, values)| {
        let key = tag.split_once('/').unwrap().1.to_string();
        (key, values)
    });
    assert_eq!(by_key.collect::<Scalars>(), logged);
    assert_eq!(logged["loss"].len(), 2, "lines of steps 4 and 8");
}

#[test]
fn a_resumed_run_is_shown_once() {
    let (_folder, run) = run_that_lost_steps();
    let files = files(&run);
    assert_eq!(files.len(), 2, "{files:?}");
    for file in &files {
        let version = Some(What::FileVersion("brain.Event:2".into()));
        assert_eq!(events(file)[0].what, version);
    }
    let shown = shown(&run);
    assert_as_logged(&run, scalars(&shown));

    // Views of 8 images, two each, of the first steps of epochs 0 and 1; the configuration of either process.
    let of = |wanted: &str| -> Vec<(i64, &Content)> {
        let found = contents(&shown)
            .into_iter()
            .filter(|(tag, ..)| *tag == wanted);
        found.map(|(_, step, content)| (step, content)).collect()
    };
    let views = of("views/crops_16");
    assert_eq!(views.iter().map(|view| view.0).collect::<Vec<_>>(), [1, 7]);
    for (_, view) in views {
        let Content::Image(view) = view else {
            panic!("{view:?}")
        };
        let picture = image::load_from_memory(&view.png).unwrap();
        assert_eq!((view.width, view.height), (8 * 18 - 2, 2 * 18 - 2));
        assert_eq!([picture.width(), picture.height()], [142, 34]);
    }
    let configs = of("config");
    assert_eq!(
        configs.iter().map(|config| config.0).collect::<Vec<_>>(),
        [0, 7]
    );
    let Content::Tensor(text) = configs[1].1 else {
        panic!()
    };
    let text = String::from_utf8(text.values[0].clone()).unwrap();
    assert!(text.contains("steps = 8\n"), "{text}");
}

#[test]
fn it_can_be_turned_off_and_a_full_disk_ends_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("off");
    ends(&mut train(&run, &["--no-tensorboard"]), 0, &["Done"]);
    assert!(files(&run).is_empty());

    // No file of it may grow over 8 blocks of 512 bytes, as on a full disk.
    let run = folder.path().join("full");
    let inner = train(&run, &[]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 8; exec \"$@\"", "sh"]);
    limited.arg(inner.get_program()).args(inner.get_args());
    let text = ends(&mut limited, 6, &["step=8 ", "error[file]"]); // the checkpoint has no room either
    let warning = "[log]: events.out.tfevents.* cannot be written (File too large";
    assert_eq!(text.matches(warning).count(), 1, "{text}");
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 2);
}

const READ: &str = r#"
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], {"scalars": 0, "images": 0, "tensors": 0})
events.Reload()
print(json.dumps({
    "scalars": {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]},
    "images": {tag: [[e.step, e.width, e.height] for e in events.Images(tag)] for tag in events.Tags()["images"]},
    "config": [e.tensor_proto.string_val[0].decode() for e in events.Tensors("config")],
}))
"#;

/// In an environment of its own below target/; `None` where it cannot be installed.
fn python_with_tensorboard() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tensorboard");
    let python = folder.join("bin/python");
    let done = |command: &mut Command| command.status().is_ok_and(|status| status.success());
    let has = |python: &Path| done(Command::new(python).args(["-c", "import tensorboard"]));
    if !has(&python) {
        done(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        done(Command::new(&python).args(["-m", "pip", "install", "-q", "tensorboard"]));
    }
    has(&python).then_some(python)
}

#[test]
#[ignore = "installs TensorBoard with pip: half a minute"]
fn tensorboard_reads_the_same() {
    let Some(python) = python_with_tensorboard() else {
        println!("skipped: python3 has no venv, or pip cannot install tensorboard");
        return;
    };
    let (_folder, run) = run_that_lost_steps();
    let mut read = Command::new(python);
    let text = read.args(["-c", READ]).arg(&run).output().unwrap();
    assert!(text.status.success(), "{}", process::said(&text));
    let read: Json = serde_json::from_slice(&text.stdout).unwrap();
    let scalars: Scalars = serde_json::from_value(read["scalars"].clone()).unwrap();
    assert_as_logged(&run, scalars);
    let views = serde_json::json!({ "views/crops_16": [[1, 142, 34], [7, 142, 34]] });
    assert_eq!(read["images"], views);
    let config = read["config"][1].as_str().unwrap();
    assert!(config.contains("steps = 8\n"), "{config}");
}
