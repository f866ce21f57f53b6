//! Layers: parameter ids and geometry. What they compute is in `ops`, where they are is in a pass.
use super::{
    layout::{Init, Layout, ParameterId, StatisticId},
    params::Pass,
};
use crate::{
    Result, Var,
    ops::{
        self,
        batch_norm::{Mode, Partial, Running},
        conv2d::Stride,
    },
};

/// A convolution without bias: (n, h, w, c) to (n, p, q, k).
#[derive(Clone, Debug)]
pub struct Conv {
    weight: ParameterId,
    stride: Stride,
}

impl Conv {
    /// A `window` x `window` convolution that keeps the size but for its stride. He initialisation, fan out.
    pub fn new(
        layout: &mut Layout,
        name: &str,
        [c, k]: [usize; 2],
        window: usize,
        stride: u32,
    ) -> Conv {
        let init = Init::Normal {
            fan: window * window * k,
        };
        let weight = layout.parameter(format!("{name}.weight"), [k, window, window, c], init);
        Conv {
            weight,
            stride: Stride {
                stride,
                padding: (window / 2) as u32,
            },
        }
    }
    pub fn name<'a>(&self, layout: &'a Layout) -> &'a str {
        layer(&layout.entry(self.weight).name)
    }
    pub fn stride(&self) -> Stride {
        self.stride
    }
    /// The output, and what the batch norm behind it need not look for again.
    pub fn forward(&self, pass: &mut Pass, x: &Var) -> Result<(Var, Option<Partial>)> {
        let weight = pass.weight(self.weight);
        match pass.mode() {
            Mode::Evaluate | Mode::Groups(_) => {
                let y = ops::conv2d(&mut pass.tape, x, &weight, self.stride)?;
                Ok((y, None))
            }
            _ => ops::conv2d_with_statistics(&mut pass.tape, x, &weight, self.stride),
        }
    }
    /// The same of images, which have few channels.
    pub fn forward_image(&self, pass: &mut Pass, x: &Var) -> Result<(Var, Option<Partial>)> {
        let weight = pass.weight(self.weight);
        ops::conv2d_image(&mut pass.tape, x, &weight, self.stride)
    }
}

/// Batch norm over all but the last dimension.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    scale: ParameterId,
    /// SimCLR's last batch norm has a scale and no shift.
    shift: Option<ParameterId>,
    mean: StatisticId,
    variance: StatisticId,
    channels: usize,
}

impl BatchNorm {
    pub fn new(layout: &mut Layout, name: &str, channels: usize) -> BatchNorm {
        BatchNorm::with(layout, name, channels, 1.0, true)
    }
    pub fn with(
        layout: &mut Layout,
        name: &str,
        channels: usize,
        scale: f32,
        shift: bool,
    ) -> BatchNorm {
        let constant = Init::Constant;
        BatchNorm {
            scale: layout.parameter(format!("{name}.weight"), [channels], constant(scale)),
            shift: shift
                .then(|| layout.parameter(format!("{name}.bias"), [channels], constant(0.0))),
            mean: layout.statistic(format!("{name}.running_mean"), [channels], 0.0),
            variance: layout.statistic(format!("{name}.running_var"), [channels], 1.0),
            channels,
        }
    }
    pub fn name<'a>(&self, layout: &'a Layout) -> &'a str {
        layer(&layout.entry(self.scale).name)
    }
    /// Scale, shift, memory, and where statistics come from: from `partial` where the batch's are wanted
    /// and x came with it.
    fn terms(
        &self,
        pass: &mut Pass,
        partial: Option<Partial>,
    ) -> Result<(Var, Var, Running, Mode)> {
        let scale = pass.vector(self.scale);
        let shift = match self.shift {
            Some(shift) => pass.vector(shift),
            None => pass.constant_vector(self.channels, 0.0)?,
        };
        let mode = match (pass.mode(), partial) {
            (Mode::Train, Some(partial)) => Mode::Given(partial),
            (mode, _) => mode,
        };
        let running = pass.running(self.mean, self.variance);
        Ok((scale, shift, running, mode))
    }
    pub fn forward(&self, pass: &mut Pass, x: &Var, partial: Option<Partial>) -> Result<Var> {
        let (scale, shift, running, mode) = self.terms(pass, partial)?;
        ops::batch_norm(&mut pass.tape, x, &scale, &shift, &running, mode)
    }
    pub fn forward_relu(&self, pass: &mut Pass, x: &Var, partial: Option<Partial>) -> Result<Var> {
        let (scale, shift, running, mode) = self.terms(pass, partial)?;
        ops::batch_norm_relu(&mut pass.tape, x, &scale, &shift, &running, mode)
    }
    /// 3 x 3 maxima of relu(batch norm(x)) at stride 2: the end of the stem.
    pub fn forward_relu_max_pool(
        &self,
        pass: &mut Pass,
        x: &Var,
        partial: Option<Partial>,
    ) -> Result<Var> {
        let (scale, shift, running, mode) = self.terms(pass, partial)?;
        ops::batch_norm_relu_max_pool(&mut pass.tape, x, &scale, &shift, &running, mode)
    }
    /// relu(batch norm(x) + residual): the end of a residual block.
    pub fn forward_add_relu(
        &self,
        pass: &mut Pass,
        x: &Var,
        residual: &Var,
        partial: Option<Partial>,
    ) -> Result<Var> {
        let (scale, shift, running, mode) = self.terms(pass, partial)?;
        ops::batch_norm_add_relu(&mut pass.tape, x, &scale, &shift, residual, &running, mode)
    }
}

/// `layer1.0.conv1` of its `layer1.0.conv1.weight`.
fn layer(parameter: &str) -> &str {
    parameter
        .rsplit_once('.')
        .map_or(parameter, |(layer, _)| layer)
}

/// y = x wᵀ (+ bias): (rows, inputs) to (rows, outputs).
#[derive(Clone, Debug)]
pub struct Linear {
    weight: ParameterId,
    bias: Option<ParameterId>,
}

impl Linear {
    /// Weight and bias uniform within 1 / sqrt(inputs).
    pub fn new(
        layout: &mut Layout,
        name: &str,
        [inputs, outputs]: [usize; 2],
        bias: bool,
    ) -> Linear {
        let init = Init::Uniform {
            bound: 1.0 / (inputs as f32).sqrt(),
        };
        Linear {
            weight: layout.parameter(format!("{name}.weight"), [outputs, inputs], init),
            bias: bias.then(|| layout.parameter(format!("{name}.bias"), [outputs], init)),
        }
    }
    /// (outputs, inputs).
    pub fn weight(&self) -> ParameterId {
        self.weight
    }
    pub fn forward(&self, pass: &mut Pass, x: &Var) -> Result<Var> {
        let weight = pass.weight(self.weight);
        let Some(bias) = self.bias else {
            return ops::linear(&mut pass.tape, x, &weight);
        };
        let bias = pass.vector(bias);
        ops::linear_bias(&mut pass.tape, x, &weight, &bias)
    }
}
