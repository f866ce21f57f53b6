//! What a report holds, of runs as they come: finished, begun, without labels, without their images.
mod process;

#[path = "report/browser.rs"]
mod browser;
#[path = "report/pictures.rs"]
mod pictures;

use process::{ends, selfsame, train};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// A class that would be a script, and an image that would run another, if they were ever markup.
pub const CLASS: &str = "<script>alert(1)<";
pub const IMAGE: &str = "<img src=x onerror=alert(2)>.ppm";

/// Runs that several tests look at, made once.
pub struct Runs {
    folder: tempfile::TempDir,
}

pub static RUNS: LazyLock<Runs> = LazyLock::new(|| {
    let runs = Runs {
        folder: tempfile::tempdir().unwrap(),
    };
    photographs(&runs.path("photos"), [CLASS, "grey"]);
    let photos = runs.path("photos");
    let of_photos = |name: &str, more: &[&str]| {
        let mut command = selfsame();
        command.arg("train").arg(&photos).args(SMALL).args(more);
        ends(command.arg("--out").arg(runs.path(name)), 0, &[]);
    };
    of_photos("simclr", &[]);
    of_photos("swav", &["--preset=swav-tiny", "--set=method.prototypes=8"]);
    runs
});

const SMALL: [&str; 10] = [
    "--device=cpu",
    "--batch=8",
    "--steps=4",
    "--log-every=1",
    "--image-size=16",
    "--workers=1",
    "--set=method.head_hidden=32",
    "--set=method.head_out=16",
    "--set=augment.blur=0.5",
    "--seed=1",
];

impl Runs {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Twelve small images of each class.
fn photographs(folder: &Path, classes: [&str; 2]) {
    for (class, name) in classes.iter().enumerate() {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        for number in 0..12u32 {
            let mut file = b"P6 20 20 255\n".to_vec();
            let noise = |at: u32| (at * (number * 2 + 3) * 7919 % 97) as u8 + 100 * class as u8;
            file.extend((0..1200).map(noise));
            let name = match number {
                0 => IMAGE.to_string(),
                _ => format!("{number}.ppm"),
            };
            fs::write(folder.join(name), file).unwrap();
        }
    }
}

/// The page that `report` makes of `runs`, and what it said.
fn report(runs: &[&Path], more: &[&str]) -> (String, String) {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("page.html");
    let mut command = selfsame();
    command.arg("report").args(runs).args(more);
    let said = ends(command.arg("--out").arg(&file), 0, &[]);
    (fs::read_to_string(file).unwrap(), said)
}

/// The numbers a page holds.
fn island(page: &str) -> Value {
    let start = "<script type=\"application/json\" id=\"report\">";
    let (_, rest) = page.split_once(start).expect("an island");
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn list<'a>(value: &'a Value, path: &str) -> &'a Vec<Value> {
    let found = value.pointer(path).and_then(Value::as_array);
    found.unwrap_or_else(|| panic!("no list at {path}"))
}

#[test]
fn a_run_is_told_with_its_curves_its_map_and_its_neighbours() {
    let run = RUNS.path("simclr");
    ends(selfsame().arg("report").arg(&run), 0, &["report.html"]);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    let held = island(&page);
    assert_eq!(held["runs"][0]["state"], "finished");
    assert_eq!(held["runs"][0]["step"], 4);
    assert_eq!(held["runs"][0]["settings"]["method"]["name"], "simclr");
    let environment = &held["runs"][0]["environment"];
    assert!(environment["processor"].is_string() && environment["features"].is_array());
    let loss = list(&held, "/runs/0/curves/values/loss");
    assert!(
        loss.len() == 4 && loss.iter().all(Value::is_number),
        "{loss:?}"
    );
    assert_eq!(list(&held, "/runs/0/knn").len(), 2, "before and after");
    let gallery = &held["gallery"];
    assert_eq!(gallery["kind"], "training images");
    assert_eq!(list(gallery, "/album/names").len(), 24);
    assert_eq!(list(gallery, "/looks/0/pca").len(), 24);
    assert_eq!(list(gallery, "/looks/0/tsne").len(), 24);
    for query in list(gallery, "/looks/0/neighbours") {
        let found = list(query, "/found");
        assert_eq!(found.len(), 8);
        let cosines: Vec<f64> = found.iter().map(|f| f[1].as_f64().unwrap()).collect();
        assert!(cosines.is_sorted_by(|a, b| a >= b), "{cosines:?}");
        assert!(found.iter().all(|f| f[0] != query["image"]), "itself");
    }
    assert!(
        list(&held, "/runs/0/notes").is_empty(),
        "{}",
        held["runs"][0]["notes"]
    );
    // Again: the page is replaced, and the run is as it was.
    ends(selfsame().arg("report").arg(&run), 0, &[]);
}

