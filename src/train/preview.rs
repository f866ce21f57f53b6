//! Views as pictures: what training makes of some images, by its own feed, un-normalised to 8 bits.
use super::{
    feed::{Feed, Stretch},
    scalars::Scalars,
};
use crate::{
    Device, Result,
    config::Config,
    data::{Dataset, Image, Views, views::Cut},
};
use image::{
    ExtendedColorType, ImageEncoder, ImageError,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use std::{io, sync::Arc};

/// Views of one kind of some images.
#[derive(Clone, Debug)]
pub struct Shown {
    views: Views,
    images: usize,
    /// Of each piece of each image, in the order of [`Views::row`].
    pieces: Vec<Image>,
}

/// Between the pieces of a picture, in pixels.
const GAP: u32 = 2;
/// Of what shows between them: light grey, so that white ones have edges.
const GROUND: u8 = 235;
/// Of images cut into patches, side by side.
const COLUMNS: usize = 4;

/// What an image's views are of each kind, and its target where the method tells one, in the first epoch of
/// training under `config`; on the CPU. `ids` are good images of `dataset`, none twice.
pub fn preview(
    dataset: &Arc<Dataset>,
    config: &Config,
    ids: &[u32],
) -> Result<(Vec<Shown>, Vec<u32>)> {
    let mut config = config.clone();
    config.schedule.batch = ids.len();
    config.data.max_bad = 1.0; // a picture is no verdict
    let device = Device::cpu();
    let stretch = Stretch {
        start: 0,
        end: 1,
        bad: 0,
        asked: &|| false,
        first_order: Some(ids.to_vec()),
    };
    let feed = Feed::start(&device, dataset, &config, stretch)?;
    let mut feed = feed.expect("nobody asked to end");
    let fed = feed.fetch_patiently()?;
    let scalars = Scalars::new(&device)?;
    scalars.set(fed.epoch, 0, [0.0; 2])?;
    Ok((feed.shown(&scalars, ids.len())?, fed.targets))
}

impl Shown {
    /// Of `images` images; `values` (rows, s, s, 3) is what the network takes, whose channels were normalised by
    /// `mean` and `std`.
    pub(super) fn new(
        views: &Views,
        images: usize,
        values: &[f32],
        [mean, std]: [[f32; 3]; 2],
    ) -> Shown {
        let level = |(at, value): (usize, &f32)| {
            let channel = at % 3;
            (255.0 * (value * std[channel] + mean[channel])).round() as u8 // clamps
        };
        let side = views.size as usize;
        let piece = |values: &[f32]| Image {
            width: views.size,
            height: views.size,
            pixels: values.iter().enumerate().map(level).collect(),
        };
        Shown {
            views: views.clone(),
            images,
            pieces: values.chunks_exact(3 * side * side).map(piece).collect(),
        }
    }

    /// Of image `place` of these, in the order the method takes them.
    pub fn of(&self, place: usize) -> Vec<&Image> {
        let pieces = 0..self.views.pieces();
        let row = |piece| &self.pieces[self.views.row(self.images, place, piece)];
        pieces.map(row).collect()
    }

    /// Pixels a side of each piece.
    pub fn size(&self) -> u32 {
        self.views.size
    }

    /// Pieces an image.
    pub fn count(&self) -> usize {
        self.views.pieces()
    }

    /// Classes that an image's target has; 0 where there are none.
    pub fn targets(&self) -> usize {
        self.views.targets()
    }

    /// Whether each image's pieces are nine patches that belong together.
    pub fn is_patches(&self) -> bool {
        matches!(self.views.cut, Cut::Patches { .. })
    }

    pub fn name(&self) -> &'static str {
        match self.views.cut {
            Cut::Crops { .. } => "crops",
            Cut::Turned { .. } => "turned",
            Cut::Patches { .. } => "patches",
        }
    }

    /// Of all images: a column an image, or its patches three by three.
    pub fn overview(&self) -> Image {
        let of = |place| self.of(place);
        let all: Vec<Vec<&Image>> = (0..self.images).map(of).collect();
        if self.is_patches() {
            let squares: Vec<Image> = all.iter().map(|patches| mosaic(patches, 3)).collect();
            return mosaic(&squares.iter().collect::<Vec<_>>(), COLUMNS);
        }
        let lines = (0..self.count()).flat_map(|piece| all.iter().map(move |of| of[piece]));
        mosaic(&lines.collect::<Vec<_>>(), self.images)
    }
}

/// `tiles`, all of one size, line by line.
pub fn mosaic(tiles: &[&Image], columns: usize) -> Image {
    let columns = columns.min(tiles.len());
    let [width, height] = [tiles[0].width, tiles[0].height];
    let length = |count: usize, side: u32| count as u32 * (side + GAP) - GAP;
    let mut whole = Image {
        width: length(columns, width),
        height: length(tiles.len().div_ceil(columns), height),
        pixels: Vec::new(),
    };
    let bytes = 3 * whole.width as usize * whole.height as usize;
    whole.pixels = vec![GROUND; bytes];
    for (number, tile) in tiles.iter().enumerate() {
        let [column, line] = [number % columns, number / columns];
        let [left, top] = [(width + GAP) * column as u32, (height + GAP) * line as u32];
        for (y, row) in tile.pixels.chunks_exact(3 * width as usize).enumerate() {
            let first = 3 * ((top as usize + y) * whole.width as usize + left as usize);
            whole.pixels[first..][..row.len()].copy_from_slice(row);
        }
    }
    whole
}

/// Packed quickly rather than tightly.
pub fn png(image: &Image) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive);
    let (width, height) = (image.width, image.height);
    let written = encoder.write_image(&image.pixels, width, height, ExtendedColorType::Rgb8);
    written.map_err(|why| match why {
        ImageError::IoError(why) => why,
        why => io::Error::other(why),
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(level: u8) -> Image {
        Image {
            width: 2,
            height: 1,
            pixels: vec![level; 6],
        }
    }

    #[test]
    fn tiles_lie_line_by_line() {
        let tiles = [10, 20, 30].map(plain);
        let whole = mosaic(&tiles.each_ref(), 2);
        assert_eq!((whole.width, whole.height), (6, 4));
        let line = |y: usize| -> Vec<u8> {
            let line = &whole.pixels[18 * y..][..18];
            line.iter().step_by(3).copied().collect()
        };
        const G: u8 = GROUND;
        assert_eq!(line(0), [10, 10, G, G, 20, 20]);
        assert_eq!(line(1), [G; 6]);
        assert_eq!(line(3), [30, 30, G, G, G, G]);
        let read = image::load_from_memory(&png(&whole).unwrap()).unwrap();
        assert_eq!(read.into_rgb8().into_raw(), whole.pixels);
    }
}
