//! Weights for a network to begin with, from elsewhere, in place of the seed's.
use crate::{
    Result, Tensor,
    interop::weights::Weights,
    nn::{Entry, Params},
};

/// The whole backbone of `params` from `weights`; a method's head keeps its values.
/// Errors naming the tensors that are missing or of another shape.
pub fn fill(params: &Params, weights: &Weights) -> Result<()> {
    let layout = params.layout();
    fill_flat(weights, layout.parameters(), &params.values)?;
    fill_flat(weights, layout.statistics(), &params.statistics)?;
    params.refresh()
}

fn fill_flat(weights: &Weights, entries: &[Entry], flat: &Tensor) -> Result<()> {
    let entries: Vec<&Entry> = entries.iter().filter(|entry| !entry.is_head()).collect();
    let slots: Vec<_> = entries
        .iter()
        .map(|e| (e.name.as_str(), &e.shape))
        .collect();
    let mut values = flat.to_vec()?; // the gaps between them stay as they are
    for (entry, taken) in entries.iter().zip(weights.take(&slots)?) {
        values[entry.offset..][..entry.len()].copy_from_slice(&taken);
    }
    flat.overwrite(&values)
}