/// Neither the network nor another file is named anywhere but in what the run itself says.
#[test]
fn the_page_asks_for_nothing_and_runs_no_text() {
    let (page, _) = report(&[&RUNS.path("simclr")], &[]);
    assert!(page.contains("default-src 'none'"));
    for word in ["http://", "https://", "src=\"", "@import"] {
        let known = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!known.contains(word), "{word}");
    }
    assert!(!page.contains(CLASS) && !page.contains(IMAGE));
    assert_eq!(page.matches("<script").count(), 2, "the island and ours");
    let held = island(&page);
    assert_eq!(held["gallery"]["album"]["classes"][0], CLASS);
    let names = list(&held, "/gallery/album/names");
    assert!(
        names
            .iter()
            .any(|name| name.as_str().unwrap().ends_with(IMAGE))
    );
}

#[test]
fn swavs_prototypes_are_shown_with_their_images() {
    let (page, _) = report(&[&RUNS.path("swav")], &[]);
    let held = island(&page);
    let prototypes = &held["gallery"]["looks"][0]["prototypes"];
    assert_eq!(prototypes["all"], 8);
    let most_used = list(prototypes, "/most_used");
    assert_eq!(prototypes["used"], most_used.len());
    let count = |prototype: &Value| prototype["count"].as_u64().unwrap();
    assert_eq!(most_used.iter().map(count).sum::<u64>(), 24);
    assert!(most_used.is_sorted_by(|a, b| count(a) >= count(b)));
    assert!(held["runs"][0]["curves"]["values"]["usage_entropy"].is_array());
}

#[test]
fn runs_are_compared_over_the_same_images() {
    let runs = [RUNS.path("simclr"), RUNS.path("swav")];
    let runs = [&*runs[0], &*runs[1]];
    let (page, _) = report(&runs, &["--images=10"]);
    let held = island(&page);
    assert_eq!(held["runs"][1]["name"], "swav");
    assert_eq!(list(&held, "/gallery/album/names").len(), 10);
    for look in list(&held, "/gallery/looks") {
        assert_eq!(list(look, "/pca").len(), 10);
    }
    assert!(held["gallery"]["looks"][0]["prototypes"].is_null());
    ends(
        selfsame().arg("report").args(runs),
        2,
        &["several runs", "--out FILE.html"],
    );
    ends(
        selfsame().arg("report").arg(runs[0]).arg(runs[0]),
        2,
        &["is named twice"],
    );
}

#[test]
fn neighbours_are_looked_for_among_the_images_of_train() {
    let photos = RUNS.path("photos");
    let grey = photos.join("grey");
    let (photos, grey) = (photos.to_str().unwrap(), grey.to_str().unwrap());
    let (page, _) = report(&[&RUNS.path("simclr")], &["--val", photos, "--train", grey]);
    let held = island(&page);
    assert_eq!(held["gallery"]["kind"], "validation images");
    let bank = list(&held, "/gallery/looks/0/bank/names");
    assert!((8..=12).contains(&bank.len()), "{bank:?}");
    assert!(
        bank.iter()
            .all(|name| name.as_str().unwrap().contains("grey"))
    );
}

/// A folder with what a run has at some moment.
fn copied(from: &Path, names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let to = folder.path().join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.join(name), to).unwrap();
    }
    folder
}

#[test]
fn a_run_that_has_only_begun_says_what_is_missing() {
    let begun = copied(&RUNS.path("simclr"), &["config.toml"]);
    fs::write(begun.path().join("metrics.jsonl"), "").unwrap();
    fs::write(begun.path().join("LOCK"), "{}").unwrap();
    let (page, said) = report(&[begun.path()], &[]);
    let held = island(&page);
    assert_eq!(held["runs"][0]["state"], "running");
    assert!(held["gallery"].is_null());
    let notes = held["runs"][0]["notes"].to_string();
    for word in ["metrics.jsonl", "env.json", "no checkpoint"] {
        assert!(
            notes.contains(word) && said.contains(word),
            "{word}: {notes}"
        );
    }
    assert_eq!(list(&held, "/runs/0/curves/steps").len(), 0);
}

