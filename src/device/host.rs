//! What a kernel's Rust twin sees of memory: pointers become slices, checked as a kernel's never are.
//!
//! Within one launch every slice lies inside one live allocation, and no slice that may be written
//! overlaps another. A twin that breaks this panics with the kernel's own mistake.
use super::Ptr;
use bytemuck::Pod;
use std::{cell::RefCell, collections::BTreeMap, ops::Range};

/// Live allocations: address to bytes.
pub(super) type Allocations = BTreeMap<u64, usize>;

/// The memory of one launch.
pub struct Host<'a> {
    allocations: &'a Allocations,
    kernel: &'static str,
    /// Every range taken so far, and whether it may be written.
    taken: RefCell<Vec<(Range<u64>, bool)>>,
}

impl<'a> Host<'a> {
    pub(super) fn new(kernel: &'static str, allocations: &'a Allocations) -> Host<'a> {
        Host {
            allocations,
            kernel,
            taken: RefCell::default(),
        }
    }

    /// `n` elements at `ptr`.
    pub fn read<T: Pod>(&self, ptr: Ptr, n: usize) -> &[T] {
        self.take::<T>(ptr, n, false);
        if n == 0 {
            return &[];
        }
        // SAFETY: `take` checked that the range is live, aligned, and not lent for writing in this launch.
        unsafe { std::slice::from_raw_parts(ptr.0 as *const T, n) }
    }

    /// `n` elements at `ptr`, to write (or to update in place).
    #[allow(clippy::mut_from_ref)] // each range is lent once: `take` sees to it
    pub fn write<T: Pod>(&self, ptr: Ptr, n: usize) -> &mut [T] {
        self.take::<T>(ptr, n, true);
        if n == 0 {
            return &mut [];
        }
        // SAFETY: `take` checked that the range is live, aligned, and overlaps nothing lent before.
        unsafe { std::slice::from_raw_parts_mut(ptr.0 as *mut T, n) }
    }

    fn take<T>(&self, ptr: Ptr, n: usize, writes: bool) {
        let range = ptr.0..ptr.0 + (n * size_of::<T>()) as u64;
        let kernel = self.kernel;
        if range.is_empty() {
            return;
        }
        assert!(
            !ptr.is_null(),
            "{kernel}: a null pointer read as {n} elements"
        );
        assert_eq!(
            ptr.0 % align_of::<T>() as u64,
            0,
            "{kernel}: misaligned pointer"
        );
        let inside = self.allocations.range(..=ptr.0).next_back();
        let inside = inside.is_some_and(|(start, bytes)| range.end <= start + *bytes as u64);
        assert!(
            inside,
            "{kernel}: {n} elements of {} bytes reach outside of any allocation",
            size_of::<T>()
        );
        let mut taken = self.taken.borrow_mut();
        for (other, written) in taken.iter() {
            let apart = other.end <= range.start || range.end <= other.start;
            assert!(
                apart || !(writes || *written),
                "{kernel}: operands overlap where one is written"
            );
        }
        taken.push((range, writes));
    }
}
