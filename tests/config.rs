//! The configuration: layers, what reads back, and what an error says.
use selfsame::config::{Arch, Config, Layers, PRESETS, Preset, Rate};
use std::io::Write;

fn preset(name: &str) -> Config {
    let mut layers = Layers::default();
    layers.preset(name).unwrap();
    layers.finish().unwrap()
}

/// What reading `text` as `train.toml` says.
fn error_of(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.toml");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let error = Layers::default().file(&path).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let folder = format!("{}/", folder.path().display());
    error.to_string().replace(&folder, "")
}

fn assignment_error(assignment: &str) -> String {
    let error = Layers::default().assign(assignment).unwrap_err();
    error.to_string()
}

fn out_of_range(assignment: &str) -> String {
    let mut layers = Layers::default();
    layers.assign(assignment).unwrap();
    layers.finish().unwrap_err().to_string()
}

#[test]
fn every_preset_reads_back_as_it_was_written() {
    for Preset { name, .. } in PRESETS {
        let mut config = preset(name);
        config.data.images = vec!["a folder/with \"quotes\"".into(), "@list.txt".into()];
        config.schedule.seed = i64::MAX as u64;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, config.to_toml()).unwrap();
        assert_eq!(Config::read(&path).unwrap(), config, "{name}");
    }
}

#[test]
fn the_later_layer_wins() {
    let mut layers = Layers::default();
    layers.preset("simclr-cifar").unwrap();
    layers.set("--arch", "encoder.arch", "tiny").unwrap();
    layers.assign("optimize.lr = linear 0.06").unwrap();
    layers.assign("augment.crop_scale=[0.2, 1]").unwrap();
    layers.assign("output.checkpoint_every=5steps").unwrap();
    layers.assign("encoder.arch=resnet50").unwrap();
    let config = layers.finish().unwrap();
    assert_eq!(config.encoder.arch, Arch::Resnet50);
    assert_eq!(config.optimize.lr, Rate::Linear(0.06));
    assert_eq!(config.augment.crop_scale, [0.2, 1.0]);
    assert_eq!(config.output.checkpoint_every.to_string(), "5steps");
    assert_eq!(config.method.temperature, 0.5, "the preset's");
    assert_eq!(config.optimize.momentum, 0.9, "the default's");
}

#[test]
fn an_unknown_key_names_its_line_and_the_key_that_was_meant() {
    assert_eq!(
        error_of("[schedule]\nepochs = 3\nlearning_rate = 0.1\n"),
        "error[config]: unknown key `learning_rate` in [schedule] (train.toml:3)\n  did you mean `lr` in [optimize]?"
    );
    assert_eq!(
        error_of("[method]\ntemprature = 0.1\n"),
        "error[config]: unknown key `temprature` in [method] (train.toml:2)\n  did you mean `temperature` in [method]?"
    );
    assert_eq!(
        error_of("batch = 12\n"),
        "error[config]: unknown key `batch` outside any section (train.toml:1)\n  did you mean `batch` in [schedule]?"
    );
    assert_eq!(
        error_of("[methods]\n"),
        "error[config]: unknown key `methods` outside any section (train.toml:1)\n  did you mean [method]?"
    );
    assert!(
        error_of("[engine]\nzzzzzzzz = 1\n")
            .ends_with("[engine] has device, graph, on_nan, precision")
    );
    assert_eq!(
        assignment_error("method.tau=0.1"),
        "error[config]: unknown key `tau` in [method] (--set)\n  did you mean `temperature` in [method]?"
    );
}

#[test]
fn a_wrong_value_names_its_line_and_what_there_is() {
    assert_eq!(
        error_of("[encoder]\narch = \"resnet5\"\n"),
        "error[config]: unknown value `resnet5` (train.toml:2)\n  did you mean `resnet50`? there are tiny, resnet18, resnet50"
    );
    let error = error_of("[schedule]\n\nbatch = \"many\"\n");
    assert!(
        error.contains("(train.toml:3)\n  batch = \"many\""),
        "{error}"
    );
    let error = error_of("[schedule]\nbatch = = 3\n");
    assert!(error.contains("(train.toml:2)"), "{error}");
    let error = error_of("[optimize]\nlr = \"quadratic 3\"\n");
    assert!(
        error.contains("is no learning rate") && error.contains(":2)"),
        "{error}"
    );
    let error = assignment_error("nonsense");
    assert!(error.contains("has no `=`"), "{error}");
}

/// Found only when the layers are put together, by which time no file could be named.
#[test]
fn a_list_that_is_too_long_is_an_error_of_its_file() {
    let text = error_of("[augment]\nblur_sigma = [0.1, 2.0, 3.0]\n");
    assert!(
        text.contains("train.toml") && text.contains("blur_sigma"),
        "{text}"
    );
}

#[test]
fn a_value_out_of_range_names_its_key() {
    assert_eq!(
        out_of_range("method.temperature=0.0"),
        "error[config]: method.temperature is 0; it must be above 0"
    );
    for assignment in [
        "schedule.batch=1",
        "augment.gray=1.5",
        "augment.crop_scale=[0.9, 0.1]",
        "encoder.image_size=4",
        "optimize.lr=nan",
        "output.keep=0",
    ] {
        let error = out_of_range(assignment);
        let key = assignment.split('=').next().unwrap();
        assert!(error.contains(key), "{assignment}: {error}");
    }
}

/// What may change on resume has no part in the hash; what may not, has.
#[test]
fn the_hash_tells_another_run_from_the_same_one() {
    let config = preset("tiny");
    let mut longer = config.clone();
    longer.schedule.epochs = 99;
    longer.data.workers = 7;
    longer.engine.device = "cuda:1".into();
    assert_eq!(config.hash(), longer.hash());
    longer.schedule.batch = 64;
    assert_ne!(config.hash(), longer.hash());
}

/// A key that came later is not of the hash: what an earlier version saved can be resumed.
#[test]
fn the_hash_of_earlier_runs_is_known() {
    let mut config = preset("tiny");
    config.data.images = vec!["synthetic:64:16".into()];
    config.encoder.image_size = 16;
    config.schedule.batch = 8;
    assert_eq!(config.hash(), 0x54bb_ca0d_025b_dd81);
    config.output.tensorboard = false;
    assert_eq!(config.hash(), 0x54bb_ca0d_025b_dd81);
}
