//! Projection heads: what a method puts on the backbone and throws away afterwards.
use super::{
    layers::{BatchNorm, Linear},
    layout::Layout,
    params::Pass,
};
use crate::{Result, Var};

/// Linear, batch norm, relu, ..., linear, batch norm without shift: SimCLR's (`simclr:tf2/model.py`).
#[derive(Clone, Debug)]
pub struct Projector {
    hidden: Vec<(Linear, BatchNorm)>,
    output: Linear,
    output_norm: Option<BatchNorm>,
}

impl Projector {
    /// `sizes`: features, each hidden layer, output. Named `head.0`, `head.1`, ... and `head.N.norm`.
    pub fn new(layout: &mut Layout, sizes: &[usize], output_norm: bool) -> Projector {
        assert!(sizes.len() >= 2, "a head has an input and an output");
        let last = sizes.len() - 2;
        let hidden = (0..last).map(|i| {
            let linear = Linear::new(
                layout,
                &format!("head.{i}"),
                [sizes[i], sizes[i + 1]],
                false,
            );
            (
                linear,
                BatchNorm::new(layout, &format!("head.{i}.norm"), sizes[i + 1]),
            )
        });
        let hidden = hidden.collect();
        let output = Linear::new(
            layout,
            &format!("head.{last}"),
            [sizes[last], sizes[last + 1]],
            false,
        );
        let norm = format!("head.{last}.norm");
        let output_norm =
            output_norm.then(|| BatchNorm::with(layout, &norm, sizes[last + 1], 1.0, false));
        Projector {
            hidden,
            output,
            output_norm,
        }
    }

    /// x (n, features) to (n, output).
    pub fn forward(&self, pass: &mut Pass, x: &Var) -> Result<Var> {
        let mut x = x.clone();
        for (linear, norm) in &self.hidden {
            x = linear.forward(pass, &x)?;
            x = norm.forward_relu(pass, &x, None)?;
        }
        let x = self.output.forward(pass, &x)?;
        self.output_norm
            .as_ref()
            .map_or(Ok(x.clone()), |norm| norm.forward(pass, &x, None))
    }
}
