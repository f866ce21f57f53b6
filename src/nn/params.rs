//! A network's weights as one value, and the pass that lends them to its layers.
use super::layout::{Entry, Layout, ParameterId, StatisticId};
use crate::{
    Result, Tape, Tensor, Var,
    device::{Device, Real},
    ops::{
        batch_norm::{Mode, Running},
        copy,
    },
    tape::Gradients,
    tensor::Element,
};
use std::{mem, sync::Arc};

/// Every weight of a network in one f32 allocation, a copy of it in the device's real numbers where that
/// is another type, and batch norm's running statistics.
#[derive(Clone)]
pub struct Params {
    layout: Arc<Layout>,
    /// Flat, f32: what the optimizer updates and a checkpoint holds.
    pub values: Tensor,
    /// The same as real numbers: what convolutions read. Whoever changes `values` changes it too, or
    /// calls [`Params::refresh`].
    reals: Tensor,
    /// Flat, f32: running means and variances.
    pub statistics: Tensor,
}

impl Params {
    /// First values drawn from `seed`.
    pub fn new(device: &Device, layout: &Arc<Layout>, seed: u64) -> Result<Params> {
        let values = match device.runs() {
            true => layout.initial(seed),
            false => layout.zeros(),
        };
        Params::of(device, layout, &values, &layout.initial_statistics())
    }

    fn of(
        device: &Device,
        layout: &Arc<Layout>,
        values: &[f32],
        statistics: &[f32],
    ) -> Result<Params> {
        let values = Tensor::from_f32(device, [values.len()], values)?;
        let statistics = Tensor::from_f32(device, [statistics.len()], statistics)?;
        let reals = match device.real() {
            Real::F32 => values.as_real(),
            Real::Bf16 => copy::to_real(&values)?,
        };
        Ok(Params {
            layout: layout.clone(),
            values,
            reals,
            statistics,
        })
    }

    /// The same numbers in memory of their own: MoCo's key encoder at the start.
    pub fn deep_copy(&self) -> Result<Params> {
        let (values, statistics) = (self.values.to_vec()?, self.statistics.to_vec()?);
        Params::of(self.device(), &self.layout, &values, &statistics)
    }

    /// The same weights, with running statistics of their own.
    pub fn with_own_statistics(&self) -> Result<Params> {
        Ok(Params {
            statistics: copy::full(self.device(), self.statistics.shape().clone(), 0.0)?,
            ..self.clone()
        })
    }

    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }
    pub fn device(&self) -> &Device {
        self.values.device()
    }
    /// The copy in real numbers, where it is memory of its own.
    pub fn reals(&self) -> Option<&Tensor> {
        (self.device().real() != Real::F32).then_some(&self.reals)
    }
    /// Makes the real copy follow `values`.
    pub fn refresh(&self) -> Result<()> {
        self.reals()
            .map_or(Ok(()), |reals| copy::copy(&self.values, reals))
    }
    /// A flat f32 tensor of zeros, laid out as `values`: gradients, moments.
    pub fn zeros(&self) -> Result<Tensor> {
        copy::full(self.device(), self.values.shape().clone(), 0.0)
    }
    /// One named parameter of a tensor laid out as `values`.
    pub fn view(&self, flat: &Tensor, entry: &Entry) -> Tensor {
        flat.slice(entry.offset, entry.shape.clone())
    }
}

/// One walk through a network: which weights it uses, whether it is recorded, what batch norm does.
pub struct Pass<'a> {
    pub tape: Tape,
    params: &'a Params,
    mode: Mode,
    records: bool,
    /// The parameters met so far, by id.
    leaves: Vec<Option<Var>>,
}

