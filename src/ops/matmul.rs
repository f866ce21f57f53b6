//! `matmul`: c = a b, and `linear`: y = x wᵀ + bias.
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, KernelInfo, Matrix, MatrixMut, Parameters, Ptr, Real,
        host_matmul,
        kernels::{ColumnSums, Matmul, MatmulF32},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// Which way an operand is read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Transpose {
    No,
    Yes,
}
use Transpose::{No, Yes};

/// a (m, k) times b (k, n).
pub fn matmul(tape: &mut Tape, a: &Var, b: &Var) -> Result<Var> {
    let c = forward(&a.value, &b.value, No, No)?;
    let (av, bv) = (a.value.clone(), b.value.clone());
    Ok(
        tape.record("matmul", [a, b], c, move |dc, [need_a, need_b]| {
            Ok([
                need_a.then(|| forward(&dc, &bv, No, Yes)).transpose()?, // dc bᵀ
                need_b.then(|| forward(&av, &dc, Yes, No)).transpose()?, // aᵀ dc
            ])
        }),
    )
}

/// y (m, n) = x (m, k) wᵀ, w (n, k) as PyTorch stores it. The gradient of w is f32.
pub fn linear(tape: &mut Tape, x: &Var, weight: &Var) -> Result<Var> {
    let y = product(&x.value, &weight.value, No, Yes, None)?;
    let (xv, wv) = (x.value.clone(), weight.value.clone());
    Ok(
        tape.record("linear", [x, weight], y, move |dy, [need_x, need_w]| {
            Ok([
                need_x.then(|| forward(&dy, &wv, No, No)).transpose()?, // dy w
                need_w.then(|| gradient(&dy, &xv)).transpose()?,        // dyᵀ x
            ])
        }),
    )
}

/// `linear` with a bias (n), f32.
pub fn linear_bias(tape: &mut Tape, x: &Var, weight: &Var, bias: &Var) -> Result<Var> {
    let y = product(&x.value, &weight.value, No, Yes, Some(&bias.value))?;
    let (xv, wv) = (x.value.clone(), weight.value.clone());
    Ok(tape.record(
        "linear_bias",
        [x, weight, bias],
        y,
        move |dy, [need_x, need_w, need_b]| {
            Ok([
                need_x.then(|| forward(&dy, &wv, No, No)).transpose()?,
                need_w.then(|| gradient(&dy, &xv)).transpose()?,
                need_b.then(|| column_sums(&dy)).transpose()?,
            ])
        },
    ))
}

/// a b, either operand transposed first; real in, real out.
pub fn forward(a: &Tensor, b: &Tensor, ta: Transpose, tb: Transpose) -> Result<Tensor> {
    product(a, b, ta, tb, None)
}

fn product(
    a: &Tensor,
    b: &Tensor,
    ta: Transpose,
    tb: Transpose,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let ([m, k], [a_row, a_col]) = view(a, ta);
    let ([k2, n], [b_row, b_col]) = view(b, tb);
    assert_eq!(
        k,
        k2,
        "matmul: a is {} ({ta:?}), b is {} ({tb:?})",
        a.shape(),
        b.shape()
    );
    let c = Tensor::uninit(a.device(), Element::Real, [m as usize, n as usize])?;
    let bias = bias.map_or(Ptr::NULL, Tensor::ptr);
    let (pa, pb, pc) = (a.ptr(), b.ptr(), c.ptr());
    a.device().launch(Matmul {
        a: pa,
        b: pb,
        bias,
        c: pc,
        m,
        n,
        k,
        a_row,
        a_col,
        b_row,
        b_col,
    })?;
    Ok(c)
}

/// dyᵀ x, f32: (m, n) and (m, k) give (n, k).
fn gradient(dy: &Tensor, x: &Tensor) -> Result<Tensor> {
    let ([m, k], [a_row, a_col]) = view(dy, Yes);
    let ([k2, n], [b_row, b_col]) = view(x, No);
    assert_eq!(k, k2, "linear: dy is {}, x is {}", dy.shape(), x.shape());
    let c = Tensor::uninit(x.device(), Element::F32, [m as usize, n as usize])?;
    x.device().launch(MatmulF32 {
        a: dy.ptr(),
        b: x.ptr(),
        c: c.ptr(),
        m,
        n,
        k,
        a_row,
        a_col,
        b_row,
        b_col,
    })?;
    Ok(c)
}

/// Sums over rows of dy (rows, cols): the gradient of a bias, f32.
pub fn column_sums(dy: &Tensor) -> Result<Tensor> {
    let [rows, cols] = dy.dims_of();
    let y = Tensor::uninit(dy.device(), Element::F32, [cols])?;
    dy.device().launch(ColumnSums {
        dy: dy.ptr(),
        y: y.ptr(),
        rows: rows as u32,
        cols: cols as u32,
    })?;
    Ok(y)
}

/// Dimensions and strides of `t`, transposed or not.
fn view(t: &Tensor, transpose: Transpose) -> ([u32; 2], [u32; 2]) {
    let [rows, cols] = t.dims_of().map(|d: usize| d as u32);
    match transpose {
        No => ([rows, cols], [cols, 1]),
        Yes => ([cols, rows], [1, cols]),
    }
}

/// Rows of c a rayon task computes.
const ROWS: usize = 64;

