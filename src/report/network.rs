//! A run's newest weights: its backbone, and where it is SwAV's, the head and the prototypes behind it.
use crate::{
    Device, Result, Tensor, Var,
    config::{Config, MethodName},
    evaluate::{Encoder, Input},
    nn::{Layout, Params, Pass, Projector, ResNet, layers::Linear},
    ops,
    train::{build, checkpoint, neighbours, run::Run, state},
};
use std::{path::Path, sync::Arc};

pub struct Trained {
    network: ResNet,
    params: Params,
    input: Input,
    clusters: Option<(Projector, Linear)>,
    /// Steps done.
    pub step: u64,
    /// Of checkpoints that were passed over.
    pub warnings: Vec<String>,
}

/// Rows that pass the head together.
const ROWS: usize = 512;

impl Trained {
    pub fn load(run: &Path, config: &Config, device: &Device) -> Result<Trained> {
        let folder = Run::checkpoints_of(run);
        let (meta, saved, warnings) = checkpoint::newest(&folder)?;
        let mut layout = Layout::default();
        let network = build::encoder(&config.encoder, &mut layout);
        let swav = config.method.name == MethodName::Swav;
        let clusters =
            swav.then(|| build::clusters(&config.method, network.features(), &mut layout));
        let params = Params::new(device, &Arc::new(layout), config.schedule.seed)?;
        state::restore_params(&folder, &saved, &params)?;
        Ok(Trained {
            network,
            params,
            input: neighbours::input(config),
            clusters,
            step: meta.step,
            warnings,
        })
    }

    pub fn encoder(&self) -> Encoder<'_> {
        Encoder {
            network: &self.network,
            params: &self.params,
            input: self.input,
        }
    }

    /// How many images are looked at in about half a minute; `None` where a GPU looks.
    pub fn affordable(&self) -> Result<Option<usize>> {
        let (device, layout) = (self.params.device(), self.params.layout());
        neighbours::affordable(device, &self.network, layout, self.input)
    }

    /// features (n, d) to cosines with the prototypes (n, K), and K; `None` where there are none.
    pub fn scores(&self, features: &[f32]) -> Result<Option<(Vec<f32>, usize)>> {
        let Some((head, prototypes)) = &self.clusters else {
            return Ok(None);
        };
        let (device, d) = (self.params.device(), self.network.features());
        let entry = self.params.layout().entry(prototypes.weight());
        let k = entry.shape.dims()[0];
        let rows = self.params.view(&self.params.values, entry);
        ops::normalize_rows(&rows, None)?; // as each of its training steps begins
        self.params.refresh()?;
        let mut scores = Vec::with_capacity(features.len() / d * k);
        for rows in features.chunks(ROWS * d) {
            let mut pass = Pass::evaluate(&self.params);
            let x = Tensor::from_slice(device, [rows.len() / d, d], rows)?;
            let z = head.forward(&mut pass, &Var::constant(x))?;
            let z = ops::l2_normalize(&mut pass.tape, &z)?;
            scores.extend(prototypes.forward(&mut pass, &z)?.value.to_vec()?);
        }
        Ok(Some((scores, k)))
    }
}
