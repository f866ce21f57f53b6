//! MoCo (He et al. 2020, arXiv 1911.05722; v2: Chen et al. 2020, arXiv 2003.04297): a view's key comes from
//! a slowly following copy of the network, and the negatives are the keys of earlier batches.
use super::{Batch, Method, Objective};
use crate::{
    Result, Tensor, Var,
    nn::{Params, Pass, Projector, ResNet},
    ops,
};

pub struct MoCo {
    /// f_q, and f_k, which has the same form.
    pub encoder: ResNet,
    pub head: Projector,
    /// θ_k, and batch norm's running statistics of the keys, which are its own.
    pub key: Params,
    /// Keys of earlier batches, of length 1: (K, d) real.
    pub queue: Tensor,
    /// (1) u32: where the next key goes.
    pub pointer: Tensor,
    /// τ.
    pub temperature: f32,
    /// m.
    pub momentum: f32,
    /// Either view is the query once: the sum of both losses, and both keys are kept.
    pub symmetric: bool,
    /// Groups of the batch that batch norm sees alone, as on so many devices.
    pub groups: usize,
    /// Keys of this batch, until its gradient is known: (n, d) each.
    pub latest: Vec<Tensor>,
}

impl Method for MoCo {
    /// Algorithm 1. The key encoder moves before its keys are made, the queue once the gradient is known.
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Objective> {
        pass.set_groups(self.groups);
        ops::ema(
            &self.key.values,
            self.key.reals(),
            &pass.params().values,
            self.momentum,
        )?;
        let q = self.query(pass, batch.view(0))?;
        let k = self.keys(batch.view(1))?;
        let mut loss = self.info_nce(pass, &q, &k)?;
        if self.symmetric {
            let q = self.query(pass, batch.view(1))?;
            let other = self.keys(batch.view(0))?;
            let second = self.info_nce(pass, &q, &other)?;
            loss = ops::weighted_sum(&mut pass.tape, [1.0, 1.0], [&loss, &second])?;
            self.latest.push(other);
        }
        self.latest.push(k);
        Ok(Objective {
            loss,
            embeddings: q.value,
            codes: None,
        })
    }

    fn after_backward(&mut self, _: &Batch, _: &Objective) -> Result<()> {
        for keys in self.latest.drain(..) {
            ops::ring_push(&self.queue, &keys, &self.pointer)?;
        }
        Ok(())
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Tensor)> {
        vec![
            ("key/values", &mut self.key.values),
            ("key/statistics", &mut self.key.statistics),
            ("queue", &mut self.queue),
            ("pointer", &mut self.pointer),
        ]
    }

    fn restored(&mut self) -> Result<()> {
        self.key.refresh()
    }
}

impl MoCo {
    /// (n, d), of any length.
    fn query(&self, pass: &mut Pass, view: Tensor) -> Result<Var> {
        let h = self.encoder.forward(pass, &Var::constant(view))?;
        self.head.forward(pass, &h)
    }

    /// (n, d), of length 1. The images go into batch norm's groups in another order than the queries', as
    /// if shuffled over devices: within a group's statistics a key could be told by the company it keeps.
    fn keys(&self, view: Tensor) -> Result<Tensor> {
        let mut pass = Pass::constant(&self.key).with_groups(self.groups);
        let view = ops::deal_rows(&view, self.groups)?;
        let k = self.query(&mut pass, view)?.value;
        let k = ops::deal_rows(&k, k.dims()[0] / self.groups)?; // back in order
        Ok(ops::l2_normalize::forward(&k)?.0)
    }

    /// Eq. 1: `-log softmax([q k, q queue] / τ)` at the key, the mean over the batch.
    fn info_nce(&self, pass: &mut Pass, q: &Var, k: &Tensor) -> Result<Var> {
        let k = Var::constant(k.clone());
        ops::info_nce(&mut pass.tape, q, &k, &self.queue, self.temperature)
    }
}
