//! `normalize_rows`: every row divided by its length, in place: SwAV's prototypes, which are unit vectors
//! whenever scores are taken with them (arXiv 2006.09882, §3.1). Not recorded.
use crate::{
    Result, Tensor,
    device::{Arch, Grid, Host, Kernel, Ptr, Real, kernels::NormalizeRows},
    tensor::Element,
};
use rayon::prelude::*;

/// `values` (rows, cols) f32, each row over its length (1e-12 at least); `reals`, the same values in the
/// device's real numbers where that is memory of its own, follows.
pub fn normalize_rows(values: &Tensor, reals: Option<&Tensor>) -> Result<()> {
    let [rows, cols] = values.dims_of();
    assert_eq!(values.element(), Element::F32, "normalize_rows: values");
    if let Some(reals) = reals {
        let found = (reals.dims(), reals.element());
        assert_eq!(
            found,
            (values.dims(), Element::Real),
            "normalize_rows: reals"
        );
    }
    values.device().launch(NormalizeRows {
        values: values.ptr(),
        reals: reals.map_or(Ptr::NULL, Tensor::ptr),
        rows: rows as u32,
        cols: cols as u32,
    })
}

impl Kernel for NormalizeRows {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.cols)
    }
    fn bytes(&self, real: Real) -> u64 {
        let reals = if self.reals.is_null() {
            0
        } else {
            real.bytes()
        };
        self.rows as u64 * self.cols as u64 * (8 + reals)
    }
    fn on_cpu(&self, memory: &Host) {
        let (n, cols) = (self.rows as usize * self.cols as usize, self.cols as usize);
        let values = memory.write::<f32>(self.values, n);
        values.par_chunks_mut(cols).for_each(|row| {
            let inv_norm = 1.0 / row.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12);
            row.iter_mut().for_each(|v| *v *= inv_norm);
        });
        let copied = if self.reals.is_null() { 0 } else { n };
        let reals = memory.write::<f32>(self.reals, copied);
        reals.copy_from_slice(&values[..copied]);
    }
}
