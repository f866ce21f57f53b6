//! `batch_norm_add_relu`: y = max(batch_norm(x) + residual, 0): the end of a residual block.
use super::batch_norm::{Affine, Mode, Norm, Running, chunks_grid, elements_grid, rows};
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{BatchNormAddReluForward, BatchNormAddReluSums},
    },
};
use rayon::prelude::*;

/// `relu` of `batch_norm` of x plus `residual`, of the shape of x.
pub fn batch_norm_add_relu(
    tape: &mut Tape,
    x: &Var,
    gamma: &Var,
    beta: &Var,
    residual: &Var,
    running: &Running,
    mode: Mode,
) -> Result<Var> {
    let inputs = [&x.value, &gamma.value, &beta.value, &residual.value];
    let (y, norm) = forward(inputs, running, mode)?;
    Ok(tape.record(
        "batch_norm_add_relu",
        [x, gamma, beta, residual],
        y.clone(),
        move |dy, [need_x, ..]| backward(&norm, &y, &dy, need_x),
    ))
}

/// y, and what backward needs beside it. In `Mode::Train` this updates `running` in place.
pub fn forward(
    [x, gamma, beta, residual]: [&Tensor; 4],
    running: &Running,
    mode: Mode,
) -> Result<(Tensor, Norm)> {
    assert_eq!(x.shape(), residual.shape(), "batch_norm_add_relu: residual");
    let norm = Norm::new(x, gamma, beta, running, mode)?;
    let y = norm.like_x()?;
    x.device().launch(BatchNormAddReluForward {
        x: x.ptr(),
        residual: residual.ptr(),
        statistics: norm.statistics.ptr(),
        gamma: gamma.ptr(),
        beta: beta.ptr(),
        y: y.ptr(),
        rows: norm.rows(),
        channels: norm.channels(),
    })?;
    Ok((y, norm))
}

/// dx (where needed), dgamma, dbeta, dresidual.
pub fn backward(norm: &Norm, y: &Tensor, dy: &Tensor, need_x: bool) -> Result<[Option<Tensor>; 4]> {
    let (partial, dresidual) = (norm.partial()?, norm.like_x()?);
    norm.x.device().launch(BatchNormAddReluSums {
        x: norm.x.ptr(),
        y: y.ptr(),
        dy: dy.ptr(),
        statistics: norm.statistics.ptr(),
        dresidual: dresidual.ptr(),
        partial: partial.ptr(),
        rows: norm.rows(),
        channels: norm.channels(),
        chunk_rows: norm.chunk_rows(),
    })?;
    let [dgamma, dbeta] = norm.combine_sums(&partial)?;
    let dx = need_x.then(|| norm.backward_x(&dresidual, &dgamma, &dbeta));
    Ok([dx.transpose()?, Some(dgamma), Some(dbeta), Some(dresidual)])
}

impl Kernel for BatchNormAddReluForward {
    fn grid(&self, arch: Arch) -> Grid {
        elements_grid(self.rows, self.channels, arch)
    }
    fn bytes(&self, real: Real) -> u64 {
        3 * real.bytes() * self.rows as u64 * self.channels as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let channels = self.channels as usize;
        let n = self.rows as usize * channels;
        let (x, residual, y) = (
            memory.read(self.x, n),
            memory.read(self.residual, n),
            memory.write(self.y, n),
        );
        let affine = Affine::new(memory, self.statistics, self.gamma, channels);
        let beta = memory.read(self.beta, channels);
        let parameters = [affine.mean, &affine.scale, beta];
        rows::map(
            y,
            [x, residual],
            parameters,
            |[x, residual], [mean, scale, shift]| ((x - mean) * scale + shift + residual).max(0.0),
        );
    }
}

impl Kernel for BatchNormAddReluSums {
    fn grid(&self, _: Arch) -> Grid {
        chunks_grid(self.rows, self.channels, self.chunk_rows)
    }
    fn bytes(&self, real: Real) -> u64 {
        4 * real.bytes() * self.rows as u64 * self.channels as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let channels = self.channels as usize;
        let n = self.rows as usize * channels;
        let chunks = self.rows.div_ceil(self.chunk_rows) as usize;
        let (x, y, dy) = (
            memory.read::<f32>(self.x, n),
            memory.read::<f32>(self.y, n),
            memory.read::<f32>(self.dy, n),
        );
        let mean = memory.read::<f32>(self.statistics, channels);
        let dresidual = memory.write::<f32>(self.dresidual, n);
        let partial = memory.write::<f32>(self.partial, chunks * 2 * channels);
        let chunk = self.chunk_rows as usize * channels;
        let inputs = (
            x.par_chunks(chunk),
            y.par_chunks(chunk),
            dy.par_chunks(chunk),
        );
        let outputs = (
            dresidual.par_chunks_mut(chunk),
            partial.par_chunks_mut(2 * channels),
        );
        let chunks = inputs.into_par_iter().zip(outputs.into_par_iter());
        chunks.for_each(|((x, y, dy), (dresidual, partial))| {
            for ((dresidual, y), dy) in dresidual.iter_mut().zip(y).zip(dy) {
                *dresidual = if *y > 0.0 { *dy } else { 0.0 };
            }
            rows::sum(partial, [x, dresidual], [mean], |[x, dy], [mean]| {
                [dy, dy * (x - mean)]
            });
        });
    }
}
