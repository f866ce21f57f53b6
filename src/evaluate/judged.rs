//! What a classifier said of images: how often it was right, and what it took for what.
use super::{Score, rank};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub score: Score,
    /// (right class, class told, images), ascending; an image of which nothing was told is in none.
    pub confusion: Vec<(u32, u32, u32)>,
}

/// Of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The right class.
    pub label: u32,
    /// Where that stood, 0 the first; `None` where it was not even listed.
    pub rank: Option<usize>,
    /// The class that stood first, the smallest of equals; `None` where the scores are not numbers.
    pub told: Option<u32>,
}

impl Verdict {
    /// `scores`: one a class.
    pub fn of<T: PartialOrd + Copy>(scores: &[T], label: u32) -> Verdict {
        let is_number = |class: &usize| scores[*class].partial_cmp(&scores[*class]).is_some();
        let first_best = |best: usize, class: usize| match scores[class] > scores[best] {
            true => class,
            false => best,
        };
        let told = (0..scores.len()).filter(is_number).reduce(first_best);
        Verdict {
            label,
            rank: rank(scores, label as usize),
            told: told.map(|class| class as u32),
        }
    }
}

impl Judged {
    pub fn of(verdicts: &[Verdict]) -> Judged {
        let ranks: Vec<Option<usize>> = verdicts.iter().map(|verdict| verdict.rank).collect();
        let mut times: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        for Verdict { label, told, .. } in verdicts {
            if let Some(told) = told {
                *times.entry((*label, *told)).or_default() += 1;
            }
        }
        let times = times.into_iter();
        Judged {
            score: Score::of(&ranks),
            confusion: times.map(|((label, told), n)| (label, told, n)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_score_is_told_and_counted_under_the_right_class() {
        let said = [
            ([0.1, 0.9, 0.0], 1),
            ([0.5, 0.5, 0.0], 1), // the smaller class of equals
            ([0.0, 0.2, 0.7], 1),
            ([0.0, 0.2, 0.7], 1),
            ([f32::NAN; 3], 2),
        ];
        let judged = Judged::of(&said.map(|(scores, label)| Verdict::of(&scores, label)));
        assert_eq!(judged.confusion, [(1, 0, 1), (1, 1, 1), (1, 2, 2)]);
        assert_eq!((judged.score.top1, judged.score.images), (20.0, 5));
    }
}
