//! `selfsame presets`.
use crate::{
    Result,
    config::{Layers, PRESETS},
};
use clap::Args;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  selfsame presets\n  selfsame presets moco-v2 > mine.toml   # then: selfsame train photos/ --config mine.toml --out runs/a"
)]
pub struct PresetsArgs {
    /// Print every value of this one, as a file for --config
    name: Option<String>,
}

pub fn run(args: &PresetsArgs) -> Result<()> {
    let Some(name) = &args.name else {
        let widest = PRESETS.iter().map(|preset| preset.name.len()).max();
        let width = widest.unwrap_or_default();
        for preset in PRESETS {
            println!("{:<width$}  {}", preset.name, preset.about);
        }
        return Ok(());
    };
    let mut layers = Layers::default();
    layers.preset(name)?;
    print!("{}", layers.finish()?.to_toml());
    Ok(())
}
