//! t-SNE (van der Maaten 2014, "Accelerating t-SNE using tree-based algorithms"), by the crate `bhtsne`:
//! maintained, without `unsafe`, and it takes the neighbours that are found here already.
use super::{Neighbour, Principal, neighbours};
use bhtsne::{Neighbor, tSNE};

/// About as many neighbours as each row minds.
const PERPLEXITY: f32 = 30.0;
/// Fewer rows are no map.
const LEAST: usize = 8;
const EPOCHS: usize = 750;
/// Cells seen under a smaller angle than this are one point.
const THETA: f32 = 0.5;
/// The deviation of the first coordinate at the start: small, so that places are found, not kept.
const START: f32 = 1e-4;

/// Places in the plane for rows (n, `dim`) by their cosines, from `start`: much the same each time. `None`
/// where they are too few.
pub fn tsne(rows: &[f32], dim: usize, start: &Principal) -> Option<Vec<[f32; 2]>> {
    let n = rows.len() / dim;
    if n < LEAST {
        return None;
    }
    let perplexity = PERPLEXITY.min((n - 1) as f32 / 3.0);
    let k = (3.0 * perplexity) as usize;
    let distance = |Neighbour { similarity, row }: &Neighbour| Neighbor {
        index: *row as usize,
        distance: (2.0 - 2.0 * similarity).max(0.0).sqrt(), // of unit rows
    };
    let found = neighbours(rows, rows, dim, k + 1);
    let others = found.iter().enumerate().map(|(own, found)| {
        let others = found.iter().filter(|other| other.row as usize != own);
        others.take(k).map(distance).collect()
    });
    let others: Vec<Vec<Neighbor<f32>>> = others.collect();
    let data: Vec<usize> = (0..n).collect(); // only its length is asked for
    let mut map: tSNE<f32, usize> = tSNE::new(&data);
    map.perplexity(perplexity)
        .epochs(EPOCHS)
        .initial_embedding(small(start))
        .barnes_hut_with_neighbors(THETA, &others);
    let places = map.embedding();
    Some(places.as_chunks::<2>().0.to_vec())
}

fn small(start: &Principal) -> Vec<f32> {
    let n = start.points.len() as f32;
    let square: f32 = start.points.iter().map(|p| p[0] * p[0]).sum();
    let scale = START / (square / n).sqrt().max(f32::MIN_POSITIVE);
    let spread = start.points.iter().flatten();
    spread.map(|x| x * scale).collect()
}
