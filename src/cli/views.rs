//! `selfsame views`: what a method is shown of images, as a picture.
use super::{
    device,
    flags::{
        preset::{Sizes, preset_for},
        variables, with_whole_paths,
    },
};
use crate::{
    Error, Result,
    config::{Config, Layers, MethodName, Precision},
    data::{
        Dataset, Image,
        crop::{CropBox, Filter, resize_to},
        sampler::permutation,
    },
    figure::{Cell, Format, Sheet},
    interop::{Existing, WholeFile},
    train::preview::{Shown, mosaic, preview},
};
use clap::Args;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Args)]
#[command(
    after_help = "The pixels are those that training computes, on the CPU, in its first epoch.\n\nExamples:\n  selfsame views photos/ --preset swav --out views.png\n  selfsame views photos/ --set augment.hue=0.1 --out views.png --force\n  selfsame views --config runs/a/config.toml --seed 1 --out views.png"
)]
pub struct ViewsArgs {
    /// Folders, images, @list.txt, .tar archives, CIFAR files, or `synthetic` [default: those of --config]
    images: Vec<String>,
    /// simclr, moco, pirl, swav, barlow, jigsaw, rotation, relative-position, invariance or supervised
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// E.g. moco-v2; `selfsame presets` lists them [default: as `train` chooses one]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// A file of values, as RUN/config.toml
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Any value by its name, e.g. augment.hue=0.1; wins over all others
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Images
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    count: u32,
    /// Images from anywhere, and their views, as a run with this --seed sees them [default: the first ones]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The picture, as a .png
    #[arg(long, value_name = "F.png")]
    out: PathBuf,
    /// Replace --out where it exists
    #[arg(long)]
    force: bool,
}

/// Pixels that the widest picture of a column has at least: small ones are enlarged by a whole number.
const WIDE: u32 = 150;
/// Bad images passed over in search of good ones.
const MAX_BAD: usize = 100;

pub fn run(args: &ViewsArgs) -> Result<()> {
    let existing = Existing::forced(args.force);
    if Format::of(&args.out)? != Format::Png {
        let out = args.out.display();
        return Err(Error::Config(format!("{out}: views are drawn as a .png")));
    }
    existing.check(&args.out)?;
    let first = args.layers(None, None)?.read();
    let dataset = Dataset::open(&first.data.images, first.schedule.seed)?;
    let config = args.suited(&first, &dataset)?;
    let dataset = Arc::new(dataset);
    let chosen = good(&dataset, args.seed, args.count as usize)?;
    let ids: Vec<u32> = chosen.iter().map(|(id, _)| *id).collect();
    let (shown, targets) = preview(&dataset, &config, &ids)?;
    let sheet = sheet(&config, &dataset, &chosen, &shown, &targets);
    let mut file = WholeFile::create(&args.out, existing)?;
    file.write(&sheet.png()?)?;
    file.finish()?;
    say!("{}: {}", args.out.display(), sheet.title);
    Ok(())
}

impl ViewsArgs {
    fn layers(&self, preset: Option<&str>, image_size: Option<u32>) -> Result<Layers> {
        let mut layers = Layers::default();
        if let Some(preset) = preset {
            layers.preset(preset)?;
        }
        if let Some(size) = image_size {
            layers.set("the images", "encoder.image_size", size)?;
        }
        if let Some(file) = &self.config {
            layers.file(file)?;
        }
        layers.environment(variables())?;
        if let Some(method) = &self.method {
            layers.set("--method", "method.name", method.as_str())?;
        }
        if let Some(seed) = self.seed {
            let seed = i64::try_from(seed).unwrap_or(i64::MAX);
            layers.set("--seed", "schedule.seed", seed)?;
        }
        if !self.images.is_empty() {
            layers.set("IMAGES", "data.images", self.images.clone())?;
        }
        for assignment in &self.set {
            layers.assign(assignment)?;
        }
        Ok(layers)
    }

    /// Under the preset named, or that which `train` takes on this machine.
    fn suited(&self, first: &Config, dataset: &Dataset) -> Result<Config> {
        let layers = match &self.preset {
            Some(preset) => self.layers(Some(preset), None)?,
            None => {
                let device = device::open("auto", Precision::Bf16)?;
                let (sizes, on_cpu) = (Sizes::of(dataset), device.name() == "cpu");
                let (preset, image_size) = preset_for(first.method.name, sizes, on_cpu);
                self.layers(Some(preset.name), image_size)?
            }
        };
        layers.finish().map(with_whole_paths)
    }
}

/// The first `count` that can be read: of all, or of the order of a seed's first epoch.
fn good(dataset: &Dataset, seed: Option<u64>, count: usize) -> Result<Vec<(u32, Image)>> {
    let order: Vec<u32> = match seed {
        Some(seed) => permutation(seed, 0, dataset.len()),
        None => (0..dataset.len() as u32).collect(),
    };
    let (mut good, mut bad) = (Vec::new(), 0);
    for id in order {
        match dataset.decode(id as usize) {
            Ok(image) => good.push((id, image)),
            Err(image) => {
                warn!("warning[data]: left out {image}");
                bad += 1;
            }
        }
        if good.len() == count || bad == MAX_BAD {
            break;
        }
    }
    if good.is_empty() {
        return Err(Error::Data(format!(
            "none of the {bad} images looked at can be read\n  what is wrong with them: selfsame check IMAGES"
        )));
    }
    Ok(good)
}

