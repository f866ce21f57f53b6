//! Fine-tuning: the whole network and a linear classifier trained on labelled images, the classifier at a
//! rate of its own. Random crops and flips; batch norm by the batch's statistics, which it also remembers.
//! Judged once, after the last epoch, on un-augmented images (SwAV reports the best epoch instead).
use super::{Encoder, Input, Judged, RateDecay, Verdict, features::finite};
use crate::{
    Device, Error, Result, Tensor, Var,
    data::{
        BadImage, Dataset, HostBatch, Loader, Plan, Views,
        crop::Filter,
        sampler::steps_per_epoch,
        views::{Area, Cut},
    },
    nn::{Params, Pass, ResNet, layers::Linear},
    ops::{
        self, augment,
        optimize::{self, Rule, Segment, Segments, Step},
    },
    tensor::Element,
};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub struct FinetunePlan {
    pub epochs: u32,
    /// Images a step; an epoch's rest is left out.
    pub batch: usize,
    /// Learning rates.
    pub trunk: f32,
    pub head: f32,
    pub decay: RateDecay,
    pub momentum: f32,
    pub nesterov: bool,
    pub weight_decay: f32,
    /// Decides the classifier's first weights, the order of the images and their crops.
    pub seed: u64,
}

impl FinetunePlan {
    /// What is published for such a share of ImageNet's labels; rates are those of batch 256, and scale
    /// with it.
    ///
    /// * all: VISSL's `eval_resnet_8gpu_transfer_in1k_fulltune.yaml`: 105 epochs, rate .1 for trunk and
    ///   head, x .1 at epochs 30, 60, 90, 100, Nesterov, no weight decay;
    /// * 10 %, and any share between: SwAV's `eval_semisup.py`: 20 epochs, rates .01 and .2, x .2 at
    ///   epochs 12 and 16, no weight decay;
    /// * 3 % and less: the same with its rates for 1 %, .02 and 5.
    pub fn published(labels_fraction: f64, batch: usize) -> FinetunePlan {
        let semi = RateDecay::Steps {
            at: &[12, 16],
            of: 20,
            by: 0.2,
        };
        let full = RateDecay::Steps {
            at: &[30, 60, 90, 100],
            of: 105,
            by: 0.1,
        };
        let (epochs, trunk, head, decay) = match labels_fraction {
            ..=0.03 => (20, 0.02, 5.0, semi),
            ..1.0 => (20, 0.01, 0.2, semi),
            _ => (105, 0.1, 0.1, full),
        };
        let scale = batch as f32 / 256.0;
        FinetunePlan {
            epochs,
            batch,
            trunk: trunk * scale,
            head: head * scale,
            decay,
            momentum: 0.9,
            nesterov: decay == full,
            weight_decay: 0.0,
            seed: 0,
        }
    }

    /// Errors where there is no whole batch.
    pub fn steps(&self, images: usize) -> Result<usize> {
        Ok(self.epochs as usize * steps_per_epoch(images, self.batch)? as usize)
    }
}

/// A trunk and the classifier on it, named `fc` as torchvision's.
pub struct Classifier {
    pub network: ResNet,
    head: Linear,
    pub params: Params,
    pub input: Input,
    classes: usize,
}

/// What the images are cropped by: torchvision's `RandomResizedCrop` as it comes.
const AREA: Area = Area {
    scale: (0.08, 1.0),
    ratio: (3.0 / 4.0, 4.0 / 3.0),
};
/// Share of bad images above which training stops, as `train` has it.
const MAX_BAD: f32 = 0.01;
/// Batches made ahead.
const DEPTH: usize = 4;

