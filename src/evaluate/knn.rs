//! Weighted k-nearest-neighbours classification (Wu et al. 2018, arXiv 1805.01978, section 3.4), the
//! protocol of most papers: cosine similarity, k 200, temperature 0.1.
use super::{Features, Judged, Score, Verdict, l2_normalized};
use crate::device::{Matrix, MatrixMut, host_matmul};
use rayon::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeighboursPlan {
    /// Neighbours that vote; the whole bank where it is smaller.
    pub k: usize,
    /// A neighbour's vote is exp(similarity / temperature).
    pub temperature: f32,
}

impl Default for NeighboursPlan {
    fn default() -> Self {
        NeighboursPlan {
            k: 200,
            temperature: 0.1,
        }
    }
}

const QUERIES: usize = 64; // rows a task
const BANK: usize = 4096; // rows at a time: 64 x 4096 similarities are 1 MiB, and stay in cache

/// Classifies each of `queries` by the votes of its nearest neighbours in `bank`. Labels are below
/// `classes`. Among equal similarities the earlier row of the bank is nearer, among equal sums of votes
/// the smaller class wins, and a class without a vote is not predicted at all.
pub fn knn(bank: Features, queries: Features, classes: usize, plan: NeighboursPlan) -> Score {
    knn_by_each(bank, queries, classes, &[plan])[0].score
}

/// The same under each of `plans`: the neighbours are looked for once.
pub fn knn_by_each(
    bank: Features,
    queries: Features,
    classes: usize,
    plans: &[NeighboursPlan],
) -> Vec<Judged> {
    assert_eq!(bank.dim, queries.dim, "knn: features of two lengths");
    let voters = plans.iter().all(|plan| plan.k > 0);
    assert!(!bank.is_empty() && voters, "knn: nobody votes");
    let dim = bank.dim;
    let most = plans.iter().map(|plan| plan.k).max().unwrap_or(1);
    let bank_rows = l2_normalized(bank.values, dim);
    let query_rows = l2_normalized(queries.values, dim);
    let vote = |(found, &label): (Vec<Neighbour>, &u32)| -> Vec<Verdict> {
        let by_plan = plans.iter().map(|plan| {
            let voters = &found[..plan.k.min(found.len())]; // the nearest stand first
            let votes = votes(voters, bank.labels, classes, plan.temperature);
            let verdict = Verdict::of(&votes, label);
            let rank = verdict.rank.filter(|_| votes[label as usize] > 0.0);
            Verdict { rank, ..verdict }
        });
        by_plan.collect()
    };
    let verdicts: Vec<Vec<Verdict>> = query_rows
        .par_chunks(QUERIES * dim)
        .zip(queries.labels.par_chunks(QUERIES))
        .flat_map_iter(|(rows, labels)| {
            let found = nearest(&bank_rows, rows, dim, most);
            found.into_iter().zip(labels).map(vote).collect::<Vec<_>>()
        })
        .collect();
    let of_plan = |plan: usize| verdicts.iter().map(|all| all[plan]).collect::<Vec<_>>();
    let judged = (0..plans.len()).map(|plan| Judged::of(&of_plan(plan)));
    judged.collect()
}

/// A row of the bank, and its cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    pub similarity: f32,
    pub row: u32,
}

/// The `k` rows of `bank` (m, `dim`) nearest to each of `queries` (n, `dim`) by cosine, nearest first; all
/// of them where they are fewer.
pub fn neighbours(bank: &[f32], queries: &[f32], dim: usize, k: usize) -> Vec<Vec<Neighbour>> {
    let (bank, queries) = (l2_normalized(bank, dim), l2_normalized(queries, dim));
    let rows = queries.par_chunks(QUERIES * dim);
    rows.flat_map_iter(|rows| nearest(&bank, rows, dim, k))
        .collect()
}

fn nearer(a: &Neighbour, b: &Neighbour) -> std::cmp::Ordering {
    let by_similarity = b.similarity.total_cmp(&a.similarity);
    by_similarity.then(a.row.cmp(&b.row))
}

/// The `k` nearest rows of `bank` to each of `queries`, nearest first.
fn nearest(bank: &[f32], queries: &[f32], dim: usize, k: usize) -> Vec<Vec<Neighbour>> {
    let n = queries.len() / dim;
    let mut found: Vec<Vec<Neighbour>> = vec![Vec::with_capacity(k + BANK); n];
    let mut similarity = vec![0.0; n * BANK]; // (n, rows of the block)
    for (block, rows) in bank.chunks(BANK * dim).enumerate() {
        let count = rows.len() / dim;
        host_matmul(
            MatrixMut::new(&mut similarity[..n * count], n, count),
            Matrix::new(queries, n, dim),
            Matrix::new(rows, count, dim).transposed(),
            false,
        );
        for (found, row) in found.iter_mut().zip(similarity.chunks_exact(count)) {
            let first = (block * BANK) as u32;
            let numbered = row.iter().zip(first..);
            found.extend(numbered.map(|(&similarity, row)| Neighbour { similarity, row }));
            if found.len() > k {
                found.select_nth_unstable_by(k - 1, nearer);
                found.truncate(k);
            }
        }
    }
    for found in &mut found {
        found.sort_unstable_by(nearer);
    }
    found
}

/// Each class's sum of exp(similarity / temperature).
fn votes(found: &[Neighbour], labels: &[u32], classes: usize, temperature: f32) -> Vec<f64> {
    let mut votes = vec![0.0; classes];
    for neighbour in found {
        let vote = (neighbour.similarity as f64 / temperature as f64).exp();
        votes[labels[neighbour.row as usize] as usize] += vote;
    }
    votes
}
