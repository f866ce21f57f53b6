//! `batch_norm_add_relu`: y = max(batch_norm(x) + residual, 0): the end of a residual block.
use super::batch_norm::{Affine, Mode, Norm, PACK, Running, chunks_grid, elements_grid, rows};
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{BatchNormAddReluForward, BatchNormAddReluSums},
    },
    tensor::Element,
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
    let (y, mask, norm) = forward(inputs, running, mode)?;
    Ok(tape.record(
        "batch_norm_add_relu",
        [x, gamma, beta, residual],
        y,
        move |dy, [need_x, ..]| backward(&norm, &mask, &dy, need_x),
    ))
}

/// y, and what backward needs: where y > 0, u8 (rows, packs), a byte for 8 channels, the first its lowest
/// bit. In training this updates `running` in place.
pub fn forward(
    [x, gamma, beta, residual]: [&Tensor; 4],
    running: &Running,
    mode: Mode,
) -> Result<(Tensor, Tensor, Norm)> {
    assert_eq!(x.shape(), residual.shape(), "batch_norm_add_relu: residual");
    let norm = Norm::new(x, gamma, beta, running, mode)?;
    let y = norm.like_x()?;
    let packs = norm.channels().div_ceil(PACK) as usize;
    let mask = Tensor::uninit(x.device(), Element::U8, [norm.rows() as usize, packs])?;
    for group in norm.groups() {
        x.device().launch(BatchNormAddReluForward {
            x: group.norm.x.ptr(),
            residual: group.of(residual).ptr(),
            statistics: group.norm.statistics.ptr(),
            gamma: gamma.ptr(),
            beta: beta.ptr(),
            y: group.of(&y).ptr(),
            mask: group.of(&mask).ptr(),
            rows: group.norm.rows(),
            channels: norm.channels(),
        })?;
    }
    Ok((y, mask, norm))
}

/// dx (where needed), dgamma, dbeta, dresidual.
pub fn backward(
    norm: &Norm,
    mask: &Tensor,
    dy: &Tensor,
    need_x: bool,
) -> Result<[Option<Tensor>; 4]> {
    let dx = need_x.then(|| norm.like_x()).transpose()?;
    let dresidual = norm.like_x()?;
    let [dgamma, dbeta] = norm.sum_over_groups(|group| {
        let (norm, dresidual) = (&group.norm, group.of(&dresidual));
        let partial = norm.partial(norm.rows())?;
        norm.x.device().launch(BatchNormAddReluSums {
            x: norm.x.ptr(),
            mask: group.of(mask).ptr(),
            dy: group.of(dy).ptr(),
            statistics: norm.statistics.ptr(),
            dresidual: dresidual.ptr(),
            partial: partial.chunks.ptr(),
            rows: norm.rows(),
            channels: norm.channels(),
            chunk_rows: partial.chunk_rows,
        })?;
        let sums = norm.combine_sums(&partial)?;
        if let Some(dx) = &dx {
            norm.backward_x(&dresidual, &sums, &group.of(dx))?;
        }
        Ok(sums)
    })?;
    Ok([dx, Some(dgamma), Some(dbeta), Some(dresidual)])
}

impl Kernel for BatchNormAddReluForward {
    fn grid(&self, arch: Arch) -> Grid {
        elements_grid(self.rows, self.channels, arch)
    }
    fn bytes(&self, real: Real) -> u64 {
        let row = 3 * real.bytes() * self.channels as u64 + self.channels.div_ceil(PACK) as u64;
        self.rows as u64 * row
    }
    fn on_cpu(&self, memory: &Host) {
        let (channels, rows) = (self.channels as usize, self.rows as usize);
        let packs = channels.div_ceil(PACK as usize);
        let n = rows * channels;
        let (x, residual) = (memory.read(self.x, n), memory.read(self.residual, n));
        let y = memory.write::<f32>(self.y, n);
        let mask = memory.write::<u8>(self.mask, rows * packs);
        let affine = Affine::new(memory, self.statistics, self.gamma, channels);
        let beta = memory.read(self.beta, channels);
        let parameters = [affine.mean, &affine.scale, beta];
        let task = rows::task(channels);
        let tasks = y
            .par_chunks_mut(task * channels)
            .zip(mask.par_chunks_mut(task * packs));
        tasks.enumerate().for_each(|(at, (y, mask))| {
            let inputs = [x, residual].map(|input| &input[at * task * channels..][..y.len()]);
            let body = |[x, residual]: [f32; 2], [mean, scale, shift]: [f32; 3]| {
                ((x - mean) * scale + shift + residual).max(0.0)
            };
            rows::map_here(y, inputs, parameters, &body);
            for (y, mask) in y.chunks_exact(channels).zip(mask.chunks_exact_mut(packs)) {
                pack_bits(y, mask);
            }
        });
    }
}

