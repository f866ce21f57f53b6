//! The device that runs nothing: addresses are made up, and what is read back is zero. The `Device`
//! above it adds up launches, bytes, FLOPs and memory, which is what a plan needs.
use super::{Arch, Driver, Encoded, Launch, Ptr, TensorMap};
use crate::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) struct Null {
    name: String,
    arch: Arch,
    next: AtomicU64,
    limit: u64,
}

impl Null {
    /// Whatever is chosen by a device's name and architecture is chosen as for those. It has `limit` bytes
    /// to give.
    pub fn new(name: String, arch: Arch, limit: u64) -> Null {
        Null {
            name,
            arch,
            next: AtomicU64::new(256),
            limit,
        }
    }
}

impl Driver for Null {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn arch(&self) -> Arch {
        self.arch
    }
    fn runs(&self) -> bool {
        false
    }
    fn alloc(&self, bytes: usize) -> Result<Ptr> {
        let wanted = bytes.next_multiple_of(256) as u64;
        let used = self.next.load(Ordering::Relaxed);
        if wanted > self.limit.saturating_sub(used) {
            let device = self.name();
            return Err(Error::OutOfMemory {
                device,
                wanted,
                used,
            });
        }
        Ok(Ptr(self.next.fetch_add(wanted, Ordering::Relaxed)))
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
    fn tensor_map(&self, _: &TensorMap) -> Result<Encoded> {
        Ok(Encoded::default())
    }
}
