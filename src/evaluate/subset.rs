//! Fewer images: a share of every class, the same of each or falling from class to class; the same images
//! each time.
use crate::random::{Draws, Purpose};
use std::collections::BTreeMap;

/// Places in `labels`, ascending: of each class `fraction`, rounded, and at least one. Every image's draw
/// depends on (seed, place) alone, so that 1 % lies inside 10 %.
pub fn class_balanced(labels: &[u32], fraction: f64, seed: u64) -> Vec<u32> {
    assert!(fraction > 0.0 && fraction <= 1.0, "a share of {fraction}");
    shares(labels, seed, |_, _| fraction)
}

/// Places in `labels`, ascending: of class c of C the share `ratio`^(-c / (C - 1)), rounded, and at least
/// one. All of the first class, the `ratio`-th part of the last.
pub fn long_tailed(labels: &[u32], ratio: f64, seed: u64) -> Vec<u32> {
    assert!(ratio >= 1.0, "a ratio of {ratio}");
    shares(labels, seed, |class, of| {
        ratio.powf(-(class as f64) / (of.max(2) - 1) as f64)
    })
}

/// Of each class, in their order, `share(its place, how many there are)`.
fn shares(labels: &[u32], seed: u64, share: impl Fn(usize, usize) -> f64) -> Vec<u32> {
    let mut classes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (place, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(place as u32);
    }
    let mut chosen = Vec::new();
    let count = classes.len();
    for (class, mut members) in classes.into_values().enumerate() {
        let draw = |place: u32| Draws::new(seed, Purpose::Subset, 0, place, 0).bits();
        members.sort_by_key(|&place| (draw(place), place));
        let taken = (share(class, count) * members.len() as f64).round() as usize;
        chosen.extend(&members[..taken.max(1)]);
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Classes of 1,000, 14 and 3 images, mixed.
    fn labels() -> Vec<u32> {
        (0..1017)
            .map(|i| match i % 72 {
                5 => 1,
                _ if i > 1013 => 2,
                _ => 0,
            })
            .collect()
    }

    #[test]
    fn each_class_gives_its_share_and_at_least_one() {
        let labels = labels();
        for fraction in [0.01, 0.1, 0.5, 1.0] {
            let chosen = class_balanced(&labels, fraction, 3);
            for class in 0..3 {
                let size = labels.iter().filter(|&&label| label == class).count();
                let taken = chosen
                    .iter()
                    .filter(|&&i| labels[i as usize] == class)
                    .count();
                let wanted = ((fraction * size as f64).round() as usize).max(1);
                assert_eq!(taken, wanted, "class {class} of {size} at {fraction}");
            }
            assert!(chosen.is_sorted_by(|a, b| a < b), "each once, ascending");
        }
        assert_eq!(class_balanced(&labels, 1.0, 3).len(), labels.len());
    }

    #[test]
    fn a_long_tail_falls_by_one_factor_from_class_to_class() {
        let labels: Vec<u32> = (0..5000).map(|i| i % 5).collect();
        let chosen = long_tailed(&labels, 100.0, 3);
        let size = |class| {
            let of_class = chosen.iter().filter(|&&i| labels[i as usize] == class);
            of_class.count()
        };
        let sizes: Vec<usize> = (0..5).map(size).collect();
        assert_eq!(sizes, [1000, 316, 100, 32, 10]);
        assert!(chosen.is_sorted_by(|a, b| a < b), "each once, ascending");
        assert_eq!(chosen, long_tailed(&labels, 100.0, 3));
        assert_ne!(chosen, long_tailed(&labels, 100.0, 4));
    }

    #[test]
    fn a_smaller_share_lies_inside_a_larger_one_and_seeds_differ() {
        let labels = labels();
        let [one, ten] = [0.01, 0.1].map(|fraction| class_balanced(&labels, fraction, 3));
        assert!(one.iter().all(|image| ten.contains(image)));
        assert_eq!(one, class_balanced(&labels, 0.01, 3));
        assert_ne!(ten, class_balanced(&labels, 0.1, 4));
        let first = ten.iter().filter(|&&image| image < 508).count();
        assert!((35..=67).contains(&first), "{first} of 102 in one half");
    }
}
