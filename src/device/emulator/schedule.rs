//! Which thread runs next: a policy for each block, drawn from (seed, block), so that a failure comes
//! back with its seed whatever the number of workers. Extreme policies find more than fair ones.
use super::flight::Kind;

/// SplitMix64 (Steele et al. 2014).
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64, stream: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ stream)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (((self.bits() >> 32) * n as u64) >> 32) as usize
    }

    /// True in `chance` of 256 cases.
    pub fn hits(&mut self, chance: u32) -> bool {
        ((self.bits() >> 56) as u32) < chance
    }

    pub fn pick<T: Copy, const N: usize>(&mut self, from: [T; N]) -> T {
        from[self.below(N)]
    }

    fn shuffle(&mut self, values: &mut [u32]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
    }
}

/// Which of the threads that could go on goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pick {
    Newest,
    Oldest,
    Any,
}

#[derive(Debug)]
pub(super) struct Policy {
    pub pick: Pick,
    /// In 256: how often a thread not yet started goes before one that could go on.
    pub start_first: u32,
    /// In 256: how often a thread gives way where it could go on.
    pub give_way: u32,
    /// In 256: how often an asynchronous copy takes place at once, not when it is waited for.
    pub copy_at_once: u32,
    /// In 256: how often work of a unit takes place before a thread goes on that could.
    pub unit_first: u32,
    /// Which of the units' work that is.
    pub unit_pick: Pick,
    /// The kind of work that takes place only when nothing else can.
    pub held_back: Option<Kind>,
}

impl Policy {
    pub fn draw(random: &mut Random) -> Policy {
        Policy {
            pick: random.pick([Pick::Newest, Pick::Oldest, Pick::Any, Pick::Any]),
            start_first: random.pick([0, 128, 240, 256]),
            give_way: random.pick([0, 0, 16, 64]),
            copy_at_once: random.pick([0, 128, 128, 256]),
            unit_first: random.pick([0, 8, 128, 256]),
            unit_pick: random.pick([Pick::Newest, Pick::Oldest, Pick::Any, Pick::Any]),
            held_back: random.pick([
                None,
                None,
                Some(Kind::Load),
                Some(Kind::Store),
                Some(Kind::Products),
            ]),
        }
    }
}

/// The order in which a block's `threads` threads first run: up, down or shuffled.
pub(super) fn thread_order(random: &mut Random, threads: u32, order: &mut Vec<u32>) {
    order.clear();
    match random.below(4) {
        0 => order.extend(0..threads),
        1 => order.extend((0..threads).rev()),
        _ => {
            order.extend(0..threads);
            random.shuffle(order);
        }
    }
}

/// A permutation of a launch's blocks: i -> (multiplier i + offset) mod count.
pub(super) struct BlockOrder {
    count: u64,
    multiplier: u64,
    offset: u64,
}

impl BlockOrder {
    pub fn draw(seed: u64, count: u64) -> BlockOrder {
        let mut random = Random::new(seed, 0xB10C_B10C);
        let mut multiplier = (random.bits() % count).max(1);
        while common_divisor(multiplier, count) != 1 {
            multiplier = multiplier % count + 1;
        }
        let offset = random.bits() % count;
        BlockOrder {
            count,
            multiplier,
            offset,
        }
    }

    pub fn at(&self, i: u64) -> u64 {
        let step = i as u128 * self.multiplier as u128 + self.offset as u128;
        (step % self.count as u128) as u64
    }
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_runs_once() {
        for (seed, count) in [(0, 1), (1, 2), (7, 30), (9, 64), (3, 997)] {
            let order = BlockOrder::draw(seed, count);
            let mut blocks: Vec<u64> = (0..count).map(|i| order.at(i)).collect();
            blocks.sort_unstable();
            assert_eq!(blocks, (0..count).collect::<Vec<_>>());
        }
    }
}
