//! Asked to stop at any moment: saved, out with 75, and the run as if it had not been. The long one:
//!
//! `cargo test --release --features emulator --test campaigns -- --ignored --nocapture each_signal`
use super::{Unbroken, draws, resume};
use crate::process::{said, train};
use selfsame::train::{checkpoint, log};
use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const SIGNALS: [&str; 4] = ["TERM", "USR1", "USR2", "INT"];
const STEPS: u64 = 24;
const FLAGS: [&str; 6] = [
    "--checkpoint-every=5steps",
    "--keep=1",
    "--set",
    "schedule.steps=24",
    "--set",
    "output.log_every=1",
];
/// What launchers give, less some.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn signals_save_and_stop() {
    campaign(2);
}

#[test]
#[ignore = "minutes"]
fn each_signal_twenty_five_times() {
    campaign(25);
}

/// Each signal comes when `metrics.jsonl` tells of a step drawn; 0 is when the run's folder is there.
fn campaign(times: u32) {
    let folder = tempfile::tempdir().unwrap();
    let unbroken = Unbroken::of(folder.path(), &FLAGS, STEPS);
    let (mut draws, began) = (draws(2), Instant::now());
    for signal in SIGNALS {
        let (mut steps, mut too_late, mut slowest) = (Vec::new(), 0, Duration::ZERO);
        for number in 0.. {
            if steps.len() == times as usize {
                break;
            }
            let run = folder.path().join(format!("{signal}-{number}"));
            let mut child = started(&mut train(&run, &FLAGS), &run);
            let moment = draws.below(STEPS as u32) as u64;
            wait_until(|| logged(&run) >= moment || child.try_wait().unwrap().is_some());
            let asked = Instant::now();
            let output = stop(child, signal);
            let took = asked.elapsed();
            if output.status.code() == Some(0) {
                too_late += 1; // it had done its steps
                continue;
            }
            slowest = slowest.max(took);
            assert!(took < PATIENCE, "{took:?}");
            let step = assert_saved(&run, &output, &format!("SIG{signal} received"));
            assert!(step >= moment && step == logged(&run), "{moment}, {step}");
            let text = crate::ends(&mut resume(&run, &[]), 0, &["Done"]);
            assert_eq!(first_step(&text), Some(step + 1), "{text}");
            unbroken.assert_equals(&run, STEPS);
            steps.push(step);
        }
        steps.sort_unstable();
        println!(
            "{signal}: {times} of {times} saved, code 75, resumed to equal states, after steps {steps:?}; {too_late} more had done their steps; the slowest out in {slowest:.2?}"
        );
    }
    println!("{:.0} s in all", began.elapsed().as_secs_f64());
}

/// The last step that is told of; 0 before there is one.
fn logged(run: &Path) -> u64 {
    let lines = log::lines(run).unwrap_or_default();
    lines.last().map_or(0, |line| line.step)
}

/// That a process told of.
fn first_step(said: &str) -> Option<u64> {
    let (_, after) = said.split_once(" step=")?;
    after.split_whitespace().next()?.parse().ok()
}

/// What stopped it is told with the step, whose checkpoint is there.
#[track_caller]
fn assert_saved(run: &Path, output: &Output, why: &str) -> u64 {
    let text = said(output);
    assert_eq!(output.status.code(), Some(75), "{text}");
    let step = checkpoint::newest(&run.join("checkpoints")).unwrap().0.step;
    let words = format!("Stopped after step {step} of {STEPS}: {why}");
    assert!(text.contains(&words), "no `{words}` in:\n{text}");
    step
}

/// Its folder is there: it listens to signals by then.
fn started(command: &mut Command, run: &Path) -> Child {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = piped.spawn().unwrap();
    wait_until(|| run.exists());
    child
}

fn stop(child: Child, signal: &str) -> Output {
    kill(child.id(), signal);
    child.wait_with_output().unwrap()
}

fn kill(pid: u32, signal: &str) {
    let signal = format!("-{signal}");
    let _ = Command::new("kill")
        .args([signal, pid.to_string()])
        .status();
}

