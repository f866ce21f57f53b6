//! `ring_push`: rows into a ring of rows, the oldest of which they replace: MoCo's queue (He et al. 2020,
//! section 3.1), a memory bank. Not recorded.
use crate::{
    Result, Tensor,
    device::{
        Arch, Device, Grid, Host, Kernel, Real,
        kernels::{RingPush, RingPushPointer},
    },
    random::{Draws, Purpose},
    tensor::Element,
};
use rayon::prelude::*;

/// Writes `rows` (n, d) to the rows of `ring` (count, d) from `pointer` on, around the end of it, and moves
/// `pointer`, u32 (1), below count, behind the last of them. n <= count need not divide count.
pub fn ring_push(ring: &Tensor, rows: &Tensor, pointer: &Tensor) -> Result<()> {
    let ([count, d], [n, width]) = (ring.dims_of(), rows.dims_of());
    assert_eq!(d, width, "ring_push: {rows:?} into {ring:?}");
    assert!(n <= count, "ring_push: {rows:?} into {ring:?}");
    assert_eq!(
        [ring.element(), rows.element()],
        [Element::Real; 2],
        "ring_push"
    );
    let found = (pointer.len(), pointer.element());
    assert_eq!(found, (1, Element::U32), "ring_push: the pointer");
    let (device, count, n) = (ring.device(), count as u32, n as u32);
    device.launch(RingPush {
        rows: rows.ptr(),
        pointer: pointer.ptr(),
        ring: ring.ptr(),
        count,
        n,
        d: d as u32,
    })?;
    device.launch(RingPushPointer {
        pointer: pointer.ptr(),
        count,
        n,
    })
}

/// A ring before the first push: `count` directions in d dimensions, all equally likely, as normalised rows
/// of normal numbers are.
pub fn ring_first(device: &Device, count: usize, d: usize, seed: u64) -> Result<Tensor> {
    let mut values = vec![0.0; count * d];
    let drawn = if device.runs() {
        &mut values[..]
    } else {
        &mut []
    };
    drawn.par_chunks_mut(d).enumerate().for_each(|(row, y)| {
        let mut draws = Draws::new(seed, Purpose::Ring, 0, row as u32, 0);
        y.fill_with(|| draws.normal());
        let norm = y.iter().map(|y| y * y).sum::<f32>().sqrt().max(1e-12);
        y.iter_mut().for_each(|y| *y /= norm);
    });
    Tensor::from_slice(device, [count, d], &values)
}

const PACK: u32 = 8; // elements a thread moves together

impl Kernel for RingPush {
    fn grid(&self, _: Arch) -> Grid {
        let threads = self.n as u64 * self.d.div_ceil(PACK) as u64;
        Grid::blocks([threads.div_ceil(256) as u32, 1, 1], [256, 1, 1])
    }
    fn bytes(&self, real: Real) -> u64 {
        2 * self.n as u64 * self.d as u64 * real.bytes() + 4
    }
    fn on_cpu(&self, memory: &Host) {
        let (count, n, d) = (self.count as usize, self.n as usize, self.d as usize);
        let rows = memory.read::<f32>(self.rows, n * d);
        let first = memory.read::<u32>(self.pointer, 1)[0] as usize;
        let ring = memory.write::<f32>(self.ring, count * d);
        for (i, row) in rows.chunks_exact(d).enumerate() {
            ring[(first + i) % count * d..][..d].copy_from_slice(row);
        }
    }
}

impl Kernel for RingPushPointer {
    fn grid(&self, _: Arch) -> Grid {
        Grid::blocks([1, 1, 1], [32, 1, 1])
    }
    fn bytes(&self, _: Real) -> u64 {
        8
    }
    fn on_cpu(&self, memory: &Host) {
        let pointer = memory.write::<u32>(self.pointer, 1);
        pointer[0] = ((pointer[0] as u64 + self.n as u64) % self.count as u64) as u32;
    }
}
