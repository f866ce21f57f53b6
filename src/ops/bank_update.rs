//! `bank_update`: rows of a memory bank move towards what their images look like now. Not recorded.
use crate::{
    Result, Tensor,
    device::{Arch, Device, Grid, Host, Kernel, Real, kernels::BankUpdate},
    random::{Draws, Purpose},
    tensor::Element,
};
use rayon::prelude::*;

/// The bank (images, d) f32 before it has seen anything: each row uniform in (-a, a), a = 1 / sqrt(d / 3),
/// and then made of length 1.
pub fn bank_first(device: &Device, images: usize, d: usize, seed: u64) -> Result<Tensor> {
    let a = 1.0 / (d as f32 / 3.0).sqrt();
    let mut rows = vec![0.0f32; images * d];
    let drawn = if device.runs() {
        &mut rows[..]
    } else {
        &mut []
    };
    let each = drawn.par_chunks_exact_mut(d).enumerate();
    each.for_each(|(image, row)| {
        let mut draws = Draws::new(seed, Purpose::Bank, 0, image as u32, 0);
        row.fill_with(|| draws.uniform(-a, a));
        let inv_norm = 1.0 / length(row);
        row.iter_mut().for_each(|m| *m *= inv_norm);
    });
    Tensor::from_f32(device, [images, d], &rows)
}

/// m[ids[i]] = norm(momentum m[ids[i]] + (1 - momentum) norm(v[i])) in place, m = `bank` (images, d) f32, v
/// (n, d) real, ids (n) u32. Where an id is there more than once, its last row is taken.
pub fn bank_update(bank: &Tensor, v: &Tensor, ids: &Tensor, momentum: f32) -> Result<()> {
    let ([images, d], [rows, columns]) = (bank.dims_of(), v.dims_of());
    let elements = [bank, v, ids].map(Tensor::element);
    let expected = [Element::F32, Element::Real, Element::U32];
    assert_eq!(elements, expected, "bank_update: bank, v and ids");
    assert_eq!((columns, ids.dims()), (d, &[rows][..]), "bank_update");
    bank.device().launch(BankUpdate {
        v: v.ptr(),
        ids: ids.ptr(),
        bank: bank.ptr(),
        rows: rows as u32,
        images: images as u32,
        d: d as u32,
        momentum,
    })
}

fn length(x: &[f32]) -> f32 {
    x.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12)
}

impl Kernel for BankUpdate {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.d)
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * (self.d as u64 * (real.bytes() + 8) + 4)
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, d) = (self.rows as usize, self.d as usize);
        let v = memory.read::<f32>(self.v, rows * d);
        let ids = memory.read::<u32>(self.ids, rows);
        let bank = memory.write::<f32>(self.bank, self.images as usize * d);
        for (row, (v, id)) in v.chunks_exact(d).zip(ids).enumerate() {
            if ids[row + 1..].contains(id) {
                continue;
            }
            let m = &mut bank[*id as usize * d..][..d];
            let share = (1.0 - self.momentum) / length(v);
            for (m, v) in m.iter_mut().zip(v) {
                *m = self.momentum * *m + share * v;
            }
            let inv_norm = 1.0 / length(m);
            m.iter_mut().for_each(|m| *m *= inv_norm);
        }
    }
}
