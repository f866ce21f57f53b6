//! `selfsame resume`.
use super::{device, flags::with_whole_paths, plan, session::Session};
use crate::{
    Error, Result,
    config::{self, Change, Config, Layers, duration},
    data::Dataset,
    train::{
        changes::{self, Lineage},
        checkpoint,
        neighbours::Neighbours,
        run::Run,
        stop::Stop,
        trainer::Trainer,
    },
};
use clap::Args;
use std::{path::PathBuf, sync::Arc, time::Duration};

#[derive(Args)]
#[command(
    arg_required_else_help = true,
    after_help = "The learning rate of a run made longer decays over its new length.\nWhat decides the weights (method, batch, learning rate, augmentation, ...) stays as it was; RUN/changes.jsonl tells what changed.\n\nExamples:\n  selfsame resume runs/a\n  selfsame resume runs/a --epochs 400 --keep 1\n  selfsame resume runs/a --set optimize.weight_decay=0 --force-change optimize.weight_decay"
)]
pub struct ResumeFlags {
    /// The run's folder
    run: PathBuf,
    /// In all, not in addition
    #[arg(long, value_name = "N")]
    epochs: Option<u64>,
    /// Instead of --epochs
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    steps: Option<u64>,
    /// Save and end with code 75 before this: 150s, 2h, 11h30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    max_time: Option<Duration>,
    /// Save and end with code 8 when the process that started this one is gone; so it is anyway under
    /// torchrun and mpirun
    #[arg(long, hide_short_help = true)]
    stop_with_parent: bool,
    /// auto, cpu, cuda or cuda:N [default: as before]
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// stop, or rollback: to the last checkpoint, half the rate, at most three times [default: as before]
    #[arg(long, value_name = "WHAT", hide_short_help = true)]
    on_nan: Option<String>,
    /// Time every kernel: its rate and share of the roofline, at the end and in RUN/trace.txt
    #[arg(long, env = "SELFSAME_TRACE", hide_short_help = true)]
    trace: bool,
    /// Loader threads [default: as before]
    #[arg(long, value_name = "N")]
    workers: Option<u64>,
    /// 10m, 500steps, epoch, or several: 10m,epoch [default: as before]
    #[arg(long, value_name = "INTERVAL", hide_short_help = true)]
    checkpoint_every: Option<String>,
    /// Checkpoints kept [default: as before]
    #[arg(long, value_name = "N")]
    keep: Option<u64>,
    /// Steps between two lines of the log [default: as before]
    #[arg(long, value_name = "N", hide_short_help = true)]
    log_every: Option<u64>,
    /// What came of it, as one line of JSON on stdout
    #[arg(long)]
    json: bool,
    /// Any value by its name that does not decide the weights, e.g. data.max_bad=0.05
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Let --set change a value that does; the run is then neither what it was nor what it becomes
    #[arg(long, value_name = "A.B", hide_short_help = true)]
    force_change: Vec<String>,
}

pub fn run(flags: &ResumeFlags) -> Result<()> {
    let stop = Stop::on_signals(flags.max_time)?.with_parent(flags.stop_with_parent);
    let (run, before) = Run::open(&flags.run)?;
    let config = flags.config()?;
    let changes = before.changes(&config);
    config::refuse(&changes, &flags.force_change)?;
    let dataset = Dataset::open(&config.data.images, config.schedule.seed)?;
    let dataset = Arc::new(dataset);
    let device = device::open(&config.engine.device, config.engine.precision)?;
    plan::check_memory(&device, &config, &dataset)?;
    let mut trainer = Trainer::new(&device, &config, &dataset)?;
    trainer.lineage = Lineage::read(run.path()).with(&changes, &before);
    let mut warnings = restore(&mut trainer, &run)?;
    if trainer.step >= trainer.schedule.steps {
        return Err(Error::Config(format!(
            "{} has done its {} steps\n  make it longer with --epochs or --steps",
            flags.run.display(),
            trainer.step
        )));
    }
    warnings.extend(trainer.check_room(&run.checkpoints())?);
    if !changes.is_empty() {
        warnings.extend(changes.iter().filter_map(forced));
        changes::record(run.path(), &changes, &before, trainer.step)?;
        run.write_config(&config)?;
    }
    let neighbours = Neighbours::new(&config, &dataset)?;
    let session = Session {
        run,
        trainer,
        dataset,
        neighbours,
        warnings,
        stop,
    };
    session.go(flags.trace, flags.json)
}

/// To its newest checkpoint; to step 0 where the process before did not come to write one.
fn restore(trainer: &mut Trainer, run: &Run) -> Result<Vec<String>> {
    let checkpoints = run.checkpoints();
    if checkpoint::never_written(&checkpoints)? {
        let init_from = &trainer.config.encoder.init_from;
        if !init_from.is_empty() {
            return Err(Error::Checkpoint {
                path: checkpoints,
                why: format!(
                    "none was written, and the run's first weights, of {init_from}, were to be in one\n  remove the run and start it again"
                ),
            });
        }
        let warning = "[checkpoint]: none was written yet; going on from step 0";
        trainer.read_rollbacks(&checkpoints)?;
        return Ok(vec![warning.into()]);
    }
    trainer.restore(&checkpoints)
}

fn forced(change: &Change) -> Option<String> {
    let why = change.breaks()?;
    let Change { key, from, to } = change;
    Some(format!(
        "[resume]: {key} was {from} and is {to} from here on, as --force-change has it: {why}"
    ))
}

impl ResumeFlags {
    /// The run's own, with what was said over it.
    fn config(&self) -> Result<Config> {
        let mut layers = Layers::default();
        layers.file(&Run::config_of(&self.run))?;
        for (flag, key, value) in [
            ("--device", "engine.device", &self.device),
            ("--on-nan", "engine.on_nan", &self.on_nan),
            (
                "--checkpoint-every",
                "output.checkpoint_every",
                &self.checkpoint_every,
            ),
        ] {
            if let Some(value) = value {
                layers.set(flag, key, value.as_str())?;
            }
        }
        for (flag, key, value) in [
            ("--epochs", "schedule.epochs", self.epochs),
            ("--epochs", "schedule.steps", self.epochs.map(|_| 0)),
            ("--steps", "schedule.steps", self.steps),
            ("--workers", "data.workers", self.workers),
            ("--keep", "output.keep", self.keep),
            ("--log-every", "output.log_every", self.log_every),
        ] {
            if let Some(value) = value {
                layers.set(flag, key, i64::try_from(value).unwrap_or(i64::MAX))?;
            }
        }
        for assignment in &self.set {
            layers.assign(assignment)?;
        }
        layers.finish().map(with_whole_paths)
    }
}
