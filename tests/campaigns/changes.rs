//! What may change on resume, and what may not.
use super::{Unbroken, resume};
use crate::process::ends;
use std::{fs, path::Path};

fn text(run: &Path, file: &str) -> String {
    fs::read_to_string(run.join(file)).unwrap()
}

#[test]
fn safe_changes_are_made_and_others_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    Unbroken::of(folder.path(), &["--checkpoint-every=2steps"], 8);
    let run = folder.path().join("unbroken");
    let before = text(&run, "config.toml");

    let colder = ["--set", "method.temperature=0.3"];
    let refused = [&colder[..], &["--set", "schedule.batch=16", "--steps=10"]].concat();
    let words = [
        "method.temperature is 0.2 and cannot become 0.3 on resume: the steps done have learned from another loss",
        "schedule.batch is 8 and cannot become 16",
        "--force-change method.temperature",
    ];
    ends(&mut resume(&run, &refused), 2, &words);
    let unknown = ["--set", "method.temprature=0.3"];
    ends(
        &mut resume(&run, &unknown),
        2,
        &["did you mean `temperature`"],
    );
    assert_eq!(text(&run, "config.toml"), before);
    assert!(!run.join("changes.jsonl").exists());

    let safe =
        "--steps=10 --keep=2 --log-every=1 --workers=2 --checkpoint-every=1steps --device=cpu";
    let safe: Vec<&str> = safe
        .split(' ')
        .chain(["--set", "data.max_bad=0.5"])
        .collect();
    ends(&mut resume(&run, &safe), 0, &["step=9 ", "step=10 "]);
    let now = text(&run, "config.toml");
    for line in [
        "keep = 2",
        "steps = 10",
        "workers = 2",
        "max_bad = 0.5",
        "log_every = 1",
    ] {
        assert!(now.contains(line), "no `{line}` in:\n{now}");
    }
    let changes = text(&run, "changes.jsonl");
    assert!(changes.contains(
        "\"step\":8,\"key\":\"output.keep\",\"from\":\"3\",\"to\":\"2\",\"forced\":false"
    ));
    let kept = fs::read_dir(run.join("checkpoints")).unwrap().count();
    assert_eq!(kept, 3, "two and LATEST");
}

#[test]
fn a_forced_change_is_told_of_and_survives_a_fall_back() {
    let folder = tempfile::tempdir().unwrap();
    Unbroken::of(folder.path(), &["--checkpoint-every=2steps"], 8);
    let run = folder.path().join("unbroken");
    let force = ["--force-change", "method.temperature"];
    let colder = ["--set", "method.temperature=0.3", "--steps=10"];
    let words = [
        "warning: [resume]: method.temperature was 0.2 and is 0.3 from here on",
        "Done",
    ];
    ends(
        &mut resume(&run, &[&colder[..], &force].concat()),
        0,
        &words,
    );
    let changes = text(&run, "changes.jsonl");
    assert!(changes.contains(
        "\"key\":\"method.temperature\",\"from\":\"0.2\",\"to\":\"0.3\",\"forced\":true"
    ));

    // Its first checkpoint is lost: those of the earlier configuration are this run's all the same.
    fs::remove_file(run.join("checkpoints/step-00000010/meta.json")).unwrap();
    ends(&mut resume(&run, &[]), 0, &["using step-00000008", "Done"]);

    // But not whatever else the file may say.
    let edited = text(&run, "config.toml").replace("momentum = 0.9\n", "momentum = 0.8\n");
    fs::write(run.join("config.toml"), edited).unwrap();
    ends(
        &mut resume(&run, &["--steps=12"]),
        2,
        &["config.toml was changed"],
    );
}

/// The same images in another place: their number, and the user's word for it.
#[test]
fn moved_images_are_the_users_word() {
    let folder = tempfile::tempdir().unwrap();
    let photographs = crate::runs::photographs();
    let [old, new, run] = ["old", "new", "run"].map(|name| folder.path().join(name));
    fs::rename(photographs.path(), &old).unwrap();
    let mut train = crate::selfsame();
    train.arg("train").arg(&old).arg("--out").arg(&run);
    let flags = "--device=cpu --batch=8 --steps=2 --workers=1 --image-size=16";
    ends(train.args(flags.split(' ')), 0, &["Done"]);

    fs::rename(&old, &new).unwrap();
    let moved = format!("data.images=[{:?}]", new.to_str().unwrap());
    let moved = ["--steps=4", "--set", &moved];
    ends(
        &mut resume(&run, &moved),
        2,
        &["--force-change data.images"],
    );
    let forced = [&moved[..], &["--force-change=data.images"]].concat();
    ends(
        &mut resume(&run, &forced),
        0,
        &["warning: [resume]: data.images", "2 done", "Done"],
    );

    fs::remove_file(new.join("7.ppm")).unwrap();
    let words = ["it had 48 and now there are 47"];
    ends(&mut resume(&run, &["--steps=6"]), 3, &words);
}
