//! Counter-based randomness: every draw is a function of (seed, epoch, sample, view, purpose), so that
//! the number of threads, the order of work and a restart change nothing. Philox4x32-10 (Salmon et al.
//! 2011, "Parallel random numbers: as easy as 1, 2, 3"); `kernels/random.cuh` is its twin.

/// Ten rounds of Philox4x32 on `counter` under `key`.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        let first = 0xD251_1F53u64 * a as u64;
        let second = 0xCD9E_8D57u64 * c as u64;
        (a, b, c, d) = (
            (second >> 32) as u32 ^ b ^ k0,
            second as u32,
            (first >> 32) as u32 ^ d ^ k1,
            first as u32,
        );
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [a, b, c, d]
}

/// What a stream of draws is for; streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    Init = 1,
    Shuffle = 2,
    Crop = 3,
    Color = 4,
    Synthetic = 5,
    Split = 6,
    Negatives = 7,
    Bank = 8,
    Subset = 10,
    Dropout = 9,
    Ring = 11,
}

/// A stream of draws: its counter is (block, sample, epoch, view << 16 | purpose), its key the seed.
#[derive(Clone, Debug)]
pub struct Draws {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Draws {
    pub fn new(seed: u64, purpose: Purpose, epoch: u32, sample: u32, view: u32) -> Draws {
        Draws {
            key: [seed as u32, (seed >> 32) as u32],
            counter: [0, sample, epoch, view << 16 | purpose as u32],
            block: [0; 4],
            used: 4,
        }
    }

    /// The same stream from draw 4 `block` on.
    pub fn from_block(mut self, block: u32) -> Draws {
        (self.counter[0], self.used) = (block, 4);
        self
    }

    pub fn bits(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox(self.counter, self.key);
            self.counter[0] += 1;
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// Uniform in [0, 1): 24 bits.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }

    /// Uniform in [low, high).
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n, by multiplication (bias below n / 2^32).
    pub fn below(&mut self, n: u32) -> u32 {
        ((self.bits() as u64 * n as u64) >> 32) as u32
    }

    /// Standard normal (Box and Muller).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the reference implementation (Random123, kat_vectors).
    #[test]
    fn philox_gives_the_published_numbers() {
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]
        );
    }

    #[test]
    fn a_stream_may_be_entered_at_any_block() {
        let new = || Draws::new(5, Purpose::Init, 1, 2, 3);
        let mut whole = new();
        let all: Vec<u32> = (0..12).map(|_| whole.bits()).collect();
        let mut later = new().from_block(2);
        let rest: Vec<u32> = (0..4).map(|_| later.bits()).collect();
        assert_eq!(rest, all[8..]);
    }
}
