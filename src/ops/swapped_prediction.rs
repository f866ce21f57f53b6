//! `swapped_prediction`: SwAV's loss (Caron et al. 2020, arXiv 2006.09882, eq. 1 and 2): from one crop of an
//! image, the codes of another are to be told. Codes are constants: no gradient flows to them.
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Ptr, Real,
        kernels::{SwappedPredictionBackward, SwappedPredictionForward, SwappedPredictionLoss},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// The loss, f32 (1), of scores (V b, K) real, V crops of b images each, row v b + i being crop v of image i,
/// and of codes (2 b, K) f32 of the first two crops: the mean over those two crops a, over the other V - 1
/// crops v, and over images, of the cross-entropy of softmax(scores_v / temperature) with codes_a.
pub fn swapped_prediction(
    tape: &mut Tape,
    scores: &Var,
    codes: &Tensor,
    temperature: f32,
) -> Result<Var> {
    let kept = forward(&scores.value, codes, temperature)?;
    let (loss, value, codes) = (kept.loss.clone(), scores.value.clone(), codes.clone());
    Ok(
        tape.record("swapped_prediction", [scores], loss, move |dy, _| {
            let dscores = backward(&value, &codes, &kept, &dy, temperature)?;
            Ok([Some(dscores)])
        }),
    )
}

/// What forward makes: the loss (1), and of each row (V b) the log-sum-exp and the sum of the codes it is to
/// tell.
pub struct Forward {
    pub loss: Tensor,
    pub lse: Tensor,
    pub weight: Tensor,
    sizes: Sizes,
}

/// Crops with codes.
const ASSIGNED: usize = 2;

#[derive(Clone, Copy)]
struct Sizes {
    crops: usize,
    batch: usize,
}

impl Sizes {
    fn of(scores: &Tensor, codes: &Tensor) -> Sizes {
        let ([rows, prototypes], [assigned, across]) = (scores.dims_of(), codes.dims_of());
        assert_eq!(
            (across, codes.element()),
            (prototypes, Element::F32),
            "swapped_prediction: codes are {codes:?}, scores {}",
            scores.shape()
        );
        let batch = assigned / ASSIGNED;
        assert!(
            assigned % ASSIGNED == 0 && rows >= assigned && batch > 0 && rows % batch == 0,
            "swapped_prediction: codes of {assigned} rows, scores of {rows}"
        );
        Sizes {
            crops: rows / batch,
            batch,
        }
    }
    /// One over the number of cross-entropies.
    fn scale(&self) -> f32 {
        1.0 / (ASSIGNED * (self.crops - 1) * self.batch) as f32
    }
}

pub fn forward(scores: &Tensor, codes: &Tensor, temperature: f32) -> Result<Forward> {
    assert!(
        temperature > 0.0,
        "swapped_prediction: temperature {temperature}"
    );
    let ([rows, prototypes], device) = (scores.dims_of(), scores.device());
    let sizes = Sizes::of(scores, codes);
    let f32s = |n: usize| Tensor::uninit(device, Element::F32, [n]);
    let (lse, weight, losses, loss) = (f32s(rows)?, f32s(rows)?, f32s(rows)?, f32s(1)?);
    device.launch(SwappedPredictionForward {
        scores: scores.ptr(),
        codes: codes.ptr(),
        lse: lse.ptr(),
        weight: weight.ptr(),
        losses: losses.ptr(),
        crops: sizes.crops as u32,
        batch: sizes.batch as u32,
        prototypes: prototypes as u32,
        inv_temperature: 1.0 / temperature,
    })?;
    device.launch(SwappedPredictionLoss {
        losses: losses.ptr(),
        loss: loss.ptr(),
        rows: rows as u32,
        scale: sizes.scale(),
    })?;
    Ok(Forward {
        loss,
        lse,
        weight,
        sizes,
    })
}

/// dscores (V b, K), given dy (1).
pub fn backward(
    scores: &Tensor,
    codes: &Tensor,
    kept: &Forward,
    dy: &Tensor,
    temperature: f32,
) -> Result<Tensor> {
    let ([rows, prototypes], sizes) = (scores.dims_of(), kept.sizes);
    let dscores = Tensor::uninit(scores.device(), Element::Real, [rows, prototypes])?;
    scores.device().launch(SwappedPredictionBackward {
        scores: scores.ptr(),
        codes: codes.ptr(),
        lse: kept.lse.ptr(),
        weight: kept.weight.ptr(),
        dy: dy.ptr(),
        dscores: dscores.ptr(),
        crops: sizes.crops as u32,
        batch: sizes.batch as u32,
        prototypes: prototypes as u32,
        inv_temperature: 1.0 / temperature,
        scale: sizes.scale(),
    })?;
    Ok(dscores)
}

/// A block for a row: whole warps, a pack of eight prototypes or more a thread.
fn row_grid(rows: u32, prototypes: u32) -> Grid {
    Grid::rows(rows, prototypes.div_ceil(8))
}

