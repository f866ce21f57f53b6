//! An endless labelled set of rendered images: no download, learnable in minutes, not solved by
//! pixels.
//!
//! The class is the figure's shape. Its colour, brighter or darker than a shaded, cluttered
//! background, its place, size, angle, proportions, hatching and the noise are nuisances: nearest
//! neighbours among the raw pixels are right for 19 to 26 of 100 (`tests/data/synthetic.rs`; chance
//! is 10), while two crops of one image share the shape.
mod scene;
mod shape;

use super::{Content, Refusal, Source};
use crate::data::Image;
use crate::random::{Draws, Purpose};
use crate::{Error, Result};
use scene::Scene;

const DEFAULT_IMAGES: u32 = 20_000;
const DEFAULT_HELD_OUT: u32 = 2_000;
const DEFAULT_SIDE: u32 = 32;
const MIN_SIDE: u32 = 16;
const MAX_SIDE: u32 = 64;

pub(super) struct Synthetic {
    seed: u64,
    split: Split,
    images: u32,
    side: u32,
    classes: Vec<String>,
}

/// No image of one is in the other, whatever their lengths.
#[derive(Clone, Copy)]
enum Split {
    Train = 0,
    HeldOut = 1,
}

/// `synthetic`, `synthetic:5000` (images), `synthetic:5000:48` (pixels a side), and the same of
/// `synthetic-val`; `None` for any other word.
pub(super) fn parse(spec: &str, seed: u64) -> Result<Option<Synthetic>> {
    let mut words = spec.split(':');
    let (split, images) = match words.next() {
        Some("synthetic") => (Split::Train, DEFAULT_IMAGES),
        Some("synthetic-val") => (Split::HeldOut, DEFAULT_HELD_OUT),
        _ => return Ok(None),
    };
    let mut number = |default| words.next().map_or(Some(default), |word| word.parse().ok());
    let (images, side) = (number(images), number(DEFAULT_SIDE));
    match (images, side, words.next()) {
        (Some(images @ 1..), Some(side @ MIN_SIDE..=MAX_SIDE), None) => Ok(Some(Synthetic {
            seed,
            split,
            images,
            side,
            classes: shape::NAMES.map(String::from).to_vec(),
        })),
        _ => Err(Error::Data(format!(
            "cannot read `{spec}`: expected synthetic:IMAGES:SIDE, \
             at least one image and a side of \
             {MIN_SIDE} to {MAX_SIDE}, e.g. synthetic:20000:32"
        ))),
    }
}

impl Source for Synthetic {
    fn len(&self) -> usize {
        self.images as usize
    }

    fn name(&self, index: usize) -> String {
        match self.split {
            Split::Train => format!("synthetic:{index}"),
            Split::HeldOut => format!("synthetic-val:{index}"),
        }
    }

    fn label(&self, index: usize) -> Option<u32> {
        Some((index % self.classes.len()) as u32)
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn content(&self, index: usize) -> Result<Content<'_>, Refusal> {
        let class = index % self.classes.len();
        let purpose = Purpose::Synthetic;
        let mut draws = Draws::new(self.seed, purpose, self.split as u32, index as u32, 0);
        Ok(Content::Pixels(Image {
            width: self.side,
            height: self.side,
            pixels: Scene::draw(&mut draws, class).render(&mut draws, self.side),
        }))
    }
}
