//! `batch_norm_relu`: y = max(batch_norm(x), 0), in one pass over x once its statistics are known.
use super::batch_norm::{Affine, Mode, Norm, Running, chunks_grid, elements_grid, rows};
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{BatchNormReluBackward, BatchNormReluForward, BatchNormReluSums},
    },
};

/// `relu` of `batch_norm`.
pub fn batch_norm_relu(
    tape: &mut Tape,
    x: &Var,
    gamma: &Var,
    beta: &Var,
    running: &Running,
    mode: Mode,
) -> Result<Var> {
    let (y, norm) = forward(&x.value, &gamma.value, &beta.value, running, mode)?;
    Ok(tape.record(
        "batch_norm_relu",
        [x, gamma, beta],
        y,
        move |dy, [need_x, _, _]| backward(&norm, &dy, need_x),
    ))
}

/// y, and what backward needs. In training this updates `running` in place.
pub fn forward(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    running: &Running,
    mode: Mode,
) -> Result<(Tensor, Norm)> {
    let norm = Norm::new(x, gamma, beta, running, mode)?;
    let y = norm.like_x()?;
    for group in norm.groups() {
        x.device().launch(BatchNormReluForward {
            x: group.norm.x.ptr(),
            statistics: group.norm.statistics.ptr(),
            gamma: gamma.ptr(),
            beta: beta.ptr(),
            y: group.of(&y).ptr(),
            rows: group.norm.rows(),
            channels: norm.channels(),
        })?;
    }
    Ok((y, norm))
}

/// dx (where needed), dgamma, dbeta.
pub fn backward(norm: &Norm, dy: &Tensor, need_x: bool) -> Result<[Option<Tensor>; 3]> {
    let dx = need_x.then(|| norm.like_x()).transpose()?;
    let [dgamma, dbeta] = norm.sum_over_groups(|group| {
        let sums = sums(&group.norm, &group.of(dy))?;
        if let Some(dx) = &dx {
            backward_x(&group.norm, &group.of(dy), &sums, &group.of(dx))?;
        }
        Ok(sums)
    })?;
    Ok([dx, Some(dgamma), Some(dbeta)])
}

/// dgamma, dbeta.
fn sums(norm: &Norm, dy: &Tensor) -> Result<[Tensor; 2]> {
    let partial = norm.partial(norm.rows())?;
    norm.x.device().launch(BatchNormReluSums {
        x: norm.x.ptr(),
        dy: dy.ptr(),
        statistics: norm.statistics.ptr(),
        gamma: norm.gamma.ptr(),
        beta: norm.beta.ptr(),
        partial: partial.chunks.ptr(),
        rows: norm.rows(),
        channels: norm.channels(),
        chunk_rows: partial.chunk_rows,
    })?;
    norm.combine_sums(&partial)
}

/// Writes dx.
fn backward_x(norm: &Norm, dy: &Tensor, [dgamma, dbeta]: &[Tensor; 2], dx: &Tensor) -> Result<()> {
    norm.x.device().launch(BatchNormReluBackward {
        x: norm.x.ptr(),
        dy: dy.ptr(),
        statistics: norm.statistics.ptr(),
        gamma: norm.gamma.ptr(),
        beta: norm.beta.ptr(),
        dgamma: dgamma.ptr(),
        dbeta: dbeta.ptr(),
        dx: dx.ptr(),
        rows: norm.rows(),
        channels: norm.channels(),
        inverse_rows: norm.inverse_rows,
    })
}

impl Kernel for BatchNormReluForward {
    fn grid(&self, arch: Arch) -> Grid {
        elements_grid(self.rows, self.channels, arch)
    }
    fn bytes(&self, real: Real) -> u64 {
        2 * real.bytes() * self.rows as u64 * self.channels as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let channels = self.channels as usize;
        let n = self.rows as usize * channels;
        let (x, y) = (memory.read(self.x, n), memory.write(self.y, n));
        let affine = Affine::new(memory, self.statistics, self.gamma, channels);
        let beta = memory.read(self.beta, channels);
        let parameters = [affine.mean, &affine.scale, beta];
        rows::map(y, [x, x], parameters, |[x, _], [mean, scale, shift]| {
            ((x - mean) * scale + shift).max(0.0)
        });
    }
}

impl Kernel for BatchNormReluSums {
    fn grid(&self, _: Arch) -> Grid {
        chunks_grid(self.rows, self.channels, self.chunk_rows)
    }
    fn bytes(&self, real: Real) -> u64 {
        2 * real.bytes() * self.rows as u64 * self.channels as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let channels = self.channels as usize;
        let n = self.rows as usize * channels;
        let chunks = self.rows.div_ceil(self.chunk_rows) as usize;
        let (x, dy) = (
            memory.read::<f32>(self.x, n),
            memory.read::<f32>(self.dy, n),
        );
        let affine = Affine::new(memory, self.statistics, self.gamma, channels);
        let parameters = [affine.mean, &affine.scale, memory.read(self.beta, channels)];
        let partial = memory.write::<f32>(self.partial, chunks * 2 * channels);
        rows::sum_chunks(
            partial,
            self.chunk_rows,
            [x, dy],
            parameters,
            |[x, dy], [mean, scale, shift]| {
                let y = (x - mean) * scale + shift;
                let dy = if y > 0.0 { dy } else { 0.0 };
                [dy, dy * (x - mean)]
            },
        );
    }
}

impl Kernel for BatchNormReluBackward {
    fn grid(&self, arch: Arch) -> Grid {
        elements_grid(self.rows, self.channels, arch)
    }
    fn bytes(&self, real: Real) -> u64 {
        3 * real.bytes() * self.rows as u64 * self.channels as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let channels = self.channels as usize;
        let n = self.rows as usize * channels;
        let (x, dy, dx) = (
            memory.read(self.x, n),
            memory.read(self.dy, n),
            memory.write(self.dx, n),
        );
        let affine = Affine::new(memory, self.statistics, self.gamma, channels);
        let beta = memory.read(self.beta, channels);
        let sums = [self.dgamma, self.dbeta];
        let [along_x, along_one] = affine.along(memory, sums, self.inverse_rows);
        let parameters = [affine.mean, &affine.scale, beta, &along_x, &along_one];
        rows::map(
            dx,
            [x, dy],
            parameters,
            |[x, dy], [mean, scale, shift, along_x, along_one]| {
                let y = (x - mean) * scale + shift;
                let dy = if y > 0.0 { dy } else { 0.0 };
                scale * (dy - along_one - (x - mean) * along_x)
            },
        );
    }
}
