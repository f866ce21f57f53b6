//! Which image stands where: an epoch's order is a function of (seed, epoch) alone.
use std::ops::Range;

use crate::random::{Draws, Purpose};
use crate::{Error, Result};

/// A permutation of 0..len (Fisher and Yates).
pub fn permutation(seed: u64, epoch: u32, len: usize) -> Vec<u32> {
    let len = u32::try_from(len).expect("a dataset holds fewer than 2^32 images");
    let mut draws = Draws::new(seed, Purpose::Shuffle, epoch, 0, 0);
    let mut order: Vec<u32> = (0..len).collect();
    for last in (1..len).rev() {
        let other = draws.below(last + 1);
        order.swap(last as usize, other as usize);
    }
    order
}

/// Which part of every batch one of several processes makes: places `rank * batch / world` and on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub rank: usize,
    pub world: usize,
}

impl Share {
    pub const ALL: Share = Share { rank: 0, world: 1 };

    /// Its places in a batch of `batch`. Ranks' places one after the other are the batch, so what is seen is a
    /// function of (seed, epoch) alone, whatever the world.
    /// Errors where the batch cannot be dealt evenly.
    pub fn places(self, batch: usize) -> Result<Range<usize>> {
        let Share { rank, world } = self;
        assert!(rank < world, "rank {rank} of {world}");
        if !batch.is_multiple_of(world) {
            return Err(Error::Data(format!(
                "a batch of {batch} cannot be dealt to {world} processes evenly; \
                 use --batch {}",
                batch.next_multiple_of(world)
            )));
        }
        let share = batch / world;
        Ok(rank * share..(rank + 1) * share)
    }
}

/// Whole batches only: the rest of an epoch's order is left out (another rest each epoch).
pub fn steps_per_epoch(len: usize, batch: usize) -> Result<u64> {
    if batch == 0 || batch > len {
        return Err(Error::Data(format!(
            "a batch of {batch} cannot be drawn from {len} images; \
             use --batch 1 to {len}, or more images"
        )));
    }
    Ok((len / batch) as u64)
}
