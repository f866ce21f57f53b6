//! `selfsame train`.
use super::{
    device,
    flags::{
        Said, TrainFlags,
        preset::{Sizes, suited},
        with_whole_paths,
    },
    plan,
    session::Session,
    weights,
};
use crate::{
    Result,
    config::{self, Config, Sources},
    data::Dataset,
    interop::weights::Weights,
    train::{neighbours::Neighbours, run::Run, stop::Stop, trainer::Trainer},
};
use std::{path::Path, sync::Arc};

pub fn run(flags: &TrainFlags) -> Result<()> {
    let stop = Stop::on_signals(flags.max_time)?.with_parent(flags.stop_with_parent);
    Run::check_new(flags.out())?;
    let first = Said::of(flags).first()?;
    let dataset = Dataset::open(&first.data.images, first.schedule.seed)?;
    let device = device::open(&first.engine.device, first.engine.precision)?;
    let said = suited(flags, Sizes::of(&dataset), device.name() == "cpu")?;
    let layers = said.layers()?;
    let config = layers.finish().map(with_whole_paths)?;
    tell_sources(&config, layers.sources());
    let weights = first_weights(&config)?;
    let dataset = Arc::new(dataset);
    if flags.dry_run {
        return plan::dry_run(flags.out(), &device, &config, &dataset, flags.json);
    }
    plan::check_memory(&device, &config, &dataset)?;
    let mut trainer = Trainer::starting(&device, &config, &dataset, weights.as_ref())?;
    let warning = trainer.check_room(&Run::checkpoints_of(flags.out()))?;
    let neighbours = Neighbours::new(&config, &dataset)?;
    let run = Run::create(flags.out(), &config)?;
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
    session.go(flags.trace, flags.json)
}

/// Of `--init-from`.
fn first_weights(config: &Config) -> Result<Option<Weights>> {
    let encoder = &config.encoder;
    match &encoder.init_from[..] {
        "" => Ok(None),
        path => weights::first(Path::new(path), encoder).map(Some),
    }
}

/// With `-v`: every value that is not its default, and who gave it.
fn tell_sources(config: &Config, sources: &Sources) {
    for (path, value) in config::values(config) {
        if let Some(source) = sources.get(&path) {
            detail!("config   {path} = {value}  # {source}");
        }
    }
}