impl<'a> Pass<'a> {
    fn new(params: &'a Params, mode: Mode, records: bool) -> Pass<'a> {
        let leaves = vec![None; params.layout.parameters().len()];
        Pass {
            tape: Tape::default(),
            params,
            mode,
            records,
            leaves,
        }
    }
    /// Recorded; batch norm uses and remembers the batch's statistics.
    pub fn train(params: &'a Params) -> Pass<'a> {
        Pass::new(params, Mode::Train, true)
    }
    /// Batch norm as in training, nothing recorded: no gradient can flow to these weights.
    pub fn constant(params: &'a Params) -> Pass<'a> {
        Pass::new(params, Mode::Train, false)
    }
    /// Batch norm by its running statistics, nothing recorded.
    pub fn evaluate(params: &'a Params) -> Pass<'a> {
        Pass::new(params, Mode::Evaluate, false)
    }
    pub fn params(&self) -> &'a Params {
        self.params
    }
    /// Batch norm by groups of so many parts of the batch, each with statistics of its own, as if on so many
    /// devices (MoCo's shuffling batch norm on one; He et al. 2020, section 3.3). Of a pass that uses the
    /// batch's statistics; one group is the ordinary.
    pub fn set_groups(&mut self, groups: usize) {
        let trains = matches!(self.mode, Mode::Train | Mode::Groups(_));
        assert!(trains, "groups of {:?}", self.mode);
        self.mode = match groups {
            1 => Mode::Train,
            _ => Mode::Groups(groups),
        };
    }
    pub fn with_groups(mut self, groups: usize) -> Pass<'a> {
        self.set_groups(groups);
        self
    }
    pub fn mode(&self) -> Mode {
        self.mode.clone()
    }

    /// A weight, in the device's real numbers.
    pub fn weight(&mut self, id: ParameterId) -> Var {
        self.leaf(id, Element::Real)
    }
    /// A scale, shift or bias, in f32.
    pub fn vector(&mut self, id: ParameterId) -> Var {
        self.leaf(id, Element::F32)
    }
    fn leaf(&mut self, id: ParameterId, element: Element) -> Var {
        if let Some(var) = &self.leaves[id.0] {
            assert_eq!(
                var.value.element(),
                element,
                "one parameter read as two types"
            );
            return var.clone();
        }
        let flat = if element == Element::Real {
            &self.params.reals
        } else {
            &self.params.values
        };
        let value = self
            .params
            .view(flat, &self.params.layout.parameters()[id.0]);
        let var = if self.records {
            self.tape.leaf(&value)
        } else {
            Var::constant(value)
        };
        self.leaves[id.0] = Some(var.clone());
        var
    }
    /// The running statistics of one batch norm; they share the memory of `params`.
    pub fn running(&self, mean: StatisticId, variance: StatisticId) -> Running {
        let view = |id: StatisticId| {
            let entry = &self.params.layout.statistics()[id.0];
            self.params.view(&self.params.statistics, entry)
        };
        Running {
            mean: view(mean),
            variance: view(variance),
        }
    }
    /// A constant vector (c), f32.
    pub fn constant_vector(&self, c: usize, value: f32) -> Result<Var> {
        Ok(Var::constant(copy::full(self.params.device(), [c], value)?))
    }

    /// Writes d loss / d values into `gradients`, laid out as `values`. A parameter the loss does not
    /// depend on gets zeros; gaps are left alone.
    pub fn backward(mut self, loss: &Var, gradients: &Tensor) -> Result<()> {
        let found = mem::take(&mut self.tape).backward(loss)?;
        self.write(found, gradients)
    }

    /// As `backward`, of what depends on `y` alone and whose gradient there is `dy`.
    pub fn backward_from(mut self, y: &Var, dy: Tensor, gradients: &Tensor) -> Result<()> {
        let found = mem::take(&mut self.tape).backward_from(y, dy)?;
        self.write(found, gradients)
    }

    fn write(&self, mut found: Gradients, gradients: &Tensor) -> Result<()> {
        for (entry, leaf) in self.params.layout.parameters().iter().zip(&self.leaves) {
            let into = self.params.view(gradients, entry);
            match leaf.as_ref().and_then(|leaf| found.take(leaf)) {
                Some(gradient) => copy::copy(&gradient, &into)?,
                None => copy::fill(&into, 0.0)?,
            }
        }
        Ok(())
    }
}