/// The operands of one product, as its two kernels name them.
struct Operands {
    pointers: [Ptr; 3],
    size: [u32; 3],
    strides: [u32; 4],
}

/// 128 x 64, by four warps, in three stages of 128 bytes a row (`mma_tile.cuh`).
fn tensor_core_grid(m: u32, n: u32) -> Grid {
    Grid {
        shared_bytes: 3 * (128 + 64) * 128,
        ..Grid::tiles(m, n, [128, 64], [128, 1, 1])
    }
}

impl Operands {
    /// Whether tensor cores may do it: they multiply bf16, and what is copied is eight elements that lie
    /// side by side in an operand, and in c.
    fn has_tensor_cores(&self, arch: Arch) -> bool {
        let ([m, n, k], [a_row, a_col, b_row, b_col]) = (self.size, self.strides);
        let lines_up = |across: u32, along: u32, side: u32| match along {
            1 => across.is_multiple_of(8) && k.is_multiple_of(8),
            _ => along.is_multiple_of(8) && side.is_multiple_of(8),
        };
        let all = lines_up(a_row, a_col, m) && lines_up(b_col, b_row, n) && n.is_multiple_of(8);
        arch.real == Real::Bf16 && arch.compute >= 80 && all
    }
    fn on_cpu(&self, memory: &Host, bias: Option<&[f32]>) {
        let [m, n, k] = self.size.map(|d| d as usize);
        let [a_row, a_col, b_row, b_col] = self.strides.map(|d| d as usize);
        let [a, b, c] = self.pointers;
        let a = memory.read::<f32>(a, m * k);
        let b = Matrix {
            data: memory.read(b, k * n),
            rows: k,
            cols: n,
            row_stride: b_row,
            col_stride: b_col,
        };
        let c = memory.write::<f32>(c, m * n);
        c.par_chunks_mut(ROWS * n)
            .enumerate()
            .for_each(|(block, c)| {
                let (row, rows) = (block * ROWS, c.len() / n);
                let a = Matrix {
                    data: &a[(row * a_row).min(a.len())..],
                    rows,
                    cols: k,
                    row_stride: a_row,
                    col_stride: a_col,
                };
                if let Some(bias) = bias {
                    c.chunks_mut(n).for_each(|row| row.copy_from_slice(bias));
                }
                host_matmul(MatrixMut::new(c, rows, n), a, b, bias.is_some());
            });
    }
}

macro_rules! operands {
    ($kernel:ident) => {
        impl $kernel {
            fn operands(&self) -> Operands {
                Operands {
                    pointers: [self.a, self.b, self.c],
                    size: [self.m, self.n, self.k],
                    strides: [self.a_row, self.a_col, self.b_row, self.b_col],
                }
            }
        }
    };
}
operands!(Matmul);
operands!(MatmulF32);

impl Kernel for Matmul {
    fn kernel(&self, arch: Arch) -> &'static KernelInfo {
        match self.operands().has_tensor_cores(arch) {
            true => Self::TILE_128X64,
            false => Self::INFO,
        }
    }
    fn grid(&self, arch: Arch) -> Grid {
        match self.operands().has_tensor_cores(arch) {
            true => tensor_core_grid(self.m, self.n),
            false => Grid::tiles(self.m, self.n, [64, 64], [256, 1, 1]),
        }
    }
    fn bytes(&self, real: Real) -> u64 {
        let [m, n, k] = [self.m, self.n, self.k].map(u64::from);
        real.bytes() * (m * k + k * n + m * n)
    }
    fn flops(&self) -> u64 {
        2 * self.m as u64 * self.n as u64 * self.k as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let bias = (!self.bias.is_null()).then(|| memory.read::<f32>(self.bias, self.n as usize));
        self.operands().on_cpu(memory, bias);
    }
}

impl Kernel for MatmulF32 {
    fn kernel(&self, arch: Arch) -> &'static KernelInfo {
        match self.operands().has_tensor_cores(arch) {
            true => Self::TILE_128X64,
            false => Self::INFO,
        }
    }
    fn grid(&self, arch: Arch) -> Grid {
        match self.operands().has_tensor_cores(arch) {
            true => tensor_core_grid(self.m, self.n),
            false => Grid::tiles(self.m, self.n, [64, 64], [256, 1, 1]),
        }
    }
    fn bytes(&self, real: Real) -> u64 {
        let [m, n, k] = [self.m, self.n, self.k].map(u64::from);
        real.bytes() * (m * k + k * n) + 4 * m * n
    }
    fn flops(&self) -> u64 {
        2 * self.m as u64 * self.n as u64 * self.k as u64
    }
    fn on_cpu(&self, memory: &Host) {
        self.operands().on_cpu(memory, None);
    }
}

impl Kernel for ColumnSums {
    fn grid(&self, _: Arch) -> Grid {
        Grid::blocks([self.cols.div_ceil(32), 1, 1], [32, 8, 1])
    }
    fn bytes(&self, real: Real) -> u64 {
        real.bytes() * self.rows as u64 * self.cols as u64 + 4 * self.cols as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        let y = memory.write::<f32>(self.y, cols);
        y.fill(0.0);
        for row in memory.read::<f32>(self.dy, rows * cols).chunks(cols) {
            y.iter_mut().zip(row).for_each(|(y, dy)| *y += dy);
        }
    }
}
