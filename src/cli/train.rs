//! `selfsame train`.
use super::{
    device,
    flags::{Said, TrainFlags},
    plan,
    session::Session,
    weights,
};
use crate::{
    Device, Result,
    config::{Config, MethodName, Preset, Scale},
    data::Dataset,
    interop::weights::Weights,
    train::{neighbours::Neighbours, run::Run, stop::Stop, trainer::Trainer},
};
use std::{path::Path, sync::Arc};

/// Images up to this many pixels a side are small.
const SMALL: u32 = 64;

pub fn run(flags: &TrainFlags) -> Result<()> {
    let stop = Stop::on_signals(flags.max_time)?.with_parent(flags.stop_with_parent);
    Run::check_new(&flags.out)?;
    let first = said(flags).first()?;
    let dataset = Dataset::open(&first.data.images, first.schedule.seed)?;
    let device = device::open(&first.engine.device, first.engine.precision)?;
    let config = suited(flags, &dataset, &device)?;
    let weights = first_weights(&config)?;
    let dataset = Arc::new(dataset);
    if flags.dry_run {
        return plan::dry_run(&flags.out, &device, &config, &dataset);
    }
    plan::check_memory(&device, &config, &dataset)?;
    let mut trainer = Trainer::starting(&device, &config, &dataset, weights.as_ref())?;
    let warning = trainer.check_room(&Run::checkpoints_of(&flags.out))?;
    let neighbours = Neighbours::new(&config, &dataset)?;
    let run = Run::create(&flags.out, &config)?;
    if weights.is_some() {
        trainer.save_first(&run.checkpoints())?;
    }
    let session = Session {
        run,
        trainer,
        dataset,
        neighbours,
        warnings: warning.into_iter().collect(),
        stop,
    };
    session.go(flags.trace)
}

/// Of `--init-from`.
fn first_weights(config: &Config) -> Result<Option<Weights>> {
    let encoder = &config.encoder;
    match &encoder.init_from[..] {
        "" => Ok(None),
        path => weights::first(Path::new(path), encoder).map(Some),
    }
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
    let method = said(flags).first()?.method.name;
    let (preset, image_size) = preset_for(method, dataset, device);
    Said {
        flags,
        preset: Some(preset.name),
        image_size,
    }
    .config()
}

/// By the images' size and the device; and the pixels a side that suit the images. Says which.
pub fn preset_for(
    method: MethodName,
    dataset: &Dataset,
    device: &Device,
) -> (&'static Preset, Option<u32>) {
    let common = dataset
        .common_size()
        .map(|(width, height)| width.max(height));
    let small = common.filter(|&side| side <= SMALL);
    let scale = match (device.name().as_str(), small) {
        ("cpu", _) => Scale::Tiny,
        (_, Some(_)) => Scale::Cifar,
        (_, None) => Scale::ImageNet,
    };
    let preset = Preset::of(method, scale);
    let Preset { name, about, .. } = preset;
    eprintln!("preset   {name}: {about}; another by --preset");
    let image_size = match (scale, small) {
        (_, Some(side)) => Some(side),
        (Scale::Tiny, None) => Some(SMALL),
        _ => None,
    };
    (preset, image_size)
}
