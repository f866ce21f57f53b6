//! `dropout`: y = x / (1 - probability) where an element is kept, 0 where it is dropped, with `probability`
//! (Srivastava et al. 2014). For training alone: an evaluation calls nothing in its place.
use super::flat_grid;
use crate::{
    Result, Tape, Tensor, Var,
    device::{Arch, Grid, Host, Kernel, Real, kernels::Dropout},
    random::{Draws, Purpose},
    tensor::Element,
};
use rayon::prelude::*;

/// Which elements are dropped: a function of these and of an element's place.
#[derive(Clone, Debug)]
pub struct Drops {
    pub probability: f32,
    pub seed: u64,
    /// u32 (1), on the device.
    pub step: Tensor,
    /// Layers of one network draw apart from each other; below 2^16.
    pub layer: u32,
}

/// y of x, of any shape.
pub fn dropout(tape: &mut Tape, x: &Var, drops: &Drops) -> Result<Var> {
    let (y, drops) = (apply(&x.value, drops)?, drops.clone());
    Ok(tape.record("dropout", [x], y, move |dy, _| {
        Ok([Some(apply(&dy, &drops)?)])
    }))
}

/// Forward on x, backward on dy.
pub fn apply(x: &Tensor, drops: &Drops) -> Result<Tensor> {
    let Drops { probability, .. } = *drops;
    assert!((0.0..1.0).contains(&probability), "dropout: {probability}");
    assert!(drops.layer < 1 << 16, "dropout: layer {}", drops.layer);
    let found = (drops.step.len(), drops.step.element());
    assert_eq!(found, (1, Element::U32), "dropout: step");
    assert!(
        x.len() <= 1 << 34,
        "dropout: {} has too many draws",
        x.shape()
    );
    let y = Tensor::uninit(x.device(), Element::Real, x.shape().clone())?;
    x.device().launch(Dropout {
        x: x.ptr(),
        step: drops.step.ptr(),
        y: y.ptr(),
        n: x.len() as u64,
        seed: drops.seed,
        layer: drops.layer,
        probability,
    })?;
    Ok(y)
}

const CHUNK: usize = 1 << 13; // elements a rayon task, whole blocks of draws

impl Kernel for Dropout {
    fn grid(&self, _: Arch) -> Grid {
        flat_grid(self.n)
    }
    fn bytes(&self, real: Real) -> u64 {
        2 * real.bytes() * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        let n = self.n as usize;
        let step = memory.read::<u32>(self.step, 1)[0];
        let stream = Draws::new(self.seed, Purpose::Dropout, step, 0, self.layer);
        let scale = 1.0 / (1.0 - self.probability);
        let x = memory.read::<f32>(self.x, n).par_chunks(CHUNK);
        let y = memory.write::<f32>(self.y, n).par_chunks_mut(CHUNK);
        y.zip(x).enumerate().for_each(|(chunk, (y, x))| {
            let mut draws = stream.clone().from_block((chunk * CHUNK / 4) as u32);
            for (y, x) in y.iter_mut().zip(x) {
                let dropped = draws.unit() < self.probability;
                *y = if dropped { 0.0 } else { x * scale };
            }
        });
    }
}