/// Codes on the CPU, and what a crop of an image is to tell of them.
struct Codes<'a> {
    codes: &'a [f32],
    batch: usize,
    prototypes: usize,
}

impl<'a> Codes<'a> {
    fn new(memory: &'a Host, codes: Ptr, [batch, prototypes]: [u32; 2]) -> Codes<'a> {
        let [batch, prototypes] = [batch, prototypes].map(|n| n as usize);
        Codes {
            codes: memory.read::<f32>(codes, ASSIGNED * batch * prototypes),
            batch,
            prototypes,
        }
    }
    /// The sum of the codes that row v b + i is to tell: of image i, from crops other than v.
    fn target(&self, row: usize) -> Vec<f32> {
        let (crop, image) = (row / self.batch, row % self.batch);
        let mut sum = vec![0.0; self.prototypes];
        for a in (0..ASSIGNED).filter(|&a| a != crop) {
            let q = &self.codes[(a * self.batch + image) * self.prototypes..];
            sum.iter_mut().zip(q).for_each(|(sum, q)| *sum += q);
        }
        sum
    }
}

impl Kernel for SwappedPredictionForward {
    fn grid(&self, _: Arch) -> Grid {
        row_grid(self.crops * self.batch, self.prototypes)
    }
    fn bytes(&self, real: Real) -> u64 {
        let [crops, batch, prototypes] = [self.crops, self.batch, self.prototypes].map(u64::from);
        let codes = 4 * ASSIGNED as u64;
        batch * (prototypes * (crops * real.bytes() + codes) + 12 * crops)
    }
    fn on_cpu(&self, memory: &Host) {
        let prototypes = self.prototypes as usize;
        let rows = (self.crops * self.batch) as usize;
        let scores = memory.read::<f32>(self.scores, rows * prototypes);
        let codes = Codes::new(memory, self.codes, [self.batch, self.prototypes]);
        let lse = memory.write::<f32>(self.lse, rows).par_iter_mut();
        let weight = memory.write::<f32>(self.weight, rows);
        let losses = memory.write::<f32>(self.losses, rows);
        lse.zip(weight)
            .zip(losses)
            .zip(scores.par_chunks(prototypes))
            .enumerate()
            .for_each(|(row, (((lse, weight), loss), scores))| {
                let target = codes.target(row);
                let s = scores.iter().map(|s| s * self.inv_temperature);
                let most = s.clone().fold(f32::NEG_INFINITY, f32::max);
                let sum: f64 = s.clone().map(|s| (s - most).exp() as f64).sum();
                *lse = most + sum.ln() as f32;
                *weight = target.iter().map(|&t| t as f64).sum::<f64>() as f32;
                let terms = s.zip(&target).map(|(s, t)| t * (*lse - s));
                *loss = terms.map(f64::from).sum::<f64>() as f32;
            });
    }
}

impl Kernel for SwappedPredictionLoss {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(1, self.rows)
    }
    fn bytes(&self, _: Real) -> u64 {
        4 * self.rows as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let losses = memory.read::<f32>(self.losses, self.rows as usize);
        let sum: f64 = losses.iter().map(|&loss| loss as f64).sum();
        memory.write::<f32>(self.loss, 1)[0] = (self.scale as f64 * sum) as f32;
    }
}

impl Kernel for SwappedPredictionBackward {
    fn grid(&self, _: Arch) -> Grid {
        row_grid(self.crops * self.batch, self.prototypes)
    }
    fn bytes(&self, real: Real) -> u64 {
        let [crops, batch, prototypes] = [self.crops, self.batch, self.prototypes].map(u64::from);
        let codes = 4 * ASSIGNED as u64;
        batch * (prototypes * (2 * crops * real.bytes() + codes) + 8 * crops)
    }
    fn on_cpu(&self, memory: &Host) {
        let prototypes = self.prototypes as usize;
        let rows = (self.crops * self.batch) as usize;
        let scores = memory.read::<f32>(self.scores, rows * prototypes);
        let codes = Codes::new(memory, self.codes, [self.batch, self.prototypes]);
        let lse = memory.read::<f32>(self.lse, rows);
        let weight = memory.read::<f32>(self.weight, rows);
        let scale = memory.read::<f32>(self.dy, 1)[0] * self.scale * self.inv_temperature;
        let dscores = memory.write::<f32>(self.dscores, rows * prototypes);
        dscores
            .par_chunks_mut(prototypes)
            .zip(scores.par_chunks(prototypes))
            .enumerate()
            .for_each(|(row, (dscores, scores))| {
                let target = codes.target(row);
                for ((d, s), t) in dscores.iter_mut().zip(scores).zip(&target) {
                    let softmax = (s * self.inv_temperature - lse[row]).exp();
                    *d = scale * (weight[row] * softmax - t);
                }
            });
    }
}
