//! Which image stands where: an epoch's order is a function of (seed, epoch) alone.
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
