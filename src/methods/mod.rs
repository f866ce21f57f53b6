//! Self-supervised methods: each says what loss it asks of the views of a batch. A method is a plain
//! struct, its fields its paper's hyperparameters and memory; sharing is by ops.
pub mod barlow;
pub mod invariance;
pub mod jigsaw;
pub mod moco;
pub mod pirl;
pub mod relative_position;
pub mod rotation;
pub mod simclr;
pub mod simclr_bank;
pub mod supervised;
pub mod swav;

pub use barlow::BarlowTwins;
pub use invariance::Invariance;
pub use jigsaw::Jigsaw;
pub use moco::MoCo;
pub use pirl::Pirl;
pub use relative_position::RelativePosition;
pub use rotation::Rotation;
pub use simclr::SimClr;
pub use simclr_bank::SimClrBank;
pub use supervised::Supervised;
pub use swav::SwAv;

use crate::{
    Result, Tape, Tensor, Var,
    nn::{ParameterId, Pass},
    ops::copy,
    tensor::Element,
};

/// One batch, on the device.
pub struct Batch {
    /// Images in it: n.
    pub images: usize,
    /// Of each kind of view that the method takes, (pieces n, s, s, 3) real. Crops are stacked view by view:
    /// row v n + i shows image i; patches image by image: row 9 i + p.
    pub views: Vec<Tensor>,
    /// (n) u32: each image's place in the data.
    pub ids: Tensor,
    /// (n) u32: each image's class, for those who may look; `u32::MAX` where it has none.
    pub labels: Tensor,
    /// (n) u32: what was done to each image, for pretext tasks: its turn, its permutation.
    pub targets: Tensor,
    /// (1) u32: steps done before this one.
    pub step: Tensor,
}

/// What a step is about.
pub struct Objective {
    /// f32, a scalar.
    pub loss: Var,
    /// (rows, d) real: of any length, one a view: what a collapse is seen in.
    pub embeddings: Tensor,
    /// (rows, clusters) f32, where views are assigned to clusters: each row's shares, which sum to 1.
    pub codes: Option<Tensor>,
}

/// Steps of one phase make the same launches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    pub number: u32,
    /// Whether [`Method::freezes`] stands still.
    pub frozen: bool,
}

pub trait Method {
    /// The objective of one batch; what gradients must flow through is recorded on `pass`.
    ///
    /// A step may be captured and its launches replayed: this is then called once for many steps of one
    /// phase. What changes from one to the next (a queue's place) lies in device memory.
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Objective>;
    /// Once the gradient of `step`, a batch's objective, is known: what remembers the batch moves here.
    fn after_backward(&mut self, _batch: &Batch, _step: &Objective) -> Result<()> {
        Ok(())
    }
    /// Before each step, of which `step` went before: what follows from the step alone is decided here.
    fn begin(&mut self, _step: u64, _steps_per_epoch: u64) -> Phase {
        Phase::default()
    }
    /// A parameter that stands still in some phases: neither it nor its velocity moves.
    fn freezes(&self) -> Option<ParameterId> {
        None
    }
    /// What must survive a restart besides the parameters, by name.
    fn memory(&mut self) -> Vec<(&'static str, &mut Tensor)> {
        Vec::new()
    }
    /// Called once `memory` was read back.
    fn restored(&mut self) -> Result<()> {
        Ok(())
    }
    /// Where a batch may pass through the network in parts, and its loss still be that of the whole.
    fn in_parts(&mut self) -> Option<&mut dyn InParts> {
        None
    }
}

/// A loss of embeddings that depend on their own views only (but for batch norm, whose statistics are then
/// of a part).
pub trait InParts {
    /// (pieces n, d) real, row for row what `batch.views[0]` shows.
    fn embed(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Var>;
    /// The loss of all the batch's embeddings.
    fn contrast(&mut self, tape: &mut Tape, z: &Var) -> Result<Var>;
}

impl Batch {
    /// View v of each image, (n, s, s, 3), where the batch's views of the first kind are crops.
    pub fn view(&self, view: usize) -> Tensor {
        self.views[0].rows(view * self.images, self.images)
    }

    /// Images `part` m to `(part + 1)` m, m = n / parts, of a batch of crops of one kind.
    pub fn part(&self, part: usize, parts: usize) -> Result<Batch> {
        let [views] = &self.views[..] else {
            panic!("a batch in parts has views of one kind")
        };
        let (n, m) = (self.images, self.images / parts);
        let [rows, height, width, channels] = views.dims_of();
        let some = [rows / parts, height, width, channels];
        let some = Tensor::uninit(views.device(), Element::Real, some)?;
        for view in 0..rows / n {
            let from = views.rows(view * n + part * m, m);
            copy::copy(&from, &some.rows(view * m, m))?;
        }
        let rows = |all: &Tensor| all.slice(part * m, [m]);
        Ok(Batch {
            images: m,
            views: vec![some],
            ids: rows(&self.ids),
            labels: rows(&self.labels),
            targets: rows(&self.targets),
            step: self.step.clone(),
        })
    }
}
