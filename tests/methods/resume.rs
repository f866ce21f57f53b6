use crate::runs::{SMALL, assert_resumes_bit_for_bit, config, photographs, train};
use proptest::prelude::*;
use selfsame::{
    config::{Config, MethodName, Preset, Scale},
    train::checkpoint::Numbers,
};

/// Of every method, small enough for 9 steps of 8 images to fill its memories; each line is a variant.
pub const VARIANTS: [(MethodName, &[&str]); 16] = [
    (MethodName::Simclr, &[]),
    (MethodName::Simclr, &["method.bank=20"]),
    (MethodName::Simclr, &["method.accumulate_exact=2"]),
    (
        MethodName::Moco,
        &[
            "method.queue=20",
            "method.bn_groups=2",
            "method.symmetric=false",
        ],
    ),
    (
        MethodName::Moco,
        &[
            "method.queue=24",
            "method.bn_groups=4",
            "method.symmetric=true",
        ],
    ),
    (MethodName::Pirl, &["method.negatives=6", "method.loss=nce"]),
    (
        MethodName::Pirl,
        &["method.negatives=6", "method.loss=infonce"],
    ),
    (
        MethodName::Pirl,
        &["method.negatives=6", "method.transform=rotation"],
    ),
    (
        MethodName::Swav,
        &[
            "method.prototypes=5",
            "method.queue=16",
            "method.queue_from=0",
            "method.freeze_steps=4",
        ],
    ),
    (
        MethodName::Swav,
        &[
            "method.prototypes=5",
            "method.queue=0",
            "method.freeze_steps=0",
            "method.assignment=hard",
            "augment.small_crops=3",
            "augment.small_size=12",
        ],
    ),
    (MethodName::Barlow, &[]),
    (MethodName::Jigsaw, &["method.permutations=7"]),
    (MethodName::Rotation, &[]),
    (MethodName::RelativePosition, &[]),
    (MethodName::Invariance, &[]),
    (MethodName::Supervised, &[]),
];

fn small(images: &str, (method, more): (MethodName, &[&str])) -> Config {
    config(Preset::of(method, Scale::Tiny).name, images, more)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2))]
    /// Stopped at random, twice.
    #[test]
    fn every_method_resumes_bit_for_bit(first in 1u64..8, more in 1u64..8) {
        for variant in VARIANTS {
            let stops: Vec<u64> = [first, first + more].into_iter().filter(|&stop| stop < 9).collect();
            assert_resumes_bit_for_bit(&small(SMALL, variant), &stops);
        }
    }
}

/// As a graph, where a step's launches are those of its phase.
#[test]
fn every_method_can_be_captured() {
    for variant in VARIANTS {
        let run = |graph: &str| {
            let mut config = small(SMALL, variant);
            config.engine.graph = match graph {
                "on" => selfsame::config::Graph::On,
                _ => selfsame::config::Graph::Off,
            };
            let folder = tempfile::tempdir().unwrap();
            train(folder.path(), &config, None).unwrap()
        };
        let (eager, replayed) = (run("off"), run("on"));
        assert_eq!(eager.numbers, replayed.numbers, "{variant:?}");
        assert!(eager.state == replayed.state, "{variant:?}");
    }
}

/// Large images come by the loader, which cuts the same kinds of views.
#[test]
fn every_method_takes_large_images() {
    let photographs = photographs();
    let images = photographs.path().to_str().unwrap();
    for variant in VARIANTS {
        if variant.0 == MethodName::Supervised {
            continue; // they have no labels
        }
        let mut config = small(images, variant);
        config.schedule.steps = 2;
        let folder = tempfile::tempdir().unwrap();
        let trained = train(folder.path(), &config, None).unwrap();
        assert!(trained.numbers.iter().flatten().all(|x| x.is_finite()));
    }
}

/// What a checkpoint holds of a method is what its next step depends on.
#[test]
fn memories_are_saved() {
    let state = |variant| {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), &small(SMALL, variant), Some(5))
            .unwrap()
            .state
    };
    let pointer =
        |state: &selfsame::train::checkpoint::State, name: &str| match &state[name].numbers {
            Numbers::U32(values) => values[0],
            other => panic!("{name}: {other:?}"),
        };
    let moco = state(VARIANTS[3]);
    assert_eq!(
        pointer(&moco, "memory/pointer"),
        5 * 8 % 20,
        "a ring that wraps"
    );
    let both = state(VARIANTS[4]);
    assert_eq!(pointer(&both, "memory/pointer"), 5 * 16 % 24, "both keys");
    assert!(moco.contains_key("memory/key/statistics"));
    let pirl = state(VARIANTS[5]);
    let Numbers::F32(z) = &pirl["memory/z"].numbers else {
        panic!("Z is f32")
    };
    assert!(z[0] > 0.0, "the first batch has set it");
    assert_eq!(pirl["memory/bank"].shape, [48, 16]);
}

/// A parameter that is frozen stands still with its velocity; the others move.
#[test]
fn frozen_prototypes_stand_still() {
    let prototypes = |steps: u64| {
        let folder = tempfile::tempdir().unwrap();
        let mut state = train(folder.path(), &small(SMALL, VARIANTS[8]), Some(steps))
            .unwrap()
            .state;
        let mut take = |name: &str| match state.remove(name).unwrap().numbers {
            Numbers::F32(values) => values,
            other => panic!("{name}: {other:?}"),
        };
        [
            take("head.prototypes.weight"),
            take("momentum/head.prototypes.weight"),
        ]
    };
    let [one, three, six] = [1, 3, 6].map(prototypes);
    for (one, three) in one.iter().flatten().zip(three.iter().flatten()) {
        assert!((one - three).abs() < 1e-6, "normalised again, no more");
    }
    assert!(three[1].iter().all(|v| *v == 0.0));
    assert!(six[1].iter().any(|v| *v != 0.0));
}
