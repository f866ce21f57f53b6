//! Tensor maps, encoded by the driver.
use super::Cuda;
use crate::{
    Result,
    device::{Encoded, Real, Swizzle, TensorMap, Window},
};
use cudarc::driver::sys::{self, CUtensorMap};
use std::ffi::c_void;

/// Drivers up to CUDA 13.1 encode an im2col map of a small tensor wrongly.
const WRONG_UNTIL: i32 = 13010;
const SMALL_BYTES: u64 = 128 << 10;
/// The bit they set too much: of which word, and which.
const WRONG_BIT: (usize, u64) = (1, 1 << 21);

/// `map` has been checked: what is still wrong only the driver knows.
pub(super) fn encode(cuda: &Cuda, map: &TensorMap) -> Result<Encoded> {
    let mut encoded = CUtensorMap { opaque: [0; 16] };
    let code = match &map.window {
        Window::Tiled(sizes) => encode_tiled(&mut encoded, map, sizes),
        Window::Im2col { .. } => encode_im2col(&mut encoded, map),
    };
    code.result().map_err(|e| cuda.failed("tensor map", e))?;
    let is_im2col = matches!(map.window, Window::Im2col { .. });
    if is_im2col && map.bytes() < SMALL_BYTES && driver_version() <= WRONG_UNTIL {
        encoded.opaque[WRONG_BIT.0] &= !WRONG_BIT.1;
    }
    Ok(encoded.opaque)
}

fn driver_version() -> i32 {
    let mut version = 0;
    // SAFETY: writes one number.
    match unsafe { sys::cuDriverGetVersion(&mut version) }.result() {
        Ok(()) => version,
        Err(_) => 0,
    }
}

fn data_type(real: Real) -> sys::CUtensorMapDataType {
    match real {
        Real::F32 => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
        Real::Bf16 => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
    }
}

fn swizzle(swizzle: Swizzle) -> sys::CUtensorMapSwizzle {
    match swizzle {
        Swizzle::None => sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_NONE,
        Swizzle::Bytes32 => sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_32B,
        Swizzle::Bytes64 => sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_64B,
        Swizzle::Bytes128 => sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
    }
}

const INTERLEAVE: sys::CUtensorMapInterleave =
    sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE;
/// Whole sectors of 256 bytes are fetched: neighbouring tiles need the rest.
const PROMOTION: sys::CUtensorMapL2promotion =
    sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B;
/// Zeros outside the tensor.
const OUTSIDE: sys::CUtensorMapFloatOOBfill =
    sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;

fn encode_tiled(encoded: &mut CUtensorMap, map: &TensorMap, sizes: &[u32]) -> sys::CUresult {
    // SAFETY: the arrays have the lengths that the rank says, which `TensorMap::check` has seen to.
    unsafe {
        sys::cuTensorMapEncodeTiled(
            encoded,
            data_type(map.real),
            map.dims.len() as u32,
            map.at.0 as *mut c_void,
            map.dims.as_ptr(),
            map.strides.as_ptr(),
            sizes.as_ptr(),
            map.steps.as_ptr(),
            INTERLEAVE,
            swizzle(map.swizzle),
            PROMOTION,
            OUTSIDE,
        )
    }
}

fn encode_im2col(encoded: &mut CUtensorMap, map: &TensorMap) -> sys::CUresult {
    let Window::Im2col {
        lower,
        upper,
        channels,
        pixels,
    } = &map.window
    else {
        return sys::CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    // SAFETY: as above; the corners have two entries less than the rank.
    unsafe {
        sys::cuTensorMapEncodeIm2col(
            encoded,
            data_type(map.real),
            map.dims.len() as u32,
            map.at.0 as *mut c_void,
            map.dims.as_ptr(),
            map.strides.as_ptr(),
            lower.as_ptr(),
            upper.as_ptr(),
            *channels,
            *pixels,
            map.steps.as_ptr(),
            INTERLEAVE,
            swizzle(map.swizzle),
            PROMOTION,
            OUTSIDE,
        )
    }
}
