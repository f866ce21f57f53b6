//! Results on stdout, talk on stderr; as much of it as is wanted; and readers that go away.
use crate::process::{ends, last_state, selfsame, train};
use std::{
    io,
    process::{Command, Output, Stdio},
};

/// Commands that take no time, and whether their results are JSON.
const QUICK: [(&str, bool); 14] = [
    ("presets", false),
    ("presets --json", true),
    ("presets moco-v2", false),
    ("presets moco-v2 --json", true),
    ("config show --device cpu", false),
    ("config show --device cpu --json", true),
    ("config schema", true),
    ("init", false),
    ("completions bash", false),
    ("kernels", false),
    ("kernels --json", true),
    ("study", false),
    ("--help", false),
    ("train --help", false),
];

fn command(line: &str) -> Command {
    let mut command = selfsame();
    command.args(line.split(' '));
    command
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn results_are_on_stdout_and_talk_is_not() {
    for (line, json) in QUICK {
        let (stdout, stderr) = texts(&command(line).output().unwrap());
        assert!(!stdout.is_empty(), "{line}");
        let said = stderr.lines().all(|line| line.starts_with("preset "));
        assert!(said, "{line}: {stderr}");
        assert!(
            !(stdout + &stderr).contains('\x1b'),
            "{line}: colours for nobody"
        );
        let quiet = command(&format!("{line} --quiet")).output().unwrap();
        let (stdout, stderr) = texts(&quiet);
        assert_eq!(stderr, "", "{line} --quiet");
        if json {
            let read = serde_json::from_str::<serde_json::Value>(&stdout);
            assert!(read.is_ok(), "{line}: {stdout}");
        }
    }
}

#[test]
fn a_reader_that_has_gone_ends_nothing() {
    for (line, _) in QUICK {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = command(line).stdout(writer).output().unwrap();
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(0), "{line}: {stderr}");
        assert!(!stderr.contains("panicked"), "{line}: {stderr}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (heard, unheard) = (folder.path().join("heard"), folder.path().join("unheard"));
    ends(&mut train(&heard, &[]), 0, &[]);
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut command = train(&unheard, &[]);
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().unwrap());
    let status = command.stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(last_state(&heard), last_state(&unheard));
}

#[test]
fn a_run_says_as_much_as_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, more: &[&str]| {
        let mut command = train(&folder.path().join(name), more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        texts(&output)
    };
    let (stdout, stderr) = run("usual", &[]);
    assert!(
        stdout.starts_with("Done: 8 steps") && stderr.contains("step=8 "),
        "{stderr}"
    );
    assert!(!stderr.contains("# --batch"), "{stderr}");

    let (stdout, stderr) = run("verbose", &["-v"]);
    assert!(
        stdout.starts_with("Done: 8 steps") && stderr.contains("step=8 "),
        "{stderr}"
    );
    assert!(
        stderr.contains("config   schedule.batch = 8  # --batch\n"),
        "{stderr}"
    );

    let (stdout, stderr) = run("quiet", &["--quiet"]);
    assert!(stdout.starts_with("Done: 8 steps"), "{stdout}");
    assert!(
        stderr.lines().all(|line| line.starts_with("warning")),
        "{stderr}"
    );

    let (stdout, _) = run("json", &["--json", "--trace"]);
    let done: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(done["steps"], 8);
    for number in ["loss", "seconds", "knn_before", "knn_after"] {
        assert!(done[number].as_f64().unwrap() >= 0.0, "{done}");
    }
    let weights = done["weights"].as_str().unwrap();
    assert!(std::path::Path::new(weights).is_file(), "{done}");
}

#[test]
fn what_is_made_is_told_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let json = |command: &mut Command| -> serde_json::Value {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (run, shards) = (folder.path().join("run"), folder.path().join("shards"));
    let plan = json(&mut train(&run, &["--dry-run", "--json"]));
    assert_eq!((&plan["steps"], &plan["batch"]), (&8.into(), &8.into()));
    for number in [
        "memory_bytes",
        "checkpoint_bytes",
        "flops_a_step",
        "seconds",
    ] {
        assert!(plan[number].as_f64().unwrap() > 0.0, "{plan}");
    }
    assert!(!run.exists());
    let packed = json(command("pack synthetic:9:16 --json --out").arg(&shards));
    assert_eq!(
        (&packed["images"], &packed["shards"]),
        (&9.into(), &1.into())
    );

    assert!(train(&run, &[]).output().unwrap().status.success());
    let mut embed = command("embed synthetic:9:16 --device cpu --json --weights");
    let features = json(
        embed
            .arg(&run)
            .arg("--out")
            .arg(folder.path().join("e.npy")),
    );
    assert_eq!(
        (&features["rows"], &features["bad_images"]),
        (&9.into(), &0.into())
    );
    assert!(features["dim"].as_u64().unwrap() > 0, "{features}");
}

#[test]
fn shells_and_man_know_every_command() {
    let commands = ["train", "resume", "config", "doctor"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        ends(&mut command(&format!("completions {shell}")), 0, &commands);
    }
    ends(&mut command("completions ksh"), 2, &["bash", "zsh"]);
    let folder = tempfile::tempdir().unwrap();
    ends(selfsame().arg("man").arg(folder.path()), 0, &["selfsame.1"]);
    for page in commands.map(|name| format!("selfsame-{name}.1")).iter() {
        let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".TH") && text.contains("Examples"), "{page}");
    }
}
