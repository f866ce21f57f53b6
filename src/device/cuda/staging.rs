//! Uploads that nobody waits for. The host copies the bytes into pinned memory and goes on; the copy
//! engine fetches them from there.
//!
//! A few go straight to their place, in the stream of the kernels. Many (a batch of images) would hold
//! that stream up for milliseconds: they cross to the device in a stream of their own, while the step
//! before is still being computed, and are moved to their place in the kernels' stream, at the speed of
//! the device's own memory.
use crate::device::Ptr;
use cudarc::driver::{result, result::DriverError, sys};

/// Uploads of up to this many bytes go straight to their place.
const SMALL_BYTES: usize = 64 << 10;
/// A step makes about four of those: the host may be four steps ahead.
const SMALL_SLOTS: usize = 16;
/// Larger uploads are cut into pieces of this size. Two pieces are on their way at once: 512 images of 224
/// pixels a side, or 128 MiB of the host's memory and of the device's at most.
const PIECE_BYTES: usize = 64 << 20;
const LARGE_SLOTS: usize = 2;

pub(super) struct Staging {
    copies: sys::CUstream,
    small: Ring<SMALL_SLOTS>,
    large: Ring<LARGE_SLOTS>,
}

/// Slots, used in turn.
struct Ring<const N: usize> {
    slots: [Slot; N],
    next: usize,
}

struct Slot {
    /// Pinned.
    host: *mut u8,
    /// As many bytes on the device; 0 in a small slot.
    device: sys::CUdeviceptr,
    bytes: usize,
    /// `host` has been read.
    read: sys::CUevent,
    /// `device` has been moved to its place.
    moved: sys::CUevent,
}

impl Staging {
    /// In the current context, as every other call.
    pub fn new() -> Result<Staging, DriverError> {
        Ok(Staging {
            copies: result::stream::create(result::stream::StreamKind::NonBlocking)?,
            small: Ring::new()?,
            large: Ring::new()?,
        })
    }

    /// Writes `from` to `to` after all that `kernels` was given before; `from` is read before this returns.
    pub fn upload(
        &mut self,
        to: Ptr,
        from: &[u8],
        kernels: sys::CUstream,
    ) -> Result<(), DriverError> {
        if from.len() <= SMALL_BYTES {
            return self.small.take().put_straight(to, from, kernels);
        }
        for (number, piece) in from.chunks(PIECE_BYTES).enumerate() {
            let to = to.offset(number * PIECE_BYTES);
            self.large.take().put(to, piece, self.copies, kernels)?;
        }
        Ok(())
    }

    /// Once, when no stream has anything left to do with it.
    pub fn destroy(&mut self) {
        // SAFETY: made by `new`. Nothing can be done about a failure.
        let _ = unsafe { result::stream::synchronize(self.copies) };
        let _ = unsafe { result::stream::destroy(self.copies) };
        let slots = self.small.slots.iter_mut().chain(&mut self.large.slots);
        slots.for_each(Slot::destroy);
    }
}

impl<const N: usize> Ring<N> {
    fn new() -> Result<Ring<N>, DriverError> {
        let slots: Result<Vec<Slot>, DriverError> = (0..N).map(|_| Slot::new()).collect();
        let Ok(slots) = slots?.try_into() else {
            unreachable!("N slots were made")
        };
        Ok(Ring { slots, next: 0 })
    }

    fn take(&mut self) -> &mut Slot {
        let slot = self.next;
        self.next = (slot + 1) % N;
        &mut self.slots[slot]
    }
}

impl Slot {
    fn new() -> Result<Slot, DriverError> {
        let event = || result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING);
        Ok(Slot {
            host: std::ptr::null_mut(),
            device: 0,
            bytes: 0,
            read: event()?,
            moved: event()?,
        })
    }

    fn put_straight(
        &mut self,
        to: Ptr,
        from: &[u8],
        kernels: sys::CUstream,
    ) -> Result<(), DriverError> {
        if self.host.is_null() {
            // SAFETY: plain pinned memory, freed in `destroy`.
            self.host = unsafe { result::malloc_host(SMALL_BYTES, 0) }?.cast();
            self.bytes = SMALL_BYTES;
        }
        let staged = self.stage(from)?;
        // SAFETY: callers write inside one buffer; `host` is not written before `read` has come.
        unsafe {
            result::memcpy_htod_async(to.0, staged, kernels)?;
            result::event::record(self.read, kernels)
        }
    }

    fn put(
        &mut self,
        to: Ptr,
        from: &[u8],
        copies: sys::CUstream,
        kernels: sys::CUstream,
    ) -> Result<(), DriverError> {
        self.grow(from.len())?;
        let always = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        let (device, read, moved) = (self.device, self.read, self.moved);
        let staged = self.stage(from)?;
        // SAFETY: callers write inside one buffer; `host` is not written before `read` has come, nor
        // `device` before `moved`.
        unsafe {
            result::stream::wait_event(copies, moved, always)?;
            result::memcpy_htod_async(device, staged, copies)?;
            result::event::record(read, copies)?;
            result::stream::wait_event(kernels, read, always)?;
            result::memcpy_dtod_async(to.0, device, from.len(), kernels)?;
            result::event::record(moved, kernels)
        }
    }

    /// `from` in this slot's pinned memory, once what was there has been read.
    fn stage(&mut self, from: &[u8]) -> Result<&[u8], DriverError> {
        // SAFETY: `read` is ours; one never recorded has come. `host` holds `bytes` bytes, and the copy
        // engine no longer reads them.
        let staged = unsafe {
            result::event::synchronize(self.read)?;
            std::slice::from_raw_parts_mut(self.host, self.bytes)
        };
        staged[..from.len()].copy_from_slice(from);
        Ok(&staged[..from.len()])
    }

    fn grow(&mut self, bytes: usize) -> Result<(), DriverError> {
        if self.bytes >= bytes {
            return Ok(());
        }
        // SAFETY: what was moved to its place was read before, so neither block is in use.
        unsafe {
            result::event::synchronize(self.moved)?;
            self.free();
            self.host = result::malloc_host(bytes, 0)?.cast();
            self.device = result::malloc_sync(bytes)?;
        }
        self.bytes = bytes;
        Ok(())
    }

    /// # Safety
    /// Nothing reads or writes either block.
    unsafe fn free(&mut self) {
        self.bytes = 0;
        let (host, device) = (self.host, self.device);
        (self.host, self.device) = (std::ptr::null_mut(), 0);
        if !host.is_null() {
            // SAFETY: allocated by this slot. Nothing can be done about a failure.
            let _ = unsafe { result::free_host(host.cast()) };
        }
        if device != 0 {
            // SAFETY: as above.
            let _ = unsafe { result::free_sync(device) };
        }
    }

    fn destroy(&mut self) {
        // SAFETY: both streams have come to their end.
        unsafe {
            self.free();
            let _ = result::event::destroy(self.read);
            let _ = result::event::destroy(self.moved);
        }
    }
}
