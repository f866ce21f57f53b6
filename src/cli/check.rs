//! `selfsame check`: what training would find in these images, before it does.
mod report;

use super::{machine_workers, progress::Progress};
use crate::{
    Error, Result,
    data::{BadImage, Dataset, duplicates, inspect, too_many_bad},
};
use clap::Args;
use report::{Alike, Leak, Report, Sizes, summary};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Ends with code 3 where something would stop a run, else with 0.\n\nExamples:\n  selfsame check photos/\n  selfsame check train/ --val val/ --json > check.json"
)]
pub struct CheckArgs {
    /// Folders, images, shards, @list.txt, .tar archives, CIFAR files, or `synthetic`
    #[arg(required = true)]
    images: Vec<String>,
    /// Images that must not be among IMAGES, nor look like any of them
    #[arg(long, num_args = 1.., value_name = "DIR")]
    val: Vec<String>,
    /// Share of bad images above which a run stops
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    max_bad: f32,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Everything that was found, as one line of JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Images and those of --val behind them, numbered through.
struct All {
    images: Arc<Dataset>,
    val: Option<Arc<Dataset>>,
}

impl All {
    fn name(&self, index: u32) -> String {
        let index = index as usize;
        match &self.val {
            Some(val) if index >= self.images.len() => val.name(index - self.images.len()),
            _ => self.images.name(index),
        }
    }
}

pub fn run(args: &CheckArgs) -> Result<()> {
    let open = |specs: &[String]| Dataset::open(specs, 0).map(Arc::new);
    let all = All {
        images: open(&args.images)?,
        val: (!args.val.is_empty())
            .then(|| open(&args.val))
            .transpose()?,
    };
    let report = report_of(&all, args)?;
    if args.json {
        let json = serde_json::to_string(&report).expect("strings and numbers");
        result!("{json}");
    } else {
        results!("{}", summary(&report, &args.images.join(" ")));
    }
    match report.stops.is_empty() {
        true => Ok(()),
        false => Err(Error::Data(report.stops.join("\n"))),
    }
}

fn report_of(all: &All, args: &CheckArgs) -> Result<Report> {
    let workers = machine_workers(args.workers);
    let look = |what: &str, dataset: &Arc<Dataset>| {
        let progress = Progress::new(what, dataset.len());
        inspect::inspect(dataset, workers, |done| progress.at(done))
    };
    let own = look("check", &all.images)?;
    let (own_seen, own_bad) = (own.seen.len(), own.bad);
    let mut seen = own.seen;
    let mut bad_val = Vec::new();
    if let Some(val) = &all.val {
        let offset = all.images.len() as u32;
        let mut found = look("--val", val)?;
        found.seen.iter_mut().for_each(|seen| seen.index += offset);
        seen.extend(found.seen);
        bad_val = found.bad;
    }
    let mut formats = BTreeMap::new();
    for seen in &seen[..own_seen] {
        *formats.entry(seen.format).or_insert(0) += 1;
    }
    let mut stops = Vec::new();
    let mut judge = |dataset: &Dataset, bad: &[BadImage]| {
        if let Err(why) = too_many_bad(dataset.len(), bad, args.max_bad) {
            let why = why.to_string();
            stops.push(why.replacen("error[data]: ", "", 1));
        }
    };
    judge(&all.images, &own_bad);
    if let Some(val) = &all.val {
        judge(val, &bad_val);
    }
    let indices = |groups: Vec<Vec<u32>>| -> Vec<Vec<u32>> {
        let index = |place: u32| seen[place as usize].index;
        let group = |group: Vec<u32>| group.into_iter().map(index).collect();
        groups.into_iter().map(group).collect()
    };
    let hashes = |of: fn(&inspect::Seen) -> u64| -> Vec<u64> { seen.iter().map(of).collect() };
    let of_bytes = indices(duplicates::equal(&hashes(|seen| seen.of_bytes)));
    let of_pixels = indices(duplicates::equal(&hashes(|seen| seen.of_pixels)));
    let looks: Vec<_> = seen.iter().map(|seen| seen.look).collect();
    let alike = indices(duplicates::alike(&looks));
    let named = |groups: &[Vec<u32>]| -> Vec<Vec<String>> {
        let group = |group: &Vec<u32>| group.iter().map(|&index| all.name(index)).collect();
        groups.iter().map(group).collect()
    };
    let own_seen = &seen[..own_seen];
    Ok(Report {
        images: all.images.len(),
        bytes: own_seen.iter().map(|seen| seen.bytes).sum(),
        formats,
        sizes: Sizes::of(own_seen),
        classes: classes(&all.images),
        images_a_second_a_core: own_seen.len() as f64 / own.decoding.as_secs_f64().max(1e-9),
        leaks: all.val.as_ref().map(|_| Leak::all(all, &of_pixels, &alike)),
        equal_files: named(&of_bytes),
        equal_pixels: named(&of_pixels),
        alike: Alike {
            differing_bits_at_most: duplicates::ALIKE_BITS,
            of_bits: inspect::LOOK_BITS,
            groups: named(&alike),
        },
        bad: own_bad.into_iter().chain(bad_val).collect(),
        stops,
    })
}

/// Images of each class, where there are any.
fn classes(dataset: &Dataset) -> BTreeMap<String, usize> {
    let mut classes = BTreeMap::new();
    for label in (0..dataset.len()).filter_map(|index| dataset.label(index)) {
        let name = dataset.classes()[label as usize].clone();
        *classes.entry(name).or_insert(0) += 1;
    }
    classes
}
