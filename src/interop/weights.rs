//! A safetensors file as arrays under names, and back. Every number is an f32 here, whatever it was.
//! A `.pth` is read here too.
use super::{Existing, WholeFile, pth};
use crate::{Error, Result, shape::Shape};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

/// Row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Shape,
    pub values: Vec<f32>,
}

impl Array {
    pub fn new(shape: impl Into<Shape>, values: Vec<f32>) -> Array {
        let shape = shape.into();
        assert_eq!(shape.len(), values.len(), "{} values", values.len());
        Array { shape, values }
    }

    /// (out, kh, kw, in), as our kernels hold a convolution, to PyTorch's (out, in, kh, kw).
    /// Anything but a convolution is the same to both.
    pub fn to_oihw(&self) -> Array {
        let &[o, h, w, i] = self.shape.dims() else {
            return self.clone();
        };
        Array::new([o, i, h, w], swap_inner(&self.values, h * w, i))
    }

    /// PyTorch's (out, in, kh, kw) to (out, kh, kw, in).
    pub fn to_krsc(&self) -> Array {
        let &[o, i, h, w] = self.shape.dims() else {
            return self.clone();
        };
        Array::new([o, h, w, i], swap_inner(&self.values, i, h * w))
    }
}

/// (n, rows, cols) to (n, cols, rows).
fn swap_inner(values: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut swapped = Vec::with_capacity(values.len());
    for matrix in values.chunks_exact((rows * cols).max(1)) {
        for col in 0..cols {
            swapped.extend((0..rows).map(|row| matrix[row * cols + col]));
        }
    }
    swapped
}

/// What a file holds.
#[derive(Clone, Debug)]
pub struct Weights {
    pub path: PathBuf,
    pub arrays: BTreeMap<String, Array>,
    /// The file's own notes.
    pub notes: HashMap<String, String>,
}

/// Reads every float of a safetensors file or a `.pth`, told apart by their first bytes; integers
/// (PyTorch's step counters) are passed over.
pub fn read(path: &Path) -> Result<Weights> {
    let bytes = std::fs::read(path).map_err(Error::file(path))?;
    if bytes.starts_with(b"PK\x03\x04") {
        return Ok(Weights {
            path: path.into(),
            arrays: pth::read(path, &bytes)?,
            notes: HashMap::new(),
        });
    }
    let broken = |why: String| Error::Checkpoint {
        path: path.into(),
        why: format!("not a safetensors file: {why}{}", hint(&bytes)),
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| broken(e.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| broken(e.to_string()))?;
    let mut arrays = BTreeMap::new();
    for (name, view) in tensors.iter() {
        if let Some(values) = floats(view.dtype(), view.data()) {
            arrays.insert(name.to_string(), Array::new(view.shape(), values));
        }
    }
    Ok(Weights {
        path: path.into(),
        arrays,
        notes: header.metadata().clone().unwrap_or_default(),
    })
}

/// The likeliest mistake: what `torch.save` wrote before 1.6, or some other pickle.
fn hint(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(b"\x80") {
        "\n  it looks like a .pth of PyTorch before 1.6; save it anew in Python: torch.save(torch.load(F, weights_only=True), \"w.pth\")"
    } else {
        ""
    }
}

/// Little-endian `data`; `None` where `dtype` is none of floats.
pub(super) fn floats(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => numbers(data, f32::from_le_bytes),
        Dtype::F64 => numbers(data, |b| f64::from_le_bytes(b) as f32),
        Dtype::F16 => numbers(data, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => numbers(data, |b| bf16::from_le_bytes(b).to_f32()),
        _ => return None,
    })
}

fn numbers<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks()
        .0
        .iter()
        .map(|&bytes| number(bytes))
        .collect()
}

/// One tensor of a file to write.
pub enum Stored<'a> {
    Floats(&'a Array),
    /// An int64 without dimensions.
    Count(i64),
}

pub(super) fn little_endian(tensor: &Stored) -> Vec<u8> {
    match tensor {
        Stored::Floats(array) => little_endian_floats(array),
        Stored::Count(n) => n.to_le_bytes().to_vec(),
    }
}

pub(super) fn little_endian_floats(array: &Array) -> Vec<u8> {
    array.values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Writes `tensors` as they are, with `notes` beside `{"format": "pt"}`, which some loaders insist on.
pub fn write(
    path: &Path,
    tensors: &[(String, Stored)],
    notes: &HashMap<String, String>,
    existing: Existing,
) -> Result<()> {
    let bytes: Vec<(Dtype, &[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(_, tensor)| match tensor {
            Stored::Floats(array) => (Dtype::F32, array.shape.dims(), little_endian(tensor)),
            Stored::Count(_) => (Dtype::I64, &[][..], little_endian(tensor)),
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, _), (dtype, shape, bytes))| {
            let view = TensorView::new(*dtype, shape.to_vec(), bytes);
            (
                name.as_str(),
                view.expect("an array is as long as its shape says"),
            )
        });
    let mut notes = notes.clone();
    notes.insert("format".into(), "pt".into());
    let file = safetensors::serialize(views, Some(notes)).map_err(|why| Error::Checkpoint {
        path: path.into(),
        why: format!("cannot be written: {why}"),
    })?;
    let mut whole = WholeFile::create(path, existing)?;
    whole.write(&with_sorted_header(&file))?;
    whole.finish()
}

/// The same file with its header's keys in order: the crate writes notes in a hash map's order, and equal
/// weights should be equal files. Offsets count from the header's end, so its length may change.
fn with_sorted_header(file: &[u8]) -> Vec<u8> {
    let (length, rest) = file.split_first_chunk::<8>().expect("a header");
    let (header, tensors) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let sorted: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).expect("the header just written");
    let mut header = serde_json::to_vec(&sorted).expect("as it was read");
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes(), &header[..], tensors].concat()
}
