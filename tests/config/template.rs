//! A preset as a file with comments.
use crate::preset;
use selfsame::config::{Config, Layers, PRESETS, Preset, Scale, template};
use std::fs;

/// What is left out of a file is the preset's that `train` takes: whichever of its method's that is, a
/// template, and a run's own file, give their preset.
#[test]
fn a_template_is_its_preset_over_any_other_of_the_method() {
    let folder = tempfile::tempdir().unwrap();
    for named in PRESETS {
        let config = preset(named.name);
        let text = template(named, &config);
        let (whole, own) = (folder.path().join("t.toml"), folder.path().join("c.toml"));
        fs::write(&whole, &text).unwrap();
        fs::write(&own, config.to_toml()).unwrap();
        assert_eq!(Config::read(&whole).unwrap(), config, "{}", named.name);
        for scale in Scale::ALL {
            for file in [&whole, &own] {
                let base = Preset::of(config.method.name, scale).name;
                let mut layers = Layers::default();
                layers.preset(base).unwrap();
                layers.file(file).unwrap();
                assert_eq!(
                    layers.finish().unwrap(),
                    config,
                    "{} over {base}",
                    named.name
                );
            }
        }
        let line = text
            .lines()
            .position(|line| line.starts_with("weight_decay"));
        let above = text.lines().nth(line.unwrap() - 1).unwrap();
        assert!(above.starts_with('#') || above.contains('='), "{above}");
        assert!(text.contains("# One of cosine, step, constant."), "{text}");
        assert!(text.contains("# Images a step.\nbatch = "), "{text}");
    }
}
