//! `reshape`: the same elements under another shape, in the same memory. No kernel.
use crate::{Result, Tape, Var, shape::Shape};

/// x under `shape`, which has as many elements.
pub fn reshape(tape: &mut Tape, x: &Var, shape: impl Into<Shape>) -> Result<Var> {
    let (y, before) = (x.value.reshape(shape), x.value.shape().clone());
    Ok(tape.record("reshape", [x], y, |dy, _| Ok([Some(dy.reshape(before))])))
}
