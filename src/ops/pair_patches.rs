//! `pair_patches`: of nine patches of an image, each of the eight around the centre beside the centre: where
//! is it? (Doersch et al. 2015, arXiv 1505.05192.)
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{PairPatchesBackward, PairPatchesForward},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// Of x (9 n, c), rows 9 i + p patch p of image i in reading order, y (8 n, 2 c): row 8 i + j is the centre
/// (p = 4) and behind it its neighbour j: p = 0, 1, 2, 3, 5, 6, 7, 8.
pub fn pair_patches(tape: &mut Tape, x: &Var) -> Result<Var> {
    let y = forward(&x.value)?;
    Ok(tape.record("pair_patches", [x], y, |dy, _| Ok([Some(backward(&dy)?)])))
}

pub fn forward(x: &Tensor) -> Result<Tensor> {
    let [rows, c] = x.dims_of();
    assert_eq!(
        rows % 9,
        0,
        "pair_patches: nine patches an image, not {rows} rows"
    );
    let images = rows / 9;
    let y = Tensor::uninit(x.device(), Element::Real, [8 * images, 2 * c])?;
    x.device().launch(PairPatchesForward {
        x: x.ptr(),
        y: y.ptr(),
        images: images as u32,
        c: c as u32,
    })?;
    Ok(y)
}

/// dx (9 n, c): a neighbour's is its half of one row of dy (8 n, 2 c), the centre's the sum of eight halves.
pub fn backward(dy: &Tensor) -> Result<Tensor> {
    let [rows, columns] = dy.dims_of();
    let (images, c) = (rows / 8, columns / 2);
    let dx = Tensor::uninit(dy.device(), Element::Real, [9 * images, c])?;
    dy.device().launch(PairPatchesBackward {
        dy: dy.ptr(),
        dx: dx.ptr(),
        images: images as u32,
        c: c as u32,
    })?;
    Ok(dx)
}

const CENTRE: usize = 4;

/// Which patch is neighbour j of the centre.
fn neighbour(j: usize) -> usize {
    if j < CENTRE { j } else { j + 1 }
}

impl Kernel for PairPatchesForward {
    fn grid(&self, _: Arch) -> Grid {
        Grid::elements(self.images as u64 * self.c.div_ceil(8) as u64)
    }
    fn bytes(&self, real: Real) -> u64 {
        25 * self.images as u64 * self.c as u64 * real.bytes()
    }
    fn on_cpu(&self, memory: &Host) {
        let (images, c) = (self.images as usize, self.c as usize);
        let x = memory.read::<f32>(self.x, 9 * images * c);
        let y = memory.write::<f32>(self.y, 16 * images * c);
        let images = y
            .par_chunks_exact_mut(16 * c)
            .zip(x.par_chunks_exact(9 * c));
        images.for_each(|(y, x)| {
            for (j, y) in y.chunks_exact_mut(2 * c).enumerate() {
                y[..c].copy_from_slice(&x[CENTRE * c..][..c]);
                y[c..].copy_from_slice(&x[neighbour(j) * c..][..c]);
            }
        });
    }
}

impl Kernel for PairPatchesBackward {
    fn grid(&self, _: Arch) -> Grid {
        Grid::elements(self.images as u64 * self.c.div_ceil(8) as u64)
    }
    fn bytes(&self, real: Real) -> u64 {
        25 * self.images as u64 * self.c as u64 * real.bytes()
    }
    fn on_cpu(&self, memory: &Host) {
        let (images, c) = (self.images as usize, self.c as usize);
        let dy = memory.read::<f32>(self.dy, 16 * images * c);
        let dx = memory.write::<f32>(self.dx, 9 * images * c);
        let images = dx
            .par_chunks_exact_mut(9 * c)
            .zip(dy.par_chunks_exact(16 * c));
        images.for_each(|(dx, dy)| {
            dx[CENTRE * c..][..c].fill(0.0);
            for (j, dy) in dy.chunks_exact(2 * c).enumerate() {
                dx[neighbour(j) * c..][..c].copy_from_slice(&dy[c..]);
                let centre = &mut dx[CENTRE * c..][..c];
                centre.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
            }
        });
    }
}
