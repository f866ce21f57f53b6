//! Where in a network what a task taught stands: PIRL, which asks for what a transformation keeps, against
//! Jigsaw, which asks for what it did (Misra and van der Maaten 2020, figure 5).
use super::{
    Study,
    report::{Report, Table},
    runner::{Measured, Runner, Subject, Variant},
    words::{Change, change, list, percent},
};
use crate::{
    Result,
    data::Dataset,
    evaluate::{
        Encoder, Features, LAYER_RATES, LinearPlan, Score, Tap, layer_plan, staged, taps, widened,
    },
    figure::{Chart, Data, Series},
    train::neighbours::Neighbours,
};
use half::f16;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub const STUDY: Study = Study {
    name: "layers",
    about: "Linear probes layer by layer: PIRL and Jigsaw after the same steps, and the untrained network.",
    steps: 300,
    run,
};

/// The probe of one layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Layer {
    name: String,
    dimensions: usize,
    probe: Score,
}

type Run = Measured<Vec<Layer>>;

fn run(runner: &Runner) -> Result<Report> {
    let variants = [
        Variant::new("pirl", "pirl-tiny"),
        Variant::new("jigsaw", "jigsaw-tiny"),
    ];
    let runs = runner.run_all(&variants, probes)?;
    Ok(Report {
        table: table(&runs),
        seen: seen(&runs),
        chart: chart(&runs),
        runs: serde_json::to_value(&runs).expect("strings and numbers"),
    })
}

fn probes(subject: &Subject) -> Result<Vec<Layer>> {
    let neighbours = subject.neighbours;
    let encoder = neighbours.encoder(subject.network, subject.params);
    let taps = taps(&encoder)?;
    let (bank, bank_values) = part(&encoder, &taps, neighbours, neighbours.bank())?;
    let (queries, query_values) = part(&encoder, &taps, neighbours, neighbours.queries())?;
    let probe = |(tap, (x, y)): (Tap, (Vec<f16>, Vec<f16>))| {
        let (x, y, dim) = (widened(&x), widened(&y), tap.dim());
        let plan = LinearPlan {
            rates: LAYER_RATES.to_vec(),
            ..layer_plan(tap.channels(), bank.len(), 256)
        };
        let (bank, queries) = (
            Features::new(&x, &bank, dim),
            Features::new(&y, &queries, dim),
        );
        Layer {
            probe: subject.linear(bank, queries, plan),
            dimensions: dim,
            name: tap.name,
        }
    };
    let values = bank_values.into_iter().zip(query_values);
    Ok(taps.iter().cloned().zip(values).map(probe).collect())
}

/// Classes, and a tap's rows each.
fn part(
    encoder: &Encoder,
    taps: &[Tap],
    neighbours: &Neighbours,
    images: &Arc<Dataset>,
) -> Result<(Vec<u32>, Vec<Vec<f16>>)> {
    let all = staged(encoder, taps, images, neighbours.workers(), &|_| ())?;
    let labels = all.labels.iter().map(|label| label.expect("chosen so"));
    Ok((labels.collect(), all.values))
}

/// (Name, layers) of each line: the first run's untrained network too, which is that of all.
fn lines(runs: &[Run]) -> Vec<(&str, &[Layer])> {
    let untrained = [("untrained", &runs[0].before[..])];
    let trained = runs.iter().map(|run| (&run.name[..], &run.after[..]));
    trained.chain(untrained).collect()
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new(&["layer", "dimensions", "pirl %", "jigsaw %", "untrained %"]);
    let lines = lines(runs);
    for (place, layer) in runs[0].before.iter().enumerate() {
        let scores = lines.iter().map(|(_, layers)| percent(layers[place].probe));
        let first = [layer.name.clone(), layer.dimensions.to_string()];
        table.row(first.into_iter().chain(scores));
    }
    table
}

fn best(layers: &[Layer]) -> &Layer {
    let better = |a: &&Layer, b: &&Layer| a.probe.top1.total_cmp(&b.probe.top1);
    layers.iter().max_by(better).expect("a network has layers")
}

fn seen(runs: &[Run]) -> Vec<String> {
    let mut seen = Vec::new();
    for (name, layers) in lines(runs) {
        let (best, last) = (best(layers), &layers[layers.len() - 1]);
        let fall = best.probe.top1 - last.probe.top1;
        let end = match change(last.probe, best.probe) {
            _ if best.name == last.name => "that is its last".into(),
            Change::Better => format!("its last, {}, is {fall:.1} points below", last.name),
            _ => format!("its last, {}, is as good within chance", last.name),
        };
        let top1 = percent(best.probe);
        seen.push(format!(
            "{name} is best at {} ({top1} %); {end}.",
            best.name
        ));
    }
    for run in runs {
        seen.push(compared(
            &run.name,
            &run.after,
            "untrained",
            &runs[0].before,
        ));
    }
    let [first, second] = [&runs[0], &runs[1]];
    let (a, b) = (&first.after, &second.after);
    seen.push(compared(&first.name, a, &second.name, b));
    seen
}

/// At which layers a is ahead of b, behind, or neither.
fn compared(a_name: &str, a: &[Layer], b_name: &str, b: &[Layer]) -> String {
    let at = |wanted: Change, verb: &str| {
        let pairs = a.iter().zip(b);
        let pairs = pairs.filter(|(a, b)| change(b.probe, a.probe) == wanted);
        let names = pairs.map(|(a, b)| {
            let points = a.probe.top1 - b.probe.top1;
            format!("{} ({points:+.1})", a.name)
        });
        let names: Vec<String> = names.collect();
        (!names.is_empty()).then(|| format!("{verb} at {}", list(&names)))
    };
    let parts = [
        at(Change::Better, "ahead"),
        at(Change::Worse, "behind"),
        at(Change::Same, "level within chance"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!(
        "{a_name} against {b_name}, in points: {}.",
        parts.join("; ")
    )
}

fn chart(runs: &[Run]) -> Chart {
    let names = runs[0].before.iter().map(|layer| layer.name.clone());
    let series = |(name, layers): (&str, &[Layer])| Series {
        name: name.into(),
        values: layers.iter().map(|layer| layer.probe.top1).collect(),
    };
    Chart {
        title: "Linear probes, layer by layer".into(),
        x: "layer".into(),
        y: "top-1 accuracy (%)".into(),
        data: Data::Categories(
            names.collect(),
            lines(runs).into_iter().map(series).collect(),
        ),
        level: None,
    }
}
