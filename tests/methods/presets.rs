//! Every number of the papers' recipes that a preset sets, beside its source. What a preset leaves out is a
//! default, and is looked at as well.
use crate::runs::{SMALL, config};
use selfsame::{
    Device, Tensor,
    config::{Layers, PRESETS, Preset},
    ops::optimize,
    train::build::{self, About, Network},
};
use std::collections::BTreeMap;

/// As `RUN/config.toml` has it.
fn resolved(name: &str) -> toml::Table {
    let mut layers = Layers::default();
    layers.preset(name).unwrap();
    toml::from_str(&layers.finish().unwrap().to_toml()).unwrap()
}

#[track_caller]
fn check(name: &str, expected: &str) {
    let found = resolved(name);
    println!("{name}\n{found}");
    let expected: toml::Table = toml::from_str(expected).unwrap();
    for (section, keys) in &expected {
        for (key, value) in keys.as_table().unwrap() {
            let found = &found[section][key];
            assert_eq!(found, value, "{name}: {section}.{key}");
        }
    }
}

/// simclr: README and tf2/data_util.py.
#[test]
fn simclr() {
    check(
        "simclr-imagenet",
        r#"
        encoder = { arch = "resnet50", image_size = 224 }
        method = { name = "simclr", temperature = 0.1, head_layers = 2, head_out = 128, head_norm = "all" }
        augment = { crop_scale = [0.08, 1.0], jitter = 0.8, brightness = 0.8, contrast = 0.8, saturation = 0.8, hue = 0.2, gray = 0.2, blur = 0.5 }
        optimize = { rule = "lars", lr = "sqrt 0.075", momentum = 0.9, weight_decay = 1e-4, spare_vectors = true }
        schedule = { warmup_epochs = 10.0, warmup_start = 0.0, decay = "cosine", decay_end = 0.0 }
        "#,
    );
    check(
        "simclr-cifar",
        r#"
        encoder = { arch = "resnet18", image_size = 32 }
        method = { temperature = 0.5 }
        augment = { crop_scale = [0.08, 1.0], jitter = 0.8, brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.1, gray = 0.2, blur = 0.0 }
        optimize = { rule = "lars", lr = 1.0, weight_decay = 1e-4 }
        schedule = { epochs = 1000, batch = 512 }
        "#,
    );
}

/// moco: main_moco.py, README; the authors' CIFAR notebook.
#[test]
fn moco() {
    check(
        "moco-v1",
        r#"
        encoder = { arch = "resnet50", image_size = 224 }
        method = { name = "moco", temperature = 0.07, queue = 65536, momentum = 0.999, head_layers = 1, head_out = 128, head_norm = "none", symmetric = false, bn_groups = 8 }
        augment = { crop_scale = [0.2, 1.0], gray = 0.2, gray_first = true, jitter = 1.0, brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.4, blur = 0.0 }
        optimize = { rule = "sgd", lr = "linear 0.03", momentum = 0.9, weight_decay = 1e-4, spare_vectors = false }
        schedule = { epochs = 200, batch = 256, warmup_epochs = 0.0, decay = "step", decay_epochs = [120, 160], decay_factor = 0.1, decay_by_epoch = true }
        "#,
    );
    check(
        "moco-v2",
        r#"
        method = { name = "moco", temperature = 0.2, queue = 65536, momentum = 0.999, head_layers = 2, head_out = 128, head_norm = "none" }
        augment = { crop_scale = [0.2, 1.0], gray = 0.2, gray_first = false, jitter = 0.8, brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.1, blur = 0.5 }
        optimize = { rule = "sgd", lr = "linear 0.03", weight_decay = 1e-4, spare_vectors = false }
        schedule = { epochs = 200, batch = 256, warmup_epochs = 0.0, decay = "cosine", decay_by_epoch = true, decay_end = 0.0 }
        "#,
    );
    check(
        "moco-cifar",
        r#"
        encoder = { arch = "resnet18", image_size = 32 }
        method = { temperature = 0.1, queue = 4096, momentum = 0.99, head_layers = 1, head_out = 128, bn_groups = 8, symmetric = false }
        augment = { crop_scale = [0.08, 1.0], jitter = 0.8, brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.1, gray = 0.2, blur = 0.0, mean = [0.4914, 0.4822, 0.4465], std = [0.2023, 0.1994, 0.2010] }
        optimize = { rule = "sgd", lr = 0.06, momentum = 0.9, weight_decay = 5e-4, spare_vectors = false }
        schedule = { epochs = 200, batch = 512, decay = "cosine", decay_by_epoch = true }
        "#,
    );
}

