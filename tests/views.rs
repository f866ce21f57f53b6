//! `selfsame views` draws what training trains on: each view of a run's first epoch is found in the picture,
//! pixel by pixel.
mod process;
mod runs;

use image::RgbImage;
use process::{ends, selfsame};
use runs::{SMALL, config, photographs};
use selfsame::{
    Device,
    config::Config,
    data::Dataset,
    train::{feed::Feed, scalars::Scalars},
};
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

const IMAGES: usize = 4;

/// (s, s, 3), enlarged or not.
type Tile = RgbImage;

/// Of every image of the first epoch, its views in the order that the method takes them, as the batches of
/// training hold them; and the images of the first batch.
fn trained_on(config: &Config) -> (BTreeMap<u32, Vec<Tile>>, Vec<u32>) {
    let device = Device::cpu();
    let dataset = Arc::new(Dataset::open(&config.data.images, config.schedule.seed).unwrap());
    let mut feed = Feed::patient(&device, &dataset, config, 0..6).unwrap();
    let scalars = Scalars::new(&device).unwrap();
    let (mut views, mut first) = (BTreeMap::<u32, Vec<Tile>>::new(), Vec::new());
    for step in 0..6 {
        let fed = feed.fetch_patiently().unwrap();
        assert_eq!(fed.epoch, 0);
        scalars.set(0, step, [0.1; 2]).unwrap();
        for kind in &feed.batch(&scalars).unwrap().views {
            let [rows, side, _, _] = kind.dims_of();
            let (values, n) = (kind.to_vec().unwrap(), fed.ids.len());
            let are_patches = rows == 9 * n;
            for (place, &id) in fed.ids.iter().enumerate() {
                for piece in 0..rows / n {
                    let row = if are_patches {
                        9 * place + piece
                    } else {
                        piece * n + place
                    };
                    let values = &values[row * side * side * 3..][..side * side * 3];
                    views
                        .entry(id)
                        .or_default()
                        .push(tile(values, side, config));
                }
            }
        }
        if step == 0 {
            first = fed.ids;
        }
    }
    (views, first)
}

fn tile(values: &[f32], side: usize, config: &Config) -> Tile {
    let (mean, std) = (config.augment.mean, config.augment.std);
    let level = |(at, &value): (usize, &f32)| {
        let share = value as f64 * std[at % 3] + mean[at % 3];
        (255.0 * share).round().clamp(0.0, 255.0) as u8
    };
    let pixels = values.iter().enumerate().map(level).collect();
    RgbImage::from_raw(side as u32, side as u32, pixels).unwrap()
}

/// Where `tile` lies, each of its pixels a square of `times` x `times`; a level may be rounded otherwise.
fn find(tile: &Tile, times: u32, picture: &RgbImage) -> Option<(u32, u32)> {
    let side = times * tile.width();
    let alike = |a: &image::Rgb<u8>, b: &image::Rgb<u8>| {
        a.0.iter().zip(b.0).all(|(&a, b)| a.abs_diff(b) <= 1)
    };
    let lies_at = |x: u32, y: u32| {
        let mut pixels = (0..side).flat_map(|dy| (0..side).map(move |dx| (dx, dy)));
        pixels.all(|(dx, dy)| {
            let seen = picture.get_pixel(x + dx, y + dy);
            alike(seen, tile.get_pixel(dx / times, dy / times))
        })
    };
    let (width, height) = (picture.width() - side + 1, picture.height() - side + 1);
    let mut places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    places.find(|&(x, y)| lies_at(x, y))
}

