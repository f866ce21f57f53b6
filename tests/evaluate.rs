//! The judges of an encoder: neighbours against a brute-force f64 reference, the linear probe on data
//! whose answer is known.
use proptest::prelude::*;
use selfsame::evaluate::{
    Features, LinearPlan, NeighboursPlan, Recipe, knn, knn_by_each, l2_normalized, linear,
};
use selfsame::random::{Draws, Purpose};

/// A bank, queries and k, with labels below `CLASSES`.
#[derive(Debug)]
struct Case {
    dim: usize,
    bank: Vec<f32>,
    bank_labels: Vec<u32>,
    queries: Vec<f32>,
    query_labels: Vec<u32>,
    k: usize,
}

const CLASSES: usize = 8;

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (
        1usize..20,
        1usize..300,
        1usize..10,
        1usize..320,
        any::<u64>(),
    );
    sizes.prop_map(|(dim, bank, queries, k, seed)| {
        let mut draws = Draws::new(seed, Purpose::Synthetic, 0, 0, 0);
        let mut labels = |n: usize| (0..n).map(|_| draws.below(CLASSES as u32)).collect();
        let (bank_labels, query_labels) = (labels(bank), labels(queries));
        let mut values = |n: usize| (0..n * dim).map(|_| draws.normal()).collect();
        Case {
            dim,
            bank: values(bank),
            bank_labels,
            queries: values(queries),
            query_labels,
            k,
        }
    })
}

