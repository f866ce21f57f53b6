//! The configuration: layers, what reads back, and what an error says.
use selfsame::config::{Arch, Config, Layers, PRESETS, Preset, Rate, annotated};
use std::{fs, io::Write, path::Path};

mod config {
    mod schema;
    mod template;
}

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
    layers
        .environment([variable("SELFSAME_ENCODER_ARCH", "resnet18")])
        .unwrap();
    assert_eq!(layers.read().encoder.arch, Arch::Resnet18);
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
        "error[config]: unknown key `learning_rate` in [schedule] (train.toml:3)\n  learning_rate = 0.1\n  ^^^^^^^^^^^^^\n  did you mean `lr` in [optimize]?"
    );
    assert_eq!(
        error_of("[method]\ntemprature = 0.1\n"),
        "error[config]: unknown key `temprature` in [method] (train.toml:2)\n  temprature = 0.1\n  ^^^^^^^^^^\n  did you mean `temperature` in [method]?"
    );
    assert_eq!(
        error_of("batch = 12\n"),
        "error[config]: unknown key `batch` outside any section (train.toml:1)\n  batch = 12\n  ^^^^^\n  did you mean `batch` in [schedule]?"
    );
    assert_eq!(
        error_of("[methods]\n"),
        "error[config]: unknown key `methods` outside any section (train.toml:1)\n  [methods]\n   ^^^^^^^\n  did you mean [method]?"
    );
    assert!(
        error_of("[engine]\nzzzzzzzz = 1\n")
            .ends_with("[engine] has device, graph, on_nan, precision")
    );
    assert_eq!(
        assignment_error("method.tau=0.1"),
        "error[config]: unknown key `tau` in [method] (--set)\n  method.tau = 0.1\n  did you mean `temperature` in [method]?"
    );
}

