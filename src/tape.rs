//! The tape: what was computed, in order, so that `backward` can walk it in reverse.
//!
//! An op records its inputs, its output, and one closure from the output's gradient to one gradient an
//! input. What the closure holds is what the step keeps alive, and it is dropped as soon as it has run.
//! Push order is execution order, so backward is `pop`: no sort, no ids but positions.
use crate::{
    Result, Tensor,
    device::kernels::{Add, AddF32, Fill},
    tensor::Element,
};
use std::rc::Rc;

type Backward = Box<dyn FnOnce(Tensor, Vec<Need>) -> Result<Vec<Option<Tensor>>>>;

/// Whether an input's gradient is wanted.
#[derive(Debug)]
pub enum Need {
    No,
    Yes,
    /// Added to what is known of it already.
    Onto(Tensor),
}

impl Need {
    /// What the gradient is to be added to, inside; `None` where it is not wanted.
    pub fn onto(self) -> Option<Option<Tensor>> {
        match self {
            Need::No => None,
            Need::Yes => Some(None),
            Need::Onto(before) => Some(Some(before)),
        }
    }
}

/// Told of each value as it is recorded, and of each gradient as it is found, with what made it.
pub type Watcher = Rc<dyn Fn(&str, &Tensor)>;

struct Step {
    op: &'static str,
    inputs: Vec<Option<usize>>,
    backward: Option<Backward>,
    /// Whether `backward` adds to gradients itself.
    adds: bool,
}

/// A value, and where on the tape it was made (nowhere: a constant, no gradient flows to it).
#[derive(Clone)]
pub struct Var {
    pub value: Tensor,
    node: Option<usize>,
}

impl Var {
    pub fn constant(value: Tensor) -> Var {
        Var { value, node: None }
    }
    /// The same value without its past.
    pub fn detach(&self) -> Var {
        Var::constant(self.value.clone())
    }
    pub fn is_constant(&self) -> bool {
        self.node.is_none()
    }
}

#[derive(Default)]
pub struct Tape {
    steps: Vec<Step>,
    watcher: Option<Watcher>,
}