/// vissl: pirl_jigsaw_4node_resnet50.yaml and the model zoo's best.
#[test]
fn pirl() {
    check(
        "pirl",
        r#"
        method = { name = "pirl", temperature = 0.07, negatives = 32000, momentum = 0.5, lambda = 0.5, loss = "nce", transform = "jigsaw", head_layers = 1, head_out = 128, head_norm = "none" }
        augment = { crop_scale = [0.08, 1.0], jitter = 1.0, brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.2, photometric = 0.66, gray = 0.2, blur = 0.0 }
        patches = { size = 64, whole = 255, resize = 0, scale = [0.6, 1.0], mirror = "each" }
        optimize = { rule = "sgd", lr = "linear 0.03", momentum = 0.9, weight_decay = 1e-4, spare_vectors = true }
        schedule = { epochs = 800, batch = 1024, decay = "cosine", decay_by_epoch = true, decay_end = 0.001 }
        "#,
    );
    check(
        "pirl-mlp",
        r#"
        method = { temperature = 0.1, loss = "infonce", head_layers = 2 }
        augment = { jitter = 0.8, brightness = 0.8, contrast = 0.8, saturation = 0.8, hue = 0.2, photometric = 0.0, gray = 0.2, blur = 0.5 }
        "#,
    );
}

/// swav: scripts/.
#[test]
fn swav() {
    check(
        "swav",
        r#"
        method = { name = "swav", temperature = 0.1, prototypes = 3000, epsilon = 0.05, iterations = 3, queue = 0, freeze_steps = 313, head_layers = 2, head_out = 128, head_norm = "hidden", assignment = "soft", equipartition = "on" }
        augment = { crop_scale = [0.14, 1.0], small_crops = 6, small_size = 96, small_scale = [0.05, 0.14], jitter = 0.8, brightness = 0.8, contrast = 0.8, saturation = 0.8, hue = 0.2, gray = 0.2, blur = 0.5, std = [0.228, 0.224, 0.225] }
        optimize = { rule = "larc", trust = 0.001, lr = 4.8, momentum = 0.9, weight_decay = 1e-6, spare_vectors = false }
        schedule = { batch = 4096, warmup_epochs = 10.0, warmup_start = 0.0625, warmup_inclusive = true, decay = "cosine", decay_end = 0.001 }
        "#,
    );
    check(
        "swav-2x224",
        r#"
        augment = { crop_scale = [0.08, 1.0], small_crops = 0 }
        method = { prototypes = 3000, freeze_steps = 313 }
        "#,
    );
    check(
        "swav-256",
        r#"
        method = { queue = 3840, queue_from = 15, freeze_steps = 5005 }
        augment = { small_crops = 6 }
        optimize = { lr = 0.6 }
        schedule = { batch = 256, epochs = 200, warmup_epochs = 0.0, decay_end = 0.001 }
        "#,
    );
}

/// barlowtwins: main.py, README.
#[test]
fn barlow() {
    check(
        "barlow",
        r#"
        encoder = { zero_init_residual = true }
        method = { name = "barlow", head_layers = 3, head_hidden = 8192, head_out = 8192, off_diagonal = 0.0051 }
        augment = { crop_scale = [0.08, 1.0], crop_filter = "bicubic", jitter = 0.8, brightness = 0.4, contrast = 0.4, saturation = 0.2, hue = 0.1, gray = 0.2, blur = 1.0, solarize = 0.0, second_blur = 0.1, second_solarize = 0.2 }
        optimize = { rule = "lars", trust = 0.001, lr = "linear 0.2", vector_lr = "linear 0.0048", weight_decay = 1e-6, spare_vectors = true }
        schedule = { epochs = 1000, batch = 2048, warmup_epochs = 10.0, warmup_start = 0.0, decay = "cosine", decay_end = 0.001 }
        "#,
    );
}

