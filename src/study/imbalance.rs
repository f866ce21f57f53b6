//! What equal shares of the prototypes do where classes have no equal shares of the images: SwAV on a long
//! tail.
use super::{
    Study,
    report::{Report, Table},
    runner::{Measured, Runner, Subject, Variant},
    words::{Change, change, list, percent},
};
use crate::{
    Error, Result,
    evaluate::{Features, NeighboursPlan, Score, knn, long_tailed},
    figure::{Chart, Data, Series},
};
use serde::{Deserialize, Serialize};
use std::{ops::Range, sync::Arc};

pub const STUDY: Study = Study {
    name: "imbalance",
    about: "SwAV on a long tail of classes, 100 to 1: codes soft or hard, prototypes shared equally or not.",
    steps: 300,
    run,
};

/// The first class's images to the last's.
const RATIO: f64 = 100.0;

/// (Run, assignment, equipartition.)
const RUNS: [(&str, &str, &str); 4] = [
    ("soft-equal", "soft", "on"),
    ("hard-equal", "hard", "on"),
    ("soft-free", "soft", "off"),
    ("hard-free", "hard", "off"),
];

/// kNN of the classes with most images, of those between, and of those with fewest; of all.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Parts {
    head: Score,
    middle: Score,
    tail: Score,
    all: Score,
}

type Run = Measured<Parts>;
type Part = fn(&Parts) -> Score;

/// Trained on the tail, judged on all classes alike: by the whole set's neighbours, so that a class of few
/// is not lost for want of voters.
fn run(runner: &Runner) -> Result<Report> {
    let dataset = &runner.dataset;
    if dataset.classes().len() < 3 {
        return Err(Error::Data(format!(
            "{} classes have no head, middle and tail; three or more are needed",
            dataset.classes().len()
        )));
    }
    let labels: Vec<u32> = (0..dataset.len())
        .filter_map(|i| dataset.label(i))
        .collect();
    let chosen = long_tailed(&labels, RATIO, runner.plan.seed);
    let tailed = Arc::new(dataset.only(&chosen));
    let run = |(name, assignment, equipartition)| {
        let variant = Variant::new(name, "swav-tiny")
            .with(format!("method.assignment={assignment}"))
            .with(format!("method.equipartition={equipartition}"));
        runner.run(&variant, &tailed, parts)
    };
    let runs = RUNS.into_iter().map(run).collect::<Result<Vec<Run>>>()?;
    let mut seen = vec![sizes(&chosen, &labels, dataset.classes().len())];
    seen.extend(told(&runs));
    Ok(Report {
        table: table(&runs),
        seen,
        chart: chart(&runs),
        runs: serde_json::to_value(&runs).expect("strings and numbers"),
    })
}

/// A third of the classes each, the middle a little larger where they do not divide.
fn thirds(classes: usize) -> [Range<u32>; 3] {
    let (classes, third) = (classes as u32, classes as u32 / 3);
    [0..third, third..classes - third, classes - third..classes]
}

fn parts(subject: &Subject) -> Result<Parts> {
    let [bank, queries] = subject.embed()?;
    let (bank, queries) = (bank.features(), queries.features());
    let classes = subject.neighbours.classes();
    let score = |of: Range<u32>| {
        let rows = (0..queries.len()).filter(|&row| of.contains(&queries.labels[row]));
        let rows: Vec<usize> = rows.collect();
        let labels: Vec<u32> = rows.iter().map(|&row| queries.labels[row]).collect();
        let values: Vec<f32> = rows
            .iter()
            .flat_map(|&row| queries.row(row))
            .copied()
            .collect();
        let queries = Features::new(&values, &labels, queries.dim);
        knn(bank, queries, classes, NeighboursPlan::default())
    };
    let [head, middle, tail] = thirds(classes).map(score);
    Ok(Parts {
        head,
        middle,
        tail,
        all: score(0..classes as u32),
    })
}

