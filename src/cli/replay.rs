//! `selfsame replay`.
use super::{device, format::grouped};
use crate::{
    Error, Result,
    config::Config,
    data::Dataset,
    train::{
        Replay,
        dump::{CONFIG, Dump},
        trainer::Trainer,
    },
};
use clap::Args;
use std::{path::PathBuf, sync::Arc};

#[derive(Args)]
#[command(
    arg_required_else_help = true,
    after_help = "The steps from the dump's checkpoint on are run again, which takes as long as they took.\n\nExamples:\n  selfsame replay runs/a/debug/nan-00040212\n  selfsame replay runs/a/debug/nan-00040212 --device cpu"
)]
pub struct ReplayFlags {
    /// RUN/debug/nan-STEP, which a run leaves behind that ends with code 7
    dump: PathBuf,
    /// auto, cpu, cuda or cuda:N [default: as the run was]
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
}

/// What is listed of all that is not finite: the first is the cause, and the rest follows from it.
const LISTED: usize = 8;

pub fn run(flags: &ReplayFlags) -> Result<()> {
    let dump = Dump::read(&flags.dump)?;
    let mut config = Config::read(&dump.path.join(CONFIG))?;
    if let Some(device) = &flags.device {
        config.engine.device.clone_from(device);
    }
    let dataset = Arc::new(Dataset::open(&config.data.images, config.schedule.seed)?);
    let device = device::open(&config.engine.device, config.engine.precision)?;
    let mut trainer = Trainer::new(&device, &config, &dataset)?;
    dump.restore(&mut trainer)?;
    let note = &dump.note;
    if trainer.step >= note.step {
        return Err(Error::Checkpoint {
            why: format!(
                "its checkpoint is of step {}, not before {}",
                trainer.step, note.step
            ),
            path: dump.path,
        });
    }
    say!(
        "step {} again, from step {}: {} before it, on {}",
        grouped(note.step as usize),
        grouped(trainer.step as usize),
        grouped((note.step - 1 - trainer.step) as usize),
        device.name()
    );
    let seen = trainer.replay(note.step)?;
    print(&dump, &seen);
    Ok(())
}

fn print(dump: &Dump, seen: &Replay) {
    let note = &dump.note;
    result!("{:<14} {:>14} {:>14}", "", "the run", "replay");
    let norm = |norm: f64| format!("{norm:.6e}");
    let before = note.gradient_norm.parse().map_or("?".into(), norm);
    for (name, before, now) in [
        ("loss", &note.loss, seen.loss.to_string()),
        ("gradient norm", &before, norm(seen.gradient_norm)),
        ("learning rate", &note.lr, seen.lr.to_string()),
    ] {
        result!("{name:<14} {before:>14} {now:>14}");
    }
    result!(
        "\n{:<40} {:>12} {:>12} {:>12}",
        "parameter",
        "weight norm",
        "gradient",
        "not finite"
    );
    for row in &seen.rows {
        let (weights, gradient) = (row.weight_norm, row.gradient_norm);
        result!(
            "{:<40} {weights:>12.4e} {gradient:>12.4e} {:>12}",
            row.name,
            row.not_finite
        );
    }
    result!("");
    for (place, broken) in seen.broken.iter().take(LISTED).enumerate() {
        let first = if place == 0 { "first" } else { "then" };
        result!(
            "{first:<6} {}: {} of {} numbers",
            broken.what,
            broken.count,
            broken.of
        );
    }
    if seen.broken.len() > LISTED {
        result!("       and {} more values", seen.broken.len() - LISTED);
    }
    if seen.images != note.images {
        result!("The batch is another than it was: images have changed, or can no longer be read");
    }
    let same = [seen.loss.to_string(), seen.gradient_norm.to_string()]
        == [note.loss.clone(), note.gradient_norm.clone()];
    match (seen.broken.is_empty(), same) {
        (true, _) => result!(
            "It did not come again: all numbers of step {} are finite\nThe same step of {} on {} gave others: suspect the machine's memory, or a device whose runs are not equal bit for bit",
            note.step,
            note.version,
            note.device
        ),
        (false, true) => result!(
            "It came again: step {} is not finite, with the same loss and gradient norm",
            note.step
        ),
        (false, false) => result!(
            "It came again: step {} is not finite, though not with the same loss and gradient norm",
            note.step
        ),
    }
}