/// Which of y are above 0, 8 to a byte, the first its lowest bit.
fn pack_bits(y: &[f32], mask: &mut [u8]) {
    for (y, mask) in y.chunks(PACK as usize).zip(mask) {
        let bits = y.iter().enumerate().map(|(i, &y)| u8::from(y > 0.0) << i);
        *mask = bits.sum();
    }
}

/// Of each byte, what its bits keep of 8 numbers: all ones or zeros, to be and-ed with theirs.
static KEEPS: [[u32; 8]; 256] = {
    let mut keeps = [[0; 8]; 256];
    let mut at = 0;
    while at < 8 * 256 {
        let (byte, bit) = (at / 8, at % 8);
        keeps[byte][bit] = if byte >> bit & 1 == 1 { u32::MAX } else { 0 };
        at += 1;
    }
    keeps
};

/// dy where its bit is set, else 0.
fn masked(dy: &[f32], mask: &[u8], into: &mut [f32]) {
    let and = |into: &mut [f32], dy: &[f32], mask: u8| {
        for ((into, dy), keep) in into.iter_mut().zip(dy).zip(&KEEPS[mask as usize]) {
            *into = f32::from_bits(dy.to_bits() & keep);
        }
    };
    let (packs, rest) = dy.as_chunks::<8>();
    let (into_packs, into_rest) = into.as_chunks_mut::<8>();
    for ((into, dy), mask) in into_packs.iter_mut().zip(packs).zip(mask) {
        and(into, dy, *mask);
    }
    if let Some(last) = mask.get(packs.len()) {
        and(into_rest, rest, *last);
    }
}

impl Kernel for BatchNormAddReluSums {
    fn grid(&self, _: Arch) -> Grid {
        chunks_grid(self.rows, self.channels, self.chunk_rows)
    }
    fn bytes(&self, real: Real) -> u64 {
        let row = 3 * real.bytes() * self.channels as u64 + self.channels.div_ceil(PACK) as u64;
        self.rows as u64 * row
    }
    fn on_cpu(&self, memory: &Host) {
        let (channels, rows) = (self.channels as usize, self.rows as usize);
        let packs = channels.div_ceil(PACK as usize);
        let n = rows * channels;
        let chunks = self.rows.div_ceil(self.chunk_rows) as usize;
        let (x, dy) = (
            memory.read::<f32>(self.x, n),
            memory.read::<f32>(self.dy, n),
        );
        let mask = memory.read::<u8>(self.mask, rows * packs);
        let mean = memory.read::<f32>(self.statistics, channels);
        let dresidual = memory.write::<f32>(self.dresidual, n);
        let partial = memory.write::<f32>(self.partial, chunks * 2 * channels);
        let chunk = self.chunk_rows as usize;
        let inputs = (
            x.par_chunks(chunk * channels),
            dy.par_chunks(chunk * channels),
            mask.par_chunks(chunk * packs),
        );
        let outputs = (
            dresidual.par_chunks_mut(chunk * channels),
            partial.par_chunks_mut(2 * channels),
        );
        let chunks = inputs.into_par_iter().zip(outputs.into_par_iter());
        chunks.for_each(|((x, dy, mask), (dresidual, partial))| {
            let rows = dy.chunks(channels).zip(dresidual.chunks_mut(channels));
            for ((dy, dresidual), mask) in rows.zip(mask.chunks(packs)) {
                masked(dy, mask, dresidual);
            }
            rows::sum(partial, [x, dresidual], [mean], |[x, dy], [mean]| {
                [dy, dy * (x - mean)]
            });
        });
    }
}
