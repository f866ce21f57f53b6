//! `cosine_distance`: the mean over rows of 1 - cos(a, b).
use super::cross_entropy::mean;
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Ptr, Real,
        kernels::{CosineDistanceBackward, CosineDistanceForward},
    },
    tensor::Element,
};

/// The loss, f32 (1), of a and b (rows, cols), of any length.
pub fn cosine_distance(tape: &mut Tape, a: &Var, b: &Var) -> Result<Var> {
    let (loss, terms) = forward(&a.value, &b.value)?;
    let values = [a.value.clone(), b.value.clone()];
    Ok(
        tape.record("cosine_distance", [a, b], loss, move |dy, needs| {
            backward(&values, &terms, &dy, needs)
        }),
    )
}

/// The loss (1), and of each row its cosine and the inverse lengths of a and b (rows, 3).
pub fn forward(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let [rows, cols] = a.dims_of();
    assert_eq!(b.dims(), [rows, cols], "cosine_distance: two shapes");
    let device = a.device();
    let terms = Tensor::uninit(device, Element::F32, [rows, 3])?;
    let losses = Tensor::uninit(device, Element::F32, [rows])?;
    device.launch(CosineDistanceForward {
        a: a.ptr(),
        b: b.ptr(),
        terms: terms.ptr(),
        losses: losses.ptr(),
        rows: rows as u32,
        cols: cols as u32,
    })?;
    Ok((mean(&losses)?, terms))
}

/// da = (a^ cos - b^) dy / (rows |a|), a^ and b^ of length 1, and db: those of `needs`.
pub fn backward(
    [a, b]: &[Tensor; 2],
    terms: &Tensor,
    dy: &Tensor,
    needs: [bool; 2],
) -> Result<[Option<Tensor>; 2]> {
    let [rows, cols] = a.dims_of();
    let gradient = |needed: bool| {
        needed
            .then(|| Tensor::uninit(a.device(), Element::Real, [rows, cols]))
            .transpose()
    };
    let (da, db) = (gradient(needs[0])?, gradient(needs[1])?);
    a.device().launch(CosineDistanceBackward {
        a: a.ptr(),
        b: b.ptr(),
        terms: terms.ptr(),
        dy: dy.ptr(),
        da: da.as_ref().map_or(Ptr::NULL, Tensor::ptr),
        db: db.as_ref().map_or(Ptr::NULL, Tensor::ptr),
        rows: rows as u32,
        cols: cols as u32,
    })?;
    Ok([da, db])
}

impl Kernel for CosineDistanceForward {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.cols)
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * (2 * self.cols as u64 * real.bytes() + 16)
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        let a = memory.read::<f32>(self.a, rows * cols).chunks_exact(cols);
        let b = memory.read::<f32>(self.b, rows * cols).chunks_exact(cols);
        let terms = memory.write::<f32>(self.terms, rows * 3);
        let losses = memory.write::<f32>(self.losses, rows);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let rows = terms.chunks_exact_mut(3).zip(losses).zip(a.zip(b));
        for ((terms, loss), (a, b)) in rows {
            let inverse = |x: &[f32]| 1.0 / dot(x, x).sqrt().max(1e-12);
            let (inv_a, inv_b) = (inverse(a), inverse(b));
            let cosine = dot(a, b) * inv_a * inv_b;
            terms.copy_from_slice(&[cosine, inv_a, inv_b]);
            *loss = 1.0 - cosine;
        }
    }
}

impl Kernel for CosineDistanceBackward {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.cols)
    }
    fn bytes(&self, real: Real) -> u64 {
        let wanted = (self.da != Ptr::NULL) as u64 + (self.db != Ptr::NULL) as u64;
        self.rows as u64 * ((2 + wanted) * self.cols as u64 * real.bytes() + 12)
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        let a = memory.read::<f32>(self.a, rows * cols);
        let b = memory.read::<f32>(self.b, rows * cols);
        let terms = memory.read::<f32>(self.terms, rows * 3);
        let scale = memory.read::<f32>(self.dy, 1)[0] / rows as f32;
        // d of x, whose inverse length is terms[of], beside y
        let write = |to: Ptr, x: &[f32], y: &[f32], of: usize| {
            if to == Ptr::NULL {
                return;
            }
            let d = memory.write::<f32>(to, rows * cols).chunks_exact_mut(cols);
            let pairs = x.chunks_exact(cols).zip(y.chunks_exact(cols));
            for ((d, (x, y)), terms) in d.zip(pairs).zip(terms.chunks_exact(3)) {
                let (inv_x, inv_y) = (terms[of], terms[3 - of]);
                for ((d, x), y) in d.iter_mut().zip(x).zip(y) {
                    *d = (x * inv_x * terms[0] - y * inv_y) * scale * inv_x;
                }
            }
        };
        write(self.da, a, b, 1);
        write(self.db, b, a, 2);
    }
}