impl Tape {
    /// Of what is recorded from now on.
    pub fn watch(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    /// A value to differentiate with respect to: a parameter.
    pub fn leaf(&mut self, value: &Tensor) -> Var {
        self.push(
            Step {
                op: "leaf",
                inputs: Vec::new(),
                backward: None,
                adds: false,
            },
            value.clone(),
        )
    }

    /// Records `output = op(inputs)`. `backward(dy, needs)` returns one gradient an input, in order; it may
    /// return `None` where `needs` is false. Nothing is recorded when no input has a past.
    pub fn record<const N: usize>(
        &mut self,
        op: &'static str,
        inputs: [&Var; N],
        output: Tensor,
        backward: impl FnOnce(Tensor, [bool; N]) -> Result<[Option<Tensor>; N]> + 'static,
    ) -> Var {
        let backward =
            move |dy, needs: [Need; N]| backward(dy, needs.map(|n| !matches!(n, Need::No)));
        self.record_step(op, inputs, output, backward, false)
    }

    /// `record` of an op that adds an input's gradient to another's in the pass that makes it: `Need::Onto`
    /// says so, and then it returns the sum.
    pub fn record_adding<const N: usize>(
        &mut self,
        op: &'static str,
        inputs: [&Var; N],
        output: Tensor,
        backward: impl FnOnce(Tensor, [Need; N]) -> Result<[Option<Tensor>; N]> + 'static,
    ) -> Var {
        self.record_step(op, inputs, output, backward, true)
    }

    fn record_step<const N: usize>(
        &mut self,
        op: &'static str,
        inputs: [&Var; N],
        output: Tensor,
        backward: impl FnOnce(Tensor, [Need; N]) -> Result<[Option<Tensor>; N]> + 'static,
        adds: bool,
    ) -> Var {
        let inputs = inputs.map(|v| v.node);
        if inputs.iter().all(Option::is_none) {
            return Var::constant(output);
        }
        let backward: Backward = Box::new(move |dy, needs| {
            Ok(backward(dy, needs.try_into().expect("one an input"))?.into())
        });
        self.push(
            Step {
                op,
                inputs: inputs.into(),
                backward: Some(backward),
                adds,
            },
            output,
        )
    }

    /// Gradients of the scalar `loss` with respect to the leaves.
    pub fn backward(self, loss: &Var) -> Result<Gradients> {
        assert_eq!(
            loss.value.len(),
            1,
            "backward starts from a scalar, not {}",
            loss.value.shape()
        );
        let one = one(&loss.value)?;
        self.backward_from(loss, one)
    }

    /// Gradients with respect to the leaves of what depends on them through `y` alone, where its gradient
    /// is `dy`.
    pub fn backward_from(mut self, y: &Var, dy: Tensor) -> Result<Gradients> {
        let root = y.node.expect("the loss depends on no parameter");
        assert_eq!(
            y.value.shape(),
            dy.shape(),
            "a gradient has its value's shape"
        );
        let mut gradients: Vec<Option<Tensor>> = vec![None; self.steps.len()];
        gradients[root] = Some(dy);
        while let Some(step) = self.steps.pop() {
            let Some(backward) = step.backward else {
                continue;
            };
            let Some(dy) = gradients[self.steps.len()].take() else {
                continue;
            };
            let need = |input: &Option<usize>| match *input {
                None => Need::No,
                Some(input) if step.adds => gradients[input].take().map_or(Need::Yes, Need::Onto),
                Some(_) => Need::Yes,
            };
            let needs = step.inputs.iter().map(need).collect();
            let dxs = backward(dy, needs)?;
            for (input, dx) in step.inputs.iter().zip(dxs) {
                let Some(input) = *input else { continue };
                if let (Some(watcher), Some(dx)) = (&self.watcher, &dx) {
                    watcher(&format!("{}, backward", step.op), dx);
                }
                let dx = dx.unwrap_or_else(|| {
                    panic!("{}: no gradient for an input that needs one", step.op)
                });
                gradients[input] = Some(match gradients[input].take() {
                    None => dx,
                    Some(before) => sum(&before, &dx)?,
                });
            }
        }
        Ok(Gradients(gradients))
    }

    fn push(&mut self, step: Step, value: Tensor) -> Var {
        if let Some(watcher) = &self.watcher {
            watcher(step.op, &value);
        }
        self.steps.push(step);
        Var {
            value,
            node: Some(self.steps.len() - 1),
        }
    }
}

/// What `Tape::backward` found.
pub struct Gradients(Vec<Option<Tensor>>);

impl Gradients {
    /// The gradient of a leaf; `None` where the loss does not depend on it.
    pub fn take(&mut self, leaf: &Var) -> Option<Tensor> {
        self.0[leaf.node?].take()
    }
}

/// d loss / d loss.
fn one(loss: &Tensor) -> Result<Tensor> {
    assert_eq!(loss.element(), Element::F32, "losses are f32");
    let y = Tensor::uninit(loss.device(), Element::F32, loss.shape().clone())?;
    loss.device().launch(Fill {
        y: y.ptr(),
        n: 1,
        value: 1.0,
    })?;
    Ok(y)
}

/// A value used twice has the sum of its gradients.
pub(crate) fn sum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    assert_eq!(
        (a.shape(), a.element()),
        (b.shape(), b.element()),
        "gradients of one value"
    );
    let y = Tensor::uninit(a.device(), a.element(), a.shape().clone())?;
    let (pa, pb, py, n) = (a.ptr(), b.ptr(), y.ptr(), a.len() as u64);
    match a.element() {
        Element::Real => a.device().launch(Add {
            a: pa,
            b: pb,
            y: py,
            n,
        })?,
        Element::F32 => a.device().launch(AddF32 {
            a: pa,
            b: pb,
            y: py,
            n,
        })?,
        other => panic!("{other:?} has no gradient"),
    }
    Ok(y)
}
