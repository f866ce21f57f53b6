//! The preset of a run that names none: by its method, the size of its images, and its device.
use super::{Said, TrainFlags};
use crate::{
    Result,
    config::{MethodName, Preset, Scale},
    data::Dataset,
};

/// Images up to this many pixels a side are small.
const SMALL: u32 = 64;

/// How large a run's images are.
#[derive(Clone, Copy)]
pub enum Sizes {
    /// None are named yet.
    Unknown,
    /// All of them so many pixels a side, at most 64.
    Small(u32),
    /// Larger, or of many sizes.
    Large,
}

impl Sizes {
    pub fn of(dataset: &Dataset) -> Sizes {
        let common = dataset.common_size();
        match common.map(|(width, height)| width.max(height)) {
            Some(side) if side <= SMALL => Sizes::Small(side),
            _ => Sizes::Large,
        }
    }
}

/// What was said, over the preset that was named; over the one that suits, where none was: which is told.
pub fn suited(flags: &TrainFlags, sizes: Sizes, on_cpu: bool) -> Result<Said<'_>> {
    let said = Said::of(flags);
    if flags.preset.is_some() {
        return Ok(said);
    }
    let (preset, image_size) = preset_for(said.first()?.method.name, sizes, on_cpu);
    Ok(Said {
        preset: Some(preset.name),
        image_size,
        ..said
    })
}

/// The preset that suits, which is told, and the pixels a side that suit the images.
pub fn preset_for(
    method: MethodName,
    sizes: Sizes,
    on_cpu: bool,
) -> (&'static Preset, Option<u32>) {
    let scale = match (on_cpu, sizes) {
        (true, _) => Scale::Tiny,
        (false, Sizes::Small(_)) => Scale::Cifar,
        (false, _) => Scale::ImageNet,
    };
    let preset = Preset::of(method, scale);
    let Preset { name, about, .. } = preset;
    let image_size = match (scale, sizes) {
        (_, Sizes::Small(side)) => Some(side),
        (Scale::Tiny, Sizes::Large) => Some(SMALL),
        _ => None,
    };
    let chosen = image_size.filter(|_| scale == Scale::Tiny); // the others name theirs
    let at = chosen.map_or(String::new(), |side| format!(", at {side} pixels"));
    say!("preset   {name}: {about}{at}; another by --preset");
    (preset, image_size)
}
