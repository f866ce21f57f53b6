//! `selfsame init`: a configuration file to start from.
use crate::{
    Error, Result,
    config::{Layers, Preset, Scale, template},
};
use clap::Args;
use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::PathBuf,
};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  selfsame init --method moco > train.toml\n  selfsame init --preset swav-tiny --out train.toml"
)]
pub struct InitArgs {
    /// With the values of its paper, at 224 pixels
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "preset",
        default_value = "simclr"
    )]
    method: String,
    /// With the values of this one; `selfsame presets` lists them
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// A new file [default: standard output]
    #[arg(long, value_name = "FILE.toml")]
    out: Option<PathBuf>,
}

/// Never over a file that is there.
pub fn run(args: &InitArgs) -> Result<()> {
    let mut layers = Layers::default();
    let preset = match &args.preset {
        Some(name) => name,
        None => {
            layers.set("--method", "method.name", args.method.as_str())?;
            Preset::of(layers.read().method.name, Scale::ImageNet).name
        }
    };
    let mut layers = Layers::default();
    layers.preset(preset)?;
    let preset = Preset::named(preset).expect("it was just read");
    let text = template(preset, &layers.finish()?);
    let Some(path) = &args.out else {
        results!("{text}");
        return Ok(());
    };
    let written = File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    let shown = path.display();
    written.map_err(|why| match why.kind() {
        ErrorKind::AlreadyExists => Error::Config(format!(
            "{shown} is there already, and is not overwritten\n  name another file with --out"
        )),
        _ => Error::File {
            path: path.clone(),
            source: why,
        },
    })?;
    say!("{shown}: change it, then  selfsame train IMAGES --config {shown} --out RUN");
    Ok(())
}
