//! Images that are, or look like, one another.
use std::collections::HashMap;

use super::inspect::{LOOK_BITS, Look};

/// Bits in which two looks may differ and still be of one picture. Of 3,409 photographs of clothes
/// 5 are this near to another; 99 of 100 stay as near to themselves at half the size or JPEG quality 60.
pub const ALIKE_BITS: u32 = 12;
/// One of these parts of two looks is equal wherever fewer bits than parts differ.
const PARTS: usize = LOOK_BITS as usize / 16;
const _: () = assert!((ALIKE_BITS as usize) < PARTS, "or pairs would be missed");

/// The places of equal hashes: each group ascending and of two or more, groups by their first.
pub fn equal(hashes: &[u64]) -> Vec<Vec<u32>> {
    let mut groups: HashMap<u64, Vec<u32>> = HashMap::new();
    for (place, &hash) in (0..).zip(hashes) {
        groups.entry(hash).or_default().push(place);
    }
    sorted(groups.into_values())
}

/// The places of looks that differ in at most [`ALIKE_BITS`] bits, directly or through others of the group.
pub fn alike(looks: &[Look]) -> Vec<Vec<u32>> {
    let mut groups = Groups((0..looks.len() as u32).collect());
    let mut order: Vec<u32> = groups.0.clone();
    for part in 0..PARTS {
        // Those equal in this part come together, and of these the equal ones.
        let bits = |place: u32| looks[place as usize].0[part];
        order.sort_unstable_by_key(|&place| (bits(place), looks[place as usize]));
        for run in order.chunk_by(|&a, &b| bits(a) == bits(b)) {
            let mut kinds: Vec<u32> = Vec::new(); // one place for each look
            for &place in run {
                match kinds.last() {
                    Some(&last) if looks[last as usize] == looks[place as usize] => {
                        groups.join(last, place);
                    }
                    _ => kinds.push(place),
                }
            }
            for (at, &a) in kinds.iter().enumerate() {
                for &b in &kinds[at + 1..] {
                    if looks[a as usize].distance(&looks[b as usize]) <= ALIKE_BITS {
                        groups.join(a, b);
                    }
                }
            }
        }
    }
    groups.all()
}

fn sorted(groups: impl Iterator<Item = Vec<u32>>) -> Vec<Vec<u32>> {
    let mut groups: Vec<Vec<u32>> = groups.filter(|group| group.len() > 1).collect();
    groups.sort_unstable();
    groups
}

/// Of each place another of its group; a group's first is its own.
struct Groups(Vec<u32>);

impl Groups {
    fn first(&mut self, mut place: u32) -> u32 {
        while self.0[place as usize] != place {
            let next = self.0[place as usize];
            self.0[place as usize] = self.0[next as usize];
            place = next;
        }
        place
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.first(a), self.first(b));
        self.0[a.max(b) as usize] = a.min(b);
    }

    fn all(mut self) -> Vec<Vec<u32>> {
        let mut groups: HashMap<u32, Vec<u32>> = HashMap::new();
        for place in 0..self.0.len() as u32 {
            groups.entry(self.first(place)).or_default().push(place);
        }
        sorted(groups.into_values())
    }
}
