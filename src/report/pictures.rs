//! The page's pictures as figures for a paper.
use super::{Seen, Source, Summary};
use crate::{
    Error, Result,
    evaluate::tsne,
    figure::{Chart, Data, Frame, Grid, Line, Tile},
};

/// Of numbers that a run logs, against its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    Loss,
    Rate,
    /// Images a second.
    Speed,
    Knn,
    /// All of a collapse's signs, each as a share.
    Collapse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projection {
    Pca,
    Tsne,
}

/// Classes that a map's legend has room for.
const CLASSES: usize = 14;
/// Of a figure of neighbours.
const QUERIES: usize = 8;
const NEIGHBOURS: usize = 8;

/// A line a run; errors where none of them has a point.
pub fn curve(runs: &[Summary], which: Curve) -> Result<Chart> {
    let (title, y) = match which {
        Curve::Loss => ("Loss", "loss"),
        Curve::Rate => ("Learning rate", "learning rate"),
        Curve::Speed => ("Speed", "images a second"),
        Curve::Knn => ("kNN accuracy", "top-1 accuracy (%)"),
        Curve::Collapse => ("Signs of a collapse", "share"),
    };
    let mut lines: Vec<Line> = runs.iter().flat_map(|run| lines(run, which)).collect();
    lines.retain(|line| !line.points.is_empty());
    if lines.is_empty() {
        let names: Vec<&str> = runs.iter().map(|run| &run.path[..]).collect();
        let names = names.join(", ");
        return Err(Error::Data(format!("{names}: no {y} was logged yet")));
    }
    Ok(Chart {
        title: title.into(),
        x: "step".into(),
        y: y.into(),
        data: Data::Lines(lines),
        level: None,
    })
}

fn lines(run: &Summary, which: Curve) -> Vec<Line> {
    let line = |name: &str, points| Line {
        name: name.to_string(),
        points,
    };
    let logged = |name| vec![line(&run.name, run.curves.points(name))];
    match which {
        Curve::Loss => logged("loss"),
        Curve::Rate => logged("lr"),
        Curve::Speed => logged("images_per_second"),
        Curve::Knn => {
            let points = run
                .knn
                .iter()
                .map(|seen| (seen.step as f64, seen.score.top1));
            vec![line(&run.name, points.collect())]
        }
        Curve::Collapse => {
            let full = run.curves.points("full_rank");
            let rank = run.curves.points("effective_rank").into_iter().zip(full);
            let rank = rank.map(|((step, rank), (_, full))| (step, rank / full));
            let of_run = |what: &str| format!("{what}, {}", run.name);
            vec![
                line(&of_run("spread"), run.curves.points("spread")),
                line(&of_run("mean cosine"), run.curves.points("mean_cosine")),
                line(&of_run("rank"), rank.collect()),
                line(&of_run("prototypes"), run.curves.points("usage_share")),
            ]
        }
    }
}

/// A dot an image, a colour a class.
pub fn map(run: &Summary, source: &Source, seen: &Seen, by: Projection) -> Result<Chart> {
    let pca = seen.principal();
    let (points, [x, y]) = match by {
        Projection::Pca => {
            let axis = |at: usize| {
                let percent = 100.0 * pca.shares[at];
                format!("component {} ({percent:.1} % of variance)", at + 1)
            };
            (pca.points.clone(), [axis(0), axis(1)])
        }
        Projection::Tsne => match tsne(seen.unit(), seen.dim(), &pca) {
            Some(points) => (points, ["t-SNE 1".to_string(), "t-SNE 2".to_string()]),
            None => {
                let n = pca.points.len();
                return Err(Error::Data(format!(
                    "{n} images are too few for t-SNE\n  use --by pca"
                )));
            }
        },
    };
    Ok(Chart {
        title: format!("{}: {}", run.name, source.kind),
        x,
        y,
        data: Data::Dots(by_class(source, seen, &points)),
        level: None,
    })
}

/// The largest classes, then all others together; one cloud where there are no labels.
fn by_class(source: &Source, seen: &Seen, points: &[[f32; 2]]) -> Vec<Line> {
    let classes = source.images.classes();
    let mut clouds: Vec<Line> = classes.iter().map(|name| cloud(name)).collect();
    clouds.push(cloud(if classes.is_empty() {
        "images"
    } else {
        "no class"
    }));
    for (point, label) in points.iter().zip(seen.small.labels()) {
        let place = label.map_or(classes.len(), |label| label as usize);
        clouds[place]
            .points
            .push((point[0] as f64, point[1] as f64));
    }
    clouds.retain(|cloud| !cloud.points.is_empty());
    if clouds.len() > CLASSES {
        clouds.sort_by_key(|cloud| std::cmp::Reverse(cloud.points.len()));
        let rest = clouds.split_off(CLASSES - 1);
        let mut others = cloud(&format!("{} others", rest.len()));
        others.points = rest.into_iter().flat_map(|cloud| cloud.points).collect();
        clouds.push(others);
    }
    clouds
}

fn cloud(name: &str) -> Line {
    Line {
        name: name.to_string(),
        points: Vec::new(),
    }
}

/// A row an image: itself, then the nearest to it in `bank`, or else among those with it.
pub fn neighbours(
    run: &Summary,
    (seen, source): (&Seen, &Source),
    bank: Option<(&Seen, &Source)>,
) -> Grid {
    let (bank, among) = bank.unwrap_or((seen, source));
    let name = |seen: &Seen, source: &Source, image: u32| {
        let label = seen.small.labels()[image as usize];
        label.map_or(String::new(), |label| {
            source.images.classes()[label as usize].clone()
        })
    };
    let rows = seen
        .queries(bank, QUERIES, NEIGHBOURS)
        .into_iter()
        .map(|query| {
            let own = name(seen, source, query.image);
            let mut row = vec![tile(seen, query.image, own.clone(), Frame::None)];
            for (image, cosine) in query.found {
                let class = name(bank, among, image);
                let frame = match own.is_empty() || class.is_empty() {
                    true => Frame::None,
                    false if own == class => Frame::Same,
                    false => Frame::Other,
                };
                row.push(tile(bank, image, format!("{cosine:.2} {class}"), frame));
            }
            row
        });
    Grid {
        title: format!("{}: nearest neighbours", run.name),
        rows: rows.collect(),
    }
}

fn tile(seen: &Seen, image: u32, caption: String, frame: Frame) -> Tile {
    let (pixels, side) = seen.small.pixels();
    let bytes = 3 * side as usize * side as usize;
    Tile {
        side,
        pixels: pixels[image as usize * bytes..][..bytes].to_vec(),
        caption,
        frame,
    }
}
