//! Photos of clothes (CC0), where they are at hand; otherwise these tests say so and pass.
use std::path::Path;
use std::sync::Arc;

use selfsame::data::crop::Filter;
use selfsame::data::{Dataset, Loader, Plan, Views, evaluation_batches};

use super::samples::crops;
use super::samples::open;

fn clothes(part: &str) -> Option<Arc<Dataset>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/clothing-small.tar");
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(Arc::new(open(format!("{}:{part}", path.display()))))
}

#[test]
fn a_real_archive_is_whole() {
    let Some(dataset) = clothes("validation/") else {
        return;
    };
    assert_eq!((dataset.len(), dataset.classes().len()), (341, 10));
    assert_eq!(dataset.resident_size(), None);
    let batches: Vec<_> = evaluation_batches(dataset, 64, 100, 2).unwrap().collect();
    assert!(batches.iter().all(|batch| batch.bad.is_empty()));
    assert_eq!(
        batches.iter().map(|batch| batch.ids.len()).sum::<usize>(),
        341
    );
}

/// Seconds of processor time this process has used, to 0.01: other processes do not count.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(") ").next().unwrap().split(' ');
    let ticks = fields.skip(11).take(2).map(|t| t.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}

/// Decode and two crops of 224. Run it alone: --ignored --nocapture speed.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let Some(dataset) = clothes("train/") else {
        return;
    };
    let views = Views {
        size: 224,
        filter: Filter::Bilinear,
        cut: crops(2, (0.08, 1.0)),
        first: 0,
    };
    let plan = Plan {
        batch: 64,
        seed: 0,
        start_step: 0,
        steps: 40,
        workers: 1,
        depth: 2,
        views: vec![views],
        max_bad: 0.01,
        bad_before: 0,
    };
    let (clock, started) = (std::time::Instant::now(), cpu_seconds());
    let images: usize = Loader::start(dataset, plan)
        .unwrap()
        .map(|batch| batch.unwrap().ids.len())
        .sum();
    let (wall, used) = (clock.elapsed().as_secs_f64(), cpu_seconds() - started);
    let n = images as f64;
    eprintln!(
        "decode and 2 x 224: {:.0} images a CPU second, {:.0} a second",
        n / used,
        n / wall
    );

    let synthetic = open("synthetic:20000");
    let started = cpu_seconds();
    (0..20_000).for_each(|index| drop(synthetic.decode(index)));
    eprintln!(
        "synthetic: {:.0} images a CPU second",
        20_000.0 / (cpu_seconds() - started)
    );
}
