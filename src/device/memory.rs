//! The pool: freed memory is kept by size class and handed out again, so that after its first step a
//! training run asks the driver for nothing, and gets the same addresses in the same order.
use super::{Driver, Ptr};
use crate::Result;
use std::collections::BTreeMap;

/// Bytes: in use now, in use at most so far, held from the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemoryUse {
    pub used: u64,
    pub peak: u64,
    pub held: u64,
}

pub(super) struct Pool {
    /// Freed blocks by size class, last freed first out.
    free: BTreeMap<usize, Vec<Ptr>>,
    keeps: bool,
    usage: MemoryUse,
}

impl Pool {
    pub fn new(keeps: bool) -> Pool {
        Pool {
            free: BTreeMap::new(),
            keeps,
            usage: MemoryUse::default(),
        }
    }

    pub fn usage(&self) -> MemoryUse {
        self.usage
    }

    /// Returns the address and the size class it came from.
    pub fn alloc(&mut self, driver: &dyn Driver, bytes: usize) -> Result<(Ptr, usize)> {
        let class = if self.keeps { size_class(bytes) } else { bytes };
        let ptr = match self.free.get_mut(&class).and_then(Vec::pop) {
            Some(ptr) => ptr,
            None => self.ask_driver(driver, class)?,
        };
        self.usage.used += class as u64;
        self.usage.peak = self.usage.peak.max(self.usage.used);
        Ok((ptr, class))
    }

    /// Where the driver has no more, what the pool holds idle goes back to it first.
    fn ask_driver(&mut self, driver: &dyn Driver, class: usize) -> Result<Ptr> {
        let ptr = match driver.alloc(class) {
            Err(_) if self.usage.held > self.usage.used => {
                self.release(driver);
                driver.alloc(class)?
            }
            other => other?,
        };
        self.usage.held += class as u64;
        Ok(ptr)
    }

    fn release(&mut self, driver: &dyn Driver) {
        for (class, blocks) in std::mem::take(&mut self.free) {
            for ptr in blocks {
                driver.free(ptr, class);
                self.usage.held -= class as u64;
            }
        }
    }

    pub fn free(&mut self, driver: &dyn Driver, ptr: Ptr, class: usize) {
        self.usage.used -= class as u64;
        if self.keeps {
            self.free.entry(class).or_default().push(ptr);
        } else {
            driver.free(ptr, class);
            self.usage.held -= class as u64;
        }
    }
}

/// 256 bytes at least, then eight classes an octave: at most one eighth is lost.
fn size_class(bytes: usize) -> usize {
    let bytes = bytes.max(256);
    let step = (bytes.next_power_of_two() / 16).max(256);
    bytes.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_its_size_and_loses_an_eighth_at_most() {
        for bytes in (1..5000).chain([1 << 20, (1 << 20) + 1, 123_456_789]) {
            let class = size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(256));
            assert!(
                bytes < 2048 || class - bytes <= bytes / 8,
                "{bytes} got {class}"
            );
        }
    }
}
