//! The device that runs nothing: addresses are made up, and what is read back is zero. The `Device`
//! above it adds up launches, bytes, FLOPs and memory, which is what a plan needs.
use super::{Arch, Driver, Launch, Ptr, Real};
use crate::Result;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) struct Null {
    real: Real,
    next: AtomicU64,
}

impl Null {
    pub fn new(real: Real) -> Null {
        Null {
            real,
            next: AtomicU64::new(256),
        }
    }
}

impl Driver for Null {
    fn name(&self) -> String {
        "null".into()
    }
    fn arch(&self) -> Arch {
        Arch {
            compute: 0,
            multiprocessors: 1,
            real: self.real,
        }
    }
    fn alloc(&self, bytes: usize) -> Result<Ptr> {
        let bytes = bytes.next_multiple_of(256) as u64;
        Ok(Ptr(self.next.fetch_add(bytes, Ordering::Relaxed)))
    }
    fn free(&self, _: Ptr, _: usize) {}
    fn upload(&self, _: Ptr, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn download(&self, _: Ptr, to: &mut [u8]) -> Result<()> {
        to.fill(0);
        Ok(())
    }
    fn launch(&self, _: &Launch) -> Result<()> {
        Ok(())
    }
    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}
