//! What a save costs: the copy that training waits for, and the writing that it does not.
use crate::runs::config;
use selfsame::{
    Device,
    data::Dataset,
    train::{
        checkpoint::{self, Stamp},
        state,
        stop::Stop,
        trainer::Trainer,
    },
};
use std::{sync::Arc, time::Instant};

/// ResNet-50 with SimCLR's head.
#[test]
#[ignore = "a measurement"]
fn what_a_save_costs() {
    let own = [
        "encoder.arch=resnet50",
        "method.head_hidden=2048",
        "method.head_out=128",
    ];
    let config = config("tiny", "synthetic:48:32", &own);
    let dataset = Arc::new(Dataset::open(&config.data.images, 0).unwrap());
    let mut trainer = Trainer::new(&Device::cpu(), &config, &dataset).unwrap();
    let velocities = trainer.params.zeros().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let milliseconds = |started: Instant| started.elapsed().as_secs_f64() * 1e3;
    for step in 1..=5 {
        let started = Instant::now();
        let method = &mut *trainer.network.method;
        let state = state::gather(&trainer.params, &velocities, method).unwrap();
        let copied = milliseconds(started);
        let stamp = Stamp {
            step,
            config: 0,
            dataset: 0,
            images: 48,
            bad: 0,
        };
        let started = Instant::now();
        let path = checkpoint::write(folder.path(), &stamp, &state, 1).unwrap();
        let written = milliseconds(started);
        let bytes = std::fs::metadata(path.join("state.safetensors"))
            .unwrap()
            .len();
        println!(
            "{:.1} MB: copied in {copied:.0} ms, hashed and on the disk in {written:.0} ms; every 10 minutes the copy is {:.3} % of the time, both are {:.3} %",
            bytes as f64 / 1e6,
            copied / 6e3,
            (copied + written) / 6e3
        );
        assert!(
            trainer.state_bytes().abs_diff(bytes) < bytes / 50,
            "the size foretold"
        );
    }
}

/// Whole runs of the small network, saved never, every 20 steps, and at every step.
#[test]
#[ignore = "a measurement"]
fn what_saving_does_to_a_run() {
    let speed = |every: &str| {
        let every = format!("output.checkpoint_every={every}");
        let own = [
            &every,
            "schedule.steps=120",
            "schedule.batch=64",
            "encoder.image_size=32",
        ];
        let config = config("tiny", "synthetic:640:32", &own);
        let folder = tempfile::tempdir().unwrap();
        let started = Instant::now();
        crate::runs::train_on(&Device::cpu(), folder.path(), &config, &Stop::never()).unwrap();
        120.0 * 64.0 / started.elapsed().as_secs_f64()
    };
    for _ in 0..3 {
        let [never, some, all] = ["9999steps", "20steps", "1steps"].map(speed);
        println!(
            "images/s: {never:.0} saved at the end alone, {some:.0} every 20 steps, {all:.0} at each"
        );
    }
}
