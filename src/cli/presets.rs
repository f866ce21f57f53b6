//! `selfsame presets`.
use crate::{
    Result,
    config::{Layers, PRESETS, Preset},
};
use clap::Args;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  selfsame presets\n  selfsame presets moco-v2 > mine.toml   # then: selfsame train photos/ --config mine.toml --out runs/a"
)]
pub struct PresetsArgs {
    /// Print every value of this one, as a file for --config
    name: Option<String>,
    /// A JSON array on stdout: name and about; of one, its values
    #[arg(long)]
    json: bool,
}

pub fn run(args: &PresetsArgs) -> Result<()> {
    let Some(name) = &args.name else {
        list(args.json);
        return Ok(());
    };
    let mut layers = Layers::default();
    layers.preset(name)?;
    let config = layers.finish()?;
    match args.json {
        true => result!(
            "{}",
            serde_json::to_string(&config).expect("every value has a form")
        ),
        false => results!("{}", config.to_toml()),
    }
    Ok(())
}

fn list(json: bool) {
    if json {
        let one = |preset: &Preset| serde_json::json!({"name": preset.name, "about": preset.about});
        let all: Vec<_> = PRESETS.iter().map(one).collect();
        result!("{}", serde_json::Value::from(all));
        return;
    }
    let widest = PRESETS.iter().map(|preset| preset.name.len()).max();
    let width = widest.unwrap_or_default();
    for preset in PRESETS {
        result!("{:<width$}  {}", preset.name, preset.about);
    }
}
