//! What can be wrong of what a user gives: each error says what, where, why and what next, ends with its code, and
//! leaves nothing behind.
use crate::{
    process::{ends, selfsame},
    refused,
};
use std::{fs, path::Path};

fn folder_of(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn named(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[test]
fn a_configuration_file_that_cannot_be_taken() {
    let folder = folder_of(&[
        (
            "key.toml",
            b"[schedule]\nepochs = 3\n\nlearning_rate = 0.1\n",
        ),
        ("word.toml", b"[method]\nname = \"simclrr\"\n"),
        ("type.toml", b"[schedule]\nbatch = \"many\"\n"),
        ("syntax.toml", b"[schedule]\nbatch = = 3\n"),
        ("range.toml", b"[method]\ntemperature = 0.0\n"),
    ]);
    let key = "(train.toml:4)\n  learning_rate = 0.1\n  ^^^^^^^^^^^^^\n  did you mean `lr` in [optimize]?";
    let cases: [(&str, &[&str]); 5] = [
        (
            "key.toml",
            &[
                "error[config]: unknown key `learning_rate` in [schedule]",
                key,
            ],
        ),
        (
            "word.toml",
            &["unknown value `simclrr`", ":2)", "did you mean `simclr`?"],
        ),
        (
            "type.toml",
            &["invalid type", ":2)\n  batch = \"many\"\n          ^^^^^^"],
        ),
        ("syntax.toml", &[":2)\n  batch = = 3\n"]),
        (
            "range.toml",
            &["method.temperature is 0; it must be above 0"],
        ),
    ];
    for (file, words) in cases {
        let path = named(&folder, file);
        let words = words.iter().map(|word| word.replace("train.toml", &path));
        let words: Vec<String> = words.collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        refused(
            &["synthetic", "--device", "cpu", "--config", &path],
            2,
            &words,
        );
    }
    let absent = named(&folder, "absent.toml");
    let words = ["error[file]", "absent.toml", "No such file"];
    refused(&["synthetic", "--config", &absent], 6, &words);
}

#[test]
fn images_that_are_none() {
    let phone = folder_of(&[("a.heic", b"x"), ("b.HEIC", b"x"), ("notes.txt", b"x")]);
    let path = phone.path().display().to_string();
    let words = [
        &format!("error[data]: no images found in {path}")[..],
        "2 .heic files",
        "mogrify -format jpg *.heic",
    ];
    refused(&[&path, "--device", "cpu"], 3, &words);

    let broken = folder_of(&[
        ("a.jpg", b"\xff\xd8\xff"),
        ("b.jpg", b""),
        ("c.png", b"hello"),
    ]);
    let path = broken.path().display().to_string();
    let words = ["error[data]: all 3 images are bad, e.g. ", "a.jpg"];
    ends(selfsame().args(["check", &path]), 3, &words);

    let list = folder_of(&[("list.txt", b"nowhere/a.jpg\n")]);
    let list = format!("@{}", named(&list, "list.txt"));
    refused(&[&list], 3, &["error[data]", "list.txt"]);
}

#[test]
fn a_place_that_cannot_be_written() {
    let folder = folder_of(&[("file", b"mine")]);
    let file = folder.path().join("file");
    let mut command = selfsame();
    command.args(["train", "synthetic", "--out"]).arg(&file);
    ends(&mut command, 2, &["is a file; --out names a folder"]);
    let below = file.join("run");
    let mut command = selfsame();
    command.args([
        "train",
        "synthetic:16:16",
        "--batch",
        "8",
        "--device",
        "cpu",
    ]);
    ends(
        command.arg("--out").arg(&below),
        6,
        &["error[file]", "file/run"],
    );
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    if Path::new("/dev/full").exists() {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut command = selfsame();
        let output = command.arg("presets").stdout(full).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{text}");
        assert!(
            text.contains("standard output") && text.contains("No space left"),
            "{text}"
        );
    }
}

#[test]
fn weights_and_runs_that_are_none() {
    let folder = folder_of(&[("w.safetensors", b"\x08\0\0\0\0\0\0\0{broken}")]);
    let weights = named(&folder, "w.safetensors");
    let line = ["embed", "synthetic:4", "--device", "cpu", "--out"];
    let mut command = selfsame();
    command.args(line).arg(folder.path().join("e.npy"));
    ends(
        command.args(["--weights", &weights]),
        6,
        &["error[checkpoint]", "w.safetensors"],
    );
    let mut command = selfsame();
    command.arg("replay").arg(folder.path());
    ends(&mut command, 2, &["nan-"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn flags_that_do_not_go_together_or_are_none() {
    let usage: [(&[&str], &str); 5] = [
        (
            &["synthetic", "--epochs", "3", "--steps", "3"],
            "cannot be used with",
        ),
        (
            &["synthetic", "--max-time", "soon"],
            "is no duration: e.g. 150s",
        ),
        (
            &["synthetic", "--batch", "many"],
            "invalid value 'many' for '--batch",
        ),
        (
            &["synthetic", "--quiet", "--verbose"],
            "cannot be used with",
        ),
        (
            &["synthetic", "--set", "schedule.batch"],
            "has no `=`; e.g. --set",
        ),
    ];
    for (flags, words) in usage {
        refused(flags, 2, &[words]);
    }
    ends(selfsame().arg("trian"), 2, &["train"]);
    ends(
        selfsame().arg("train"),
        2,
        &["Usage: selfsame train", "Examples:"],
    );
}
