//! Matrix products on the CPU, by the `gemm` crate behind bounds that are checked.
use gemm::Parallelism;

/// A matrix inside a slice: element (i, j) is `data[i * row_stride + j * col_stride]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major and dense.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Matrix<'a> {
        Matrix {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }
    pub fn transposed(self) -> Matrix<'a> {
        Matrix {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// A row-major matrix to write; rows are `row_stride` elements apart.
pub struct MatrixMut<'a> {
    pub data: &'a mut [f32],
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> MatrixMut<'a> {
        MatrixMut {
            data,
            rows,
            cols,
            row_stride: cols,
        }
    }
}

/// c = a b, or c += a b where `accumulate`; on the calling thread alone, so that the order of the sum
/// is a matter of shapes.
pub fn host_matmul(c: MatrixMut, a: Matrix, b: Matrix, accumulate: bool) {
    assert_eq!(
        a.cols, b.rows,
        "matmul: a has {} columns, b has {} rows",
        a.cols, b.rows
    );
    assert_eq!(
        (c.rows, c.cols),
        (a.rows, b.cols),
        "matmul: c has another shape than a b"
    );
    if c.rows == 0 || c.cols == 0 {
        return;
    }
    for (m, what) in [(&a, "a"), (&b, "b")] {
        let reach = |n: usize, stride: usize| n.saturating_sub(1) * stride;
        let last = reach(m.rows, m.row_stride) + reach(m.cols, m.col_stride);
        assert!(
            m.rows * m.cols == 0 || last < m.data.len(),
            "matmul: {what} reaches outside its slice"
        );
    }
    assert!(
        (c.rows - 1) * c.row_stride + c.cols <= c.data.len(),
        "matmul: c reaches outside its slice"
    );
    assert!(
        c.rows == 1 || c.row_stride >= c.cols,
        "matmul: rows of c overlap"
    );
    // SAFETY: every element the strides reach lies inside its slice (checked above), c is borrowed
    // mutably, and its rows do not overlap.
    unsafe {
        gemm::gemm(
            c.rows,
            c.cols,
            a.cols,
            c.data.as_mut_ptr(),
            1,
            c.row_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            if accumulate { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
