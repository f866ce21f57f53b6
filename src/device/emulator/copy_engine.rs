//! The copy engine: tiles of tensors between device and shared memory, on its own time. A load tells an
//! mbarrier when it is complete; a store is waited for by the thread that committed it (`bulk`).
use super::{
    counts::Counter,
    flight::Operation,
    hooks::Site,
    moment::{Actor, Known},
    tensor_map::{CHUNK_BYTES, Coordinates, Descriptor, swizzled},
    worker::{self, Worker},
};
use crate::device::Encoded;
use std::{ptr, slice};

/// One instruction of a kernel: `EmulatedTransfer` of kernels/emulated_hopper.cuh.
#[repr(C)]
struct Transfer {
    map: *const Encoded,
    shared: usize,
    /// Of a load; zero for a store.
    barrier: usize,
    rank: u32,
    is_im2col: u32,
    at: [i32; 5],
    offsets: [u16; 3],
}

/// What is to be copied, and by whose order.
struct Order {
    descriptor: Descriptor,
    coordinates: Coordinates,
    /// Offset of the tile in shared memory.
    tile: usize,
    issuer: u32,
    site: Site,
    unit: Actor,
    /// What the issuer knew.
    known: Known,
}

pub(super) struct Load {
    order: Order,
    pub barrier: usize,
}
pub(super) struct Store {
    order: Order,
    number: u64,
}
/// A store that has read its tile.
pub(super) struct Write {
    store: Store,
    tile: Vec<u8>,
}

impl Order {
    fn places(&self) -> [(usize, usize); 1] {
        [(self.tile, self.descriptor.bytes())]
    }

    fn blame(&self, why: String) -> (u32, String) {
        (self.issuer, why)
    }

    /// What goes through device memory: of each row, what is inside the tensor.
    fn count(&self, counter: &mut Counter, writes: bool) {
        let (descriptor, first) = (&self.descriptor, self.coordinates.at[0].into());
        let size = descriptor.element_bytes();
        for row in descriptor.rows(&self.coordinates).into_iter().flatten() {
            let inside = descriptor.inside(first, descriptor.row_bytes() / size);
            let mut indices = inside.into_iter().map(|(_, index)| index);
            if let Some(first) = indices.next() {
                let last = indices.last().unwrap_or(first);
                counter.bulk(row + first * size, (last + 1 - first) * size, writes);
            }
        }
    }
}

impl Load {
    pub fn bytes(&self) -> usize {
        self.order.descriptor.bytes()
    }

    pub fn complete(self, worker: &mut Worker) -> Result<(), (u32, String)> {
        let blame = |why| self.order.blame(why);
        let Order {
            unit, known, site, ..
        } = &self.order;
        let barrier = worker.mbarrier_offset(self.barrier).map_err(blame)?;
        let at = (*site).into();
        let checked = worker.check_unit(*unit, known, [(barrier, 8)], false, at);
        checked.map_err(blame)?;
        let moment = worker.check_unit(*unit, known, self.order.places(), true, at);
        let moment = moment.map_err(blame)?;
        self.copy(worker);
        self.order.count(&mut worker.counter, false);
        let mut known = known.clone();
        known.learn_of(moment);
        worker.block.clocks.release_known(&known, self.barrier);
        worker
            .complete_bytes(&self)
            .map_err(|why| blame(format!("{why}, at {site}")))
    }

    fn copy(&self, worker: &mut Worker) {
        let Order {
            descriptor,
            coordinates,
            tile,
            ..
        } = &self.order;
        let (row_bytes, size) = (descriptor.row_bytes(), descriptor.element_bytes());
        let elements = CHUNK_BYTES / size;
        for (r, row) in descriptor.rows(coordinates).into_iter().enumerate() {
            for c in 0..row_bytes / CHUNK_BYTES {
                let mut chunk = [0; CHUNK_BYTES];
                let first = coordinates.at[0] as i64 + (c * elements) as i64;
                for (i, index) in descriptor.inside(first, elements) {
                    if let Some(row) = row {
                        let element = &mut chunk[i * size..(i + 1) * size];
                        // SAFETY: an element inside the tensor, which the driver found in one allocation.
                        let from = unsafe {
                            slice::from_raw_parts((row + index * size) as *const u8, size)
                        };
                        element.copy_from_slice(from);
                    }
                }
                let at = swizzled(
                    tile + r * row_bytes + c * CHUNK_BYTES,
                    descriptor.swizzle_bytes(),
                );
                worker.shared.write(at, &chunk);
            }
        }
    }
}