impl Classifier {
    /// `encoder`'s weights in memory of their own, and a head as PyTorch's linear layers start.
    pub fn new(encoder: &Encoder, classes: usize, seed: u64) -> Result<Classifier> {
        let mut layout = (**encoder.params.layout()).clone(); // the trunk's places stay
        let sizes = [encoder.network.features(), classes];
        let head = Linear::new(&mut layout, "fc", sizes, true);
        let params = Params::new(encoder.params.device(), &Arc::new(layout), seed)?;
        let mut values = params.values.to_vec()?;
        let trunk = encoder.params.values.to_vec()?;
        values[..trunk.len()].copy_from_slice(&trunk);
        params.values.overwrite(&values)?;
        params
            .statistics
            .overwrite(&encoder.params.statistics.to_vec()?)?;
        params.refresh()?;
        Ok(Classifier {
            network: encoder.network.clone(),
            head,
            params,
            input: encoder.input,
            classes,
        })
    }

    /// x (n, h, w, 3) to logits (n, classes).
    fn forward(&self, pass: &mut Pass, x: &Var) -> Result<Var> {
        let features = self.network.forward(pass, x)?;
        self.head.forward(pass, &features)
    }

    /// `progress(steps done, loss)` after each. Every image of `dataset` has a label. Returns the
    /// images left out because they are bad.
    pub fn train(
        &self,
        dataset: &Arc<Dataset>,
        plan: &FinetunePlan,
        workers: usize,
        progress: &dyn Fn(usize, f32),
    ) -> Result<Vec<BadImage>> {
        let steps = plan.steps(dataset.len())?;
        let per_epoch = steps / plan.epochs as usize;
        let loader = Loader::start(dataset.clone(), self.feed(plan, steps, workers))?;
        let mut training = Training::new(self, plan)?;
        let mut bad = Vec::new();
        for (step, batch) in loader.enumerate() {
            let batch = batch?;
            let factor = plan.decay.factor(step, per_epoch, steps) as f32;
            let loss = training.step(self, &batch, [factor * plan.trunk, factor * plan.head])?;
            if !loss.is_finite() {
                return Err(Error::Numeric(format!(
                    "the loss of step {} is {loss}\n  lower the rates with --lr and --head-lr",
                    step + 1
                )));
            }
            bad.extend(batch.bad);
            progress(step + 1, loss);
        }
        Ok(bad)
    }

    fn feed(&self, plan: &FinetunePlan, steps: usize, workers: usize) -> Plan {
        Plan {
            batch: plan.batch,
            seed: plan.seed,
            start_step: 0,
            bad_before: 0,
            steps: steps as u64,
            workers,
            depth: DEPTH,
            views: vec![Views {
                size: self.input.size,
                filter: Filter::Bilinear,
                cut: Cut::Crops {
                    count: 1,
                    area: AREA,
                },
                first: 0,
            }],
            max_bad: MAX_BAD,
        }
    }

    /// On un-augmented images; `classes` translates the dataset's labels. And the bad images.
    pub fn judge(
        &self,
        dataset: &Arc<Dataset>,
        classes: &[u32],
        workers: usize,
        progress: &dyn Fn(usize),
    ) -> Result<(Judged, Vec<BadImage>)> {
        let encoder = Encoder {
            network: &self.network,
            params: &self.params,
            input: self.input,
        };
        let (mut verdicts, mut bad) = (Vec::new(), Vec::new());
        for batch in encoder.batches(dataset, workers)? {
            if !batch.ids.is_empty() {
                let x = encoder.normalized(&batch.pixels)?;
                let logits = self.forward(&mut Pass::evaluate(&self.params), &x)?;
                let logits = finite(logits.value.to_vec()?)?;
                for (logits, label) in logits.chunks_exact(self.classes).zip(&batch.labels) {
                    let label = classes[label.expect("labels were checked") as usize];
                    verdicts.push(Verdict::of(logits, label));
                }
            }
            bad.extend(batch.bad);
            progress(verdicts.len() + bad.len());
        }
        Ok((Judged::of(&verdicts), bad))
    }
}

