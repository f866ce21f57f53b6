//! `selfsame bench data`: images a second of one core, and what the loader costs beyond the work itself.
//!
//! Processor time is measured, so that what else runs on the machine counts little; the same images in the same
//! order go once through a plain loop and once through the loader, in turns, and of each the best round counts.
use crate::{
    Error, Result,
    cli::{format::grouped, machine_workers},
    data::{
        Dataset, Loader, Plan, Views, clock,
        crop::Filter,
        sampler,
        views::{Area, Cut},
    },
};
use clap::Args;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const BATCH: usize = 64;
const ROUNDS: usize = 3;

#[derive(Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  selfsame bench data photos/\n  selfsame bench data photos/ --crops 2x224 2x224+6x96 --workers 1"
)]
pub struct DataArgs {
    /// Folders, images, shards, @list.txt, .tar archives, CIFAR files, or `synthetic`
    #[arg(required = true)]
    images: Vec<String>,
    /// COUNTxSIZE of an image's crops, +COUNTxSIZE of smaller ones
    #[arg(long, num_args = 1.., value_name = "CROPS", default_values = ["2x224", "2x224+6x96"])]
    crops: Vec<String>,
    /// Images a round
    #[arg(long, value_name = "N", default_value_t = 1024)]
    count: usize,
    /// The loader's threads [default: one a core]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// One line of JSON for each CROPS, on stdout
    #[arg(long)]
    json: bool,
}

/// Of one round.
#[derive(Clone, Copy)]
struct Took {
    processor: Duration,
    wall: Duration,
}

pub fn run(args: &DataArgs) -> Result<()> {
    let dataset = Arc::new(Dataset::open(&args.images, 0)?);
    let steps = (args.count.min(dataset.len()) / BATCH) as u64;
    if steps == 0 {
        return Err(Error::Data(format!(
            "{} images are too few to measure; at least {BATCH} are needed",
            args.count.min(dataset.len())
        )));
    }
    let workers = machine_workers(args.workers);
    for crops in &args.crops {
        let plan = Plan {
            batch: BATCH,
            seed: 0,
            start_step: 0,
            steps,
            workers,
            depth: 2,
            views: views(crops)?,
            max_bad: 0.01,
            bad_before: 0,
        };
        measure(&dataset, crops, &plan, args.json)?;
    }
    Ok(())
}

fn measure(dataset: &Arc<Dataset>, crops: &str, plan: &Plan, json: bool) -> Result<()> {
    let images = plan.steps as usize * BATCH;
    let (mut decoding, mut direct, mut loaded) = (None, None, None);
    for _ in 0..ROUNDS {
        best(&mut decoding, timed(|| directly(dataset, plan, &[]))?);
        best(&mut direct, timed(|| directly(dataset, plan, &plan.views))?);
        best(&mut loaded, timed(|| by_loader(dataset, plan))?);
    }
    let [decoding, direct, loaded] =
        [decoding, direct, loaded].map(|best| best.expect("at least one round"));
    let rate = |time: Duration| images as f64 / time.as_secs_f64();
    let overhead = loaded.processor.as_secs_f64() / direct.processor.as_secs_f64() - 1.0;
    if json {
        let line = serde_json::json!({
            "crops": crops,
            "images": images,
            "decode_images_a_second_a_core": rate(decoding.processor),
            "images_a_second_a_core": rate(direct.processor),
            "loader_images_a_second_a_core": rate(loaded.processor),
            "loader_overhead": overhead,
            "workers": plan.workers,
            "loader_images_a_second": rate(loaded.wall),
        });
        result!("{line}");
        return Ok(());
    }
    result!(
        "{crops}, {} images, best of {ROUNDS} rounds, processor time",
        grouped(images)
    );
    let row = |what: &str, rate: f64, unit: &str| result!("  {what:<24} {rate:>7.0} {unit}");
    row("decode", rate(decoding.processor), "images a second a core");
    row(
        "decode and crop",
        rate(direct.processor),
        "images a second a core",
    );
    row(
        "the same by the loader",
        rate(loaded.processor),
        &format!("images a second a core: {:+.1} %", -100.0 * overhead),
    );
    row(
        &format!("on the clock, {} threads", plan.workers),
        rate(loaded.wall),
        "images a second",
    );
    Ok(())
}

fn best(best: &mut Option<Took>, took: Took) {
    *best = Some(match *best {
        None => took,
        Some(best) => Took {
            processor: best.processor.min(took.processor),
            wall: best.wall.min(took.wall),
        },
    });
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Took> {
    let (processor, wall) = (clock::of_process(), Instant::now());
    work()?;
    Ok(Took {
        processor: clock::of_process() - processor,
        wall: wall.elapsed(),
    })
}

/// The images that the loader takes, one by one; bad ones give nothing.
fn directly(dataset: &Dataset, plan: &Plan, views: &[Views]) -> Result<()> {
    let order = sampler::permutation(plan.seed, 0, dataset.len());
    let bytes = |views: &Views| 3 * views.pieces() * (views.size * views.size) as usize;
    let mut rooms: Vec<Vec<u8>> = views.iter().map(|views| vec![0; bytes(views)]).collect();
    for &id in &order[..plan.steps as usize * BATCH] {
        let Ok(image) = dataset.decode(id as usize) else {
            continue;
        };
        for (views, room) in views.iter().zip(&mut rooms) {
            let drawn = views.draw(plan.seed, 0, id, image.width, image.height);
            let piece = room.len() / views.pieces();
            let mut pieces: Vec<&mut [u8]> = room.chunks_exact_mut(piece).collect();
            views.cut(&image, &drawn, &mut pieces);
        }
    }
    Ok(())
}

fn by_loader(dataset: &Arc<Dataset>, plan: &Plan) -> Result<()> {
    Loader::start(dataset.clone(), plan.clone())?.try_for_each(|batch| batch.map(drop))
}

/// `2x224+6x96`: crops of 0.08 to 1 of the area, where there are smaller ones of 0.14 to 1, and these of
/// 0.05 to 0.14 (SwAV's).
fn views(crops: &str) -> Result<Vec<Views>> {
    let parts: Vec<&str> = crops.split('+').collect();
    let scales = match parts.len() {
        1 => vec![(0.08, 1.0)],
        _ => vec![(0.14, 1.0), (0.05, 0.14)],
    };
    let unclear = || {
        Error::Config(format!(
            "cannot read `{crops}`; expected COUNTxSIZE or COUNTxSIZE+COUNTxSIZE, e.g. 2x224+6x96"
        ))
    };
    if parts.len() > scales.len() {
        return Err(unclear());
    }
    let mut first = 0;
    let mut all = Vec::new();
    for (part, scale) in parts.into_iter().zip(scales) {
        let (count, size) = part.split_once('x').ok_or_else(unclear)?;
        let number = |text: &str| text.parse().ok().filter(|n| (1..=1024).contains(n));
        let count: u32 = number(count).ok_or_else(unclear)?;
        all.push(Views {
            size: number(size).ok_or_else(unclear)?,
            filter: Filter::Bilinear,
            cut: Cut::Crops {
                count,
                area: Area {
                    scale,
                    ratio: (3.0 / 4.0, 4.0 / 3.0),
                },
            },
            first,
        });
        first += count;
    }
    Ok(all)
}
