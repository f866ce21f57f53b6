//! Between the device and a checkpoint: parameters and statistics under their own names, `momentum/`
//! before the optimizer's, `memory/` before what the method keeps.
use super::checkpoint::{Numbers, Saved, State};
use crate::{
    Error, Result, Tensor,
    methods::Method,
    nn::{Entry, Params},
    ops::copy,
    tensor::Element,
};
use std::path::Path;

pub fn gather(params: &Params, velocities: &Tensor, method: &mut dyn Method) -> Result<State> {
    let mut state = State::new();
    let layout = params.layout();
    named(&mut state, "", layout.parameters(), &params.values)?;
    named(&mut state, "", layout.statistics(), &params.statistics)?;
    named(&mut state, "momentum/", layout.parameters(), velocities)?;
    for (name, tensor) in method.memory() {
        let numbers = match tensor.element() {
            Element::F32 | Element::Real => Numbers::F32(tensor.to_vec()?),
            Element::U32 => Numbers::U32(tensor.to_u32()?),
            Element::U8 => Numbers::U8(tensor.to_vec()?.iter().map(|&v| v as u8).collect()),
        };
        let shape = tensor.dims().to_vec();
        state.insert(format!("memory/{name}"), Saved { shape, numbers });
    }
    Ok(state)
}

fn named(state: &mut State, prefix: &str, entries: &[Entry], flat: &Tensor) -> Result<()> {
    let values = flat.to_vec()?;
    for entry in entries {
        let saved = Saved {
            shape: entry.shape.dims().to_vec(),
            numbers: Numbers::F32(values[entry.offset..][..entry.len()].to_vec()),
        };
        state.insert(format!("{prefix}{}", entry.name), saved);
    }
    Ok(())
}

/// What `gather` gives, in bytes as it is saved, with room for the names.
pub fn bytes(params: &Params, method: &mut dyn Method) -> u64 {
    const NAME: usize = 200;
    let numbers = |entries: &[Entry]| -> usize { entries.iter().map(|e| 4 * e.len() + NAME).sum() };
    let layout = params.layout();
    let memory = method.memory().into_iter().map(|(_, tensor)| {
        let wide = if tensor.element() == Element::U8 {
            1
        } else {
            4
        };
        wide * tensor.len() + NAME
    });
    let memory: usize = memory.sum();
    (2 * numbers(layout.parameters()) + numbers(layout.statistics()) + memory) as u64
}

/// `path` is where `state` was read, for the error that says what it lacks.
pub fn restore(
    path: &Path,
    state: &State,
    params: &Params,
    velocities: &Tensor,
    method: &mut dyn Method,
) -> Result<()> {
    restore_params(path, state, params)?;
    let layout = params.layout();
    overwrite(path, state, "momentum/", layout.parameters(), velocities)?;
    for (name, tensor) in method.memory() {
        let name = format!("memory/{name}");
        let saved = find(path, state, &name, tensor.dims())?;
        match (&saved.numbers, tensor.element()) {
            (Numbers::F32(values), Element::F32) => tensor.overwrite(values)?,
            (Numbers::F32(values), Element::Real) => {
                let wide = Tensor::from_f32(tensor.device(), tensor.shape().clone(), values)?;
                copy::copy(&wide, tensor)?;
            }
            (Numbers::U32(values), Element::U32) => tensor.overwrite(values)?,
            (Numbers::U8(values), Element::U8) => tensor.overwrite(values)?,
            _ => return Err(lacks(path, &name, "has another number type")),
        }
    }
    method.restored()
}

/// The network alone.
pub fn restore_params(path: &Path, state: &State, params: &Params) -> Result<()> {
    let layout = params.layout();
    overwrite(path, state, "", layout.parameters(), &params.values)?;
    overwrite(path, state, "", layout.statistics(), &params.statistics)?;
    params.refresh()
}

fn overwrite(
    path: &Path,
    state: &State,
    prefix: &str,
    entries: &[Entry],
    flat: &Tensor,
) -> Result<()> {
    let mut values = flat.to_vec()?; // its gaps stay as they are
    for entry in entries {
        let name = format!("{prefix}{}", entry.name);
        let saved = find(path, state, &name, entry.shape.dims())?;
        let Numbers::F32(saved) = &saved.numbers else {
            return Err(lacks(path, &name, "has another number type"));
        };
        values[entry.offset..][..entry.len()].copy_from_slice(saved);
    }
    flat.overwrite(&values)
}

fn find<'a>(path: &Path, state: &'a State, name: &str, shape: &[usize]) -> Result<&'a Saved> {
    match state.get(name) {
        Some(saved) if saved.shape == shape => Ok(saved),
        Some(saved) => {
            let why = format!("has shape {:?}, the network wants {shape:?}", saved.shape);
            Err(lacks(path, name, &why))
        }
        None => Err(lacks(path, name, "is missing")),
    }
}

fn lacks(path: &Path, name: &str, why: &str) -> Error {
    Error::Checkpoint {
        path: path.into(),
        why: format!("{name} {why}; it was written for another network"),
    }
}
