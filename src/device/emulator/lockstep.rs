//! Which accesses of a warp's lanes are one instruction. Lanes run one after another here, so what they
//! would do together is found afterwards, from where in the program each made its accesses: where places
//! fall back, a loop has come round, and lanes do together what they do at one place in the same round
//! of every loop around it. A loop is seen only by its accesses; one that has a single access in each
//! round of a loop around it is taken for one loop with that.

/// A loop: the first and the last place in it.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Loop<P> {
    first: P,
    last: P,
}

impl<P: Ord> Loop<P> {
    fn contains(&self, place: &P) -> bool {
        (&self.first..=&self.last).contains(&place)
    }
    /// Whether the two are one loop whose rounds begin or end in several places, for neither is inside
    /// the other.
    fn overlaps(&self, other: &Loop<P>) -> bool {
        let (first, second) = if self.first <= other.first {
            (self, other)
        } else {
            (other, self)
        };
        second.first <= first.last && (second.last >= first.last || first.first == second.first)
    }
}

/// For each place that each lane has come by, in which rounds of which loops: lanes for which that is the
/// same number were there together.
pub(super) fn rounds<P: Ord + Copy>(lanes: &[Vec<P>]) -> Vec<Vec<u64>> {
    let loops = loops(lanes);
    let of_lane = |lane: &Vec<P>| rounds_of_lane(lane, &loops);
    lanes.iter().map(of_lane).collect()
}

/// The loops of the program, outer ones before those inside them.
fn loops<P: Ord + Copy>(lanes: &[Vec<P>]) -> Vec<Loop<P>> {
    let mut loops: Vec<Loop<P>> = Vec::new();
    for pair in lanes.iter().flat_map(|lane| lane.windows(2)) {
        if pair[1] > pair[0] {
            continue;
        }
        let mut found = Loop {
            first: pair[1],
            last: pair[0],
        };
        if loops.contains(&found) {
            continue;
        }
        while let Some(at) = loops.iter().position(|known| known.overlaps(&found)) {
            let known = loops.swap_remove(at);
            found.first = found.first.min(known.first);
            found.last = found.last.max(known.last);
        }
        loops.push(found);
    }
    loops.sort_by_key(|l| l.first);
    loops
}

fn rounds_of_lane<P: Ord + Copy>(lane: &[P], loops: &[Loop<P>]) -> Vec<u64> {
    // (which of the loops, its round), outer ones first
    let mut inside: Vec<(usize, u64)> = Vec::new();
    let mut before = None;
    let step = |place: &P| {
        inside.retain(|&(which, _)| loops[which].contains(place));
        if before.is_some_and(|before| *place <= before)
            && let Some((_, round)) = inside.last_mut()
        {
            *round += 1;
        }
        before = Some(*place);
        for (which, entered) in loops.iter().enumerate() {
            let known = inside.iter().any(|&(other, _)| other == which);
            if entered.contains(place) && !known {
                inside.push((which, 0));
            }
        }
        let mix = |sum: u64, n: u64| (sum ^ n).wrapping_mul(0x100_0000_01B3); // FNV-1a
        inside
            .iter()
            .fold(0xCBF2_9CE4_8422_2325, |sum, &(which, round)| {
                mix(mix(sum, which as u64), round)
            })
    };
    lane.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the last accesses of all lanes are made together.
    fn meet_at_last(lanes: &[&[u32]]) -> bool {
        let lanes: Vec<Vec<u32>> = lanes.iter().map(|lane| lane.to_vec()).collect();
        let rounds = rounds(&lanes);
        rounds.iter().all(|lane| lane.last() == rounds[0].last())
    }

    #[test]
    fn lanes_meet_in_the_same_round() {
        assert!(meet_at_last(&[&[1, 2], &[1, 2]]));
        assert!(!meet_at_last(&[&[1, 1, 1], &[1, 1]]));
        // 2 only in some rounds, or 1, which begins the round.
        assert!(meet_at_last(&[&[1, 2, 1, 1, 2], &[1, 1, 2, 1, 2]]));
        assert!(meet_at_last(&[&[1, 2, 1, 2, 1, 2], &[2, 1, 2, 2]]));
        assert!(!meet_at_last(&[&[1, 2, 1], &[1, 2]]));
    }

    #[test]
    fn lanes_meet_behind_a_loop() {
        assert!(meet_at_last(&[&[1, 2, 1, 2, 3], &[1, 2, 3]]));
        // An inner loop 2, of as many rounds as each lane likes, in an outer one, 1 to 3.
        assert!(meet_at_last(&[
            &[1, 2, 2, 3, 1, 2, 3],
            &[1, 2, 3, 1, 2, 2, 2, 3]
        ]));
        assert!(meet_at_last(&[&[1, 2, 2, 3, 1, 2], &[1, 2, 3, 1, 2]]));
    }
}
