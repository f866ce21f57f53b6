//! Shared memory: one window of 256 KiB a worker, at a multiple of 256 KiB, so that the low 18 bits of
//! an address are the shared address that descriptors hold. Arrays grow from the bottom with red zones
//! between them, dynamic memory ends at the guard page, and all of it is NaN when a block starts.
use libc::{
    MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_NONE, PROT_READ, PROT_WRITE, mmap,
    mprotect,
};
use std::{ffi::CStr, ops::Range, ptr, slice};

pub(super) const WINDOW_BYTES: usize = 256 << 10;
/// What a block may have on sm_90: 227 KiB.
pub(super) const SHARED_BYTES_MAX: usize = 227 << 10;
/// The driver's own first KiB: an address of 0 is never valid.
const RESERVED_BYTES: usize = 1024;
const ZONE_BYTES: usize = 64;
const DYNAMIC_ALIGN: usize = 1024;
const POISON: u8 = 0xFF;
const CANARY: u8 = 0xC5;

/// A `SHARED_ARRAY` that the block has come across; offsets are into the window.
struct Array {
    key: usize,
    name: &'static CStr,
    bytes: Range<usize>,
}

pub(super) struct SharedMemory {
    base: usize,
    arrays: Vec<Array>,
    dynamic: Range<usize>,
}

impl SharedMemory {
    pub fn new() -> SharedMemory {
        // SAFETY: a fresh private mapping, never unmapped, of which one aligned window is made usable.
        let base = unsafe {
            let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
            let map = mmap(ptr::null_mut(), 4 * WINDOW_BYTES, PROT_NONE, flags, -1, 0);
            assert!(map != MAP_FAILED, "no address space for shared memory");
            let base = (map as usize + WINDOW_BYTES).next_multiple_of(WINDOW_BYTES);
            assert_eq!(
                mprotect(base as *mut _, WINDOW_BYTES, PROT_READ | PROT_WRITE),
                0
            );
            base
        };
        SharedMemory {
            base,
            arrays: Vec::new(),
            dynamic: 0..0,
        }
    }

    pub fn begin(&mut self, dynamic_bytes: usize) {
        let start = (WINDOW_BYTES - dynamic_bytes) / DYNAMIC_ALIGN * DYNAMIC_ALIGN;
        self.arrays.clear();
        self.dynamic = start..start + dynamic_bytes;
        if dynamic_bytes > 0 {
            self.fill(start - ZONE_BYTES..start, CANARY);
            self.fill(self.dynamic.clone(), POISON);
            self.fill(self.dynamic.end..WINDOW_BYTES, CANARY);
        }
    }

    /// The address of the array that `key` stands for; poisoned when the block first asks for it.
    pub fn array(
        &mut self,
        key: usize,
        name: &'static CStr,
        bytes: usize,
        align: usize,
    ) -> Result<usize, String> {
        if let Some(array) = self.arrays.iter().find(|array| array.key == key) {
            return Ok(self.base + array.bytes.start);
        }
        let last = self
            .arrays
            .last()
            .map_or(RESERVED_BYTES - ZONE_BYTES, |a| a.bytes.end);
        let start = (last + ZONE_BYTES).next_multiple_of(align);
        let end = start + bytes;
        if end + ZONE_BYTES > self.dynamic.start - ZONE_BYTES {
            return Err(format!(
                "shared array {name:?} of {bytes} bytes: a block has 227 KiB in all"
            ));
        }
        // The zone behind the last array is there already, and may hold what an overrun wrote.
        let zoned = if self.arrays.is_empty() {
            last
        } else {
            last + ZONE_BYTES
        };
        self.fill(zoned..start, CANARY);
        self.fill(start..end, POISON);
        self.fill(end..end + ZONE_BYTES, CANARY);
        self.arrays.push(Array {
            key,
            name,
            bytes: start..end,
        });
        Ok(self.base + start)
    }

    pub fn dynamic(&self, align: usize) -> Result<usize, String> {
        if align > DYNAMIC_ALIGN {
            return Err(format!(
                "dynamic shared memory is aligned to {DYNAMIC_ALIGN}, not to {align}"
            ));
        }
        Ok(self.base + self.dynamic.start)
    }

    /// Where in the window an address is, if it is.
    #[inline]
    pub fn offset(&self, address: usize) -> Option<usize> {
        Some(address.wrapping_sub(self.base)).filter(|&offset| offset < WINDOW_BYTES)
    }

