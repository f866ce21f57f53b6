//! A ResNet under torchvision's names, which timm shares: `conv1.weight`, `layer1.0.bn1.running_mean`.
//!
//! A network is a list of (name, shape) with convolutions as our kernels hold them, (out, kh, kw, in);
//! in the file they are (out, in, kh, kw). This module knows names and shapes, not networks.
use super::{
    Existing, detectron2, huggingface,
    weights::{self, Array, Stored, Weights},
};
use crate::{Error, Result, shape::Shape};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

/// What a file's tensors are the weights of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Blocks of each stage: 2, 2, 2, 2 is ResNet-18; 3, 4, 6, 3 with bottlenecks ResNet-50.
    pub blocks: Vec<usize>,
    pub bottleneck: bool,
    /// Channels after the first convolution: 64 at width 1.
    pub channels: usize,
    /// The first convolution's kernel: 7 for ImageNet, 3 for CIFAR.
    pub stem_kernel: usize,
}

/// Reads a file or a Hugging Face folder whose names are torchvision's, whatever stands before them:
/// `module.`, `backbone.`, `encoder.` and what MoCo, SwAV, VISSL and Lightning write. detectron2's names
/// are read as torchvision's.
pub fn read(path: &Path) -> Result<Weights> {
    let mut weights = match huggingface::is_one(path) {
        true => huggingface::read(path)?,
        false => weights::read(path)?,
    };
    let mut bare = BTreeMap::new();
    for (name, array) in std::mem::take(&mut weights.arrays) {
        let short = without_prefixes(&name);
        let short = detectron2::to_torchvision(short).unwrap_or_else(|| short.to_string());
        if bare.contains_key(&short) {
            return Err(Error::Checkpoint {
                path: path.into(),
                why: format!(
                    "holds `{short}` twice, under two prefixes; keep one network in the file"
                ),
            });
        }
        bare.insert(short, array);
    }
    weights.arrays = bare;
    Ok(weights)
}

const PREFIXES: [&str; 7] = [
    "module.",
    "backbone.",
    "encoder.",
    "encoder_q.",
    "_feature_blocks.",
    "state_dict.",
    "model.",
];

fn without_prefixes(name: &str) -> &str {
    let shorter = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    shorter.map_or(name, without_prefixes)
}

impl Weights {
    /// The network these are the weights of, from their names and shapes.
    pub fn architecture(&self) -> Result<Architecture> {
        let refuse = |why: String| Error::Checkpoint {
            path: self.path.clone(),
            why,
        };
        let stem = self.arrays.get("conv1.weight").ok_or_else(|| {
            let some: Vec<&str> = self.arrays.keys().take(3).map(String::as_str).collect();
            let (count, some) = (self.arrays.len(), some.join(", "));
            refuse(format!("no conv1.weight among its {count} tensors ({some}, ...): not a ResNet under torchvision's names"))
        })?;
        let &[channels, 3, stem_kernel, width] = stem.shape.dims() else {
            let shape = &stem.shape;
            return Err(refuse(format!(
                "conv1.weight is {shape}; (channels, 3, k, k) is wanted"
            )));
        };
        if stem_kernel != width {
            return Err(refuse(format!(
                "conv1.weight is {}: not square",
                stem.shape
            )));
        }
        let has = |stage: usize, block: usize, conv: usize| {
            let name = format!("layer{stage}.{block}.conv{conv}.weight");
            self.arrays.contains_key(&name)
        };
        let blocks_of = |stage| (0..).take_while(|&block| has(stage, block, 1)).count();
        let blocks: Vec<usize> = (1..)
            .map(blocks_of)
            .take_while(|&count| count > 0)
            .collect();
        Ok(Architecture {
            blocks,
            bottleneck: has(1, 0, 3),
            channels,
            stem_kernel,
        })
    }

    /// The values of every slot, in order, with convolutions turned to (out, kh, kw, in). What the file
    /// holds besides (`fc.weight`, a projection head) is left alone.
    /// Errors naming the tensors that are missing or of another shape.
    pub fn take(&self, slots: &[(&str, &Shape)]) -> Result<Vec<Vec<f32>>> {
        let mut taken = Vec::with_capacity(slots.len());
        let mut misfits = Vec::new();
        for &(name, wanted) in slots {
            match self.arrays.get(name).map(Array::to_krsc) {
                Some(array) if array.shape == *wanted => taken.push(array.values),
                Some(array) => {
                    let (found, wanted) = (array.to_oihw().shape, in_file(wanted));
                    misfits.push(format!("{name} is {found}, {wanted} is wanted"));
                }
                None => misfits.push(format!("{name} is missing")),
            }
        }
        if misfits.is_empty() {
            return Ok(taken);
        }
        Err(Error::Checkpoint {
            path: self.path.clone(),
            why: complaint(&misfits, slots.len()),
        })
    }
}

/// A slot's shape as the file has it.
fn in_file(slot: &Shape) -> Shape {
    match *slot.dims() {
        [o, h, w, i] => [o, i, h, w].into(),
        _ => slot.clone(),
    }
}

fn complaint(misfits: &[String], of: usize) -> String {
    const SHOWN: usize = 5;
    let mut text = format!("{} of {of} tensors do not fit", misfits.len());
    for misfit in misfits.iter().take(SHOWN) {
        text += &format!("\n  {misfit}");
    }
    if misfits.len() > SHOWN {
        text += &format!("\n  and {} more", misfits.len() - SHOWN);
    }
    text
}

/// Writes `tensors` (convolutions (out, kh, kw, in)) as torchvision names them, `num_batches_tracked`
/// included: `load_state_dict(strict=False)` then misses `fc.*` only.
pub fn write(
    path: &Path,
    tensors: &[(String, Array)],
    batches: i64,
    notes: &HashMap<String, String>,
    existing: Existing,
) -> Result<()> {
    let turned = turned(tensors);
    weights::write(path, &with_counters(&turned, batches), notes, existing)
}

/// Convolutions (out, kh, kw, in) as (out, in, kh, kw).
pub fn turned(tensors: &[(String, Array)]) -> Vec<(String, Array)> {
    let turn = |(name, array): &(String, Array)| (name.clone(), array.to_oihw());
    tensors.iter().map(turn).collect()
}

/// With a `num_batches_tracked` in every batch norm.
pub fn with_counters(turned: &[(String, Array)], batches: i64) -> Vec<(String, Stored<'_>)> {
    let mut stored = Vec::new();
    for (name, array) in turned {
        stored.push((name.clone(), Stored::Floats(array)));
        if let Some(layer) = name.strip_suffix(".running_mean") {
            let name = format!("{layer}.num_batches_tracked");
            stored.push((name, Stored::Count(batches)));
        }
    }
    stored
}