/// `Err` names the first view of `ids` that is not where it should be: a row an image, a column a view.
fn looked_for(
    picture: &RgbImage,
    views: &BTreeMap<u32, Vec<Tile>>,
    ids: &[u32],
) -> Result<(), String> {
    let first = &views[&ids[0]][0];
    let times = (1..=20).rev().find(|&times| {
        let side = times * first.width();
        let fits = side < picture.width().min(picture.height());
        fits && find(first, times, picture).is_some()
    });
    let times = times.ok_or("the first view is nowhere")?;
    let columns: Vec<u32> = (0..views[&ids[0]].len())
        .map(|view| find(&views[&ids[0]][view], times, picture).map(|at| at.0))
        .collect::<Option<_>>()
        .ok_or("a view of the first image is nowhere")?;
    let mut above = 0;
    for &id in ids {
        let mut top = None;
        for (view, tile) in views[&id].iter().enumerate() {
            let at = find(tile, times, picture);
            let (x, y) = at.ok_or(format!("view {view} of image {id} is nowhere"))?;
            top = top.or(Some(y));
            if x != columns[view] || y < above {
                return Err(format!("view {view} of image {id} lies at {x}, {y}"));
            }
        }
        above = top.unwrap_or(0) + 1;
    }
    Ok(())
}

fn draw(folder: &Path, config: &Config, more: &[&str]) -> RgbImage {
    let file = folder.join("config.toml");
    fs::write(&file, config.to_toml()).unwrap();
    let out = folder.join("views.png");
    let mut command = selfsame();
    command
        .arg("views")
        .arg("--config")
        .arg(&file)
        .args(["--count", "4", "--force"]);
    ends(command.args(more).arg("--out").arg(&out), 0, &["views.png"]);
    image::open(&out).unwrap().into_rgb8()
}

/// Of every kind of views there is.
const METHODS: [(&str, &[&str]); 7] = [
    ("tiny", &[]),
    ("moco-tiny", &["method.queue=16", "method.bn_groups=2"]),
    (
        "swav-tiny",
        &["augment.small_crops=3", "augment.small_size=12"],
    ),
    ("pirl-tiny", &[]),
    ("jigsaw-tiny", &[]),
    ("rotation-tiny", &[]),
    ("relative-position-tiny", &[]),
];

fn the_picture_is_what_training_sees(images: &str) {
    let folder = tempfile::tempdir().unwrap();
    for (preset, more) in METHODS {
        let own = [more, &["schedule.seed=5"]].concat();
        let config = config(preset, images, &own);
        let (views, first_batch) = trained_on(&config);
        let seeds: [(&[&str], Vec<u32>); 2] = [
            (&[], (0..IMAGES as u32).collect()),
            (&["--seed", "5"], first_batch[..IMAGES].to_vec()),
        ];
        for (flags, ids) in seeds {
            let picture = draw(folder.path(), &config, flags);
            if let Err(why) = looked_for(&picture, &views, &ids) {
                panic!("{preset} {flags:?}: {why}");
            }
        }
        // Another seed's picture is another.
        let picture = draw(folder.path(), &config, &["--set", "schedule.seed=6"]);
        let ids: Vec<u32> = (0..IMAGES as u32).collect();
        assert!(looked_for(&picture, &views, &ids).is_err(), "{preset}");
    }
}

#[test]
fn the_picture_is_what_training_sees_of_a_block() {
    the_picture_is_what_training_sees(SMALL);
}

#[test]
fn the_picture_is_what_training_sees_by_the_loader() {
    let photographs = photographs();
    the_picture_is_what_training_sees(photographs.path().to_str().unwrap());
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.png");
    let views = |images: &str, out: &Path| {
        let mut command = selfsame();
        command.args(["views", images, "--out"]).arg(out);
        command
    };
    ends(&mut views("synthetic:3:16", &out), 0, &["preset   tiny"]);
    ends(
        &mut views("synthetic:3:16", &out),
        2,
        &["exists", "--force"],
    );
    let jpeg = out.with_extension("jpg");
    ends(&mut views("synthetic:3:16", &jpeg), 2, &["a.jpg"]);

    // A bad image is left out, and told of; where there is no other, there is no picture.
    let photographs = photographs();
    let images = photographs.path();
    fs::write(images.join("0.ppm"), "P6 no image").unwrap();
    let all = images.to_str().unwrap();
    let words = ["warning[data]: left out", "0.ppm"];
    ends(views(all, &out).arg("--force"), 0, &words);
    let bad = images.join("0.ppm");
    let words = ["none of the 1 images", "selfsame check"];
    ends(views(bad.to_str().unwrap(), &out).arg("--force"), 3, &words);
}
