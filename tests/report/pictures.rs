//! `selfsame plot`: the report's pictures as files.
use super::{CLASS, RUNS, copied};
use crate::process::{ends, selfsame};
use std::{fs, path::Path};

fn plotted(runs: &[&Path], file: &str, more: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join(file);
    let mut command = selfsame();
    command
        .arg("plot")
        .args(runs)
        .args(more)
        .arg("--out")
        .arg(&out);
    ends(&mut command, 0, &[file]);
    fs::read(out).unwrap()
}

fn svg(runs: &[&Path], more: &[&str]) -> String {
    String::from_utf8(plotted(runs, "figure.svg", more)).unwrap()
}

#[test]
fn curves_of_two_runs_are_lines_of_one_figure() {
    let runs = [RUNS.path("simclr"), RUNS.path("swav")];
    let runs = [&*runs[0], &*runs[1]];
    for (what, words) in [
        ("loss", ["loss", "swav"]),
        ("lr", ["learning rate", "swav"]),
        ("speed", ["images a second", "simclr"]),
        ("knn", ["top-1 accuracy (%)", "simclr"]),
        ("collapse", ["mean cosine, simclr", "prototypes, swav"]),
    ] {
        let text = svg(&runs, &["--what", what]);
        for word in words {
            assert!(text.contains(word), "{what}: no `{word}`");
        }
    }
}

#[test]
fn a_map_has_a_dot_an_image_and_a_colour_a_class() {
    let run = RUNS.path("simclr");
    for by in ["pca", "tsne"] {
        let text = svg(&[&run], &["--what=map", "--by", by]);
        let dots = |color: &str| {
            let circles = text.lines().filter(|line| line.starts_with("<circle"));
            circles.filter(|line| line.contains(color)).count()
        };
        assert_eq!((dots("#0072B2"), dots("#D55E00")), (13, 13), "{by}"); // and the legend's
        assert!(
            text.contains("&lt;script&gt;") && !text.contains(CLASS),
            "{by}"
        );
    }
    let png = plotted(&[&run], "map.png", &["--what=map"]);
    assert!(png.starts_with(b"\x89PNG"));
}

#[test]
fn neighbours_are_a_grid_of_images() {
    let text = svg(&[&RUNS.path("simclr")], &["--what=neighbours"]);
    assert_eq!(text.matches("<image ").count(), 8 * 9);
    assert!(!text.contains(CLASS));
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let run = RUNS.path("simclr");
    let folder = copied(&run, &["config.toml", "env.json", "data.json"]);
    let out = folder.path().join("figure.svg");
    let refused = |runs: &[&Path], what: &str, code: i32, words: &[&str]| {
        let mut command = selfsame();
        command
            .arg("plot")
            .args(runs)
            .args(["--what", what, "--out"]);
        ends(command.arg(&out), code, words);
        assert!(!out.exists());
    };
    refused(&[&run, folder.path()], "map", 2, &["of one run"]);
    refused(&[folder.path()], "loss", 3, &["no loss was logged yet"]);
    refused(&[folder.path()], "neighbours", 3, &["no checkpoint"]);
}