/// vissl: jigsaw_8gpu_resnet.yaml, rotnet_8gpu_resnet.yaml; mmselfsup: relative-loc_resnet50_8xb64.
#[test]
fn pretext_tasks() {
    let steps = r#"
        optimize = { rule = "sgd", lr = "linear 0.1", momentum = 0.9, weight_decay = 1e-4 }
        schedule = { epochs = 105, batch = 256, warmup_epochs = 5.0, warmup_start = 0.25, decay = "step", decay_epochs = [30, 60, 90, 100], decay_factor = 0.1 }
    "#;
    check("jigsaw", steps);
    check("rotation", steps);
    check(
        "jigsaw",
        r#"
        method = { name = "jigsaw", permutations = 2000, head_hidden = 1000 }
        optimize = { spare_vectors = true, decay_biases = true, head_decay = 1.0 }
        augment = { jitter = 0.0, gray = 0.66, blur = 0.0 }
        patches = { size = 64, whole = 255, resize = 256, mirror = "whole" }
        "#,
    );
    check(
        "rotation",
        r#"
        method = { name = "rotation" }
        augment = { crop_scale = [0.08, 1.0], jitter = 0.0, gray = 0.0, blur = 0.0 }
        "#,
    );
    check(
        "relative-position",
        r#"
        method = { name = "relative-position", head_hidden = 4096, dropout = 0.5 }
        augment = { gray = 0.66, jitter = 0.0, blur = 0.0 }
        patches = { size = 64, whole = 255, resize = 292, mirror = "nothing" }
        optimize = { rule = "sgd", lr = "linear 0.1", weight_decay = 1e-4, spare_vectors = false, head_decay = 5.0 }
        schedule = { epochs = 70, batch = 512, warmup_epochs = 5.0, decay = "step", decay_epochs = [30, 50] }
        "#,
    );
}

/// A preset is for one method, and names it.
#[test]
fn every_preset_is_named_after_its_method() {
    for Preset { name, .. } in PRESETS {
        let method = resolved(name)["method"]["name"]
            .as_str()
            .unwrap()
            .to_string();
        match *name {
            "tiny" => assert_eq!(method, "simclr"),
            name => assert!(name.starts_with(&method), "{name}: {method}"),
        }
    }
}

const UNLABELLED: About = About {
    images: 48,
    classes: 0,
};

/// Of every parameter, what it has of the weight decay of a preset on small networks.
fn decays(preset: &str) -> BTreeMap<String, f32> {
    let config = config(preset, SMALL, &["optimize.weight_decay=0.5"]);
    let device = Device::cpu();
    let network = Network::new(&device, &config, UNLABELLED).unwrap();
    let segments = build::segments(&device, &network.layout, &config.optimize, None).unwrap();
    let lr = Tensor::from_f32(&device, [2], &[0.1, 0.1]).unwrap();
    let step = build::optimizer_step(&config.optimize, lr);
    let gradients = network.params.zeros().unwrap();
    let values = &network.params.values;
    let norms = optimize::norms(values, &gradients, &segments, step.weight_decay).unwrap();
    let (rates, _) = optimize::rates(&norms, &segments, &step).unwrap();
    let rates = rates.to_vec().unwrap();
    let entries = network.layout.parameters().iter().zip(rates.chunks(3));
    entries
        .map(|(entry, rates)| (entry.name.clone(), rates[1]))
        .collect()
}

/// Batch norm's alone are spared, every vector, or nothing; and a head may have its own share.
#[test]
fn weight_decay_is_the_recipes() {
    let names = ["conv1.weight", "bn1.weight", "head.norm.bias"];
    let jigsaw = decays("jigsaw");
    assert_eq!(names.map(|name| jigsaw[name]), [0.5, 0.0, 0.0]);
    assert_eq!(jigsaw["head.order.bias"], 0.5);
    let position = decays("relative-position");
    assert_eq!(names.map(|name| position[name]), [0.5, 0.5, 2.5]);
    assert_eq!(position["head.side.weight"], 2.5);
    let pirl = decays("pirl-tiny");
    assert_eq!(pirl["head.patches.bias"], 0.0);
    assert_eq!(pirl["head.patches.weight"], 0.5);
}

/// Barlow Twins' blocks start as the identity; others' do not.
#[test]
fn residual_blocks_start_as_told() {
    let last_scale = |zero: bool| {
        let zero = format!("encoder.zero_init_residual={zero}");
        let config = config("barlow-tiny", SMALL, &[&zero]);
        let network = Network::new(&Device::cpu(), &config, UNLABELLED).unwrap();
        let scale = |name: &str| {
            let entries = network.layout.parameters().iter();
            let entry = entries.clone().find(|entry| entry.name == name).unwrap();
            let params = &network.params;
            params.view(&params.values, entry).to_vec().unwrap()[0]
        };
        [scale("layer1.0.bn1.weight"), scale("layer1.0.bn2.weight")]
    };
    assert_eq!(last_scale(true), [1.0, 0.0]);
    assert_eq!(last_scale(false), [1.0, 1.0]);
}
