//! The emulated device's memory: every allocation lies between guards and ends at one, so that a step
//! past its end is a fault; what the pages round up is filled with canaries; fresh memory is NaN.
use libc::{
    MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_NONE, PROT_READ, PROT_WRITE, mmap,
    mprotect, munmap,
};
use std::{
    collections::BTreeMap,
    ops::Range,
    ptr, slice,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Wide enough that a wrong row or image number lands in it.
const GUARD_BYTES: usize = 1 << 20;
const PAGE_BYTES: usize = 4096;
/// The widest access of a thread: what allocations are aligned to, and their ends rounded up to.
const ALIGN: usize = 16;
const POISON: u8 = 0xFF;
const CANARY: u8 = 0xC5;

struct Allocation {
    bytes: usize,
    /// The pages between the guards.
    body: Range<usize>,
}

/// By address of the first byte.
static ALLOCATIONS: Mutex<BTreeMap<usize, Allocation>> = Mutex::new(BTreeMap::new());

fn allocations() -> MutexGuard<'static, BTreeMap<usize, Allocation>> {
    ALLOCATIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The address of `bytes` fresh bytes, or `None` where the system has no more.
pub(super) fn alloc(bytes: usize) -> Option<u64> {
    let rounded = bytes.max(1).next_multiple_of(ALIGN);
    let body_bytes = rounded.next_multiple_of(PAGE_BYTES);
    // SAFETY: a fresh private mapping; writes stay within the part made writable.
    unsafe {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        let map = mmap(
            ptr::null_mut(),
            body_bytes + 2 * GUARD_BYTES,
            PROT_NONE,
            flags,
            -1,
            0,
        );
        if map == MAP_FAILED {
            return None;
        }
        let body = map as usize + GUARD_BYTES;
        if mprotect(body as *mut _, body_bytes, PROT_READ | PROT_WRITE) != 0 {
            munmap(map, body_bytes + 2 * GUARD_BYTES);
            return None;
        }
        let body = body..body + body_bytes;
        let start = body.end - rounded;
        ptr::write_bytes(body.start as *mut u8, CANARY, start - body.start);
        ptr::write_bytes(start as *mut u8, POISON, bytes);
        ptr::write_bytes((start + bytes) as *mut u8, CANARY, rounded - bytes);
        allocations().insert(start, Allocation { bytes, body });
        Some(start as u64)
    }
}

pub(super) fn free(address: u64) {
    let freed = allocations().remove(&(address as usize));
    let body = freed.expect("freed what was never allocated").body;
    // SAFETY: the whole mapping that `alloc` made; whoever frees it uses it no more.
    unsafe {
        munmap(
            (body.start - GUARD_BYTES) as *mut _,
            body.len() + 2 * GUARD_BYTES,
        );
    }
}

/// An allocation, as the checker sees it.
pub(super) struct Region {
    pub bytes: Range<usize>,
    pub guarded: Range<usize>,
    /// Whether a parameter of the kernel points into it.
    pub is_passed: bool,
}

/// All allocations, by address.
pub(super) fn regions(params: &[u8], regions: &mut Vec<Region>) {
    regions.clear();
    regions.extend(allocations().iter().map(|(&start, allocation)| Region {
        bytes: start..start + allocation.bytes,
        guarded: allocation.guarded(),
        is_passed: false,
    }));
    for address in words(params) {
        let at = regions.partition_point(|region| region.bytes.start <= address);
        if let Some(region) = at.checked_sub(1).map(|i| &mut regions[i]) {
            region.is_passed |= address <= region.bytes.end;
        }
    }
}

/// Whatever may be a pointer among parameters.
fn words(params: &[u8]) -> impl Iterator<Item = usize> {
    let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("eight bytes")) as usize;
    params.chunks_exact(8).map(word)
}

/// Bytes allocated.
pub(super) fn used() -> u64 {
    allocations()
        .values()
        .map(|allocation| allocation.bytes as u64)
        .sum()
}

/// Whether the host may touch these bytes.
pub(super) fn check_range(address: u64, bytes: usize) -> Result<(), String> {
    let (address, allocations) = (address as usize, allocations());
    let found = allocations.range(..=address).next_back();
    match found {
        Some((&start, allocation)) if address + bytes <= start + allocation.bytes => Ok(()),
        _ if bytes == 0 => Ok(()),
        _ => Err(format!(
            "{bytes} bytes at {address:#x} are not inside one allocation"
        )),
    }
}

/// Whether the canaries still stand around every allocation that `params` point into.
pub(super) fn check(params: &[u8]) -> Result<(), String> {
    let allocations = allocations();
    for address in words(params) {
        let Some((&start, allocation)) = allocations.range(..=address).next_back() else {
            continue;
        };
        if address > start + allocation.bytes {
            continue;
        }
        check_canaries(start, allocation)?;
    }
    Ok(())
}

fn check_canaries(start: usize, allocation: &Allocation) -> Result<(), String> {
    let Allocation { bytes, body } = allocation;
    for slack in [body.start..start, start + bytes..body.end] {
        // SAFETY: between the guards, so mapped; the lock is held, so nobody frees it.
        let canaries = unsafe { slice::from_raw_parts(slack.start as *const u8, slack.len()) };
        if let Some(at) = canaries.iter().position(|&b| b != CANARY) {
            let offset = (slack.start + at) as isize - start as isize;
            return Err(format!(
                "written out of bounds, at offset {offset} of {bytes} bytes"
            ));
        }
    }
    Ok(())
}

impl Allocation {
    fn guarded(&self) -> Range<usize> {
        self.body.start - GUARD_BYTES..self.body.end + GUARD_BYTES
    }
}

/// Whether an address is in an allocation or its guards.
pub(super) fn is_near(address: usize) -> bool {
    let allocations = allocations();
    let mut all = allocations.values();
    all.any(|allocation| allocation.guarded().contains(&address))
}

/// What an address that faulted has to do with the allocations.
pub(super) fn describe(address: usize) -> String {
    for (&start, allocation) in allocations().iter() {
        if allocation.guarded().contains(&address) {
            let bytes = allocation.bytes;
            let offset = address as isize - start as isize;
            return format!("device memory, at offset {offset} of an allocation of {bytes} bytes");
        }
    }
    format!("{address:#x}, near no allocation")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_before_or_behind_is_noticed() {
        for offset in [-1isize, 5] {
            let address = alloc(5).unwrap();
            check(&address.to_ne_bytes()).unwrap();
            // SAFETY: canary bytes, which are mapped.
            unsafe { *((address as isize + offset) as *mut u8) = 0 };
            let why = check(&address.to_ne_bytes()).unwrap_err();
            assert_eq!(
                why,
                format!("written out of bounds, at offset {offset} of 5 bytes")
            );
            free(address);
        }
    }
}
