//! `selfsame config`: what a run would be made with, where each value is from, and what a file may hold.
use super::{
    device,
    flags::{
        Said, TrainFlags,
        preset::{Sizes, suited},
        with_whole_paths,
    },
};
use crate::{
    Error, Result,
    config::{self, Config, Layers, Preset, Scale, Sources},
    data::Dataset,
};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

#[derive(Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  selfsame config show --method moco --config mine.toml\n  selfsame config check mine.toml"
)]
pub struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Every value of a run, and where it is from: preset, file and line, environment, flag or --set
    Show(Box<ShowArgs>),
    /// What is wrong with a configuration file, before a run
    Check(CheckArgs),
    /// JSON Schema (draft 2020-12) of a configuration file, for editors
    Schema(SchemaArgs),
}

#[derive(Args)]
#[command(
    mut_arg("out", |out| out.required(false)),
    after_help = "Takes what `train` takes; nothing is trained or written. It prints a file that --config reads.\n\nExamples:\n  selfsame config show --preset moco-v2 --batch 128\n  selfsame config show photos/ --config mine.toml --json"
)]
struct ShowArgs {
    #[command(flatten)]
    flags: TrainFlags,
}

#[derive(Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Ends with code 2 where something is wrong.\n\nExamples:\n  selfsame config check mine.toml\n  selfsame config check mine.toml --preset moco-v2"
)]
struct CheckArgs {
    /// As --config takes it
    file: PathBuf,
    /// What its values go over [default: each of its method's]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  selfsame config schema > selfsame.schema.json\n  selfsame config schema | jq .properties.schedule   # one section of it"
)]
struct SchemaArgs {}

pub fn run(args: &ConfigArgs) -> Result<()> {
    match &args.what {
        What::Show(args) => show(&args.flags),
        What::Check(args) => check(args),
        What::Schema(_) => {
            result!("{:#}", config::schema());
            Ok(())
        }
    }
}

/// Images need not be named: which preset is taken then follows from the device alone.
fn show(flags: &TrainFlags) -> Result<()> {
    let said = match flags.preset {
        Some(_) => Said::of(flags),
        None => {
            let first = Said::of(flags).first()?;
            suited(flags, sizes(&first), on_cpu(&first)?)?
        }
    };
    let layers = said.layers()?;
    let config = layers.finish().map(with_whole_paths)?;
    match flags.json {
        true => result!("{}", json(&config, layers.sources())),
        false => results!("{}", config::annotated(&config, layers.sources())),
    }
    Ok(())
}

/// Images of another machine, perhaps, are no error here.
fn sizes(first: &Config) -> Sizes {
    if first.data.images.is_empty() {
        return Sizes::Unknown;
    }
    match Dataset::open(&first.data.images, first.schedule.seed) {
        Ok(dataset) => Sizes::of(&dataset),
        Err(why) => {
            warn!("warning: the preset is chosen as if there were no images: {why}");
            Sizes::Unknown
        }
    }
}

fn on_cpu(first: &Config) -> Result<bool> {
    Ok(match &first.engine.device[..] {
        "auto" => device::open("auto", first.engine.precision)?.name() == "cpu",
        named => named == "cpu",
    })
}

/// `{"schedule.epochs": {"value": 3, "source": "--epochs"}, ...}`.
fn json(config: &Config, sources: &Sources) -> serde_json::Value {
    let sections = serde_json::to_value(config).expect("every value has a form");
    let all = config::values(config).into_iter().map(|(path, _)| {
        let (section, key) = path.split_once('.').expect("section.key");
        let source = sources.get(&path).map_or("default", String::as_str);
        let value = &sections[section][key];
        let said = serde_json::json!({"value": value, "source": source});
        (path, said)
    });
    serde_json::Value::Object(all.collect())
}

fn check(args: &CheckArgs) -> Result<()> {
    let mut alone = Layers::default();
    alone.file(&args.file)?;
    let file = args.file.display();
    result!("{file}: {} values", alone.sources().len());
    if let Some(preset) = &args.preset {
        over(preset, &args.file)?;
        result!("  goes with {preset}");
        return Ok(());
    }
    let method = alone.read().method.name;
    let (mut good, mut last) = (Vec::new(), None);
    for scale in Scale::ALL {
        let preset = Preset::of(method, scale).name;
        match over(preset, &args.file) {
            Ok(()) => good.push(preset),
            Err(why) => {
                warn!("warning[config]: {file} does not go with preset {preset}: {why}");
                last = Some(why);
            }
        }
    }
    match last {
        Some(why) if good.is_empty() => Err(why),
        _ => {
            result!("  goes with {}", good.join(", "));
            Ok(())
        }
    }
}

fn over(preset: &str, file: &Path) -> Result<(), Error> {
    let mut layers = Layers::default();
    layers.preset(preset)?;
    layers.file(file)?;
    layers.finish().map(drop)
}
