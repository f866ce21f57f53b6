//! Numbers as sentences have them.
use crate::evaluate::Score;

/// `45.1`.
pub fn percent(score: Score) -> String {
    format!("{:.1}", score.top1)
}

/// How far a top-1 may lie from another, in points, where both are of one truth: 95 % of the times, by the
/// binomial deviations of both. Of the images judged alone: what another seed would do is not in it.
pub fn margin(a: Score, b: Score) -> f64 {
    let variance = |score: Score| {
        let p = score.top1 / 100.0;
        p * (1.0 - p) / score.images.max(1) as f64
    };
    196.0 * (variance(a) + variance(b)).sqrt()
}

/// How `after` stands to `before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Better,
    Worse,
    /// Within the margin.
    Same,
}

pub fn change(before: Score, after: Score) -> Change {
    let (rise, margin) = (after.top1 - before.top1, margin(before, after));
    match rise {
        _ if rise > margin => Change::Better,
        _ if rise < -margin => Change::Worse,
        _ => Change::Same,
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Who rose, who fell and who did neither: (name, before, after) each; a sentence a group that is not empty.
pub fn changes(what: &str, runs: &[(&str, Score, Score)]) -> Vec<String> {
    let of = |wanted: Change| {
        let mut group: Vec<_> = runs
            .iter()
            .filter(|(_, before, after)| change(*before, *after) == wanted)
            .collect();
        group.sort_by(|a, b| (b.2.top1 - b.1.top1).total_cmp(&(a.2.top1 - a.1.top1)));
        let told = group.iter().map(|(name, before, after)| {
            format!("{name} ({} to {} %)", percent(*before), percent(*after))
        });
        list(&told.collect::<Vec<_>>())
    };
    let sentence = |(group, told): (Change, &str)| {
        let names = of(group);
        (!names.is_empty()).then(|| format!("{what} {told} {names}."))
    };
    [
        (Change::Better, "rose in"),
        (Change::Same, "did not change by more than chance would in"),
        (Change::Worse, "fell in"),
    ]
    .into_iter()
    .filter_map(sentence)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(top1: f64) -> Score {
        Score {
            top1,
            top5: 100.0,
            images: 2000,
        }
    }

    /// Deviations of 40 % and 44 % of 2,000 images: 1.095 and 1.110 points.
    #[test]
    fn a_change_is_one_beyond_the_margin() {
        assert!((margin(score(40.0), score(44.0)) - 3.056).abs() < 1e-3);
        assert_eq!(change(score(40.0), score(44.0)), Change::Better);
        assert_eq!(change(score(40.0), score(43.0)), Change::Same);
        assert_eq!(change(score(44.0), score(40.0)), Change::Worse);
    }

    #[test]
    fn groups_are_told_apart_and_in_order() {
        let runs = [
            ("a", score(40.0), score(45.0)),
            ("b", score(40.0), score(60.0)),
            ("c", score(40.0), score(10.0)),
        ];
        assert_eq!(
            changes("kNN", &runs),
            [
                "kNN rose in b (40.0 to 60.0 %) and a (40.0 to 45.0 %).",
                "kNN fell in c (40.0 to 10.0 %)."
            ]
        );
        let words = ["a", "b", "c"].map(String::from);
        assert_eq!(list(&words), "a, b and c");
    }
}
