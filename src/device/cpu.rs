//! The CPU: host memory, and each launch runs the kernel's Rust twin before it returns.
use super::{
    Arch, Driver, Launch, Ptr, Real,
    host::{Allocations, Host},
};
use crate::{Error, Result};
use std::{
    alloc::{Layout, alloc, dealloc},
    sync::RwLock,
};

#[derive(Default)]
pub(super) struct Cpu {
    allocations: RwLock<Allocations>,
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes.max(1), 256).expect("a size below isize::MAX")
}

impl Driver for Cpu {
    fn name(&self) -> String {
        "cpu".into()
    }
    fn arch(&self) -> Arch {
        Arch {
            compute: 0,
            multiprocessors: rayon::current_num_threads() as u32,
            real: Real::F32,
        }
    }

    fn alloc(&self, bytes: usize) -> Result<Ptr> {
        // SAFETY: the layout is not empty.
        let at = unsafe { alloc(layout(bytes)) };
        let mut allocations = self.allocations.write().unwrap();
        if at.is_null() {
            let used = allocations.values().map(|&n| n as u64).sum();
            return Err(Error::OutOfMemory {
                device: self.name(),
                wanted: bytes as u64,
                used,
            });
        }
        // SAFETY: `at` was just allocated with this size. Written once here, the memory is initialised
        // for good: a twin may read what no kernel has written, and gets the NaN of the emulator.
        unsafe { std::slice::from_raw_parts_mut(at, bytes) }.fill(0xff);
        allocations.insert(at as u64, bytes);
        Ok(Ptr(at as u64))
    }
    fn free(&self, ptr: Ptr, bytes: usize) {
        self.allocations
            .write()
            .unwrap()
            .remove(&ptr.0)
            .expect("memory of this device");
        // SAFETY: allocated above with the same layout, and no longer listed as live.
        unsafe { dealloc(ptr.0 as *mut u8, layout(bytes)) }
    }

    fn upload(&self, to: Ptr, from: &[u8]) -> Result<()> {
        let allocations = self.allocations.read().unwrap();
        Host::new("upload", &allocations)
            .write::<u8>(to, from.len())
            .copy_from_slice(from);
        Ok(())
    }
    fn download(&self, from: Ptr, to: &mut [u8]) -> Result<()> {
        let allocations = self.allocations.read().unwrap();
        to.copy_from_slice(Host::new("download", &allocations).read::<u8>(from, to.len()));
        Ok(())
    }
    fn launch(&self, launch: &Launch) -> Result<()> {
        let allocations = self.allocations.read().unwrap();
        (launch.twin)(&Host::new(launch.kernel.name, &allocations));
        Ok(())
    }
    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        for (&at, &bytes) in self.allocations.get_mut().unwrap().iter() {
            // SAFETY: still listed, so allocated with this layout and not freed; no buffer outlives its device.
            unsafe { dealloc(at as *mut u8, layout(bytes)) }
        }
    }
}
