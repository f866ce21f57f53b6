use selfsame::data::permutations::{Permutation, max_avg, max_min};

fn text(p: &Permutation) -> String {
    p.iter().map(|patch| patch.to_string()).collect()
}

/// The mean and the least of all pairs' distances.
fn distances(set: &[Permutation]) -> (f64, usize) {
    let pairs = set
        .iter()
        .enumerate()
        .flat_map(|(i, a)| set[..i].iter().map(move |b| (a, b)));
    let differ = |(a, b): (&Permutation, &Permutation)| (0..9).filter(|&i| a[i] != b[i]).count();
    let all: Vec<usize> = pairs.map(differ).collect();
    let mean = all.iter().sum::<usize>() as f64 / all.len() as f64;
    (mean, all.into_iter().min().unwrap())
}

/// While nine that differ everywhere are found, both criteria want them.
const FIRST: [&str; 9] = [
    "012345678",
    "103254786",
    "230167845",
    "321078564",
    "456780123",
    "547806231",
    "678412350",
    "785631402",
    "864523017",
];

#[test]
fn both_begin_alike_and_then_part() {
    for (set, then) in [
        (max_avg(12), ["012345687", "103254768", "230167854"]),
        (max_min(12), ["023186457", "134670258", "167085342"]),
    ] {
        let set: Vec<String> = set.iter().map(text).collect();
        assert_eq!(set[..9], FIRST);
        assert_eq!(set[9..], then);
    }
}

#[test]
fn distances_are_those_computed_elsewhere() {
    for (choose, count, mean, least) in [
        (max_avg as fn(usize) -> Vec<Permutation>, 100, 8.0800, 2),
        (max_min, 100, 8.0269, 6),
        (max_avg, 1000, 8.0080, 2),
        (max_min, 1000, 7.9097, 5),
    ] {
        let (found_mean, found_least) = distances(&choose(count));
        assert!(
            (found_mean - mean).abs() < 5e-5,
            "{count}: mean {found_mean}"
        );
        assert_eq!(found_least, least, "{count}");
    }
}

/// A longer set begins with the shorter, and none is chosen twice.
#[test]
fn sets_are_beginnings_of_each_other() {
    let set = max_min(200);
    assert_eq!(set[..50], max_min(50));
    let mut unique = set.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 200);
    assert!(max_min(0).is_empty());
    for p in set {
        let mut patches = p;
        patches.sort();
        assert_eq!(patches, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
