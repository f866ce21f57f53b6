//! How the kernels of `conformance/` are launched, which dump what one instruction makes of known numbers;
//! tests/conformance.rs says what that should be.
use super::{
    Arch, Grid, Host, Kernel, KernelInfo, Parameters, Ptr, Real, Swizzle, TensorMap, Window,
    kernels::*,
};
use smallvec::smallvec;

const PRODUCTS: [&KernelInfo; 10] = [
    ConformProduct::INFO,
    ConformProduct::K_MN,
    ConformProduct::MN_K,
    ConformProduct::MN_MN,
    ConformProduct::REGISTERS_K,
    ConformProduct::REGISTERS_MN,
    ConformProduct::NARROW,
    ConformProduct::WIDE,
    ConformProduct::PLAIN_K,
    ConformProduct::PLAIN_MN,
];

macro_rules! conforming {
    ($($kernel:ident: $grid:expr, |$p:ident| $maps:expr, |$q:ident| $info:expr;)*) => { $(
        impl Kernel for $kernel {
            fn kernel(&self, _: Arch) -> &'static KernelInfo {
                let $q = self;
                $info
            }
            fn maps(&self, _: Arch) -> Vec<TensorMap> {
                let $p = self;
                $maps
            }
            fn grid(&self, _: Arch) -> Grid {
                $grid
            }
            fn bytes(&self, _: Real) -> u64 {
                0
            }
            fn on_cpu(&self, _: &Host) {
                unreachable!("a CPU has no such instructions")
            }
        }
    )* };
}

const fn block(blocks: u32, threads: u32, shared_bytes: u32) -> Grid {
    Grid {
        blocks: [blocks, 1, 1],
        threads: [threads, 1, 1],
        shared_bytes,
    }
}

conforming! {
    ConformLanes: block(8, 32, 0), |_p| Vec::new(), |_p| Self::INFO;
    ConformMatrices: block(1, 32, 0), |_p| Vec::new(), |_p| Self::INFO;
    ConformCopies: block(1, 32, 0), |_p| Vec::new(), |_p| Self::INFO;
    ConformPhases: block(1, 64, 0), |_p| Vec::new(), |_p| Self::INFO;
    ConformTiles: block(1, 128, 4 * 8192), |p| tiles(p), |_p| Self::INFO;
    ConformIm2col: block(1, 128, 8192), |p| vec![images(p)], |_p| Self::INFO;
    ConformStore: block(1, 128, 8192), |p| vec![matrix(p.y, [p.rows, p.cols], [64, 64])], |_p| Self::INFO;
    ConformProduct: block(1, 128, 8192 + 4 * 8192), |p| operands(p), |p| PRODUCTS[p.form as usize];
}

/// A matrix of `shape` = [rows, columns], in boxes of that many.
fn matrix(at: Ptr, [rows, cols]: [u32; 2], [box_rows, box_cols]: [u32; 2]) -> TensorMap {
    TensorMap {
        at,
        real: Real::Bf16,
        dims: smallvec![cols.into(), rows.into()],
        strides: smallvec![u64::from(cols) * 2],
        window: Window::Tiled(smallvec![box_cols, box_rows]),
        steps: smallvec![1, 1],
        swizzle: match box_cols {
            16 => Swizzle::Bytes32,
            32 => Swizzle::Bytes64,
            64 => Swizzle::Bytes128,
            _ => Swizzle::None,
        },
    }
}

fn tiles(p: &ConformTiles) -> Vec<TensorMap> {
    let tile = |cols| matrix(p.x, [p.rows, p.cols], [64, cols]);
    [8, 16, 32, 64].map(tile).into()
}

fn operands(p: &ConformProduct) -> Vec<TensorMap> {
    let a = matrix(p.a, [64, 64], [64, 64]);
    let b = match PRODUCTS[p.form as usize].name {
        "conform_product_narrow" => matrix(p.b, [8, 64], [8, 64]),
        "conform_product_wide" => matrix(p.b, [64, 256], [64, 64]),
        _ => matrix(p.b, [64, 64], [64, 64]),
    };
    vec![a, b]
}

/// As a convolution reads its images.
fn images(p: &ConformIm2col) -> TensorMap {
    let [n, h, w] = [p.n, p.h, p.w].map(u64::from);
    let (pad, size) = (p.pad as i32, p.size as i32);
    TensorMap {
        at: p.x,
        real: Real::Bf16,
        dims: smallvec![64, w, h, n],
        strides: smallvec![128, 128 * w, 128 * w * h],
        window: Window::Im2col {
            lower: smallvec![-pad, -pad],
            upper: smallvec![pad - (size - 1), pad - (size - 1)],
            channels: 64,
            pixels: 64,
        },
        steps: smallvec![1, p.stride, p.stride, 1],
        swizzle: Swizzle::Bytes128,
    }
}
