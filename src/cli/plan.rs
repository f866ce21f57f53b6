//! What a run will be, before it is: told, checked against the machine, and with `--dry-run` tried.
use super::{
    disk,
    format::{bytes, grouped},
    memory::Memory,
};
use crate::{
    Device, Error, Result,
    config::{Config, Decay, hours_minutes},
    data::{Dataset, views::Cut},
    train::{
        build, feed,
        plan::{self, Need, Speed},
        trainer::Trainer,
    },
};
use std::{path::Path, sync::Arc, time::Duration};

/// A name and what there is to say of it.
pub type Row = (&'static str, String);

/// Of a trainer that stands where its run begins.
pub fn rows(t: &Trainer, config: &Config) -> Result<Vec<Row>> {
    let dataset = t.dataset();
    let feed = match dataset.resident_size() {
        Some((w, h)) => format!("{w} x {h}, all of them on the device"),
        None => "decoded as they are needed".into(),
    };
    let (s, o) = (&config.schedule, &config.optimize);
    let decay = match s.decay {
        Decay::Cosine => "then a cosine".into(),
        Decay::Step => format!("x {} at epochs {:?}", s.decay_factor, s.decay_epochs),
        Decay::Constant => "then constant".into(),
    };
    let done = match t.step {
        0 => String::new(),
        step => format!(", {} done", grouped(step as usize)),
    };
    let (steps, batch) = (grouped(t.schedule.steps as usize), s.batch);
    Ok(vec![
        ("images", format!("{}, {feed}", grouped(dataset.len()))),
        (
            "method",
            format!(
                "{}, {}, {} parameters, {}",
                config.method.name,
                lower(config.encoder.arch),
                grouped(t.params.layout().count()),
                seen(config)?
            ),
        ),
        ("steps", format!("{steps} of {batch} images{done}")),
        (
            "lr",
            format!(
                "{:.4} ({}), {}, {} steps of warm-up, {decay}",
                t.schedule.peak,
                o.lr,
                lower(o.rule),
                t.schedule.warmup
            ),
        ),
        ("device", t.device.name()),
    ])
}

/// What is cut from an image.
fn seen(config: &Config) -> Result<String> {
    let views = build::sights(config)?.into_iter().map(|sight| {
        let (count, size) = (sight.views.pieces(), sight.views.size);
        let what = match sight.views.cut {
            Cut::Crops { .. } if count == 1 => "view",
            Cut::Crops { .. } => "views",
            Cut::Turned { .. } => "turned view",
            Cut::Patches { .. } => "patches",
        };
        format!("{count} {what} of {size} x {size}")
    });
    Ok(views.collect::<Vec<_>>().join(" and "))
}

/// A choice as it is written in the configuration.
pub fn lower(choice: impl std::fmt::Debug) -> String {
    format!("{choice:?}").to_lowercase()
}

/// Bytes that a run on `device` may take; `None` where nobody says. Of a GPU's free memory a twentieth is
/// left to the driver, which rounds what it gives and keeps graphs itself.
fn have(device: &Device) -> Result<Option<u64>> {
    Ok(match device.free_memory()? {
        Some(free) => Some(free - free / 20),
        None => Memory::read().map(|memory| memory.usable()),
    })
}

/// Errors where the run needs more memory than there is, with the largest batch that would do.
pub fn check_memory(device: &Device, config: &Config, dataset: &Arc<Dataset>) -> Result<()> {
    known(device, config, dataset).map(drop)
}

/// What it needs, and what there is.
fn known(device: &Device, config: &Config, dataset: &Arc<Dataset>) -> Result<(Need, Option<u64>)> {
    let have = have(device)?;
    let limit = have.unwrap_or(u64::MAX);
    match plan::need(device, config, dataset, limit)? {
        Some(need) if need.peak <= limit => Ok((need, have)),
        need => Err(too_large(device, config, dataset, need, limit)?),
    }
}

fn too_large(
    device: &Device,
    config: &Config,
    dataset: &Arc<Dataset>,
    need: Option<Need>,
    have: u64,
) -> Result<Error> {
    let need = match need {
        Some(need) => bytes(need.peak),
        None => format!("more than {}", bytes(4 * have)),
    };
    let way_out = match plan::largest_batch(device, config, dataset, have)? {
        Some(batch) => format!("largest batch that fits: --batch {batch}"),
        None => "no batch fits: take a smaller --image-size or --arch".into(),
    };
    let parts = match config.method.name {
        crate::config::MethodName::Simclr if config.method.bank == 0 => {
            "; --accumulate-exact N keeps the batch and passes it in N parts"
        }
        _ => "",
    };
    Ok(Error::TooLarge(format!(
        "a batch of {} needs {need}, {} has {}\n  {way_out}{parts}",
        config.schedule.batch,
        device.name(),
        bytes(have)
    )))
}

/// Steps that are run for `--dry-run`, and for how long at most, but for the first.
const STEPS: u64 = 20;
const TIME: Duration = Duration::from_secs(10);

/// Tells what a run below `out` would be, and how fast: a few steps are run. Nothing is written.
pub fn dry_run(
    out: &Path,
    device: &Device,
    config: &Config,
    dataset: &Arc<Dataset>,
    json: bool,
) -> Result<()> {
    let (need, have) = known(device, config, dataset)?;
    let mut trainer = Trainer::new(device, config, dataset)?;
    if json {
        let speed = trainer.measure(TIME, STEPS)?;
        result!("{}", numbers(&trainer, config, &need, have, &speed));
        return Ok(());
    }
    result!("Plan for {} (nothing is written)", out.display());
    let mut rows = rows(&trainer, config)?;
    rows.push((
        "flops",
        format!("{:.3} TFLOP a step", need.flops as f64 * 1e-12),
    ));
    rows.push(("memory", memory(device, config, dataset, &need, have)?));
    rows.push(("disk", disk(out, config, &need)));
    for (name, what) in &rows {
        result!("{name:<8} {what}");
    }
    let speed = trainer.measure(TIME, STEPS)?;
    result!(
        "{:<8} {}",
        "speed",
        told(&speed, config, trainer.schedule.steps)
    );
    result!("Run it:  the same command without --dry-run");
    Ok(())
}

fn numbers(
    trainer: &Trainer,
    config: &Config,
    need: &Need,
    have: Option<u64>,
    speed: &Speed,
) -> serde_json::Value {
    let (steps, seconds) = (trainer.schedule.steps, speed.of_step.as_secs_f64());
    serde_json::json!({
        "device": trainer.device.name(),
        "images": trainer.dataset().len(),
        "parameters": trainer.params.layout().count(),
        "steps": steps,
        "batch": config.schedule.batch,
        "peak_lr": trainer.schedule.peak,
        "memory_bytes": need.peak,
        "memory_limit_bytes": have,
        "checkpoint_bytes": need.checkpoint,
        "checkpoints": config.output.keep,
        "flops_a_step": need.flops,
        "images_a_second": config.schedule.batch as f64 / seconds,
        "seconds": seconds * steps as f64,
    })
}

fn memory(
    device: &Device,
    config: &Config,
    dataset: &Arc<Dataset>,
    need: &Need,
    have: Option<u64>,
) -> Result<String> {
    let mut text = bytes(need.peak);
    if let Some(have) = have {
        text += &format!(" of {}", bytes(have));
    }
    text += &format!(" ({} of it between steps)", bytes(need.standing));
    if let Some(have) = have {
        let largest = plan::largest_batch(device, config, dataset, have)?;
        let largest = largest.unwrap_or(config.schedule.batch);
        text += &format!("; largest batch that fits: {}", grouped(largest));
    }
    let ahead = feed::ahead_bytes(dataset, config)?;
    if ahead > 0 {
        text += &format!("; {} of the host for batches made ahead", bytes(ahead));
    }
    Ok(text)
}

fn disk(out: &Path, config: &Config, need: &Need) -> String {
    let keep = config.output.keep as u64;
    let free =
        disk::free_space(out).map_or(String::new(), |free| format!(" of {} free", bytes(free)));
    format!(
        "{keep} checkpoints x {} = {}{free}",
        bytes(need.checkpoint),
        bytes(keep * need.checkpoint)
    )
}

fn told(speed: &Speed, config: &Config, steps: u64) -> String {
    let seconds = speed.of_step.as_secs_f64();
    format!(
        "{:.1} images/s (steps measured: {}, {:.1} % of it waiting for images): {} steps in {}",
        config.schedule.batch as f64 / seconds,
        speed.steps,
        100.0 * speed.wait,
        grouped(steps as usize),
        hours_minutes(speed.of_step.mul_f64(steps as f64))
    )
}