#[test]
fn a_wrong_value_names_its_line_and_what_there_is() {
    assert_eq!(
        error_of("[encoder]\narch = \"resnet5\"\n"),
        "error[config]: unknown value `resnet5` (train.toml:2)\n  arch = \"resnet5\"\n         ^^^^^^^^^\n  did you mean `resnet50`? there are tiny, resnet18, resnet50"
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
    let optional = error_of("[augment]\nsecond_blurr = 0.1\n");
    assert!(optional.ends_with("did you mean `second_blur` in [augment]?"));
    let error = assignment_error("nonsense");
    assert!(error.contains("has no `=`"), "{error}");
}

/// Found only when the layers are put together, by which time no file could be named.
#[test]
fn a_list_that_is_too_long_is_an_error_of_its_file() {
    let text = error_of("[augment]\nblur_sigma = [0.1, 2.0, 3.0]\n");
    assert!(
        text.contains("(train.toml:2)\n  blur_sigma = [0.1, 2.0, 3.0]\n               ^^^"),
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

fn variable(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

#[test]
fn the_environment_holds_values_under_names_of_their_own() {
    let mut layers = Layers::default();
    let variables = [
        variable("SELFSAME_SCHEDULE_EPOCHS", "3"),
        variable("SELFSAME_AUGMENT_CROP_SCALE", "[0.2, 1.0]"),
        variable("SELFSAME_OPTIMIZE_LR", "linear 0.06"),
        variable("SELFSAME_DATA_MAX_BAD", "0.5"),
        variable("SELFSAME_FAULT", "nan:loss,step=3"), // the program's own
        variable("SELFSAME_SEED", "7"),
        variable("OTHER_SCHEDULE_BATCH", "7"),
    ];
    layers.environment(variables).unwrap();
    let config = layers.finish().unwrap();
    assert_eq!(config.schedule.epochs, 3);
    assert_eq!(config.schedule.seed, 0, "SELFSAME_SEED is the tests'");
    assert_eq!(config.schedule.batch, Config::default().schedule.batch);
    assert_eq!(config.augment.crop_scale, [0.2, 1.0]);
    assert_eq!(config.optimize.lr, Rate::Linear(0.06));
    assert_eq!(config.data.max_bad, 0.5);
    for (name, word) in [
        ("SELFSAME_SCHEDULE_EPOCH", "SELFSAME_SCHEDULE_EPOCHS"),
        ("SELFSAME_SCHEDUL_EPOCHS", "SELFSAME_SCHEDULE_EPOCHS"),
        ("SELFSAME_EPOCHS", "SELFSAME_SCHEDULE_EPOCHS"),
        ("SELFSAME_METHOD_TAU", "SELFSAME_METHOD_TEMPERATURE"),
        ("SELFSAME_LEARNING_RATE", "SELFSAME_OPTIMIZE_LR"),
        ("SELFSAME_FAULTS", "SELFSAME_FAULT?"),
        ("SELFSAME_ZZZZZZZZZZ", "SELFSAME_SECTION_KEY"),
    ] {
        let error = Layers::default().environment([variable(name, "1")]);
        let error = error.unwrap_err();
        let text = error.to_string();
        assert!(
            error.exit_code() == 2 && text.contains(name) && text.contains(word),
            "{text}"
        );
    }
    let wrong = Layers::default().environment([variable("SELFSAME_SCHEDULE_BATCH", "many")]);
    let text = wrong.unwrap_err().to_string();
    assert!(text.contains("(SELFSAME_SCHEDULE_BATCH)"), "{text}");
}

/// A variable that the sources name but the table of others does not would be refused where a run reads it.
#[test]
fn every_variable_of_ours_is_known() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join("src"), root.join("build.rs"), root.join("tests")];
    let mut seen = 0;
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        if path.ends_with("tests/config.rs")
            || path.ends_with("cli/config.rs")
            || path.ends_with("config/environment.rs")
        {
            continue; // wrong ones on purpose
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        for rest in text.split("\"SELFSAME_").skip(1) {
            let end = |c: char| !c.is_ascii_uppercase() && c != '_';
            let name = rest.split(end).next().unwrap();
            if name == "COMMIT" {
                continue; // of the build alone
            }
            seen += 1;
            let variable = [variable(&format!("SELFSAME_{name}"), "3")];
            if let Err(why) = Layers::default().environment(variable) {
                assert!(
                    !why.to_string().contains("unknown environment"),
                    "{path:?}: {why}"
                );
            }
        }
    }
    assert!(seen > 5, "{seen} found");
}

#[test]
fn every_value_has_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    fs::write(&file, "[schedule]\n\nbatch = 64\nepochs = 2\n").unwrap();
    let mut layers = Layers::default();
    layers.preset("moco-tiny").unwrap();
    layers.file(&file).unwrap();
    let variables = [variable("SELFSAME_SCHEDULE_EPOCHS", "3")];
    layers.environment(variables).unwrap();
    layers.set("--seed", "schedule.seed", 5).unwrap();
    layers.assign("augment.hue = 0.3").unwrap();
    let text = annotated(&layers.finish().unwrap(), layers.sources());
    let line = |key: &str| {
        let found = text
            .lines()
            .find(|line| line.starts_with(&format!("{key} =")));
        let (value, source) = found.unwrap().split_once("  # ").unwrap();
        let value = value.split_once(" = ").unwrap().1;
        (value.trim().to_string(), source.to_string())
    };
    let of_file = format!("{}:3", file.display());
    for (key, value, source) in [
        ("batch", "64", of_file.as_str()),
        ("epochs", "3", "SELFSAME_SCHEDULE_EPOCHS"),
        ("seed", "5", "--seed"),
        ("hue", "0.3", "--set"),
        ("name", "\"moco\"", "preset moco-tiny"),
        ("keep", "3", "default"),
    ] {
        assert_eq!(line(key), (value.into(), source.into()), "{text}");
    }
    let again = folder.path().join("again.toml");
    fs::write(&again, &text).unwrap();
    assert_eq!(Config::read(&again).unwrap(), layers.finish().unwrap());
}
