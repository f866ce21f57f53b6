//! Fewer labels: the same share of every class, the same images each time.
use crate::random::{Draws, Purpose};
use std::collections::BTreeMap;

/// Places in `labels`, ascending: of each class `fraction`, rounded, and at least one. Every image's draw
/// depends on (seed, place) alone, so that 1 % lies inside 10 %.
pub fn class_balanced(labels: &[u32], fraction: f64, seed: u64) -> Vec<u32> {
    assert!(fraction > 0.0 && fraction <= 1.0, "a share of {fraction}");
    let mut classes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (place, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(place as u32);
    }
    let mut chosen = Vec::new();
    for mut members in classes.into_values() {
        let draw = |place: u32| Draws::new(seed, Purpose::Subset, 0, place, 0).bits();
        members.sort_by_key(|&place| (draw(place), place));
        let count = (fraction * members.len() as f64).round() as usize;
        chosen.extend(&members[..count.max(1)]);
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
