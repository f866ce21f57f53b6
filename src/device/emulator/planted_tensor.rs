//! How the kernels of planted_tensor.cu and planted_persistent.cu are launched.
use crate::device::{Arch, Grid, Host, Kernel, Ptr, Real, Swizzle, TensorMap, Window, kernels::*};
use smallvec::smallvec;

const ROWS: u32 = 64;
const COLS: u32 = 128;
/// Three stages of tiles of both operands, and the tile of c.
const SHARED_BYTES: u32 = 3 * (ROWS + COLS) * 128 + ROWS * COLS * 2;

/// A matrix of rows of `cols` elements, in boxes of 64 columns, 128 bytes.
fn matrix(at: Ptr, rows: u32, cols: u32, box_rows: u32) -> TensorMap {
    TensorMap {
        at,
        real: Real::Bf16,
        dims: smallvec![cols.into(), rows.into()],
        strides: smallvec![u64::from(cols) * 2],
        window: Window::Tiled(smallvec![64, box_rows]),
        steps: smallvec![1, 1],
        swizzle: Swizzle::Bytes128,
    }
}

fn tiles(m: u32, n: u32) -> Grid {
    Grid {
        shared_bytes: SHARED_BYTES,
        ..Grid::tiles(m, n, [ROWS, COLS], [160, 1, 1])
    }
}

macro_rules! products {
    ($($kernel:ident: |$p:ident| $maps:expr, |$q:ident| $grid:expr;)*) => { $(
        impl Kernel for $kernel {
            fn maps(&self, _: Arch) -> Vec<TensorMap> {
                let $p = self;
                $maps.into()
            }
            fn grid(&self, _: Arch) -> Grid {
                let $q = self;
                $grid
            }
            fn bytes(&self, _: Real) -> u64 {
                0
            }
            fn on_cpu(&self, _: &Host) {
                unreachable!("planted kernels are for the emulator")
            }
        }
    )* };
}

products! {
    TensorProduct: |p| [
        matrix(p.a, p.m, p.k, ROWS), matrix(p.b, p.n, p.k, COLS), matrix(p.c, p.m, p.n, ROWS),
    ], |p| tiles(p.m, p.n);
    TensorProductAcross: |p| [
        matrix(p.a, p.m, p.k, ROWS), matrix(p.b, p.k, p.n, 64), matrix(p.c, p.m, p.n, ROWS),
    ], |p| tiles(p.m, p.n);
    TensorProductBothAcross: |p| [
        matrix(p.a, p.k, p.m, 64), matrix(p.b, p.k, p.n, 64), matrix(p.c, p.m, p.n, ROWS),
    ], |p| tiles(p.m, p.n);
    PersistentProduct: |p| [
        matrix(p.a, p.m, p.k, 128), matrix(p.b, p.n, p.k, 64), matrix(p.c, p.m, p.n, 64),
    ], |_p| Grid {
        shared_bytes: 4 * (128 + 64) * 128 + 2 * 64 * 128,
        ..Grid::blocks([2, 1, 1], [384, 1, 1])
    };
}
