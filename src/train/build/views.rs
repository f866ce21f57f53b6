//! From the configuration to what a method sees of an image: boxes, and what is done to their colours.
use crate::{
    Result,
    config::{self, Config, MethodName, Transform},
    data::{
        permutations,
        views::{Area, Cut, Mirror, Order, Source, Views},
    },
    ops::augment::Recipe,
};

/// Views of one size, and the colours of each: one recipe, or one for each piece.
#[derive(Clone, Debug)]
pub struct Sight {
    pub views: Views,
    pub recipes: Vec<Recipe>,
}

/// In the order of a batch's views.
pub fn sights(config: &Config) -> Result<Vec<Sight>> {
    let two = || crops(config, 2);
    Ok(match config.method.name {
        MethodName::Simclr | MethodName::Moco | MethodName::Barlow | MethodName::Invariance => {
            vec![two()]
        }
        MethodName::Swav => {
            let small = (config.augment.small_crops > 0).then(|| small_crops(config));
            [two()].into_iter().chain(small).collect()
        }
        MethodName::Supervised => vec![crops(config, 1)],
        MethodName::Rotation => vec![turned(config, 0)],
        MethodName::Pirl => {
            let image = crops(config, 1);
            let other = match config.method.transform {
                Transform::Jigsaw => patches(config, 1, Order::Shuffled),
                Transform::Rotation => turned(config, 1),
            };
            vec![image, other]
        }
        MethodName::Jigsaw => {
            let permutations = permutations::max_min(config.method.permutations);
            vec![patches(config, 0, Order::OneOf(permutations.into()))]
        }
        MethodName::RelativePosition => vec![patches(config, 0, Order::Reading)],
    })
}

fn pair([low, high]: [f64; 2]) -> (f32, f32) {
    (low as f32, high as f32)
}

/// RandomResizedCrops of the encoder's size.
fn crops(config: &Config, count: u32) -> Sight {
    let a = &config.augment;
    let area = Area {
        scale: pair(a.crop_scale),
        ratio: pair(a.crop_ratio),
    };
    let first = recipe(a);
    let second = Recipe {
        blur_probability: a.second_blur.unwrap_or(a.blur) as f32,
        solarize_probability: a.second_solarize.unwrap_or(a.solarize) as f32,
        ..first
    };
    Sight {
        views: views(
            config,
            config.encoder.image_size,
            Cut::Crops { count, area },
            0,
        ),
        recipes: match count == 2 && second != first {
            true => vec![first, second],
            false => vec![first],
        },
    }
}

fn small_crops(config: &Config) -> Sight {
    let a = &config.augment;
    let cut = Cut::Crops {
        count: a.small_crops as u32,
        area: Area {
            scale: pair(a.small_scale),
            ratio: pair(a.crop_ratio),
        },
    };
    Sight {
        views: views(config, a.small_size, cut, 2),
        recipes: vec![recipe(a)],
    }
}

fn turned(config: &Config, first: u32) -> Sight {
    let a = &config.augment;
    let area = Area {
        scale: pair(a.crop_scale),
        ratio: pair(a.crop_ratio),
    };
    Sight {
        views: views(
            config,
            config.encoder.image_size,
            Cut::Turned { area },
            first,
        ),
        recipes: vec![recipe(a)],
    }
}

fn patches(config: &Config, first: u32, order: Order) -> Sight {
    let (a, p) = (&config.augment, &config.patches);
    let from = match p.resize {
        0 => Source::Resized(Area {
            scale: pair(p.scale),
            ratio: pair(a.crop_ratio),
        }),
        of => Source::Square { of: of as u32 },
    };
    let cut = Cut::Patches {
        from,
        whole: p.whole as u32,
        cell: (p.whole / 3) as u32,
        mirror: match p.mirror {
            config::Mirror::Nothing => Mirror::Nothing,
            config::Mirror::Whole => Mirror::Whole,
            config::Mirror::Each => Mirror::Each,
        },
        order,
    };
    Sight {
        views: views(config, p.size, cut, first),
        recipes: vec![recipe(a)],
    }
}

fn views(config: &Config, size: usize, cut: Cut, first: u32) -> Views {
    Views {
        size: size as u32,
        filter: config.augment.crop_filter,
        cut,
        first,
    }
}

/// Of the first view.
pub fn recipe(a: &config::Augment) -> Recipe {
    let narrow = |x: f64| x as f32;
    Recipe {
        jitter: [a.brightness, a.contrast, a.saturation, a.hue].map(narrow),
        jitter_probability: a.jitter as f32,
        photometric_probability: a.photometric as f32,
        gray_probability: a.gray as f32,
        gray_first: a.gray_first,
        blur_probability: a.blur as f32,
        blur_sigma: a.blur_sigma.map(narrow),
        solarize_probability: a.solarize as f32,
        solarize_threshold: 128.0,
        mean: a.mean.map(narrow),
        std: a.std.map(narrow),
    }
}
