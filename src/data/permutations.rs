//! Permutations of nine patches, for jigsaw puzzles: sets in which every two differ in many places (Noroozi
//! and Favaro 2016, arXiv 1603.09246, algorithm 1). From all 9! of them the next is always the one farthest
//! from those chosen, by its number of places that differ (Hamming distance). The paper starts at random;
//! here it is at the identity, and of equals the first in lexicographic order is taken, so that a number of
//! permutations is a set for good.

/// Nine places: which patch stands there.
pub type Permutation = [u8; 9];

/// Of all permutations of nine.
const ALL: usize = 362_880;

/// The next is the one whose nearest among the chosen is farthest: of a thousand, every two differ in five
/// places at least.
pub fn max_min(count: usize) -> Vec<Permutation> {
    farthest(count, u32::MAX, u32::min)
}

/// The next is the one farthest from the chosen on average, as in the paper: that has near twins, which
/// differ in two places.
pub fn max_avg(count: usize) -> Vec<Permutation> {
    farthest(count, 0, |sum, distance| sum + distance)
}

/// Each of the pool has what `add` makes of its distances to the chosen, `none` before there are any; the
/// largest is chosen next.
fn farthest(count: usize, none: u32, add: impl Fn(u32, u32) -> u32) -> Vec<Permutation> {
    assert!(count <= ALL, "{count} permutations of nine, of {ALL}");
    let mut pool: Vec<(u64, u32)> = packed_in_order().map(|p| (p, none)).collect();
    let (mut chosen, mut next) = (Vec::with_capacity(count), 0);
    while chosen.len() < count {
        let (last, _) = pool.remove(next); // in order, so that the first of equals stays the first
        chosen.push(unpacked(last));
        let mut most = 0;
        for (at, (member, so_far)) in pool.iter_mut().enumerate() {
            *so_far = add(*so_far, distance(*member, last));
            if at == 0 || *so_far > most {
                (most, next) = (*so_far, at);
            }
        }
    }
    chosen
}

/// All permutations in lexicographic order, four bits a place, the last place lowest.
fn packed_in_order() -> impl Iterator<Item = u64> {
    (0..ALL).map(|mut rank| {
        let mut left: Vec<u64> = (0..9).collect();
        let mut blocks = ALL;
        (1..=9).rev().fold(0, |packed, places| {
            blocks /= places; // permutations that begin alike
            let patch = left.remove(rank / blocks);
            rank %= blocks;
            packed << 4 | patch
        })
    })
}

fn unpacked(packed: u64) -> Permutation {
    std::array::from_fn(|place| (packed >> (4 * (8 - place)) & 15) as u8)
}

/// Places in which two packed permutations differ.
fn distance(a: u64, b: u64) -> u32 {
    let differ = a ^ b;
    let differ = differ | differ >> 1;
    let differ = differ | differ >> 2;
    (differ & 0x1_1111_1111).count_ones()
}
