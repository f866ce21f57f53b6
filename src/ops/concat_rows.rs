//! `concat_rows`: tensors of rows of one width, one below the other.
use super::copy;
use crate::{Result, Tape, Tensor, Var, tensor::Element};

/// Of inputs (n_i, c), real, y (Σ n_i, c). Backward copies nothing: an input's gradient is its rows of dy.
pub fn concat_rows<const N: usize>(tape: &mut Tape, inputs: [&Var; N]) -> Result<Var> {
    let y = forward(inputs.map(|x| &x.value))?;
    let rows = inputs.map(|x| x.value.dims()[0]);
    Ok(tape.record("concat_rows", inputs, y, move |dy, needs| {
        let mut start = 0;
        Ok(std::array::from_fn(|i| {
            let dx = dy.rows(start, rows[i]);
            start += rows[i];
            needs[i].then_some(dx)
        }))
    }))
}

pub fn forward<const N: usize>(inputs: [&Tensor; N]) -> Result<Tensor> {
    let shapes = inputs.map(Tensor::dims_of::<2>);
    let c = shapes[0][1];
    assert!(
        shapes.iter().all(|shape| shape[1] == c),
        "concat_rows: {shapes:?}"
    );
    let rows = shapes.iter().map(|shape| shape[0]).sum();
    let y = Tensor::uninit(inputs[0].device(), Element::Real, [rows, c])?;
    let mut start = 0;
    for x in inputs {
        let n = x.dims()[0];
        copy::copy(x, &y.rows(start, n))?;
        start += n;
    }
    Ok(y)
}
