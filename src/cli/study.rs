//! `selfsame study`.
use super::{device, flags::absolute};
use crate::{
    Error, Result,
    config::{Precision, duration},
    study::{Place, Plan, STUDIES, Study},
    train::stop::Stop,
};
use clap::Args;
use std::{path::PathBuf, time::Duration};

#[derive(Args)]
#[command(
    after_help = "A study that was stopped goes on with the same command.\n\nExamples:\n  selfsame study\n  selfsame study collapse --out studies/collapse\n  selfsame study methods cifar/train --val cifar/test --out studies/cifar"
)]
pub struct StudyArgs {
    /// Which; without it, they are listed
    #[arg(requires = "out")]
    name: Option<String>,
    /// Labelled images, as `train` takes them [default: synthetic]
    images: Vec<String>,
    /// Labelled images to judge on [default: synthetic-val, or a tenth of IMAGES]
    #[arg(long, value_name = "DIR")]
    val: Option<String>,
    /// Of each run, by which the length is set, not by the clock: the numbers are the same again [default:
    /// the study's, a quarter of an hour in all on two cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 256)]
    batch: usize,
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// Loader threads [default: one a core]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Any value of every run, e.g. encoder.arch=resnet18
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Save and end with code 75 before this: 150s, 2h, 11h30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    max_time: Option<Duration>,
    /// All numbers on stdout, not the table
    #[arg(long)]
    json: bool,
    /// A folder for the study's page, numbers, figure and runs; new, or of the same study
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: &StudyArgs) -> Result<()> {
    let (Some(name), Some(out)) = (&args.name, &args.out) else {
        let width = STUDIES.iter().map(|study| study.name.len()).max();
        let width = width.unwrap_or(0);
        for study in STUDIES {
            result!("{:<width$}  {}", study.name, study.about);
        }
        return Ok(());
    };
    let study = Study::named(name)?;
    let plan = plan(args, study);
    let open = || device::open(&args.device, Precision::Bf16);
    let place = Place {
        out,
        open: &open,
        workers: args.workers.unwrap_or(0),
        stop: &Stop::on_signals(args.max_time)?,
        say: &|text| say!("{text}"),
    };
    let findings = study.run(&plan, &place).map_err(|error| match error {
        Error::Stopped(why) => Error::Stopped(format!("{why}\nGo on with the same command")),
        other => other,
    })?;
    match args.json {
        true => result!("{}", findings.numbers),
        false => result!("{}", findings.text),
    }
    say!("{}", out.join(format!("{name}.md")).display());
    Ok(())
}

fn plan(args: &StudyArgs, study: &Study) -> Plan {
    let mut images = args.images.clone();
    if images.is_empty() {
        images.push("synthetic".into());
    }
    images.iter_mut().for_each(absolute);
    let mut val = args.val.clone().unwrap_or_default();
    absolute(&mut val);
    Plan {
        study: study.name.into(),
        images,
        val,
        steps: args.steps.unwrap_or(study.steps),
        batch: args.batch,
        seed: args.seed,
        set: args.set.clone(),
    }
}
