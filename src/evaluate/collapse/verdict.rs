//! What a monitor's numbers mean, and what to change.
use super::Collapse;

/// What keeps a method's embeddings apart, and so what may have failed to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    /// Other images push an image away: SimCLR, MoCo, PIRL.
    Negatives,
    /// Views of an image attract, and a term of the loss decorrelates: Barlow Twins.
    Decorrelation,
    /// Views of an image attract, and nothing keeps images apart.
    Nothing,
    /// Classes that are to be told apart: pretext tasks, labels. The embeddings are features.
    Classes,
    /// Codes that use all prototypes alike: SwAV. For how many epochs the loss has been at chance.
    Clusters { epochs_at_chance: f32 },
}

/// Whether a cluster method's loss is that of codes that say nothing: within .05 of ln K (SwAV's authors).
pub fn is_at_chance(loss: f32, prototypes: usize) -> bool {
    (loss - (prototypes as f32).ln()).abs() < 0.05
}

/// Embeddings closer than this are one: a cone of 18 degrees.
const SAME_COSINE: f32 = 0.95;
const SAME_SPREAD: f32 = 0.1;
/// A share of the dimensions below which most of them say nothing.
const FEW_DIMENSIONS: f32 = 0.02;
/// Of ln K: below, a few prototypes hold almost everything.
const FEW_PROTOTYPES: f32 = 0.25;

impl Collapse {
    /// What is wrong, its likely causes and what to change; `None` where nothing is.
    pub fn warning(&self, family: Family) -> Option<String> {
        let numbers = [self.spread, self.mean_cosine, self.effective_rank];
        if numbers.iter().any(|x| !x.is_finite()) {
            return Some("embeddings are not finite: the run has diverged\n  lower the learning rate or warm up longer, and look for images of one colour if rows are normalised".into());
        }
        if let Family::Clusters { epochs_at_chance } = family {
            if epochs_at_chance > 1.0 {
                return Some(format!(
                    "the loss has been within .05 of ln K for {epochs_at_chance:.1} epochs: the codes say nothing\n  {CLUSTERS}"
                ));
            }
            if let (Some(share), Some(entropy)) = (self.usage_share, self.usage_entropy)
                && share < FEW_PROTOTYPES
            {
                return Some(format!(
                    "the codes use about {:.0} prototypes ({:.0} % of ln K)\n  {CLUSTERS}",
                    entropy.exp(),
                    100.0 * share
                ));
            }
        }
        if self.spread < SAME_SPREAD || self.mean_cosine > SAME_COSINE {
            return Some(format!(
                "all images have nearly one embedding (spread {:.3}, mean cosine {:.3})\n  {}",
                self.spread,
                self.mean_cosine,
                cure(family)
            ));
        }
        let few = (FEW_DIMENSIONS * self.full_rank as f32).max(1.5);
        (self.effective_rank < few).then(|| {
            format!(
                "the embeddings fill {:.1} of {} dimensions\n  {}",
                self.effective_rank,
                self.full_rank,
                cure(family)
            )
        })
    }
}

/// SwAV's authors' advice (its README), in their order, and the learning rate.
const CLUSTERS: &str = "in Sinkhorn take epsilon .03 instead of .05; freeze the prototypes for longer; begin with hard assignment; no batch norm in the head; fewer crops; a shorter queue; a lower learning rate";

fn cure(family: Family) -> &'static str {
    match family {
        Family::Negatives => {
            "likely too high a learning rate, too high a temperature, or too few negatives: halve the rate or warm up longer, lower the temperature (.1 to .2), enlarge the batch or the queue"
        }
        Family::Nothing => {
            "nothing in this loss tells images apart: one vector for all of them is its solution, and what --method invariance is there to show; simclr, moco, pirl, swav and barlow each add what prevents it"
        }
        Family::Classes => {
            "likely too high a learning rate, or a task that can be solved without looking: halve the rate or warm up longer, look at the views"
        }
        Family::Decorrelation => {
            "nothing pushes images apart but the decorrelation: raise its weight, look whether batch norm stands in the head, lower the learning rate or warm up longer"
        }
        Family::Clusters { .. } => CLUSTERS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTHY: Collapse = Collapse {
        spread: 0.9,
        mean_cosine: 0.05,
        effective_rank: 60.0,
        full_rank: 128,
        usage_entropy: Some(7.5),
        usage_share: Some(0.94),
    };
    const CALM: Family = Family::Clusters {
        epochs_at_chance: 0.5,
    };

    #[track_caller]
    fn warns(seen: Collapse, family: Family, words: &[&str]) {
        let text = seen.warning(family).expect("a warning");
        for word in words {
            assert!(text.contains(word), "no `{word}` in: {text}");
        }
    }

    #[test]
    fn what_is_well_is_not_warned_of() {
        for family in [Family::Negatives, Family::Decorrelation, CALM] {
            assert_eq!(HEALTHY.warning(family), None);
        }
    }

    #[test]
    fn a_warning_names_what_its_family_can_change() {
        let same = Collapse {
            spread: 0.02,
            mean_cosine: 0.999,
            effective_rank: 1.1,
            ..HEALTHY
        };
        warns(same, Family::Negatives, &["one embedding", "temperature"]);
        warns(
            same,
            Family::Decorrelation,
            &["decorrelation", "learning rate"],
        );
        warns(same, CALM, &["epsilon .03", "freeze"]);
        let flat = Collapse {
            effective_rank: 2.0,
            ..HEALTHY
        };
        warns(flat, Family::Negatives, &["2.0 of 128 dimensions"]);
        let few = Collapse {
            usage_entropy: Some(0.7),
            usage_share: Some(0.09),
            ..HEALTHY
        };
        warns(few, CALM, &["about 2 prototypes", "hard assignment"]);
        assert_eq!(few.warning(Family::Negatives), None); // it has no codes to worry about
        let stuck = Family::Clusters {
            epochs_at_chance: 1.2,
        };
        warns(HEALTHY, stuck, &["within .05 of ln K for 1.2 epochs"]);
        let lost = Collapse {
            spread: f32::NAN,
            ..HEALTHY
        };
        warns(lost, Family::Decorrelation, &["not finite"]);
    }

    #[test]
    fn chance_is_ln_k() {
        assert!(is_at_chance(8.0, 3000) && is_at_chance(8.05, 3000));
        assert!(!is_at_chance(7.9, 3000) && !is_at_chance(f32::NAN, 3000));
    }
}
