//! `draw_negatives`: which rows of a memory bank stand against each row of a batch, from (seed, step, row).
//! Drawn once a step and kept, four bytes to a bank's row of 512: every loss of the step, and its backward,
//! meets the same negatives. Not recorded.
use crate::{
    Result, Tensor,
    device::{Arch, Grid, Host, Kernel, Real, kernels::DrawNegatives},
    random::{Draws, Purpose},
    tensor::Element,
};
use rayon::prelude::*;

/// (rows, count) u32, each uniform in 0..images, with replacement; `step` (1) u32.
pub fn draw_negatives(
    seed: u64,
    step: &Tensor,
    [rows, count]: [usize; 2],
    images: usize,
) -> Result<Tensor> {
    let found = (step.len(), step.element());
    assert_eq!(found, (1, Element::U32), "draw_negatives: step");
    assert!(
        count > 0 && images > 0,
        "draw_negatives: {count} of {images} images"
    );
    let negatives = Tensor::uninit(step.device(), Element::U32, [rows, count])?;
    step.device().launch(DrawNegatives {
        step: step.ptr(),
        negatives: negatives.ptr(),
        seed,
        rows: rows as u32,
        count: count as u32,
        images: images as u32,
    })?;
    Ok(negatives)
}

impl Kernel for DrawNegatives {
    fn grid(&self, _: Arch) -> Grid {
        Grid::elements(self.rows as u64 * self.count.div_ceil(4) as u64)
    }
    fn bytes(&self, _: Real) -> u64 {
        4 * self.rows as u64 * self.count as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, count) = (self.rows as usize, self.count as usize);
        let step = memory.read::<u32>(self.step, 1)[0];
        let negatives = memory.write::<u32>(self.negatives, rows * count);
        let rows = negatives.par_chunks_exact_mut(count).enumerate();
        rows.for_each(|(row, negatives)| {
            let mut draws = Draws::new(self.seed, Purpose::Negatives, step, row as u32, 0);
            negatives.fill_with(|| draws.below(self.images));
        });
    }
}
