//! Fine-tuning on a few synthetic images, small enough for every build.
use selfsame::{
    Device,
    data::Dataset,
    evaluate::{Classifier, Encoder, FinetunePlan, Input, Score},
    nn::{Architecture, Layout, Params, ResNet, Stem},
};
use std::sync::Arc;

const IMAGES: usize = 80;
const CLASSES: usize = 10;

fn images() -> Arc<Dataset> {
    Arc::new(Dataset::open(&[format!("synthetic:{IMAGES}:16")], 1).unwrap())
}

fn plan(epochs: u32, trunk: f32, head: f32) -> FinetunePlan {
    FinetunePlan {
        epochs,
        trunk,
        head,
        ..FinetunePlan::published(0.1, 40)
    }
}

/// Trained, judged on the images it was trained on, with its losses, weights and statistics.
struct Trained {
    score: Score,
    losses: Vec<f32>,
    /// Of the trunk, then of the head.
    values: [Vec<f32>; 2],
    statistics: Vec<f32>,
}

fn train(plan: &FinetunePlan, workers: usize) -> (Trained, Params) {
    let mut layout = Layout::default();
    let network = ResNet::new(&mut layout, Architecture::Tiny, Stem::Cifar, 1);
    let params = Params::new(&Device::cpu(), &Arc::new(layout), 2).unwrap();
    let encoder = Encoder {
        network: &network,
        params: &params,
        input: Input {
            size: 16,
            mean: [0.5; 3],
            std: [0.25; 3],
        },
    };
    let classifier = Classifier::new(&encoder, CLASSES, plan.seed).unwrap();
    let losses = std::cell::RefCell::new(Vec::new());
    let dataset = images();
    let note = |done: usize, loss: f32| {
        losses.borrow_mut().push(loss);
        assert_eq!(done, losses.borrow().len());
    };
    let bad = classifier.train(&dataset, plan, workers, &note).unwrap();
    assert!(bad.is_empty());
    let own: Vec<u32> = (0..CLASSES as u32).collect();
    let (judged, _) = classifier.judge(&dataset, &own, workers, &|_| {}).unwrap();
    assert_eq!(judged.score.images, IMAGES);
    let mut values = classifier.params.values.to_vec().unwrap();
    let head = values.split_off(params.values.len());
    let trained = Trained {
        score: judged.score,
        losses: losses.into_inner(),
        values: [values, head],
        statistics: classifier.params.statistics.to_vec().unwrap(),
    };
    (trained, params)
}

#[test]
fn a_network_learns_what_it_is_shown() {
    let (trained, pretrained) = train(&plan(60, 0.05, 0.05), 2);
    assert_eq!(trained.losses.len(), 60 * IMAGES / 40);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = trained.losses.split_at(60);
    assert!(mean(last) < mean(first), "{:?}", trained.losses);
    assert!(trained.score.top1 > 40.0, "{:?}", trained.score); // chance is 10
    let statistics = pretrained.statistics.to_vec().unwrap();
    assert_ne!(trained.statistics, statistics, "batch norm learns too");
}

#[test]
fn each_part_moves_at_its_own_rate() {
    let (still, pretrained) = train(&plan(1, 0.0, 0.1), 1);
    assert_eq!(still.values[0], pretrained.values.to_vec().unwrap());
    let (other, _) = train(&plan(1, 0.1, 0.0), 1);
    assert_ne!(still.values[1], other.values[1]);
    assert_ne!(other.values[0], still.values[0]);
    // The head that did not move is the one the other began with: a step apart.
    let (neither, _) = train(&plan(1, 0.0, 0.0), 1);
    assert_eq!(other.values[1], neither.values[1]);
}

#[test]
fn threads_change_nothing() {
    let (one, three) = (
        train(&plan(2, 0.1, 0.1), 1).0,
        train(&plan(2, 0.1, 0.1), 3).0,
    );
    assert_eq!((one.losses, one.values), (three.losses, three.values));
    assert_eq!(one.score, three.score);
}

#[test]
fn a_rate_that_is_far_too_high_is_an_error() {
    let mut layout = Layout::default();
    let network = ResNet::new(&mut layout, Architecture::Tiny, Stem::Cifar, 1);
    let params = Params::new(&Device::cpu(), &Arc::new(layout), 2).unwrap();
    let encoder = Encoder {
        network: &network,
        params: &params,
        input: Input {
            size: 16,
            mean: [0.5; 3],
            std: [0.25; 3],
        },
    };
    let classifier = Classifier::new(&encoder, CLASSES, 0).unwrap();
    let why = classifier
        .train(&images(), &plan(20, 1e30, 1e30), 1, &|_, _| {})
        .unwrap_err();
    assert!(why.to_string().contains("--head-lr"), "{why}");
}
