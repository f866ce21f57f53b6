//! Projection heads: what a method puts on the backbone and throws away afterwards.
use super::{
    layers::{BatchNorm, Linear},
    layout::Layout,
    params::Pass,
};
use crate::{Result, Var, ops};

/// Which layers of a head are followed by batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Every one; the last without shift: SimCLR (`simclr:tf2/model.py`).
    All,
    /// All but the last: SwAV.
    Hidden,
    /// All but the last, which the loss normalises itself: Barlow Twins.
    Outside,
    /// None: MoCo, PIRL.
    None,
}

/// Linear, (batch norm,) relu, ..., linear (, batch norm). A linear layer has a bias unless batch norm
/// follows, which would take it away again.
#[derive(Clone, Debug)]
pub struct Projector {
    hidden: Vec<Layer>,
    output: Layer,
}

#[derive(Clone, Debug)]
struct Layer {
    linear: Linear,
    norm: Option<BatchNorm>,
}

impl Projector {
    /// `sizes`: features, each hidden layer, output. Named `name.0`, `name.1`, ... and `name.N.norm`.
    pub fn new(layout: &mut Layout, name: &str, sizes: &[usize], norm: Norm) -> Projector {
        assert!(sizes.len() >= 2, "a head has an input and an output");
        let last = sizes.len() - 2;
        let mut layer = |i: usize| {
            let (normed, bias) = match norm {
                Norm::All => (true, false),
                Norm::Hidden => (i < last, i == last),
                Norm::Outside => (i < last, false),
                Norm::None => (false, true),
            };
            let linear = [sizes[i], sizes[i + 1]];
            let linear = Linear::new(layout, &format!("{name}.{i}"), linear, bias);
            let shifted = i < last;
            let norm = format!("{name}.{i}.norm");
            let norm = normed.then(|| BatchNorm::with(layout, &norm, sizes[i + 1], 1.0, shifted));
            Layer { linear, norm }
        };
        Projector {
            hidden: (0..last).map(&mut layer).collect(),
            output: layer(last),
        }
    }

    /// x (n, features) to (n, output).
    pub fn forward(&self, pass: &mut Pass, x: &Var) -> Result<Var> {
        let mut x = x.clone();
        for Layer { linear, norm } in &self.hidden {
            x = linear.forward(pass, &x)?;
            x = match norm {
                Some(norm) => norm.forward_relu(pass, &x, None)?,
                None => ops::relu(&mut pass.tape, &x)?,
            };
        }
        let x = self.output.linear.forward(pass, &x)?;
        match &self.output.norm {
            Some(norm) => norm.forward(pass, &x, None),
            None => Ok(x),
        }
    }
}
