//! Training as a whole: what survives a stop, a crash, a damaged file; and that nothing but the seed
//! and the step decides the weights.
mod runs;

use runs::{SMALL, assert_resumes_bit_for_bit, photographs, train};
use selfsame::{
    config::Config,
    train::{
        checkpoint::{self, Numbers, Saved, Stamp, State},
        run::Run,
    },
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use xxhash_rust::xxh3::xxh3_64;

fn config(images: &str, assignments: &[&str]) -> Config {
    runs::config("tiny", images, assignments)
}

#[test]
fn a_resumed_run_is_the_unbroken_one_bit_for_bit() {
    let resumes = |images, stops: &[u64]| assert_resumes_bit_for_bit(&config(images, &[]), stops);
    resumes(SMALL, &[4, 7]); // within the first epoch and the second
    let photographs = photographs();
    resumes(photographs.path().to_str().unwrap(), &[6]); // between them
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let photographs = photographs();
    let images = photographs.path().to_str().unwrap();
    let hash = |workers: usize| {
        let workers = format!("data.workers={workers}");
        let config = config(images, &["schedule.steps=4", &workers]);
        let folder = tempfile::tempdir().unwrap();
        let state = train(folder.path(), &config, None).unwrap().state;
        let bits = state.iter().flat_map(|(name, saved)| {
            let values = match &saved.numbers {
                Numbers::F32(values) => values,
                _ => panic!("{name}: the state of a run is f32"),
            };
            values.iter().flat_map(|v| v.to_le_bytes())
        });
        xxh3_64(&bits.collect::<Vec<u8>>())
    };
    let hashes = [1, 2, 4].map(hash);
    assert_eq!(hashes, [hashes[0]; 3]);
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_spoils_no_checkpoint() {
    let config = config(
        SMALL,
        &["optimize.lr=1e30", "output.checkpoint_every=1steps"],
    );
    let folder = tempfile::tempdir().unwrap();
    let Err(error) = train(folder.path(), &config, None) else {
        panic!("it learned");
    };
    assert_eq!(error.exit_code(), 7);
    assert!(error.to_string().contains("step "), "{error}");
    let (_, state, _) = checkpoint::newest(&folder.path().join("checkpoints")).unwrap();
    for (name, saved) in state {
        let Numbers::F32(values) = saved.numbers else {
            continue;
        };
        assert!(values.iter().all(|v| v.is_finite()), "{name}");
    }
}

#[test]
fn other_images_or_another_configuration_are_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &config(SMALL, &[]), Some(1)).unwrap();
    let other_images = config("synthetic:40:16", &[]);
    let error = train(folder.path(), &other_images, None).err().unwrap();
    assert_eq!(error.exit_code(), 3, "{error}");
    let other_numbers = config(SMALL, &["method.temperature=0.3"]);
    let error = train(folder.path(), &other_numbers, None).err().unwrap();
    assert_eq!(error.exit_code(), 2, "{error}");
    let longer = config(SMALL, &["schedule.steps=2", "data.workers=1"]);
    train(folder.path(), &longer, None).unwrap();
}

/// The limit on bad images is the whole run's: a stop in between forgives none.
#[test]
fn bad_images_count_over_stops() {
    let photographs = photographs();
    for number in [3, 17, 40] {
        fs::write(photographs.path().join(format!("{number}.ppm")), "no image").unwrap();
    }
    let images = photographs.path().to_str().unwrap();
    let config = config(images, &["data.max_bad=0.05"]); // two of 48
    let error = |stops: &[u64]| {
        let folder = tempfile::tempdir().unwrap();
        for &stop in stops {
            train(folder.path(), &config, Some(stop)).unwrap();
        }
        let error = train(folder.path(), &config, None).err();
        let text = error.expect("three of 48 are too many").to_string();
        let (count, _example) = text.split_once(", e.g.").unwrap();
        count.to_string()
    };
    let unbroken = error(&[]);
    assert!(unbroken.contains("3 of "), "{unbroken}");
    let met = |step| {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), &config, Some(step)).ok()?;
        Some(
            checkpoint::newest(&folder.path().join("checkpoints"))
                .unwrap()
                .0
                .bad,
        )
    };
    let after: Vec<u64> = (1..6).map_while(met).collect();
    let last = after.len() as u64;
    assert!(after.contains(&1) && last > 1, "{after:?}");
    assert_eq!(error(&[last]), unbroken);
    assert_eq!(error(&(1..=last).collect::<Vec<u64>>()), unbroken);
}

fn state(seed: u32) -> State {
    let numbers: Vec<f32> = (0..40).map(|i| (i * 7 + seed) as f32).collect();
    let floats = |shape: &[usize]| Saved {
        shape: shape.to_vec(),
        numbers: Numbers::F32(numbers.clone()),
    };
    let queue = Saved {
        shape: vec![3],
        numbers: Numbers::U32(vec![seed, u32::MAX, 1 << 25]),
    };
    let bits = Saved {
        shape: vec![],
        numbers: Numbers::U8(vec![255]),
    };
    BTreeMap::from([
        ("conv1.weight".to_string(), floats(&[4, 10])),
        ("memory/pointer".to_string(), queue),
        ("memory/flag".to_string(), bits),
    ])
}

fn write(folder: &Path, step: u64) -> PathBuf {
    let stamp = Stamp {
        step,
        config: 1,
        dataset: 2,
        images: 3,
        bad: 0,
    };
    checkpoint::write(folder, &stamp, &state(step as u32), 3).unwrap()
}