impl Store {
    /// Reads the tile, which may be written anew from then on.
    pub fn complete(self, worker: &mut Worker) -> Result<(), (u32, String)> {
        let Order {
            unit,
            known,
            site,
            tile,
            descriptor,
            issuer,
            ..
        } = &self.order;
        let moment = worker.check_unit(*unit, known, self.order.places(), false, (*site).into());
        let moment = moment.map_err(|why| self.order.blame(why))?;
        let bytes = (0..descriptor.bytes()).step_by(CHUNK_BYTES).flat_map(|at| {
            let at = swizzled(tile + at, descriptor.swizzle_bytes());
            worker.shared.bytes(at..at + CHUNK_BYTES).to_vec()
        });
        let tile = bytes.collect();
        worker.block.store_has_read(*issuer, self.number, moment);
        worker
            .block
            .issue(Operation::Write(Box::new(Write { store: self, tile })));
        Ok(())
    }
}

impl Write {
    pub fn complete(self, worker: &mut Worker) -> Result<(), (u32, String)> {
        let Order {
            descriptor,
            coordinates,
            issuer,
            ..
        } = &self.store.order;
        let (row_bytes, size) = (descriptor.row_bytes(), descriptor.element_bytes());
        let rows = descriptor.rows(coordinates);
        for (row, bytes) in rows.into_iter().zip(self.tile.chunks(row_bytes)) {
            let Some(row) = row else { continue };
            for (i, index) in descriptor.inside(coordinates.at[0].into(), row_bytes / size) {
                let element = &bytes[i * size..(i + 1) * size];
                // SAFETY: as in `Load::copy`.
                unsafe {
                    ptr::copy_nonoverlapping(
                        element.as_ptr(),
                        (row + index * size) as *mut u8,
                        size,
                    )
                };
            }
        }
        self.store.order.count(&mut worker.counter, true);
        worker.block.store_has_written(*issuer, self.store.number);
        Ok(())
    }
}

impl Worker {
    fn order(&mut self, transfer: &Transfer, site: Site) -> Result<Order, String> {
        // SAFETY: a kernel's tensor map: 128 bytes of its parameters.
        let descriptor = Descriptor::decode(unsafe { transfer.map.read_unaligned() });
        let descriptor = descriptor.ok_or("what is given as a tensor map is none")?;
        let (rank, is_im2col) = (transfer.rank as usize, transfer.is_im2col != 0);
        if (descriptor.rank(), descriptor.is_im2col()) != (rank, is_im2col) {
            let kind = |is_im2col| if is_im2col { "im2col" } else { "tiled" };
            return Err(format!(
                "an instruction of {rank} dimensions ({}), a tensor map of {} ({})",
                kind(is_im2col),
                descriptor.rank(),
                kind(descriptor.is_im2col())
            ));
        }
        let coordinates = Coordinates {
            at: transfer.at,
            offsets: transfer.offsets,
        };
        descriptor.check(&coordinates)?;
        let (bytes, alignment) = (descriptor.bytes(), descriptor.alignment());
        let tile = self
            .shared
            .offset(transfer.shared)
            .ok_or("the tile is not in shared memory")?;
        let place = self.shared.place(tile);
        if tile % alignment != 0 {
            return Err(format!(
                "{place}: the tile is not aligned to {alignment} bytes"
            ));
        }
        if !self.shared.contains(tile, bytes) {
            return Err(format!("{place}: a tile of {bytes} bytes is out of bounds"));
        }
        let (issuer, number) = (self.block.current, self.block.count_copy());
        let unit = match transfer.barrier {
            0 => Actor::store(number),
            _ => Actor::load(number),
        };
        Ok(Order {
            descriptor,
            coordinates,
            tile,
            issuer,
            site,
            unit,
            known: self.block.clocks.known(issuer),
        })
    }

    fn load(&mut self, transfer: &Transfer, site: Site) -> Result<(), String> {
        let order = self.order(transfer, site)?;
        self.mbarrier_offset(transfer.barrier)?;
        let barrier = transfer.barrier;
        self.block
            .issue(Operation::Load(Box::new(Load { order, barrier })));
        Ok(())
    }

    fn store(&mut self, transfer: &Transfer, site: Site) -> Result<(), String> {
        if transfer.is_im2col != 0 {
            return Err("a store is tiled".into());
        }
        let order = self.order(transfer, site)?;
        let number = self.block.open_store(site);
        self.block
            .issue(Operation::Store(Box::new(Store { order, number })));
        Ok(())
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_tensor_load(transfer: *const Transfer, site: Site) {
    let worker = worker::current();
    // SAFETY: called by a kernel, on a fiber of the current worker, with what is on the fiber's stack.
    unsafe {
        match (*worker).load(&*transfer, site) {
            Ok(()) => worker::may_give_way(worker),
            Err(why) => worker::fail(worker, format!("tensor_load: {why}, at {site}")),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_tensor_store(transfer: *const Transfer, site: Site) {
    let worker = worker::current();
    // SAFETY: as above.
    unsafe {
        match (*worker).store(&*transfer, site) {
            Ok(()) => worker::may_give_way(worker),
            Err(why) => worker::fail(worker, format!("tensor_store: {why}, at {site}")),
        }
    }
}
