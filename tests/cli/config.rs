//! `config`, `init` and the environment, as their user meets them.
use crate::process::{ends, last_state, selfsame, train};
use selfsame::config::Config;
use std::{fs, path::Path, process::Command};

/// What `command` printed, that ended well.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_value_is_shown_with_who_gave_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    fs::write(&file, "[schedule]\nbatch = 64\nepochs = 2\nseed = 1\n").unwrap();
    let show = |more: &[&str]| {
        let mut command = selfsame();
        command.args(["config", "show", "--method", "moco", "--device", "cpu"]);
        command.arg("--config").arg(&file);
        command.args(["--epochs", "4", "--set", "schedule.seed=9"]);
        command.env("SELFSAME_SCHEDULE_EPOCHS", "3");
        command.env("SELFSAME_SCHEDULE_BATCH", "32");
        command.args(more);
        command
    };
    let json: serde_json::Value = serde_json::from_str(&printed(&mut show(&["--json"]))).unwrap();
    let file_line = format!("{}:2", file.display());
    for (key, value, source) in [
        ("schedule.batch", "32", "SELFSAME_SCHEDULE_BATCH"),
        ("schedule.epochs", "4", "--epochs"),
        ("schedule.seed", "9", "--set"),
        ("method.name", "\"moco\"", "--method"),
        ("method.head_norm", "\"all\"", "preset moco-tiny"),
        ("output.keep", "3", "default"),
    ] {
        assert_eq!(json[key]["value"].to_string(), value, "{key}");
        assert_eq!(json[key]["source"], source, "{key}");
    }
    let mut without = show(&["--json"]);
    without.env_remove("SELFSAME_SCHEDULE_BATCH");
    let json: serde_json::Value = serde_json::from_str(&printed(&mut without)).unwrap();
    assert_eq!(json["schedule.batch"]["source"], file_line.as_str());

    // What is shown is a file that says the same.
    let shown = folder.path().join("shown.toml");
    fs::write(&shown, printed(&mut show(&[]))).unwrap();
    let config = Config::read(&shown).unwrap();
    assert_eq!((config.schedule.batch, config.schedule.epochs), (32, 4));
}

#[test]
fn a_variable_that_is_no_keys_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut command = train(&out, &[]);
    command.env("SELFSAME_SCHEDULE_EPOCH", "3");
    let words = [
        "SELFSAME_SCHEDULE_EPOCH\n",
        "did you mean SELFSAME_SCHEDULE_EPOCHS?",
    ];
    ends(&mut command, 2, &words);
    assert!(!out.exists());
}

#[test]
fn a_file_is_checked_before_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str, more: &[&str]| {
        let file = folder.path().join("train.toml");
        fs::write(&file, text).unwrap();
        let mut command = selfsame();
        command.args(["config", "check"]).arg(file).args(more);
        command
    };
    let moco = "[method]\nname = \"moco\"\nqueue = 1024\n";
    let words = ["2 values", "goes with moco-v2, moco-cifar, moco-tiny"];
    ends(&mut check(moco, &[]), 0, &words);
    let small = moco.replace("1024", "300");
    let words = [
        "does not go with preset moco-cifar",
        "goes with moco-v2, moco-tiny",
    ];
    ends(&mut check(&small, &[]), 0, &words);
    ends(
        &mut check(&small, &["--preset", "moco-cifar"]),
        2,
        &["method.queue is 300"],
    );
    ends(
        &mut check(&moco.replace("1024", "3"), &[]),
        2,
        &["method.queue is 3"],
    );
    let words = [
        "train.toml:2)\n  epoch = 3\n  ^^^^^\n",
        "did you mean `epochs`",
    ];
    ends(&mut check("[schedule]\nepoch = 3\n", &[]), 2, &words);
    let words = ["train.toml:1)\n  [schedule\n", "^"];
    ends(&mut check("[schedule\n", &[]), 2, &words);
    let absent = ["config", "check", "absent.toml"];
    ends(selfsame().args(absent), 6, &["absent.toml"]);
}

#[test]
fn a_template_is_a_new_file_that_trains_as_its_preset() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("train.toml");
    let init = |more: &[&str]| {
        let mut command = selfsame();
        command.arg("init").args(more);
        command
    };
    ends(
        init(&["--method", "swav", "--out"]).arg(&file),
        0,
        &["--config"],
    );
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(printed(&mut init(&["--method", "swav"])), text);
    let preset = printed(selfsame().args(["presets", "swav-256"]));
    assert_eq!(Config::read(&file).unwrap().to_toml(), preset);
    assert!(
        text.contains("# swav: prototypes, that is clusters.\nprototypes = 3000\n"),
        "{text}"
    );

    ends(
        init(&["--out"]).arg(&file),
        2,
        &["train.toml is there already"],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    ends(
        &mut init(&["--method", "swaf"]),
        2,
        &["did you mean `swav`?"],
    );
    ends(
        &mut init(&["--preset", "tini"]),
        2,
        &["did you mean `tiny`?"],
    );
}

#[test]
fn the_schema_is_printed_as_it_is() {
    let text = printed(selfsame().args(["config", "schema"]));
    let printed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(printed, selfsame::config::schema());
}

/// What a run wrote of its configuration is all of it: whoever trains from that file has the same weights.
#[test]
fn a_runs_own_file_makes_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let mut command = train(&first, &["--set", "augment.hue=0.15", "--seed", "3"]);
    ends(
        command.env("SELFSAME_OPTIMIZE_MOMENTUM", "0.8"),
        0,
        &["Done: 8 steps"],
    );
    let again = |config: &Path, out: &Path| {
        let mut command = selfsame();
        command.arg("train").arg("--config").arg(config);
        command.arg("--out").arg(out);
        command
    };
    let file = first.join("config.toml");
    ends(&mut again(&file, &second), 0, &["Done: 8 steps"]);
    assert_eq!(last_state(&first), last_state(&second));
    let configs = [&first, &second].map(|run| fs::read_to_string(run.join("config.toml")).unwrap());
    assert_eq!(configs[0], configs[1]);
    assert!(configs[0].contains("momentum = 0.8"), "{}", configs[0]);
}
