//! A step's own numbers (loss, gradient), kept on the device until somebody looks: looking waits for it.
use super::log::{self, Log};
use crate::{Device, Error, Result, Tensor, ops::copy, tensor::Element};

/// Steps whose numbers are read together where reading one waits for the device.
const PATIENCE: usize = 16;

/// A row of the ring, in f32: the loss; the sum of the gradient's squares, how many of it are not finite.
/// Apart by 16 bytes, the widest access of a kernel.
const ROW: usize = 8;
const LOSS: usize = 0;
const SUMMARY: usize = 4;

pub struct Numbers {
    /// (patience, ROW) f32
    ring: Tensor,
    /// Steps launched whose numbers were not looked at, by row.
    pending: Vec<log::Step>,
}

impl Numbers {
    pub fn new(device: &Device) -> Result<Numbers> {
        let patience = if device.name() == "cpu" { 1 } else { PATIENCE };
        Ok(Numbers {
            ring: Tensor::uninit(device, Element::F32, [patience, ROW])?,
            pending: Vec::with_capacity(patience),
        })
    }

    /// Keeps the numbers of a step just launched: `loss` (1) and `summary` (2) may be overwritten after.
    pub fn add(&mut self, loss: &Tensor, summary: &Tensor, step: log::Step) -> Result<()> {
        let row = self.pending.len() * ROW;
        copy::copy(loss, &self.ring.slice(row + LOSS, loss.shape().clone()))?;
        copy::copy(summary, &self.ring.slice(row + SUMMARY, [2]))?;
        self.pending.push(step);
        Ok(())
    }

    pub fn is_full(&self) -> bool {
        self.pending.len() == self.ring.dims()[0]
    }

    /// Logs the steps added since the last time, in order. The first whose loss is no number is an error:
    /// nothing was saved since.
    pub fn settle(&mut self, log: &mut Log) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let rows = self.ring.to_vec()?;
        for (mut step, row) in self.pending.drain(..).zip(rows.chunks(ROW)) {
            let (loss, wrong) = (row[LOSS], row[SUMMARY + 1]);
            step.loss = loss;
            step.gradient_norm = (row[SUMMARY] as f64).sqrt();
            if !loss.is_finite() || wrong > 0.0 || !step.gradient_norm.is_finite() {
                return Err(Error::Numeric(format!(
                    "step {}: loss {loss}, gradient norm {}, {wrong} of the gradient's numbers are not finite\n  the last checkpoint is from before; try a lower --lr, a longer warm-up, or images without constant ones",
                    step.step, step.gradient_norm
                )));
            }
            log.step(&step);
        }
        Ok(())
    }
}
