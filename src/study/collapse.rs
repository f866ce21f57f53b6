//! What becomes of the embeddings where nothing in a loss keeps images apart, beside what does.
use super::{
    Study,
    report::{Report, Table},
    runner::{Measured, Runner, Variant},
    words::{changes, list, percent},
};
use crate::{
    Result,
    evaluate::{Collapse, Score},
    figure::{Chart, Data, Line},
};

pub const STUDY: Study = Study {
    name: "collapse",
    about: "Which methods' embeddings all become one: invariance alone beside five that prevent it.",
    steps: 240,
    run,
};

const METHODS: [(&str, &str); 6] = [
    ("invariance", "invariance-tiny"),
    ("simclr", "tiny"),
    ("moco", "moco-tiny"),
    ("swav", "swav-tiny"),
    ("barlow", "barlow-tiny"),
    ("pirl", "pirl-tiny"),
];

fn run(runner: &Runner) -> Result<Report> {
    let variants = METHODS.map(|(name, preset)| Variant::new(name, preset));
    let runs = runner.run_all(&variants, |subject| subject.knn())?;
    Ok(Report {
        table: table(&runs),
        seen: seen(&runs),
        chart: chart(&runs),
        runs: serde_json::to_value(&runs).expect("strings and numbers"),
    })
}

fn table(runs: &[Measured<Score>]) -> Table {
    let mut table = Table::new(&[
        "run",
        "spread",
        "mean cosine",
        "effective rank",
        "kNN before %",
        "kNN after %",
        "collapsed",
    ]);
    for run in runs {
        let number = |of: fn(Collapse) -> f32, decimals: usize| {
            let look = run.last_look();
            look.map_or("?".into(), |look| format!("{:.decimals$}", of(look)))
        };
        table.row([
            run.name.clone(),
            number(|look| look.spread, 3),
            number(|look| look.mean_cosine, 3),
            number(|look| look.effective_rank, 1),
            percent(run.before),
            percent(run.after),
            if run.verdict.is_some() { "yes" } else { "no" }.into(),
        ]);
    }
    table
}

fn seen(runs: &[Measured<Score>]) -> Vec<String> {
    let (collapsed, kept): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.verdict.is_some());
    let why = |run: &&Measured<Score>| {
        let verdict = run.verdict.as_deref().unwrap_or_default();
        let first = verdict.lines().next().unwrap_or_default();
        format!("{}: {first}", run.name)
    };
    let mut seen = vec![match collapsed.len() {
        0 => "Nothing collapsed, by the monitor's last look.".into(),
        _ => format!(
            "Collapsed, by the monitor's last look: {}.",
            collapsed.iter().map(why).collect::<Vec<_>>().join("; ")
        ),
    }];
    let spreads = kept.iter().filter_map(|run| Some(run.last_look()?.spread));
    let bounds = |(low, high): (f32, f32), x: f32| (low.min(x), high.max(x));
    let (low, high) = spreads.fold((f32::INFINITY, f32::NEG_INFINITY), bounds);
    if low <= high {
        let names: Vec<String> = kept.iter().map(|run| run.name.clone()).collect();
        seen.push(format!(
            "Not collapsed: {}, with a spread of {low:.2} to {high:.2} where 1 is uniform on the sphere.",
            list(&names)
        ));
    }
    let scores: Vec<_> = runs
        .iter()
        .map(|run| (&run.name[..], run.before, run.after))
        .collect();
    seen.extend(changes("kNN", &scores));
    seen
}

fn chart(runs: &[Measured<Score>]) -> Chart {
    let line = |run: &Measured<Score>| Line {
        name: run.name.clone(),
        points: run
            .curve
            .iter()
            .filter_map(|line| Some((line.step as f64, line.collapse?.spread as f64)))
            .collect(),
    };
    Chart {
        title: "Spread of the embeddings".into(),
        x: "step".into(),
        y: "spread (0: all one, 1: uniform)".into(),
        data: Data::Lines(runs.iter().map(line).collect()),
        level: None,
    }
}
