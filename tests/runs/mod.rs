//! Small whole runs, for the tests that need one: a configuration, images, and training from wherever a
//! folder's newest checkpoint stands.
#![allow(dead_code)] // each test uses its part
use selfsame::{
    Device, Error,
    config::{Config, Layers},
    data::Dataset,
    random::{Draws, Purpose},
    train::{
        checkpoint::{self, State},
        log::Log,
        stop::{Stop, Why},
        trainer::{Outcome, Trainer},
    },
};
use std::{fs, path::Path, sync::Arc};

/// 6 steps an epoch, 9 in all, of a small network; warm-up and decay give each a learning rate of its own.
pub fn config(preset: &str, images: &str, assignments: &[&str]) -> Config {
    let mut layers = Layers::default();
    layers.preset(preset).unwrap();
    let own = [
        "encoder.image_size=16",
        "method.head_hidden=32",
        "method.head_out=16",
        "augment.blur=0.5",
        "schedule.batch=8",
        "schedule.steps=9",
        "schedule.warmup_epochs=0.5",
        "engine.device=cpu",
        "data.workers=2",
        "output.log_every=1",
    ];
    for assignment in own.iter().chain(assignments) {
        layers.assign(assignment).unwrap();
    }
    let images = vec![images.to_string()];
    layers.set("IMAGES", "data.images", images).unwrap();
    layers.finish().unwrap()
}

/// All on the device as one block.
pub const SMALL: &str = "synthetic:48:16";

/// 48 images of several sizes, too large to be held: the loader feeds them.
pub fn photographs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..48u32 {
        let mut draws = Draws::new(1, Purpose::Synthetic, 0, number, 0);
        let (width, height) = (70 + draws.below(20), 70 + draws.below(20));
        let mut file = format!("P6 {width} {height} 255\n").into_bytes();
        file.extend((0..3 * width * height).map(|_| draws.bits() as u8));
        fs::write(folder.path().join(format!("{number}.ppm")), file).unwrap();
    }
    folder
}

pub struct Trained {
    pub outcome: Outcome,
    /// Of the newest checkpoint.
    pub state: State,
    /// Loss and gradient norm of each step so far.
    pub numbers: Vec<[f64; 2]>,
}

/// Trains in `folder` from its newest checkpoint, if there is one, to where `stop` says or the end.
pub fn train_on(
    device: &Device,
    folder: &Path,
    config: &Config,
    stop: &Stop,
) -> Result<Trained, Error> {
    let dataset = Arc::new(Dataset::open(&config.data.images, config.schedule.seed)?);
    let mut trainer = Trainer::new(device, config, &dataset)?;
    let checkpoints = folder.join("checkpoints");
    if checkpoints.exists() {
        assert_eq!(trainer.restore(&checkpoints)?, Vec::<String>::new());
    }
    let steps = trainer.schedule.steps;
    let mut log = Log::open(folder, config.output.log_every, trainer.step, steps)?;
    let outcome = trainer.run(&checkpoints, &mut log, stop)?;
    let (meta, state, _) = checkpoint::newest(&checkpoints)?;
    assert_eq!(meta.step, trainer.step);
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let numbers = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        ["loss", "gradient_norm"].map(|name| line[name].as_f64().unwrap())
    });
    Ok(Trained {
        outcome,
        state,
        numbers: numbers.collect(),
    })
}

/// On the CPU; `stop_at` is the step to stop before.
pub fn train(folder: &Path, config: &Config, stop_at: Option<u64>) -> Result<Trained, Error> {
    let stop = stop_at.map_or(Stop::never(), Stop::before);
    train_on(&Device::cpu(), folder, config, &stop)
}

/// A run stopped before each of `stops` ends as the unbroken one.
pub fn assert_resumes_bit_for_bit(config: &Config, stops: &[u64]) {
    let folder = tempfile::tempdir().unwrap();
    let whole = train(folder.path(), config, None).unwrap();
    assert_eq!(whole.outcome, Outcome::Done);

    let folder = tempfile::tempdir().unwrap();
    for &stop in stops {
        let part = train(folder.path(), config, Some(stop)).unwrap();
        assert_eq!(part.outcome, Outcome::Stopped(Why::Asked));
    }
    let resumed = train(folder.path(), config, None).unwrap();
    let what = format!("{}, {:?}", config.method.name, config.data.images);
    assert_eq!(
        resumed.numbers, whole.numbers,
        "{what}: stopped at {stops:?}"
    );
    for (name, saved) in &whole.state {
        assert!(
            resumed.state.get(name) == Some(saved),
            "{what}: stopped at {stops:?}, {name} differs"
        );
    }
    assert_eq!(resumed.state.len(), whole.state.len(), "{what}");
}