#[test]
fn checkpoints_read_back_and_the_newest_three_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("checkpoints");
    for step in [10, 20, 30] {
        write(&folder, step);
    }
    let unfinished = folder.join(".unfinished-step-00000050"); // a crash left it
    fs::create_dir(&unfinished).unwrap();
    checkpoint::newest(&folder).unwrap();
    assert!(
        unfinished.exists(),
        "reading removes nothing: a run may be writing it"
    );
    write(&folder, 40);
    assert!(!unfinished.exists());
    let (meta, read, warnings) = checkpoint::newest(&folder).unwrap();
    assert_eq!((meta.step, read), (40, state(40)));
    assert!(warnings.is_empty());
    let steps: Vec<u64> = checkpoint::list(&folder)
        .unwrap()
        .iter()
        .map(|c| c.0)
        .collect();
    assert_eq!(steps, [40, 30, 20]);
    let latest = fs::read_to_string(folder.join("LATEST")).unwrap();
    assert_eq!(latest, "step-00000040\n");
}

/// Every byte flipped, every length cut to, each file removed: the one before is used, with a warning.
#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, 10);
    let newest = write(folder, 20);
    let falls_back = |what: &str| {
        let (meta, read, warnings) = checkpoint::newest(folder).unwrap();
        assert_eq!((meta.step, &read), (10, &state(10)), "{what}");
        assert_eq!(warnings.len(), 1, "{what}");
        let warning = &warnings[0];
        assert!(
            warning.starts_with("step-00000020 is damaged (")
                && warning.ends_with("); using step-00000010"),
            "{what}: {warning}"
        );
    };
    for name in ["state.safetensors", "meta.json"] {
        let file = newest.join(name);
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&file, &flipped).unwrap();
            if flipped[at].is_ascii_whitespace() && whole[at].is_ascii_whitespace() {
                continue; // JSON does not mind which
            }
            falls_back(&format!("{name}: byte {at} flipped"));
        }
        for length in (0..whole.len()).step_by(7) {
            fs::write(&file, &whole[..length]).unwrap();
            falls_back(&format!("{name}: cut to {length} bytes"));
        }
        fs::remove_file(&file).unwrap();
        falls_back(&format!("{name} is missing"));
        fs::write(&file, &whole).unwrap();
        assert_eq!(checkpoint::newest(folder).unwrap().0.step, 20);
    }
}

#[test]
fn where_no_checkpoint_is_usable_the_error_says_why_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let error = checkpoint::newest(folder.path()).unwrap_err();
    assert_eq!(error.exit_code(), 6);
    assert!(
        error.to_string().contains("no checkpoint was written"),
        "{error}"
    );
    for step in [10, 20] {
        fs::write(write(folder.path(), step).join("meta.json"), "{}").unwrap();
    }
    let error = checkpoint::newest(folder.path()).unwrap_err();
    assert_eq!(error.exit_code(), 6);
    let text = error.to_string();
    assert!(
        text.contains("step-00000010") && text.contains("step-00000020"),
        "{text}"
    );
}

#[test]
fn a_failed_write_leaves_the_checkpoint_before() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 10);
    fs::write(
        folder.path().join(".unfinished-step-00000020"),
        "in the way",
    )
    .unwrap();
    let stamp = Stamp {
        step: 20,
        config: 1,
        dataset: 2,
        images: 3,
        bad: 0,
    };
    let error = checkpoint::write(folder.path(), &stamp, &state(20), 1).unwrap_err();
    assert_eq!(error.exit_code(), 6);
    assert_eq!(checkpoint::newest(folder.path()).unwrap().0.step, 10);
}

#[test]
fn a_run_is_one_process_and_a_dead_ones_lock_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let written = config(SMALL, &[]);
    let run = Run::create(&path, &written).unwrap();
    let error = Run::open(&path).unwrap_err();
    assert!(
        error.to_string().contains("is being written by process"),
        "{error}"
    );
    drop(run);
    let (run, read) = Run::open(&path).unwrap();
    assert_eq!(read, written);
    assert!(run.warnings.is_empty());

    let lock = fs::read_to_string(path.join("LOCK")).unwrap();
    drop(run);
    let (_, started) = lock.split_once("\"started\":").unwrap();
    let dead = lock.replace(started, "1}"); // the same pid, as it was given to another
    fs::write(path.join("LOCK"), &dead).unwrap();
    let (run, _) = Run::open(&path).unwrap();
    assert!(
        run.warnings[0].contains("left its lock"),
        "{:?}",
        run.warnings
    );
    drop(run);

    // A killed process nobody waited for is still listed, and holds nothing.
    let mut killed = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", killed.id())).unwrap();
    let started = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .nth(19)
        .unwrap();
    let ours = format!("\"pid\":{}", std::process::id());
    let its = format!("\"pid\":{}", killed.id());
    let zombie = dead
        .replace(&ours, &its)
        .replace("\"started\":1}", &format!("\"started\":{started}}}"));
    fs::write(path.join("LOCK"), &zombie).unwrap();
    assert!(Run::open(&path).is_err(), "it lives: {zombie}");
    killed.kill().unwrap();
    let gone = || Run::open(&path).is_ok_and(|(run, _)| run.warnings[0].contains("left its lock"));
    assert!((0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        gone()
    }));
    killed.wait().unwrap();

    let error = Run::create(&path, &written).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("selfsame resume"), "{error}");
}
