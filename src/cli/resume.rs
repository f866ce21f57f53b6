//! `selfsame resume`.
use super::{device, plan, session::Session};
use crate::{
    Error, Result,
    config::{OnNan, duration},
    data::Dataset,
    train::{neighbours::Neighbours, run::Run, trainer::Trainer},
};
use clap::Args;
use std::{path::PathBuf, sync::Arc, time::Duration};

#[derive(Args)]
#[command(
    after_help = "The learning rate of a run made longer decays over its new length.\n\nExamples:\n  selfsame resume runs/a\n  selfsame resume runs/a --epochs 400"
)]
pub struct ResumeFlags {
    /// The run's folder
    run: PathBuf,
    /// In all, not in addition
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Instead of --epochs
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    steps: Option<u64>,
    /// Save and end with code 75 before this: 150s, 2h, 11h30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    max_time: Option<Duration>,
    /// auto, cpu, cuda or cuda:N [default: as before]
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// stop, or rollback: to the last checkpoint, half the rate, at most three times [default: as before]
    #[arg(long, value_name = "WHAT")]
    on_nan: Option<String>,
    /// Time every kernel: its rate and share of the roofline, at the end and in RUN/trace.txt
    #[arg(long, env = "SELFSAME_TRACE")]
    trace: bool,
    /// Loader threads [default: as before]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

pub fn run(flags: &ResumeFlags) -> Result<()> {
    let (run, mut config) = Run::open(&flags.run)?;
    let before = config.clone();
    if let Some(epochs) = flags.epochs {
        (config.schedule.epochs, config.schedule.steps) = (epochs, 0);
    }
    config.schedule.steps = flags.steps.unwrap_or(config.schedule.steps);
    config.data.workers = flags.workers.unwrap_or(config.data.workers);
    if let Some(device) = &flags.device {
        config.engine.device.clone_from(device);
    }
    if let Some(what) = &flags.on_nan {
        config.engine.on_nan = OnNan::read("--on-nan", what)?;
    }
    let dataset = Dataset::open(&config.data.images, config.schedule.seed)?;
    let dataset = Arc::new(dataset);
    let device = device::open(&config.engine.device, config.engine.precision)?;
    plan::check_memory(&device, &config, &dataset)?;
    let mut trainer = Trainer::new(&device, &config, &dataset)?;
    let warnings = trainer.restore(&run.checkpoints())?;
    if trainer.step >= trainer.schedule.steps {
        return Err(Error::Config(format!(
            "{} has done its {} steps\n  make it longer with --epochs or --steps",
            flags.run.display(),
            trainer.step
        )));
    }
    if config != before {
        run.write_config(&config)?;
    }
    let neighbours = Neighbours::new(&config, &dataset)?;
    let session = Session {
        run,
        trainer,
        dataset,
        neighbours,
        warnings,
    };
    session.go(flags.max_time, flags.trace)
}
