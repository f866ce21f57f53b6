//! Weights and vectors for other programs, and weights from them: what is written is read by readers that
//! are not ours, and what others publish is read here.
mod append;
mod begin;
mod formats;
mod pickles;
mod readers;

use selfsame::{
    interop::{Existing, torchvision, weights::Array},
    nn::{Architecture, Entry, Layout, ResNet, Stem},
    random::{Draws, Purpose},
};
use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{Command, Output},
};

/// The last result of a command line, split at blanks, in `folder`.
fn selfsame(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selfsame"));
    let command = command.args(line.split_whitespace()).current_dir(folder);
    command.output().expect("the program starts")
}

/// What it prints, and what it says.
#[track_caller]
fn succeeds(folder: &Path, line: &str) -> (String, String) {
    let output = selfsame(folder, line);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{line}: {err}");
    (out, err)
}

/// What it says when it ends with `code`.
#[track_caller]
fn fails(folder: &Path, line: &str, code: i32) -> String {
    let output = selfsame(folder, line);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}: {err}");
    err
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Drawn weights, as if trained: variances far from 1, some so small that batch norm's epsilon counts.
fn drawn(arch: Architecture, stem: Stem, width: usize, seed: u64) -> Vec<(String, Array)> {
    let mut layout = Layout::default();
    ResNet::new(&mut layout, arch, stem, width);
    let entries = layout.parameters().iter().chain(layout.statistics());
    let draw = |(number, entry): (usize, &Entry)| {
        let mut draws = Draws::new(seed, Purpose::Init, 0, number as u32, 0);
        let fan = entry.len() / entry.shape.dims()[0];
        let mut one = || match entry.name.rsplit_once('.').expect("a layer's").1 {
            "running_var" => draws.uniform(-8.0, 0.5).exp(),
            "weight" if entry.is_vector() => draws.uniform(0.01, 0.06),
            "weight" => draws.normal() * (2.0 / fan as f32).sqrt(),
            _ => draws.uniform(-0.3, 0.3),
        };
        let values = (0..entry.len()).map(|_| one()).collect();
        (entry.name.clone(), Array::new(entry.shape.clone(), values))
    };
    entries.enumerate().map(draw).collect()
}

/// As `FOLDER/w.safetensors`, which says how its images are made ready.
fn weights_in(folder: &Path, arch: Architecture, stem: Stem, width: usize) {
    let notes = [("mean", "0.4,0.5,0.6"), ("std", "0.2,0.25,0.3")];
    let notes = notes.map(|(key, value)| (key.to_string(), value.to_string()));
    let (tensors, path) = (drawn(arch, stem, width, 1), folder.join("w.safetensors"));
    torchvision::write(&path, &tensors, 7, &HashMap::from(notes), Existing::Refuse).unwrap();
}

/// `count` images of `side` pixels a side in `FOLDER/images`.
fn images_in(folder: &Path, count: u32, side: u32) {
    let images = folder.join("images");
    fs::create_dir(&images).unwrap();
    for number in 0..count {
        let mut draws = Draws::new(3, Purpose::Synthetic, 0, number, 0);
        let mut file = format!("P6 {side} {side} 255\n").into_bytes();
        file.extend((0..3 * side * side).map(|_| draws.bits() as u8));
        fs::write(images.join(format!("{number}.ppm")), file).unwrap();
    }
}
