//! SwAV (Caron et al. 2020, arXiv 2006.09882): each view predicts which prototypes the image's other view
//! was assigned to; the assignments of a batch share the prototypes equally.
use super::{Batch, Method, Objective, Phase};
use crate::{
    Result, Tensor, Var,
    nn::{ParameterId, Pass, Projector, ResNet, layers::Linear},
    ops::{
        self, concat_rows,
        matmul::{
            self,
            Transpose::{No, Yes},
        },
        sinkhorn,
    },
    tensor::Element,
};

pub struct SwAv {
    pub encoder: ResNet,
    pub head: Projector,
    /// C: embeddings to scores. Its rows have length 1 at the start of every step.
    pub prototypes: Linear,
    /// τ, eq. 2.
    pub temperature: f32,
    /// How scores become codes, eq. 3 to 5.
    pub assignment: sinkhorn::Assignment,
    pub queue: Option<Queue>,
    /// Steps in which the prototypes stand still.
    pub freeze_steps: u64,
}

/// Embeddings of earlier batches, which help a small batch to balance its codes: of each of the two views
/// that are assigned, a ring.
pub struct Queue {
    /// (length, d) real, rows of length 1.
    pub rings: [Tensor; ASSIGNED],
    /// (1) u32: where the next goes.
    pub pointers: [Tensor; ASSIGNED],
    /// Steps that fill it.
    pub steps: u64,
    /// The epoch from which it is filled; it is used once it is full.
    pub from: u64,
    /// In this step.
    pub state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Idle,
    Filling,
    Used,
}

/// Views whose codes are made: the large crops.
const ASSIGNED: usize = 2;

impl Method for SwAv {
    /// Eq. 1: the mean over ordered pairs of an assigned view and another one of
    /// `-sum_k q_k log softmax(z C^T / τ)_k`, q the code of the first, z the embedding of the second.
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Objective> {
        self.normalize_prototypes(pass)?;
        let features = self.features(pass, batch)?; // (views n, features)
        let z = self.head.forward(pass, &features)?;
        let z = ops::l2_normalize(&mut pass.tape, &z)?; // (views n, d)
        let scores = self.prototypes.forward(pass, &z)?; // (views n, K), cosines
        let codes = self.codes(pass, &z.value, &scores.value, batch.images)?;
        Ok(Objective {
            loss: ops::swapped_prediction(&mut pass.tape, &scores, &codes, self.temperature)?,
            embeddings: z.value,
            codes: Some(codes),
        })
    }

    fn begin(&mut self, step: u64, steps_per_epoch: u64) -> Phase {
        let state = self.queue.as_mut().map_or(State::Idle, |queue| {
            queue.state = queue.state_at(step, steps_per_epoch);
            queue.state
        });
        Phase {
            number: state as u32,
            frozen: step < self.freeze_steps,
        }
    }

    fn freezes(&self) -> Option<ParameterId> {
        Some(self.prototypes.weight())
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Tensor)> {
        let Some(queue) = &mut self.queue else {
            return Vec::new();
        };
        let ([a, b], [at, bt]) = (&mut queue.rings, &mut queue.pointers);
        vec![
            ("queue/0", a),
            ("queue/1", b),
            ("pointer/0", at),
            ("pointer/1", bt),
        ]
    }
}

impl SwAv {
    fn normalize_prototypes(&self, pass: &Pass) -> Result<()> {
        let (params, id) = (pass.params(), self.prototypes.weight());
        let view = |flat| params.view(flat, params.layout().entry(id));
        ops::normalize_rows(&view(&params.values), params.reals().map(view).as_ref())
    }

    /// Crops of one size pass together; the head then sees all of them.
    fn features(&self, pass: &mut Pass, batch: &Batch) -> Result<Var> {
        let mut all: Option<Var> = None;
        for views in &batch.views {
            let h = self.encoder.forward(pass, &Var::constant(views.clone()))?;
            all = Some(match all {
                None => h,
                Some(before) => ops::concat_rows(&mut pass.tape, [&before, &h])?,
            });
        }
        Ok(all.expect("a batch has views"))
    }

    /// q of the assigned views of n images: (2n, K) f32. No gradient flows to it. A queue is used before it
    /// takes this batch's embeddings.
    fn codes(&self, pass: &mut Pass, z: &Tensor, scores: &Tensor, n: usize) -> Result<Tensor> {
        let k = scores.dims()[1];
        let codes = Tensor::uninit(z.device(), Element::F32, [ASSIGNED * n, k])?;
        for view in 0..ASSIGNED {
            let (z, scores) = (z.rows(view * n, n), scores.rows(view * n, n));
            let to = codes.rows(view * n, n);
            match &self.queue {
                Some(queue) if queue.state == State::Used => {
                    let weight = pass.weight(self.prototypes.weight());
                    let held = matmul::forward(&queue.rings[view], &weight.value, No, Yes)?;
                    let scores = concat_rows::forward([&held, &scores])?;
                    sinkhorn::write(&scores, &to, &self.assignment)?;
                }
                _ => sinkhorn::write(&scores, &to, &self.assignment)?,
            }
            if let Some(queue) = &self.queue
                && queue.state != State::Idle
            {
                ops::ring_push(&queue.rings[view], &z, &queue.pointers[view])?;
            }
        }
        Ok(codes)
    }
}

impl Queue {
    fn state_at(&self, step: u64, steps_per_epoch: u64) -> State {
        let first = self.from * steps_per_epoch;
        if step < first {
            State::Idle
        } else if step < first + self.steps {
            State::Filling
        } else {
            State::Used
        }
    }
}