#[track_caller]
fn wait_until(mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "it does not come");
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn time_ends_a_run_before_its_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let unbroken = Unbroken::of(folder.path(), &FLAGS, STEPS);
    let run = folder.path().join("parts");
    let none = [&FLAGS[..], &["--max-time", "0s"]].concat();
    let output = train(&run, &none).output().unwrap();
    assert_saved(&run, &output, "the time of --max-time, 0.0 s, is up");
    crate::ends(&mut resume(&run, &[]), 0, &["Done: 24 steps"]);
    unbroken.assert_equals(&run, STEPS);
}

/// A batch of images as large as these takes a thread a minute: as a disk that hardly answers.
#[test]
fn a_run_that_waits_for_images_still_saves_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("large.png");
    image::GrayImage::new(6000, 6000).save(&image).unwrap();
    let images = folder.path().join("images.txt");
    std::fs::write(&images, "large.png\n".repeat(600)).unwrap();
    let run = folder.path().join("run");
    let mut command = crate::selfsame();
    command.arg("train").arg(format!("@{}", images.display()));
    command.args("--device=cpu --batch=512 --steps=24 --workers=1 --image-size=16".split(' '));
    let child = started(command.arg("--out").arg(&run), &run);
    sleep(Duration::from_secs(2)); // it waits by now
    let asked = Instant::now();
    let output = stop(child, "TERM");
    assert!(asked.elapsed() < PATIENCE);
    let step = assert_saved(&run, &output, "SIGTERM received");
    assert_eq!(step, 0, "the images came too soon for this to be a test");
}

/// In the middle of a long step, which the first signal waits for.
#[test]
fn a_second_interrupt_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut command = crate::selfsame();
    command.args([
        "train",
        "synthetic:64:64",
        "--arch=resnet50",
        "--image-size=128",
    ]);
    command.args("--device=cpu --batch=32 --steps=24".split(' '));
    let child = started(command.arg("--out").arg(&run), &run);
    sleep(Duration::from_secs(1));
    kill(child.id(), "INT");
    sleep(Duration::from_millis(200));
    let asked = Instant::now();
    let output = stop(child, "INT");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(asked.elapsed() < Duration::from_secs(2));
}

/// A shell that starts a long run, and is killed.
fn orphaned(run: &Path, flags: &[&str], variable: Option<&str>) -> String {
    let said = run.with_extension("txt");
    let file = std::fs::File::create(&said).unwrap();
    let inner = train(run, flags);
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$@\" & wait", "sh"]);
    shell.arg(inner.get_program()).args(inner.get_args());
    shell.stdout(Stdio::null()).stderr(file);
    for name in ["TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"] {
        shell.env_remove(name);
    }
    variable.map(|name| shell.env(name, "1"));
    let mut shell = shell.spawn().unwrap();
    wait_until(|| run.join("bad_images.jsonl").exists()); // the log is open
    let lock = std::fs::read(run.join("LOCK")).unwrap();
    let lock: serde_json::Value = serde_json::from_slice(&lock).unwrap();
    let stat = format!("/proc/{}/stat", lock["pid"]);
    shell.kill().unwrap();
    shell.wait().unwrap();
    // A container's first process may never ask for it: then it stays listed, as dead.
    wait_until(|| std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")));
    std::fs::read_to_string(&said).unwrap()
}

#[test]
fn a_run_ends_with_its_launcher_and_outlives_its_shell() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| folder.path().join(name);
    let long = ["--set", "schedule.steps=1000000"];
    let asked = [&long[..], &["--stop-with-parent"]].concat();
    for (name, flags, variable) in [
        ("asked", &asked[..], None),
        ("torchrun", &long, Some("TORCHELASTIC_RUN_ID")),
        ("mpirun", &long, Some("OMPI_COMM_WORLD_RANK")),
    ] {
        let text = orphaned(&run(name), flags, variable);
        for word in [
            "error[dist]: Stopped after step",
            "which started this one, is gone",
        ] {
            assert!(text.contains(word), "{name}: no `{word}` in:\n{text}");
        }
        assert!(checkpoint::newest(&run(name).join("checkpoints")).is_ok());
    }
    for (name, variable) in [("shell", None), ("slurm", Some("SLURM_PROCID"))] {
        let text = orphaned(&run(name), &[], variable);
        assert!(!text.contains("Stopped"), "{name}: {text}");
        assert!(run(name).join("exports/encoder.safetensors").exists());
    }
}