    pub fn address(&self, offset: usize) -> usize {
        self.base + offset
    }

    /// Whether these bytes are all in one array.
    #[inline]
    pub fn contains(&self, offset: usize, bytes: usize) -> bool {
        let inside = |r: &Range<usize>| r.start <= offset && offset + bytes <= r.end;
        self.arrays.iter().any(|array| inside(&array.bytes)) || inside(&self.dynamic)
    }

    /// "shared array "tile" of 400 bytes, at offset 12": the array that an offset is in or near.
    pub fn place(&self, offset: usize) -> String {
        let before = |array: &&Array| array.bytes.start <= offset;
        let array = self
            .arrays
            .iter()
            .rev()
            .find(before)
            .or(self.arrays.first());
        match array {
            Some(array) if offset + ZONE_BYTES < self.dynamic.start || self.dynamic.is_empty() => {
                let from_start = offset as isize - array.bytes.start as isize;
                let Array { name, bytes, .. } = array;
                format!(
                    "shared array {name:?} of {} bytes, at offset {from_start}",
                    bytes.len()
                )
            }
            _ => {
                let from_start = offset as isize - self.dynamic.start as isize;
                let bytes = self.dynamic.len();
                format!("dynamic shared memory of {bytes} bytes, at offset {from_start}")
            }
        }
    }

    /// At the end of a block: whether anything was written between the arrays.
    pub fn check(&self) -> Result<(), String> {
        let mut before = RESERVED_BYTES - ZONE_BYTES;
        for (i, array) in self.arrays.iter().enumerate() {
            let next = self
                .arrays
                .get(i + 1)
                .map_or(array.bytes.end + ZONE_BYTES, |a| a.bytes.start);
            let what = format_args!("shared array {:?}", array.name);
            if i == 0 {
                self.check_zone(before..array.bytes.start, &array.bytes, what)?;
            }
            self.check_zone(array.bytes.end..next, &array.bytes, what)?;
            before = array.bytes.end;
        }
        if self.dynamic.is_empty() {
            return Ok(());
        }
        let (start, end) = (self.dynamic.start, self.dynamic.end);
        let what = format_args!("dynamic shared memory");
        self.check_zone(start - ZONE_BYTES..start, &self.dynamic, what)?;
        self.check_zone(end..WINDOW_BYTES, &self.dynamic, what)
    }

    fn check_zone(
        &self,
        zone: Range<usize>,
        array: &Range<usize>,
        what: std::fmt::Arguments,
    ) -> Result<(), String> {
        match self.bytes(zone.clone()).iter().position(|&b| b != CANARY) {
            None => Ok(()),
            Some(at) => Err(format!(
                "{what} of {} bytes: written out of bounds, at offset {}",
                array.len(),
                (zone.start + at) as isize - array.start as isize
            )),
        }
    }

    /// What an address outside every mapping has to do with this window, if it is near.
    pub fn describe(&self, address: usize) -> Option<String> {
        let offset = address as isize - self.base as isize;
        let near = offset > -(WINDOW_BYTES as isize) && offset < 2 * WINDOW_BYTES as isize;
        near.then(|| {
            let from_dynamic = offset - self.dynamic.start as isize;
            let bytes = self.dynamic.len();
            format!("shared memory, at offset {from_dynamic} of {bytes} dynamic bytes")
        })
    }

    fn fill(&mut self, range: Range<usize>, with: u8) {
        assert!(range.end <= WINDOW_BYTES);
        // SAFETY: inside the window, which is mapped as long as `self` lives.
        unsafe { ptr::write_bytes((self.base + range.start) as *mut u8, with, range.len()) }
    }

    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= WINDOW_BYTES);
        let to = (self.base + offset) as *mut u8;
        // SAFETY: inside the window, and `bytes` is elsewhere.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
    }

    /// The eight bytes at `offset`.
    pub fn word(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(
            self.bytes(offset..offset + 8)
                .try_into()
                .expect("eight bytes"),
        )
    }

    pub fn set_word(&mut self, offset: usize, word: u64) {
        self.write(offset, &word.to_ne_bytes());
    }

    #[inline]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        assert!(range.end <= WINDOW_BYTES);
        // SAFETY: inside the window, and no fiber runs while the slice is looked at.
        unsafe { slice::from_raw_parts((self.base + range.start) as *const u8, range.len()) }
    }
}