fn sheet(
    config: &Config,
    dataset: &Dataset,
    chosen: &[(u32, Image)],
    shown: &[Shown],
    targets: &[u32],
) -> Sheet {
    let pairs = config.method.name == MethodName::RelativePosition;
    let rows: Vec<Vec<Image>> = (0..chosen.len())
        .map(|place| pictures(shown, place, pairs))
        .collect();
    let widest = rows.iter().flatten().map(|picture| picture.width).max();
    let widest = widest.unwrap_or(1);
    let times = (WIDE / widest).max(1);
    let mut columns = vec!["image".into()];
    columns.extend(names(shown, pairs));
    let whole = |(place, row): (usize, &Vec<Image>)| {
        let (id, image) = &chosen[place];
        let original = cell(fitted(image, times * widest), name(dataset, *id));
        let label = told(shown, targets[place]);
        let mut views = row
            .iter()
            .map(|picture| cell(enlarged(picture, times), "".into()));
        let last = views.next_back().map(|view| Cell { label, ..view });
        [original].into_iter().chain(views).chain(last).collect()
    };
    let rows = rows.iter().enumerate().map(whole).collect();
    Sheet {
        title: format!(
            "{} on {}, seed {}",
            config.method.name,
            config.data.images.join(" "),
            config.schedule.seed
        ),
        columns,
        rows,
    }
}

/// Of one image, in the order of `names`.
fn pictures(shown: &[Shown], place: usize, pairs: bool) -> Vec<Image> {
    let mut pictures = Vec::new();
    for shown in shown {
        let pieces = shown.of(place);
        match pieces.len() {
            ..=2 => pictures.extend(pieces.iter().map(|&piece| piece.clone())),
            _ => pictures.push(mosaic(&pieces, 3)),
        }
        if pairs {
            let neighbours = (0..pieces.len()).filter(|&piece| piece != CENTRE);
            let pair = |piece| mosaic(&[pieces[CENTRE], pieces[piece]], 2);
            pictures.extend(neighbours.map(pair));
        }
    }
    pictures
}

/// Of nine patches in reading order.
const CENTRE: usize = 4;

fn names(shown: &[Shown], pairs: bool) -> Vec<String> {
    let mut names = Vec::new();
    let mut number = 1;
    for shown in shown {
        let (count, size) = (shown.count(), shown.size());
        if shown.is_patches() {
            names.push(format!("nine patches of {size}"));
            continue;
        }
        match count {
            ..=2 => names.extend((0..count).map(|view| format!("view {}, {size}", number + view))),
            _ => names.push(format!("views {number} to {}, {size}", number + count - 1)),
        }
        number += count;
    }
    if pairs {
        names.extend((0..8).map(|side| format!("pair of side {side}")));
    }
    names
}

/// What the method is to find out, where it is told of each image.
fn told(shown: &[Shown], target: u32) -> String {
    let classes = shown
        .iter()
        .map(Shown::targets)
        .find(|&classes| classes > 0);
    let turned = shown.iter().any(|shown| shown.name() == "turned");
    match classes {
        None => String::new(),
        Some(_) if turned => format!("turned {}° left", 90 * target),
        Some(classes) => format!("permutation {target} of {classes}"),
    }
}

fn name(dataset: &Dataset, id: u32) -> String {
    let name = dataset.name(id as usize);
    let path = Path::new(&name);
    let folder = path.parent().and_then(Path::file_name);
    match (folder, path.file_name()) {
        (Some(folder), Some(file)) => Path::new(folder).join(file).display().to_string(),
        _ => name,
    }
}

fn cell(image: Image, label: String) -> Cell {
    Cell {
        width: image.width,
        height: image.height,
        pixels: image.pixels,
        label,
    }
}

/// As large as fits into `side` x `side`: enlarged by a whole number, or made smaller.
fn fitted(image: &Image, side: u32) -> Image {
    let longest = image.width.max(image.height);
    if longest <= side {
        return enlarged(image, side / longest);
    }
    let shorter = |length: u32| (length as u64 * side as u64 / longest as u64).max(1) as u32;
    let (width, height) = (shorter(image.width), shorter(image.height));
    let mut pixels = vec![0; 3 * width as usize * height as usize];
    let to = (width, height);
    resize_to(
        image,
        CropBox::whole(image),
        to,
        Filter::Bilinear,
        &mut pixels,
    );
    Image {
        width,
        height,
        pixels,
    }
}

/// Each pixel as a square of `times` x `times`.
fn enlarged(image: &Image, times: u32) -> Image {
    let times = times as usize;
    let wide = |line: &[u8]| -> Vec<u8> {
        let pixels = line.chunks_exact(3);
        pixels.flat_map(|pixel| pixel.repeat(times)).collect()
    };
    let lines = image.pixels.chunks_exact(3 * image.width as usize);
    Image {
        width: image.width * times as u32,
        height: image.height * times as u32,
        pixels: lines.flat_map(|line| wide(line).repeat(times)).collect(),
    }
}
