//! How many negatives a contrast needs: from the batch, from a bank, from a queue of a slow encoder's keys.
use super::{
    Plan, Study,
    report::{Report, Table},
    runner::{Measured, Runner, Variant},
    words::{Change, change, percent},
};
use crate::{
    Result,
    evaluate::Score,
    figure::{Chart, Data, Line},
};

pub const STUDY: Study = Study {
    name: "negatives",
    about: "kNN against the number of negatives: SimCLR by batch, SimCLR by bank, MoCo by queue; equal images seen.",
    steps: 150,
    run,
};

/// Where negatives are from, and how many: a line of the figure.
struct Source {
    name: &'static str,
    /// (Negatives of a view, the run.)
    runs: Vec<(usize, Variant)>,
}

/// Batches of an eighth to the whole, banks and queues of 1, 4 and 16 batches: 32 to 256, and 256, 1,024
/// and 4,096 of a batch of 256.
fn sources(plan: &Plan) -> [Source; 3] {
    let batch = plan.batch;
    let in_batch = [8, 4, 2, 1].map(|part| {
        let own = (batch / part).max(2);
        let steps = (plan.steps * batch as u64).div_ceil(own as u64);
        let variant = Variant::new(format!("simclr-batch-{own}"), "tiny")
            .with(format!("schedule.batch={own}"))
            .with(format!("schedule.steps={steps}"))
            .with(format!("output.log_every={}", (steps / 20).max(1)));
        (2 * (own - 1), variant)
    });
    let kept = |name: &str, preset, key: &str| {
        let run = |batches| {
            let rows = batches * batch;
            let variant = Variant::new(format!("{name}-{rows}"), preset);
            (rows, variant.with(format!("method.{key}={rows}")))
        };
        [1, 4, 16].map(run).to_vec()
    };
    // Each image a query once, as published: a queue of one batch holds a step's keys.
    let queues = kept("moco-queue", "moco-tiny", "queue").into_iter();
    let queues = queues.map(|(rows, variant)| (rows, variant.with("method.symmetric=false")));
    [
        ("simclr, batch", in_batch.to_vec()),
        ("simclr, bank", kept("simclr-bank", "tiny", "bank")),
        ("moco, queue", queues.collect()),
    ]
    .map(|(name, runs)| Source { name, runs })
}

/// A run and its negatives.
type Point = (usize, Measured<Score>);

fn run(runner: &Runner) -> Result<Report> {
    let mut found: Vec<(&str, Vec<Point>)> = Vec::new();
    for source in sources(runner.plan) {
        let (counts, variants): (Vec<usize>, Vec<Variant>) = source.runs.into_iter().unzip();
        let runs = runner.run_all(&variants, |subject| subject.knn())?;
        found.push((source.name, counts.into_iter().zip(runs).collect()));
    }
    let runs = found.iter().flat_map(|(_, points)| points);
    let with_count = |(count, run): &Point| {
        let mut value = serde_json::to_value(run).expect("strings and numbers");
        value["negatives"] = (*count).into();
        value
    };
    Ok(Report {
        table: table(&found),
        seen: found
            .iter()
            .map(|(name, points)| told(name, points))
            .collect(),
        chart: chart(&found),
        runs: runs.map(with_count).collect(),
    })
}

fn table(found: &[(&str, Vec<Point>)]) -> Table {
    let mut table = Table::new(&[
        "run",
        "negatives",
        "steps",
        "kNN before %",
        "kNN after %",
        "images/s",
    ]);
    for (count, run) in found.iter().flat_map(|(_, points)| points) {
        table.row([
            run.name.clone(),
            count.to_string(),
            run.curve.last().map_or(0, |line| line.step).to_string(),
            percent(run.before),
            percent(run.after),
            format!("{:.0}", run.images_per_second),
        ]);
    }
    table
}

/// The fewest negatives against the most, and where the best stands.
fn told(name: &str, points: &[Point]) -> String {
    let better = |a: &&Point, b: &&Point| a.1.after.top1.total_cmp(&b.1.after.top1);
    let best = points.iter().max_by(better).expect("a source has runs");
    let [(few, fewest), .., (many, most)] = points else {
        unreachable!("a source has several runs");
    };
    let ends = match change(fewest.after, most.after) {
        Change::Better => "more were better",
        Change::Worse => "more were worse",
        Change::Same => "no difference beyond chance",
    };
    format!(
        "{name}: {} % with {few} negatives, {} % with {many}: {ends}; best with {}, {} %.",
        percent(fewest.after),
        percent(most.after),
        best.0,
        percent(best.1.after)
    )
}

fn chart(found: &[(&str, Vec<Point>)]) -> Chart {
    let line = |(name, points): &(&str, Vec<Point>)| Line {
        name: name.to_string(),
        points: points
            .iter()
            .map(|(count, run)| ((*count as f64).log2(), run.after.top1))
            .collect(),
    };
    Chart {
        title: "kNN by the number of negatives".into(),
        x: "negatives of a view (log2)".into(),
        y: "kNN top-1 accuracy (%)".into(),
        data: Data::Lines(found.iter().map(line).collect()),
        level: None,
    }
}