fn sizes(chosen: &[u32], labels: &[u32], classes: usize) -> String {
    let size = |class: u32| {
        let of_class = chosen.iter().filter(|&&i| labels[i as usize] == class);
        of_class.count()
    };
    let [head, middle, tail] = thirds(classes).map(|part| part.len());
    format!(
        "Trained on {} of {} images: {} of the first class, {} of the last; head, middle and tail are {head}, {middle} and {tail} classes.",
        chosen.len(),
        labels.len(),
        size(0),
        size(classes as u32 - 1)
    )
}

fn entropy(run: &Run) -> Option<f32> {
    run.last_look()?.usage_entropy
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new(&[
        "run",
        "head %",
        "middle %",
        "tail %",
        "all %",
        "all before %",
        "usage entropy",
        "of ln K %",
    ]);
    for run in runs {
        let share = run.last_look().and_then(|look| look.usage_share);
        table.row([
            run.name.clone(),
            percent(run.after.head),
            percent(run.after.middle),
            percent(run.after.tail),
            percent(run.after.all),
            percent(run.before.all),
            entropy(run).map_or("?".into(), |nats| format!("{nats:.2}")),
            share.map_or("?".into(), |share| format!("{:.0}", 100.0 * share)),
        ]);
    }
    table
}

fn told(runs: &[Run]) -> Vec<String> {
    let parts: [(&str, Part); 4] = [
        ("head", |parts| parts.head),
        ("middle", |parts| parts.middle),
        ("tail", |parts| parts.tail),
        ("all classes", |parts| parts.all),
    ];
    let mut told = Vec::new();
    for (name, of) in parts {
        let score = |run: &&Run| of(&run.after);
        let better = |a: &&Run, b: &&Run| score(a).top1.total_cmp(&score(b).top1);
        let best = runs.iter().max_by(better).expect("there are runs");
        let level: Vec<String> = runs
            .iter()
            .filter(|run| run.name != best.name)
            .filter(|run| change(score(run), score(&best)) == Change::Same)
            .map(|run| format!("{} ({} %)", run.name, percent(score(&run))))
            .collect();
        let others = match level.len() {
            0 => "beyond chance of all others".into(),
            _ => format!("within chance of {}", list(&level)),
        };
        let top1 = percent(score(&best));
        told.push(format!(
            "On {name} {} is best, {top1} %, {others}.",
            best.name
        ));
    }
    let falls = runs.iter().map(|run| {
        let points = run.after.tail.top1 - run.after.head.top1;
        format!("{} {points:+.1}", run.name)
    });
    let before = &runs[0].before;
    told.push(format!(
        "From head to tail, in points: {}; untrained {:+.1}, of what the classes themselves differ.",
        list(&falls.collect::<Vec<_>>()),
        before.tail.top1 - before.head.top1
    ));
    let used = runs.iter().filter_map(|run| {
        let prototypes = entropy(run)?.exp();
        Some(format!("{} {prototypes:.0}", run.name))
    });
    told.push(format!(
        "Prototypes that the last codes looked at use, exp of their entropy: {}.",
        list(&used.collect::<Vec<_>>())
    ));
    told
}

fn chart(runs: &[Run]) -> Chart {
    let series = |name: &str, of: Part| Series {
        name: name.into(),
        values: runs.iter().map(|run| of(&run.after).top1).collect(),
    };
    let untrained = runs.iter().map(|run| run.before.all.top1).sum::<f64>() / runs.len() as f64;
    Chart {
        title: "SwAV on a long tail".into(),
        x: String::new(),
        y: "kNN top-1 accuracy (%)".into(),
        data: Data::Bars(
            runs.iter().map(|run| run.name.clone()).collect(),
            vec![
                series("head", |parts| parts.head),
                series("middle", |parts| parts.middle),
                series("tail", |parts| parts.tail),
            ],
        ),
        level: Some(("untrained, all".into(), untrained)),
    }
}