/// Votes of each class, all in f64, or `None` where f32 may rightly decide otherwise.
fn reference(case: &Case, query: usize, temperature: f64) -> Option<Vec<f64>> {
    let unit = |x: &[f32]| -> Vec<f64> {
        let length = x.iter().map(|&x| (x as f64).powi(2)).sum::<f64>().sqrt();
        x.iter().map(|&x| x as f64 / length).collect()
    };
    let q = unit(&case.queries[query * case.dim..][..case.dim]);
    let mut similar: Vec<(f64, u32)> = case
        .bank
        .chunks_exact(case.dim)
        .zip(&case.bank_labels)
        .map(|(row, &label)| (unit(row).iter().zip(&q).map(|(a, b)| a * b).sum(), label))
        .collect();
    similar.sort_by(|a, b| b.0.total_cmp(&a.0));
    let last = case.k.min(similar.len());
    if last < similar.len() && similar[last - 1].0 - similar[last].0 < 1e-5 {
        return None;
    }
    let mut votes = vec![0.0; CLASSES];
    for (similarity, label) in &similar[..last] {
        votes[*label as usize] += (similarity / temperature).exp();
    }
    let mut sorted = votes.clone();
    sorted.sort_by(f64::total_cmp);
    let close = |pair: &[f64]| pair[1] > 0.0 && pair[1] - pair[0] < 1e-4 * pair[1];
    (!sorted.windows(2).any(close)).then_some(votes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn neighbours_vote_as_in_the_reference(case in cases(), temperature in 0.05f32..1.0) {
        let plan = NeighboursPlan { k: case.k, temperature };
        let bank = Features::new(&case.bank, &case.bank_labels, case.dim);
        let (mut top1, mut top5) = (0.0, 0.0);
        for query in 0..case.query_labels.len() {
            let row = &case.queries[query * case.dim..][..case.dim];
            let label = &case.query_labels[query..query + 1];
            let score = knn(bank, Features::new(row, label, case.dim), CLASSES, plan);
            (top1, top5) = (top1 + score.top1, top5 + score.top5);
            let Some(votes) = reference(&case, query, temperature as f64) else { continue };
            let own = votes[label[0] as usize];
            let before = votes.iter().filter(|&&other| other > own).count();
            prop_assert_eq!(score.top1 == 100.0, own > 0.0 && before == 0);
            prop_assert_eq!(score.top5 == 100.0, own > 0.0 && before < 5);
        }
        let n = case.query_labels.len();
        let all = knn(bank, Features::new(&case.queries, &case.query_labels, case.dim), CLASSES, plan);
        prop_assert_eq!(all.images, n);
        prop_assert!((all.top1 - top1 / n as f64).abs() < 1e-9);
        prop_assert!((all.top5 - top5 / n as f64).abs() < 1e-9);
        let plans = [plan, NeighboursPlan { k: case.k.div_ceil(2), temperature: 2.0 * temperature }];
        let queries = Features::new(&case.queries, &case.query_labels, case.dim);
        let alone = plans.map(|plan| knn(bank, queries, CLASSES, plan));
        let judged = knn_by_each(bank, queries, CLASSES, &plans);
        prop_assert_eq!([judged[0].score, judged[1].score], alone);
    }
}

/// More rows than one block of the bank and one block of queries hold.
#[test]
fn neighbours_in_a_large_bank_are_found_wherever_they_stand() {
    let (rows, dim) = (10_000, 6);
    let mut draws = Draws::new(1, Purpose::Synthetic, 0, 0, 0);
    let bank: Vec<f32> = (0..rows * dim).map(|_| draws.normal()).collect();
    let labels: Vec<u32> = (0..rows as u32).collect(); // every row a class of its own
    let plan = NeighboursPlan {
        k: 1,
        ..NeighboursPlan::default()
    };
    let some: Vec<usize> = (0..rows).step_by(53).collect();
    let queries: Vec<f32> = some
        .iter()
        .flat_map(|&i| bank[i * dim..][..dim].to_vec())
        .collect();
    let wanted: Vec<u32> = some.iter().map(|&i| i as u32).collect();
    let score = knn(
        Features::new(&bank, &labels, dim),
        Features::new(&queries, &wanted, dim),
        rows,
        plan,
    );
    assert_eq!((score.top1, score.images), (100.0, some.len()));
}

/// Two classes with equal votes: the smaller wins. Two rows equally near: the earlier one votes.
#[test]
fn ties_are_broken_by_order() {
    let plan = |k| NeighboursPlan {
        k,
        temperature: 0.1,
    };
    let same = [1.0, 0.0, 1.0, 0.0];
    let query = [2.0, 0.0];
    let top1 = |labels: &[u32], wanted: u32, k| {
        let bank = Features::new(&same, labels, 2);
        knn(bank, Features::new(&query, &[wanted], 2), 3, plan(k)).top1
    };
    assert_eq!((top1(&[2, 1], 1, 2), top1(&[2, 1], 2, 2)), (100.0, 0.0));
    assert_eq!((top1(&[2, 1], 2, 1), top1(&[2, 1], 1, 1)), (100.0, 0.0));
}

/// Nobody voted for class 2, so it is not among the five, though there are but three classes.
#[test]
fn a_class_without_votes_is_not_predicted() {
    let bank = Features::new(&[1.0, 0.0], &[0], 2);
    let score = knn(
        bank,
        Features::new(&[1.0, 0.0], &[2], 2),
        3,
        NeighboursPlan::default(),
    );
    assert_eq!((score.top1, score.top5), (0.0, 0.0));
}

#[test]
fn normalized_rows_have_length_one_and_zeros_stay() {
    let unit = l2_normalized(&[3.0, 4.0, 0.0, 0.0], 2);
    assert_eq!(unit, [0.6, 0.8, 0.0, 0.0]);
}

/// `n` points around one centre a class, `spread` wide, on features of very different scales.
fn clouds(n: usize, classes: u32, spread: f32, seed: u64) -> (Vec<f32>, Vec<u32>) {
    const DIM: usize = 12;
    let mut centres = Draws::new(7, Purpose::Synthetic, 0, 0, 0);
    let centres: Vec<f32> = (0..classes as usize * DIM)
        .map(|_| centres.normal())
        .collect();
    let mut draws = Draws::new(seed, Purpose::Synthetic, 0, 1, 0);
    let labels: Vec<u32> = (0..n).map(|_| draws.below(classes)).collect();
    let mut values = Vec::new();
    for &label in &labels {
        let centre = &centres[label as usize * DIM..][..DIM];
        values.extend(centre.iter().map(|c| c + spread * draws.normal()));
    }
    for (i, value) in values.iter_mut().enumerate() {
        *value = *value * 10f32.powi(i as i32 % DIM as i32 - 6) + 3.0;
    }
    (values, labels)
}

fn short() -> LinearPlan {
    LinearPlan {
        epochs: 20,
        ..LinearPlan::default()
    }
}

#[test]
fn the_probe_separates_what_is_separable() {
    let (train, train_labels) = clouds(600, 6, 0.2, 1);
    let (val, val_labels) = clouds(300, 6, 0.2, 2);
    let (train, val) = (
        Features::new(&train, &train_labels, 12),
        Features::new(&val, &val_labels, 12),
    );
    let outcome = linear(train, val, 6, &short(), &|_, _| {});
    assert!(outcome.score.top1 > 98.0, "{outcome:?}");
    assert_eq!(outcome.score.images, 300);
    assert_eq!(outcome.tried.len(), 10);
    assert!(outcome.tried.iter().any(|&(rate, _)| rate == outcome.rate));
}

#[test]
fn the_probe_finds_nothing_where_nothing_is() {
    let (train, _) = clouds(1000, 1, 1.0, 1);
    let (val, _) = clouds(1000, 1, 1.0, 2);
    let (_, train_labels) = clouds(1000, 5, 1.0, 3);
    let (_, val_labels) = clouds(1000, 5, 1.0, 4);
    let (train, val) = (
        Features::new(&train, &train_labels, 12),
        Features::new(&val, &val_labels, 12),
    );
    let outcome = linear(train, val, 5, &short(), &|_, _| {});
    assert!((10.0..30.0).contains(&outcome.score.top1), "{outcome:?}"); // chance is 20, five deviations 6
    assert_eq!(outcome.score.top5, 100.0); // all five classes are among the first five
}

/// A feature that never varied in training must not be blown up when it varies afterwards.
#[test]
fn the_probe_ignores_a_constant_feature() {
    let (mut train, train_labels) = clouds(300, 3, 0.1, 1);
    let (mut val, val_labels) = clouds(100, 3, 0.1, 2);
    train.iter_mut().step_by(12).for_each(|x| *x = 5.0);
    val.iter_mut()
        .step_by(12)
        .enumerate()
        .for_each(|(i, x)| *x = i as f32 * 1e6);
    let (train, val) = (
        Features::new(&train, &train_labels, 12),
        Features::new(&val, &val_labels, 12),
    );
    let outcome = linear(train, val, 3, &short(), &|_, _| {});
    assert!(outcome.score.top1 > 98.0, "{outcome:?}");
}

#[test]
fn the_probe_gives_the_same_on_one_thread_as_on_many() {
    let (train, train_labels) = clouds(200, 4, 1.5, 1);
    let (val, val_labels) = clouds(200, 4, 1.5, 2);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let train = Features::new(&train, &train_labels, 12);
            let val = Features::new(&val, &val_labels, 12);
            linear(train, val, 4, &short(), &|_, _| {})
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn the_probe_counts_its_epochs() {
    let (train, labels) = clouds(50, 2, 1.0, 1);
    let features = Features::new(&train, &labels, 12);
    let seen = std::cell::RefCell::new(Vec::new());
    let plan = LinearPlan {
        epochs: 3,
        ..LinearPlan::default()
    };
    linear(features, features, 2, &plan, &|done, of| {
        seen.borrow_mut().push((done, of))
    });
    let all: Vec<(u32, u32)> = (1..=6).map(|done| (done, 6)).collect();
    assert_eq!(*seen.borrow(), all);
}

/// The papers' take features as they are, so these are of one scale. One rate: nothing is held out.
#[test]
fn every_recipe_separates_what_is_separable() {
    let even = |seed| {
        let (mut values, labels) = clouds(600, 6, 0.2, seed);
        for (i, value) in values.iter_mut().enumerate() {
            *value = (*value - 3.0) / 10f32.powi(i as i32 % 12 - 6); // as before `clouds` scaled them
        }
        (values, labels)
    };
    let ((train, train_labels), (val, val_labels)) = (even(1), even(2));
    let (train, val) = (
        Features::new(&train, &train_labels, 12),
        Features::new(&val, &val_labels, 12),
    );
    for (name, recipe) in Recipe::ALL {
        let mut plan = recipe.plan(train.len(), Some(64));
        plan.epochs = 20;
        let outcome = linear(train, val, 6, &plan, &|_, _| {});
        assert!(outcome.score.top1 > 95.0, "{name}: {outcome:?}");
        assert_eq!(outcome.tried.is_empty(), recipe != Recipe::Search, "{name}");
    }
}
