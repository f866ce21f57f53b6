//! `export --verify`: what was written, read back and compared bit for bit.
use super::To;
use crate::{
    Error, Result,
    cli::weights::Loaded,
    interop::{onnx, torchvision, weights::Weights},
    shape::Shape,
};
use std::path::Path;

/// The number of tensors, all of which are in the file as they are in `loaded`, and no other.
pub fn verify(loaded: &Loaded, to: To, path: &Path) -> Result<usize> {
    let read = read(to, path)?;
    let tensors = loaded.tensors()?;
    let slots: Vec<(&str, &Shape)> = tensors
        .iter()
        .map(|(name, array)| (name.as_str(), &array.shape))
        .collect();
    let differ = |why: String| Error::Checkpoint {
        path: path.into(),
        why: format!(
            "{why}\n  do not use it; was it written by two programs at once, or is the disk bad?"
        ),
    };
    for ((name, written), values) in tensors.iter().zip(read.take(&slots)?) {
        let bits = |x: &f32| x.to_bits();
        let mut pairs = written.values.iter().zip(&values).enumerate();
        if let Some((at, (written, read))) = pairs.find(|(_, (a, b))| bits(a) != bits(b)) {
            let place = format!("{name}, number {at} of {}", values.len());
            return Err(differ(format!(
                "{place}: {written} was written, {read} is read"
            )));
        }
    }
    if read.arrays.len() != tensors.len() {
        let (written, read) = (tensors.len(), read.arrays.len());
        return Err(differ(format!(
            "{written} tensors were written, {read} are read"
        )));
    }
    Ok(tensors.len())
}

/// Under torchvision's names.
fn read(to: To, path: &Path) -> Result<Weights> {
    match to {
        To::Onnx => onnx::read(path),
        _ => torchvision::read(path),
    }
}