/// What a training needs besides the network, made once.
struct Training {
    /// (n, s, s, 3) u8.
    pixels: Tensor,
    /// (n) u32.
    targets: Tensor,
    gradients: Tensor,
    velocities: Tensor,
    trunk: Part,
    head: Part,
}

/// Parameters that share a learning rate.
struct Part {
    segments: Segments,
    rule: Step,
}

impl Training {
    fn new(classifier: &Classifier, plan: &FinetunePlan) -> Result<Training> {
        let params = &classifier.params;
        let device = params.device();
        let side = classifier.input.size as usize;
        let part = |of_head| Part::new(device, params, plan, of_head);
        Ok(Training {
            pixels: Tensor::uninit(device, Element::U8, [plan.batch, side, side, 3])?,
            targets: Tensor::uninit(device, Element::U32, [plan.batch])?,
            gradients: params.zeros()?,
            velocities: params.zeros()?,
            trunk: part(false)?,
            head: part(true)?,
        })
    }

    /// Moves the weights; the loss before that. Where a gradient is not finite, it is not either.
    fn step(
        &mut self,
        classifier: &Classifier,
        batch: &HostBatch,
        [trunk, head]: [f32; 2],
    ) -> Result<f32> {
        let (params, input) = (&classifier.params, classifier.input);
        let label = |label: &Option<u32>| label.expect("labels were checked");
        let targets: Vec<u32> = batch.labels.iter().map(label).collect();
        self.pixels.overwrite(&batch.views[0])?;
        self.targets.overwrite(&targets)?;
        let x = Var::constant(augment::normalize(&self.pixels, input.mean, input.std)?);
        let mut pass = Pass::train(params);
        let logits = classifier.forward(&mut pass, &x)?;
        let loss = ops::cross_entropy(&mut pass.tape, &logits, &self.targets)?;
        pass.backward(&loss, &self.gradients)?;
        let mut broken = 0.0;
        for (part, rate) in [(&self.trunk, trunk), (&self.head, head)] {
            part.rule.lr.overwrite(&[rate, rate])?;
            let moved = optimize::step(
                &params.values,
                params.reals(),
                &self.gradients,
                &self.velocities,
                &part.segments,
                &part.rule,
            )?;
            broken += moved.summary.to_vec()?[1];
        }
        match broken {
            0.0 => loss.value.item(),
            _ => Ok(f32::NAN),
        }
    }
}

impl Part {
    fn new(device: &Device, params: &Params, plan: &FinetunePlan, of_head: bool) -> Result<Part> {
        let entries = params.layout().parameters().iter();
        let own = entries.filter(|entry| entry.name.starts_with("fc.") == of_head);
        let segments: Vec<Segment> = own
            .map(|entry| Segment {
                offset: entry.offset,
                length: entry.len(),
                adapt: false,
                decay: 1.0,
            })
            .collect();
        Ok(Part {
            segments: Segments::new(device, &segments)?,
            rule: Step {
                lr: Tensor::from_f32(device, [2], &[0.0; 2])?,
                momentum: plan.momentum,
                weight_decay: plan.weight_decay,
                rule: Rule::Sgd {
                    nesterov: plan.nesterov,
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_have_the_papers_numbers() {
        let numbers = |fraction, batch| {
            let plan = FinetunePlan::published(fraction, batch);
            (plan.epochs, plan.trunk, plan.head, plan.nesterov)
        };
        assert_eq!(numbers(0.01, 256), (20, 0.02, 5.0, false));
        assert_eq!(numbers(0.1, 256), (20, 0.01, 0.2, false));
        assert_eq!(numbers(0.1, 512), (20, 0.02, 0.4, false));
        assert_eq!(numbers(1.0, 256), (105, 0.1, 0.1, true));
        let semi = FinetunePlan::published(0.1, 256).decay;
        assert!((semi.factor(12, 1, 20) - 0.2).abs() < 1e-12);
        assert!((semi.factor(19, 1, 20) - 0.04).abs() < 1e-12);
    }
}