#[test]
fn images_that_moved_are_said_and_the_rest_is_drawn() {
    let run = RUNS.path("simclr");
    let moved = copied(
        &run,
        &[
            "metrics.jsonl",
            "env.json",
            "checkpoints/step-00000004/meta.json",
            "checkpoints/step-00000004/state.safetensors",
        ],
    );
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let (photos, gone) = (RUNS.path("photos"), moved.path().join("gone"));
    let config = config.replace(photos.to_str().unwrap(), gone.to_str().unwrap());
    fs::write(moved.path().join("config.toml"), config).unwrap();
    let (page, said) = report(&[moved.path()], &[]);
    let held = island(&page);
    assert!(held["gallery"].is_null());
    assert!(
        said.contains("gone") && said.contains("--val DIR"),
        "{said}"
    );
    assert_eq!(list(&held, "/runs/0/curves/steps").len(), 4);
    let (page, _) = report(&[moved.path()], &["--val", photos.to_str().unwrap()]);
    assert_eq!(list(&island(&page), "/gallery/album/names").len(), 24);
    let mut command = selfsame();
    command
        .arg("report")
        .arg(moved.path())
        .arg("--val")
        .arg(&gone);
    ends(&mut command, 3, &["gone"]);
}

/// All in one folder: no labels, and fewer than t-SNE takes.
#[test]
fn images_without_labels_are_shown_without() {
    let grey = RUNS.path("photos/grey");
    let (run, grey) = (RUNS.path("simclr"), grey.to_str().unwrap());
    let (page, _) = report(&[&run], &["--val", grey, "--images=5"]);
    let held = island(&page);
    assert!(list(&held, "/gallery/album/classes").is_empty());
    assert!(
        list(&held, "/gallery/album/labels")
            .iter()
            .all(Value::is_null)
    );
    assert!(held["gallery"]["looks"][0]["tsne"].is_null());
    assert_eq!(list(&held, "/gallery/looks/0/neighbours/0/found").len(), 4);
}

#[test]
fn what_is_no_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], code: i32, words: &[&str]| {
        let mut command = selfsame();
        command.arg("report").arg(folder.path()).args(arguments);
        ends(&mut command, code, words);
    };
    refused(&[], 2, &["is no run", "config.toml"]);
    let run = RUNS.path("simclr");
    let file = folder.path().join("mine.html");
    fs::write(&file, "mine").unwrap();
    let mut command = selfsame();
    command.arg("report").arg(&run).arg("--out").arg(&file);
    ends(&mut command, 2, &["exists", "--force"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

/// Of a run; of other weights nothing is kept.
#[test]
fn evaluations_are_kept_beside_the_run_and_told_in_its_report() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    ends(&mut train(&run, &[]), 0, &[]);
    let judged = |protocol: &str, weights: &Path, more: &[&str]| {
        let mut command = selfsame();
        command.args([
            "eval",
            protocol,
            "--train=synthetic:48:16",
            "--val=synthetic-val:20:16",
        ]);
        command
            .args(["--device=cpu", "--weights"])
            .arg(weights)
            .args(more);
        ends(&mut command, 0, &[])
    };
    judged("knn", &run, &["--k=5,10"]);
    judged(
        "linear",
        &run,
        &["--epochs=2", "--lr=0.1", "--labels-fraction=0.5"],
    );
    judged("layers", &run, &["--epochs=1", "--lr=0.1"]);
    judged("finetune", &run, &["--epochs=1", "--batch=8"]);
    let kept = |name: &str| run.join(format!("evaluations/{name}.json"));
    for name in ["knn", "linear-0.5", "layers", "finetune", "training"] {
        assert!(kept(name).exists(), "{name}");
    }
    let (page, _) = report(&[&run], &[]);
    let held = island(&page);
    let evaluations = list(&held, "/runs/0/evaluations");
    assert_eq!(evaluations.len(), 4);
    for evaluation in evaluations {
        let (name, result) = (&evaluation[0], &evaluation[1]);
        assert_eq!(result["step"], 8, "{name}");
        if name != "layers" {
            let cells = list(result, "/confusion");
            let all: u64 = cells.iter().map(|cell| cell[2].as_u64().unwrap()).sum();
            assert_eq!(all, 20, "{name}");
            let right = cells.iter().filter(|cell| cell[0] == cell[1]);
            let right: u64 = right.map(|cell| cell[2].as_u64().unwrap()).sum();
            let top1 = match name == "knn" {
                true => &result["results"][0]["top1"],
                false => &result["top1"],
            };
            assert_eq!(
                top1.as_f64().unwrap(),
                100.0 * right as f64 / 20.0,
                "{name}"
            );
        }
    }
    assert!(list(&evaluations[2][1], "/layers").len() > 3);
    let checkpoint = run.join("checkpoints/step-00000008");
    let before = fs::read(kept("knn")).unwrap();
    judged("knn", &checkpoint, &["--k=3"]);
    assert_eq!(fs::read(kept("knn")).unwrap(), before);
    assert!(!checkpoint.join("evaluations").exists());
}
