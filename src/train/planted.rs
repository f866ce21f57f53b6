//! Feature `fault`: NaNs where `SELFSAME_FAULT` says.
use super::trainer::Trainer;
use crate::{
    Result, Tensor,
    fault::{self, Place},
    ops::copy,
};

/// Overwrites the first number of `at`, if this is the place and the step.
pub fn nan(place: Place, step: u64, at: &Tensor) -> Result<bool> {
    if !fault::nan(place, step) {
        return Ok(false);
    }
    let nan = Tensor::from_f32(at.device(), [1], &[f32::NAN])?;
    copy::copy(&nan, &at.reshape([at.len()]).slice(0, [1]))?;
    Ok(true)
}

impl Trainer {
    /// In what crosses steps, before the next one.
    pub(super) fn plant(&self) -> Result<()> {
        let step = self.step + 1;
        fault::before(step);
        if nan(Place::Weights, step, &self.params.values)? {
            self.params.refresh()?;
        }
        nan(Place::Velocity, step, &self.velocities)?;
        nan(Place::Statistics, step, &self.params.statistics).map(drop)
    }
}
