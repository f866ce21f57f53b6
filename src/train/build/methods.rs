//! From the configuration to a method: its parameters are declared, then, once they have values, it is made.
use super::{About, refuse};
use crate::{
    Result, Tensor,
    config::{self, Assignment, BankLoss, Config, MethodName, Switch, Transform},
    methods::{
        BarlowTwins, Invariance, Jigsaw, Method, MoCo, Pirl, RelativePosition, Rotation, SimClr,
        SimClrBank, Supervised, SwAv, pirl::Transformed, swav,
    },
    nn::{
        Layout, Params, Projector, ResNet,
        heads::Norm,
        layers::{BatchNorm, Linear},
    },
    ops::{bank_nce::Form, bank_update::bank_first, ring_push::ring_first, sinkhorn},
};

/// What is left to do once the parameters have values.
pub type Plan = Box<dyn FnOnce(&Params) -> Result<Box<dyn Method>>>;

/// A method that needs no values.
fn ready(method: impl Method + 'static) -> Result<Plan> {
    Ok(Box::new(|_| Ok(Box::new(method))))
}

fn once<M: Method + 'static>(make: impl FnOnce(&Params) -> Result<M> + 'static) -> Result<Plan> {
    Ok(Box::new(|params| Ok(Box::new(make(params)?))))
}

/// Declares what the method adds to `encoder`.
pub fn describe(
    config: &Config,
    about: About,
    encoder: &ResNet,
    layout: &mut Layout,
) -> Result<Plan> {
    let (m, encoder) = (&config.method, encoder.clone());
    let features = encoder.features();
    match m.name {
        MethodName::Simclr if m.bank > 0 => simclr_bank(config, encoder, layout),
        MethodName::Simclr => ready(SimClr {
            head: head(layout, m, features),
            encoder,
            temperature: m.temperature as f32,
        }),
        MethodName::Moco => moco(config, encoder, layout),
        MethodName::Pirl => pirl(config, about, encoder, layout),
        MethodName::Swav => swav(config, encoder, layout),
        MethodName::Barlow => ready(BarlowTwins {
            head: Projector::new(layout, "head", &sizes(m, features), Norm::Outside),
            encoder,
            off_diagonal: m.off_diagonal as f32,
        }),
        MethodName::Jigsaw => jigsaw(m, encoder, layout),
        MethodName::Rotation => ready(Rotation {
            classifier: Linear::new(layout, "head", [features, 4], true),
            encoder,
        }),
        MethodName::RelativePosition => relative_position(config, encoder, layout),
        MethodName::Invariance => ready(Invariance {
            head: head(layout, m, features),
            encoder,
        }),
        MethodName::Supervised => supervised(about, encoder, layout),
    }
}

/// Of the head's layers: the features, each hidden layer, the output.
fn sizes(m: &config::Method, features: usize) -> Vec<usize> {
    let mut sizes = vec![hidden(m, features); m.head_layers + 1];
    sizes[0] = features;
    sizes[m.head_layers] = m.head_out;
    sizes
}

fn hidden(m: &config::Method, features: usize) -> usize {
    match m.head_hidden {
        0 => features,
        hidden => hidden,
    }
}

/// The projection head, as `[method]` has it.
fn head(layout: &mut Layout, m: &config::Method, features: usize) -> Projector {
    Projector::new(layout, "head", &sizes(m, features), norm(m))
}

fn norm(m: &config::Method) -> Norm {
    match m.head_norm {
        config::HeadNorm::All => Norm::All,
        config::HeadNorm::Hidden => Norm::Hidden,
        config::HeadNorm::None => Norm::None,
    }
}

/// A ring of past embeddings, and where the next goes.
fn ring(params: &Params, length: usize, d: usize, seed: u64) -> Result<(Tensor, Tensor)> {
    let ring = ring_first(params.device(), length, d, seed)?;
    Ok((ring, Tensor::from_u32(params.device(), [1], &[0])?))
}

fn simclr_bank(config: &Config, encoder: ResNet, layout: &mut Layout) -> Result<Plan> {
    let (m, seed) = (config.method.clone(), config.schedule.seed);
    let head = head(layout, &m, encoder.features());
    once(move |params| {
        let (bank, pointer) = ring(params, m.bank, m.head_out, seed)?;
        Ok(SimClrBank {
            encoder,
            head,
            bank,
            pointer,
            temperature: m.temperature as f32,
            latest: None,
        })
    })
}

fn moco(config: &Config, encoder: ResNet, layout: &mut Layout) -> Result<Plan> {
    let (m, seed) = (config.method.clone(), config.schedule.seed);
    let head = head(layout, &m, encoder.features());
    once(move |params| {
        let (queue, pointer) = ring(params, m.queue, m.head_out, seed)?;
        Ok(MoCo {
            encoder,
            head,
            key: params.deep_copy()?,
            queue,
            pointer,
            temperature: m.temperature as f32,
            momentum: m.momentum as f32,
            symmetric: m.symmetric,
            groups: m.bn_groups,
            latest: Vec::new(),
        })
    })
}

