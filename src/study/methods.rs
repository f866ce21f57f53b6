//! All methods under one budget of images.
use super::{
    Study,
    report::{Report, Table},
    runner::{Both, Measured, Runner, Variant},
    words::{changes, list, percent},
};
use crate::{
    Result,
    config::{MethodName, Preset, Scale},
    figure::{Chart, Data, Series},
};

pub const STUDY: Study = Study {
    name: "methods",
    about: "All ten methods after the same number of images: kNN, linear probe, speed and memory.",
    steps: 150,
    run,
};

type Run = Measured<Both>;

fn run(runner: &Runner) -> Result<Report> {
    let variants = MethodName::ALL
        .map(|(method, name)| Variant::new(name, Preset::of(method, Scale::Tiny).name));
    let runs = runner.run_all(&variants, |subject| subject.both())?;
    Ok(Report {
        table: table(&runs),
        seen: seen(&runs),
        chart: chart(&runs),
        runs: serde_json::to_value(&runs).expect("strings and numbers"),
    })
}

fn megabytes(run: &Run) -> String {
    run.peak_bytes
        .map_or("?".into(), |bytes| format!("{:.0}", bytes as f64 / 1e6))
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new(&[
        "run",
        "kNN before %",
        "kNN after %",
        "linear before %",
        "linear after %",
        "seconds",
        "images/s",
        "peak MB",
    ]);
    for run in runs {
        table.row([
            run.name.clone(),
            percent(run.before.knn),
            percent(run.after.knn),
            percent(run.before.linear),
            percent(run.after.linear),
            format!("{:.0}", run.seconds),
            format!("{:.0}", run.images_per_second),
            megabytes(run),
        ]);
    }
    table
}

fn seen(runs: &[Run]) -> Vec<String> {
    let mut order: Vec<&Run> = runs.iter().collect();
    order.sort_by(|a, b| b.after.knn.top1.total_cmp(&a.after.knn.top1));
    let told = order
        .iter()
        .map(|run| format!("{} {} %", run.name, percent(run.after.knn)));
    let mut seen = vec![format!(
        "By kNN, the best first: {}.",
        list(&told.collect::<Vec<_>>())
    )];
    let scores: Vec<_> = runs
        .iter()
        .map(|run| (&run.name[..], run.before.knn, run.after.knn))
        .collect();
    seen.extend(changes("kNN", &scores));
    let linear: Vec<_> = runs
        .iter()
        .map(|run| (&run.name[..], run.before.linear, run.after.linear))
        .collect();
    seen.extend(changes("The linear probe", &linear));
    let rate = |a: &&Run, b: &&Run| a.images_per_second.total_cmp(&b.images_per_second);
    let ends = (runs.iter().max_by(rate), runs.iter().min_by(rate));
    if let (Some(fast), Some(slow)) = ends {
        seen.push(format!(
            "{} took {:.0} s for its images, {} {:.0} s: {:.1} times as long.",
            fast.name,
            fast.seconds,
            slow.name,
            slow.seconds,
            slow.seconds / fast.seconds
        ));
    }
    seen
}

/// The line across is the mean of the untrained networks: some methods begin with other weights.
fn chart(runs: &[Run]) -> Chart {
    let series = |name: &str, of: fn(&Run) -> f64| Series {
        name: name.into(),
        values: runs.iter().map(of).collect(),
    };
    let untrained = runs.iter().map(|run| run.before.knn.top1).sum::<f64>() / runs.len() as f64;
    Chart {
        title: "Ten methods, the same number of images".into(),
        x: String::new(),
        y: "top-1 accuracy (%)".into(),
        data: Data::Bars(
            runs.iter().map(|run| run.name.clone()).collect(),
            vec![
                series("kNN", |run| run.after.knn.top1),
                series("linear", |run| run.after.linear.top1),
            ],
        ),
        level: Some(("kNN untrained".into(), untrained)),
    }
}
