//! `selfsame train`.
use super::{
    device,
    flags::{Said, TrainFlags},
    neighbours::Neighbours,
    session::Session,
};
use crate::{
    Device, Result,
    config::{Config, PRESETS},
    data::Dataset,
    train::{run::Run, trainer::Trainer},
};
use std::sync::Arc;

/// Images up to this many pixels a side are small.
const SMALL: u32 = 64;

pub fn run(flags: &TrainFlags) -> Result<()> {
    Run::check_new(&flags.out)?;
    let first = said(flags).config()?;
    let dataset = Dataset::open(&first.data.images, first.schedule.seed)?;
    let device = device::open(&first.engine.device, first.engine.precision)?;
    let config = suited(flags, &dataset, &device)?;
    let dataset = Arc::new(dataset);
    let trainer = Trainer::new(&device, &config, &dataset)?;
    let neighbours = Neighbours::new(&config, &dataset)?;
    let run = Run::create(&flags.out, &config)?;
    let session = Session {
        run,
        trainer,
        dataset,
        neighbours,
        warnings: Vec::new(),
    };
    session.go(flags.max_time, flags.trace)
}

fn said(flags: &TrainFlags) -> Said<'_> {
    Said {
        flags,
        preset: flags.preset.as_deref(),
        image_size: None,
    }
}

/// Where no preset is named, that of the images' size and the device: and says so.
fn suited(flags: &TrainFlags, dataset: &Dataset, device: &Device) -> Result<Config> {
    if flags.preset.is_some() {
        return said(flags).config();
    }
    let common = dataset
        .common_size()
        .map(|(width, height)| width.max(height));
    let small = common.filter(|&side| side <= SMALL);
    let preset = match (device.name().as_str(), small) {
        ("cpu", _) => "tiny",
        (_, Some(_)) => "simclr-cifar",
        (_, None) => "simclr-imagenet",
    };
    let about = PRESETS.iter().find(|(name, _, _)| *name == preset);
    let (_, about, _) = about.expect("it is one of them");
    eprintln!("preset   {preset}: {about}; another by --preset");
    let image_size = match (preset, small) {
        (_, Some(side)) => Some(side),
        ("tiny", None) => Some(SMALL),
        _ => None,
    };
    Said {
        flags,
        preset: Some(preset),
        image_size,
    }
    .config()
}
