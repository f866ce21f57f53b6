//! `train --init-from`: the run begins with these weights, and needs them no more.
use super::{drawn, fails, selfsame, succeeds, weights_in};
use selfsame::{
    interop::{torchvision, weights::Array},
    nn::{Architecture, Stem},
    train::checkpoint::{self, Numbers},
};
use std::{collections::BTreeMap, fs, path::Path};

const RUN: &str = "train synthetic:48:16 --val synthetic-val:20:16 --device cpu --batch 8 --steps 6 --log-every 2 --workers 1 --preset tiny --image-size 16 --set method.head_hidden=32 --set method.head_out=16 --checkpoint-every 2steps --keep 9";

/// Of the checkpoint of `step`, the encoder's as a file has them.
fn encoder(run: &Path, step: u64) -> BTreeMap<String, Array> {
    let (_, state) = checkpoint::read(&run.join(format!("checkpoints/step-{step:08}"))).unwrap();
    let tensors = state.into_iter().filter(|(name, _)| {
        !["head.", "momentum/", "memory/"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    });
    let array = |(name, saved): (String, checkpoint::Saved)| match saved.numbers {
        Numbers::F32(values) => (name, Array::new(&saved.shape[..], values)),
        other => panic!("{name}: {other:?}"),
    };
    tensors.map(array).collect()
}

#[test]
fn a_run_begins_with_them_and_is_resumed_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder, Architecture::Tiny, Stem::Cifar, 1);
    let first: BTreeMap<String, Array> = drawn(Architecture::Tiny, Stem::Cifar, 1, 1)
        .into_iter()
        .collect();
    let line = format!("{RUN} --method moco --queue 16 --init-from w.safetensors --out");
    let (out, said) = succeeds(folder, &format!("{line} whole"));
    assert!(
        said.contains("at the start") && out.contains("before"),
        "{said}{out}"
    );
    assert!(encoder(&folder.join("whole"), 0) == first);
    assert!(encoder(&folder.join("whole"), 6) != first);
    let (_, state) = checkpoint::read(&folder.join("whole/checkpoints/step-00000000")).unwrap();
    keys_follow(&state);

    // Stopped at once, then all steps without the file.
    let stopped = selfsame(folder, &format!("{line} parts --max-time 0s"));
    assert_eq!(
        stopped.status.code(),
        Some(75),
        "{}",
        super::text(&stopped.stderr)
    );
    fs::remove_file(folder.join("w.safetensors")).unwrap();
    succeeds(folder, "resume parts");
    let last = "checkpoints/step-00000006/state.safetensors";
    let read = |run: &str| fs::read(folder.join(run).join(last)).unwrap();
    assert!(read("whole") == read("parts"), "bit for bit");
    let config = fs::read_to_string(folder.join("parts/config.toml")).unwrap();
    assert!(config.contains("init_from = \"/"), "{config}");
    let why = fails(
        folder,
        "resume parts --steps 9 --set encoder.init_from=x",
        2,
    );
    assert!(why.contains("began with other weights"), "{why}");
}

/// MoCo's key encoder is a copy of what the run begins with: some run of its flat values is conv1's.
fn keys_follow(state: &checkpoint::State) {
    let Numbers::F32(key) = &state["memory/key/values"].numbers else {
        panic!("keys are floats");
    };
    let Numbers::F32(conv) = &state["conv1.weight"].numbers else {
        panic!("weights are floats");
    };
    assert_eq!(key[..conv.len()], conv[..]);
}

#[test]
fn a_runs_own_weights_begin_another() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &format!("{RUN} --out a"));
    succeeds(
        folder,
        &format!("{RUN} --method rotation --seed 5 --init-from a --out b"),
    );
    assert!(encoder(&folder.join("b"), 0) == encoder(&folder.join("a"), 6));
}

#[test]
fn another_network_is_refused_before_there_is_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder, Architecture::ResNet18, Stem::ImageNet, 1);
    let line = format!("{RUN} --init-from w.safetensors --out run");
    let why = fails(folder, &line, 2);
    for words in [
        "holds resnet18, ImageNet stem",
        "the run is tiny, CIFAR stem",
        "--arch resnet18",
    ] {
        assert!(why.contains(words), "{why}");
    }
    let why = fails(folder, &line.replace("w.safetensors", "absent"), 6);
    assert!(why.contains("absent"), "{why}");

    // The right network, but for a tensor's shape.
    let mut tensors = drawn(Architecture::Tiny, Stem::Cifar, 1, 1);
    let norm = tensors
        .iter_mut()
        .find(|(name, _)| name == "layer2.0.bn1.bias")
        .unwrap();
    norm.1 = Array::new([3], vec![0.0; 3]);
    let path = folder.join("odd.safetensors");
    let existing = selfsame::interop::Existing::Refuse;
    torchvision::write(&path, &tensors, 0, &Default::default(), existing).unwrap();
    let why = fails(folder, &line.replace("w.safetensors", "odd.safetensors"), 6);
    assert!(
        why.contains("layer2.0.bn1.bias is (3), (64) is wanted"),
        "{why}"
    );
    assert!(!folder.join("run").exists());
}

/// Killed before its first checkpoint, a run cannot know what it began with.
#[test]
fn a_run_without_its_first_checkpoint_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder, Architecture::Tiny, Stem::Cifar, 1);
    succeeds(
        folder,
        &format!("{RUN} --init-from w.safetensors --out run"),
    );
    fs::remove_dir_all(folder.join("run/checkpoints")).unwrap();
    let why = fails(folder, "resume run", 6);
    assert!(
        why.contains("first weights") && why.contains("w.safetensors"),
        "{why}"
    );
}
