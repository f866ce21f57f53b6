//! `copy`: elements from one tensor to another, converting between f32 and the device's real numbers.
//! Nothing here is recorded: these serve flat parameters, gradients and results.
use super::flat_grid;
use crate::{
    Result, Tensor,
    device::{
        Arch, Device, Grid, Host, Kernel, Ptr, Real,
        kernels::{Copy, CopyFromReal, CopyReal, CopyToReal, Fill},
    },
    shape::Shape,
    tensor::Element,
};
use rayon::prelude::*;

/// Overwrites `y` with `x`: as many elements, each f32 or real.
pub fn copy(x: &Tensor, y: &Tensor) -> Result<()> {
    assert_eq!(x.len(), y.len(), "copy: {} to {}", x.shape(), y.shape());
    let (device, n) = (x.device(), x.len() as u64);
    let one_type = device.real() == Real::F32;
    match (x.element(), y.element()) {
        (Element::F32, Element::F32) => device.launch(Copy {
            x: x.ptr(),
            y: y.ptr(),
            n,
        }),
        (Element::F32 | Element::Real, Element::F32 | Element::Real) if one_type => {
            device.launch(Copy {
                x: x.ptr(),
                y: y.ptr(),
                n,
            })
        }
        (Element::F32, Element::Real) => device.launch(CopyToReal {
            x: x.ptr(),
            y: y.ptr(),
            n,
        }),
        (Element::Real, Element::F32) => device.launch(CopyFromReal {
            x: x.ptr(),
            y: y.ptr(),
            n,
        }),
        (Element::Real, Element::Real) => device.launch(CopyReal {
            x: x.ptr(),
            y: y.ptr(),
            n,
        }),
        (from, to) => panic!("copy: {from:?} to {to:?}"),
    }
}

/// `x` as f32, in memory of its own.
pub fn to_f32(x: &Tensor) -> Result<Tensor> {
    let y = Tensor::uninit(x.device(), Element::F32, x.shape().clone())?;
    copy(x, &y)?;
    Ok(y)
}

/// `x` (f32) as the device's real numbers.
pub fn to_real(x: &Tensor) -> Result<Tensor> {
    let y = Tensor::uninit(x.device(), Element::Real, x.shape().clone())?;
    copy(x, &y)?;
    Ok(y)
}

/// An f32 tensor of one value.
pub fn full(device: &Device, shape: impl Into<Shape>, value: f32) -> Result<Tensor> {
    let y = Tensor::uninit(device, Element::F32, shape)?;
    fill(&y, value)?;
    Ok(y)
}

/// Overwrites every element of an f32 tensor.
pub fn fill(y: &Tensor, value: f32) -> Result<()> {
    assert_eq!(y.element(), Element::F32);
    y.device().launch(Fill {
        y: y.ptr(),
        n: y.len() as u64,
        value,
    })
}

const CHUNK: usize = 1 << 15; // elements a rayon task

fn copy_on_cpu(memory: &Host, x: Ptr, y: Ptr, n: u64) {
    let (x, y) = (
        memory.read::<f32>(x, n as usize),
        memory.write::<f32>(y, n as usize),
    );
    y.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .for_each(|(y, x)| y.copy_from_slice(x));
}

impl Kernel for Copy {
    fn grid(&self, _: Arch) -> Grid {
        flat_grid(self.n)
    }
    fn bytes(&self, _: Real) -> u64 {
        8 * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        copy_on_cpu(memory, self.x, self.y, self.n);
    }
}

impl Kernel for CopyToReal {
    fn grid(&self, _: Arch) -> Grid {
        flat_grid(self.n)
    }
    fn bytes(&self, real: Real) -> u64 {
        (4 + real.bytes()) * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        copy_on_cpu(memory, self.x, self.y, self.n);
    }
}

impl Kernel for CopyFromReal {
    fn grid(&self, _: Arch) -> Grid {
        flat_grid(self.n)
    }
    fn bytes(&self, real: Real) -> u64 {
        (4 + real.bytes()) * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        copy_on_cpu(memory, self.x, self.y, self.n);
    }
}

impl Kernel for CopyReal {
    fn grid(&self, _: Arch) -> Grid {
        flat_grid(self.n)
    }
    fn bytes(&self, real: Real) -> u64 {
        2 * real.bytes() * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        copy_on_cpu(memory, self.x, self.y, self.n);
    }
}

impl Kernel for Fill {
    fn grid(&self, _: Arch) -> Grid {
        flat_grid(self.n)
    }
    fn bytes(&self, _: Real) -> u64 {
        4 * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        memory
            .write::<f32>(self.y, self.n as usize)
            .fill(self.value);
    }
}
