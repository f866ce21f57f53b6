//! A tensor: a shape over device memory. Dense, row-major, and immutable once computed.
//!
//! Its elements are of one of a few kinds, and `Real` is the device's own: f32 on the CPU, bf16 on CUDA.
//! On the host every number is an f32: `from_slice` rounds, `to_vec` widens.
use crate::{
    Result,
    device::{Buffer, Device, Ptr, Real},
    shape::Shape,
};
use half::bf16;
use std::{fmt, sync::Arc};

/// What a tensor's elements are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element {
    /// Activations, and the weights they meet: the device's number type.
    Real,
    /// Statistics, losses, gradients of parameters, master weights.
    F32,
    U32,
    /// Pixels.
    U8,
}

impl Element {
    pub fn bytes(self, real: Real) -> usize {
        match self {
            Element::Real => real.bytes() as usize,
            Element::F32 | Element::U32 => 4,
            Element::U8 => 1,
        }
    }
}

#[derive(Clone)]
pub struct Tensor {
    shape: Shape,
    element: Element,
    buffer: Arc<Buffer>,
    /// Where this tensor starts in its buffer, in bytes.
    offset: usize,
}

impl Tensor {
    /// Memory for a result: whatever is there (NaN on the emulator) until a kernel writes it.
    pub fn uninit(device: &Device, element: Element, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        let buffer = Arc::new(device.alloc(shape.len() * element.bytes(device.real()))?);
        Ok(Tensor {
            shape,
            element,
            buffer,
            offset: 0,
        })
    }
    /// `values` as the device's real numbers, rounded to nearest even.
    pub fn from_slice(device: &Device, shape: impl Into<Shape>, values: &[f32]) -> Result<Tensor> {
        match device.real() {
            Real::F32 => Tensor::upload(device, Element::Real, shape, values),
            Real::Bf16 => {
                let rounded: Vec<bf16> = values.iter().map(|&v| bf16::from_f32(v)).collect();
                Tensor::upload(device, Element::Real, shape, &rounded)
            }
        }
    }
    pub fn from_f32(device: &Device, shape: impl Into<Shape>, values: &[f32]) -> Result<Tensor> {
        Tensor::upload(device, Element::F32, shape, values)
    }
    pub fn from_u32(device: &Device, shape: impl Into<Shape>, values: &[u32]) -> Result<Tensor> {
        Tensor::upload(device, Element::U32, shape, values)
    }
    pub fn from_u8(device: &Device, shape: impl Into<Shape>, values: &[u8]) -> Result<Tensor> {
        Tensor::upload(device, Element::U8, shape, values)
    }
    fn upload<T: bytemuck::NoUninit>(
        device: &Device,
        element: Element,
        shape: impl Into<Shape>,
        values: &[T],
    ) -> Result<Tensor> {
        let t = Tensor::uninit(device, element, shape)?;
        assert_eq!(
            t.len(),
            values.len(),
            "{} elements for shape {}",
            values.len(),
            t.shape
        );
        device.upload(t.ptr(), bytemuck::cast_slice(values))?;
        Ok(t)
    }
    /// Overwrites an f32 or u32 or u8 tensor from the host: for what is updated in place by name.
    pub fn overwrite<T: bytemuck::NoUninit>(&self, values: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        assert_eq!(
            bytes.len(),
            self.bytes(),
            "overwrite: another size than {self:?}"
        );
        self.device().upload(self.ptr(), bytes)
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }
    pub fn dims(&self) -> &[usize] {
        self.shape.dims()
    }
    /// The dimensions, where there must be `N`.
    #[track_caller]
    pub fn dims_of<const N: usize>(&self) -> [usize; N] {
        self.dims()
            .try_into()
            .unwrap_or_else(|_| panic!("{N} dimensions wanted, shape is {}", self.shape))
    }
    pub fn len(&self) -> usize {
        self.shape.len()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn element(&self) -> Element {
        self.element
    }
    pub fn device(&self) -> &Device {
        self.buffer.device()
    }
    pub fn ptr(&self) -> Ptr {
        self.buffer.ptr().offset(self.offset)
    }
    pub fn bytes(&self) -> usize {
        self.len() * self.element.bytes(self.device().real())
    }

    /// The same elements under another shape.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        assert_eq!(
            shape.len(),
            self.len(),
            "{} reshaped to {shape}",
            self.shape
        );
        Tensor {
            shape,
            ..self.clone()
        }
    }
    /// Elements `start..start + shape.len()`, counted from this tensor's first; shares the memory.
    #[track_caller]
    pub fn slice(&self, start: usize, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        assert!(
            start + shape.len() <= self.len(),
            "{start} + {shape} of {}",
            self.shape
        );
        let offset = self.offset + start * self.element.bytes(self.device().real());
        Tensor {
            shape,
            offset,
            ..self.clone()
        }
    }
    /// Rows `start..start + n` of the outermost dimension.
    #[track_caller]
    pub fn rows(&self, start: usize, n: usize) -> Tensor {
        let row: usize = self.dims()[1..].iter().product();
        let mut dims = self.dims().to_vec();
        dims[0] = n;
        self.slice(start * row, &dims[..])
    }

    /// An f32 tensor as the device's real numbers, where those are f32: the same memory.
    pub fn as_real(&self) -> Tensor {
        assert_eq!(
            (self.element, self.device().real()),
            (Element::F32, Real::F32),
            "as_real converts nothing"
        );
        Tensor {
            element: Element::Real,
            ..self.clone()
        }
    }

    /// The bits of a u32 tensor read as f32: the same memory.
    pub fn as_f32(&self) -> Tensor {
        assert_eq!(self.element, Element::U32, "as_f32 converts nothing");
        Tensor {
            element: Element::F32,
            ..self.clone()
        }
    }

    /// The elements as f32, whatever they are on the device (exact but for u32 above 2^24).
    pub fn to_vec(&self) -> Result<Vec<f32>> {
        let mut bytes = vec![0u8; self.bytes()];
        self.device().download(self.ptr(), &mut bytes)?;
        Ok(match (self.element, self.device().real()) {
            (Element::F32, _) | (Element::Real, Real::F32) => bytemuck::pod_collect_to_vec(&bytes),
            (Element::Real, Real::Bf16) => {
                let reals: Vec<bf16> = bytemuck::pod_collect_to_vec(&bytes);
                reals.into_iter().map(bf16::to_f32).collect()
            }
            (Element::U32, _) => {
                let words: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes);
                words.into_iter().map(|v| v as f32).collect()
            }
            (Element::U8, _) => bytes.into_iter().map(f32::from).collect(),
        })
    }
    pub fn to_u32(&self) -> Result<Vec<u32>> {
        assert_eq!(self.element, Element::U32);
        let mut bytes = vec![0u8; self.bytes()];
        self.device().download(self.ptr(), &mut bytes)?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }
    /// The one element of a loss.
    pub fn item(&self) -> Result<f32> {
        assert_eq!(self.len(), 1, "item of shape {}", self.shape);
        Ok(self.to_vec()?[0])
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{:?} {} on {}",
            self.element,
            self.shape,
            self.device().name()
        )
    }
}
