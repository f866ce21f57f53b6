//! `selfsame check` and `selfsame pack` as they are typed.
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use image::ImageFormat;

use super::samples::*;

fn selfsame(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selfsame"));
    command.args(arguments).output().unwrap()
}

/// Its stdout and stderr, where it ends with `code` and says `words`.
fn said(arguments: &[&str], code: i32, words: &[&str]) -> String {
    let output = selfsame(arguments);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{word} in\n{text}");
    }
    text
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

/// Two classes of synthetic pictures, 160 x 160.
fn photos(folder: &Path, from: usize, count: usize) {
    let set = open("synthetic:1000:32");
    for index in from..from + count {
        let image = set.decode(index).unwrap();
        let image = image::RgbImage::from_raw(32, 32, image.pixels).unwrap();
        let image = image::imageops::resize(&image, 160, 160, image::imageops::CatmullRom);
        let class = ["a", "b"][index % 2];
        let file = folder.join(format!("{class}/{index}.png"));
        write(&file, &encoded(&image, ImageFormat::Png));
    }
}

#[test]
fn check_tells_what_training_would_find() {
    let root = tempfile::tempdir().unwrap();
    let (train, val) = (root.path().join("train"), root.path().join("val"));
    photos(&train, 0, 200);
    photos(&val, 500, 20);
    said(
        &["check", path(&train), "--val", path(&val)],
        0,
        &[
            "200 PNG",
            "all 160 x 160",
            "2, of 100 to 100",
            "none",
            "0 images of --val",
            "nothing here stops",
        ],
    );
    // A copy under another name, one in another format, one of each in --val, and a broken file.
    fs::copy(train.join("a/0.png"), train.join("b/copy.png")).unwrap();
    fs::copy(train.join("a/2.png"), val.join("a/leak.png")).unwrap();
    let image = image::open(train.join("b/3.png")).unwrap();
    image.save(train.join("b/again.bmp")).unwrap();
    let smaller = image.resize(128, 128, image::imageops::Triangle);
    smaller.save(val.join("b/small.png")).unwrap();
    write(&train.join("a/broken.jpg"), b"\xff\xd8\xff\xe0 not more");
    let words = [
        "201 PNG",
        "1 BMP",
        "a/broken.jpg",
        "2 images byte for byte",
        "3 pixel for pixel",
        "1 image of --val are among IMAGES, 1 more look like one",
    ];

    said(&["check", path(&train), "--val", path(&val)], 0, &words);

    let json = selfsame(&["check", path(&train), "--val", path(&val), "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["images"], 203);
    assert_eq!(json["classes"]["a"], 101);
    assert_eq!(json["bad"][0]["bytes"], 13);
    assert_eq!(json["equal_files"].as_array().unwrap().len(), 2);
    assert_eq!(json["leaks"].as_array().unwrap().len(), 2);
    assert_eq!(json["stops"].as_array().unwrap().len(), 0);

    let strict = ["check", path(&train), "--max-bad", "0"];
    said(&strict, 3, &["1 of 203 images read are bad", "--max-bad"]);
    said(
        &["check", path(&root.path().join("nothing"))],
        3,
        &["cannot open"],
    );
}

#[test]
fn what_is_packed_can_be_checked_trained_on_and_not_packed_again() {
    let root = tempfile::tempdir().unwrap();
    let (images, shards) = (root.path().join("images"), root.path().join("shards"));
    photos(&images, 0, 40);
    write(&images.join("a/broken.png"), b"nothing");
    let pack = [
        "pack",
        path(&images),
        "--short-side",
        "32",
        "--max-bad",
        "0.05",
        "--out",
        path(&shards),
    ];
    let words = [
        "40 images",
        "shards: 1, ",
        "bad images left out: 1",
        "a/broken.png",
        "selfsame train",
    ];
    said(&pack, 0, &words);
    said(&pack, 2, &["holds shards already"]);
    said(
        &["check", path(&shards)],
        0,
        &["40 JPEG", "all 32 x 32", "2, of 20 to 20"],
    );
    let run = root.path().join("run");
    let train = [
        "train",
        path(&shards),
        "--preset",
        "tiny",
        "--steps",
        "2",
        "--batch",
        "8",
        "--device",
        "cpu",
        "--out",
        path(&run),
    ];
    said(&train, 0, &["Done: 2 steps"]);
}
