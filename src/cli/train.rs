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
};
use crate::{
    Result,
    config::{self, Config, Sources},
    data::Dataset,
    train::{neighbours::Neighbours, run::Run, stop::Stop, trainer::Trainer},
};
use std::sync::Arc;

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
    let dataset = Arc::new(dataset);
    if flags.dry_run {
        return plan::dry_run(flags.out(), &device, &config, &dataset, flags.json);
    }
    plan::check_memory(&device, &config, &dataset)?;
    let mut trainer = Trainer::new(&device, &config, &dataset)?;
    let warning = trainer.check_room(&Run::checkpoints_of(flags.out()))?;
    let neighbours = Neighbours::new(&config, &dataset)?;
    let run = Run::create(flags.out(), &config)?;
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

/// With `-v`: every value that is not its default, and who gave it.
fn tell_sources(config: &Config, sources: &Sources) {
    for (path, value) in config::values(config) {
        if let Some(source) = sources.get(&path) {
            detail!("config   {path} = {value}  # {source}");
        }
    }
}