fn pirl(config: &Config, about: About, encoder: ResNet, layout: &mut Layout) -> Result<Plan> {
    let (m, seed) = (config.method.clone(), config.schedule.seed);
    let least = 1.0 / (f32::MAX / about.images as f32).ln() as f64;
    if m.loss == BankLoss::Nce && m.temperature <= least {
        return Err(refuse(format!(
            "method.temperature is {}: with --loss nce and {} images it must be above {least:.4}, or Z has no f32\n  papers use 0.07; --loss infonce has no such bound",
            m.temperature, about.images
        )));
    }
    let features = encoder.features();
    let sizes = sizes(&m, features);
    let head = Projector::new(layout, "head", &sizes, norm(&m));
    let transformed = match m.transform {
        Transform::Rotation => {
            Transformed::Rotation(Projector::new(layout, "head.turned", &sizes, norm(&m)))
        }
        Transform::Jigsaw => Transformed::Jigsaw {
            patch: Projector::new(layout, "head.patch", &sizes, norm(&m)),
            relu: m.head_layers > 1,
            all: Linear::new(layout, "head.patches", [9 * m.head_out, m.head_out], true),
        },
    };
    once(move |params| {
        let device = params.device();
        Ok(Pirl {
            encoder,
            head,
            transformed,
            bank: bank_first(device, about.images, m.head_out, seed)?,
            form: match m.loss {
                BankLoss::Infonce => Form::Softmax,
                BankLoss::Nce => Form::Nce {
                    constant: Tensor::from_f32(device, [1], &[0.0])?,
                },
            },
            negatives: m.negatives,
            temperature: m.temperature as f32,
            lambda: m.lambda as f32,
            momentum: m.momentum as f32,
            seed,
        })
    })
}

/// SwAV's head and its prototypes behind it.
pub fn clusters(m: &config::Method, features: usize, layout: &mut Layout) -> (Projector, Linear) {
    let head = head(layout, m, features);
    let prototypes = [m.head_out, m.prototypes];
    (
        head,
        Linear::new(layout, "head.prototypes", prototypes, false),
    )
}

fn swav(config: &Config, encoder: ResNet, layout: &mut Layout) -> Result<Plan> {
    let (m, batch) = (config.method.clone(), config.schedule.batch);
    let (head, prototypes) = clusters(&m, encoder.features(), layout);
    let assignment = sinkhorn::Assignment {
        epsilon: m.epsilon as f32,
        iterations: match m.equipartition {
            Switch::On => m.iterations,
            Switch::Off => 0,
        },
        hard: m.assignment == Assignment::Hard,
    };
    let seed = config.schedule.seed;
    once(move |params| {
        let queue = || -> Result<swav::Queue> {
            let (first, at) = ring(params, m.queue, m.head_out, seed)?;
            let (second, at_second) = ring(params, m.queue, m.head_out, seed)?;
            Ok(swav::Queue {
                rings: [first, second],
                pointers: [at, at_second],
                steps: (m.queue / batch) as u64,
                from: m.queue_from as u64,
                state: swav::State::Idle,
            })
        };
        Ok(SwAv {
            encoder,
            head,
            prototypes,
            temperature: m.temperature as f32,
            assignment,
            queue: (m.queue > 0).then(queue).transpose()?,
            freeze_steps: m.freeze_steps,
        })
    })
}

fn jigsaw(m: &config::Method, encoder: ResNet, layout: &mut Layout) -> Result<Plan> {
    let (features, d) = (encoder.features(), hidden(m, encoder.features()));
    ready(Jigsaw {
        encoder,
        patch: Linear::new(layout, "head.patch", [features, d], false),
        norm: BatchNorm::new(layout, "head.norm", d),
        classifier: Linear::new(layout, "head.order", [9 * d, m.permutations], true),
    })
}

fn relative_position(config: &Config, encoder: ResNet, layout: &mut Layout) -> Result<Plan> {
    let (m, batch) = (&config.method, config.schedule.batch);
    let (features, d) = (encoder.features(), hidden(m, encoder.features()));
    let hidden = Linear::new(layout, "head.pair", [2 * features, d], false);
    let norm = BatchNorm::new(layout, "head.norm", d);
    let classifier = Linear::new(layout, "head.side", [d, 8], true);
    let (dropout, seed) = (m.dropout as f32, config.schedule.seed);
    once(move |params| {
        let sides: Vec<u32> = (0..8 * batch as u32).map(|pair| pair % 8).collect();
        Ok(RelativePosition {
            encoder,
            hidden,
            norm,
            dropout,
            classifier,
            sides: Tensor::from_u32(params.device(), [sides.len()], &sides)?,
            seed,
        })
    })
}

fn supervised(about: About, encoder: ResNet, layout: &mut Layout) -> Result<Plan> {
    if about.classes == 0 {
        return Err(refuse(
            "--method supervised learns from labels and some of the images have none\n  put each class in a folder of its own, or choose another method".into(),
        ));
    }
    ready(Supervised {
        classifier: Linear::new(layout, "head", [encoder.features(), about.classes], true),
        encoder,
    })
}
