//! A look at every image of a dataset: its format and size, what it holds, and what it looks like.
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::crop::{CropBox, Filter, resize_to};
use super::ordered::{Ordered, Stop};
use super::source::Content;
use super::{BadImage, Dataset, Image, clock, decode};
use crate::Result;

/// Images looked at at once.
const BLOCK: usize = 64;

/// One good image.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Its place in the dataset.
    pub index: u32,
    /// `JPEG`, ...; `raw` where no file holds it.
    pub format: &'static str,
    pub width: u32,
    pub height: u32,
    /// Of its file, 0 for `raw`.
    pub bytes: u64,
    /// xxh3 of its file; equal files are equal in it.
    pub of_bytes: u64,
    /// xxh3 of its size and pixels, upright.
    pub of_pixels: u64,
    pub look: Look,
}

/// A difference hash: of the picture at 13 x 13 gray pixels, whether each is brighter than its right neighbour, and
/// than the one below (144 bits each). Another size, compression or a little brightness changes few bits;
/// a mirrored or cropped picture is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look(pub [u16; LOOK_BITS as usize / 16]);

pub const LOOK_BITS: u32 = 288;
const LOOK_SIDE: u32 = 13;

/// All good images and all bad ones, in the dataset's order.
#[derive(Debug, Default)]
pub struct Inspection {
    pub seen: Vec<Seen>,
    pub bad: Vec<BadImage>,
    /// Processor time of decoding alone, over all threads.
    pub decoding: Duration,
}

/// Decodes each image once, `workers` at a time. `progress` hears how many are done.
pub fn inspect(
    dataset: &Arc<Dataset>,
    workers: usize,
    mut progress: impl FnMut(usize),
) -> Result<Inspection> {
    let images = dataset.clone();
    let blocks = dataset.len().div_ceil(BLOCK) as u64;
    let make = move |block: u64, stop: &Stop| {
        let first = block as usize * BLOCK;
        let ids = first..images.len().min(first + BLOCK);
        let seen = ids.into_par_iter().with_max_len(1);
        let seen = seen.map(|id| (!stop.requested()).then(|| look_at(&images, id)));
        seen.collect::<Vec<_>>()
    };
    let mut all = Inspection::default();
    for (done, seen) in Ordered::start(0..blocks, workers, 4, make)?
        .flatten()
        .flatten()
        .enumerate()
    {
        match seen {
            Ok((seen, decoding)) => {
                all.seen.push(seen);
                all.decoding += decoding;
            }
            Err(bad) => all.bad.push(bad),
        }
        progress(done + 1);
    }
    Ok(all)
}

fn look_at(dataset: &Dataset, index: usize) -> Result<(Seen, Duration), BadImage> {
    let content = dataset.content(index)?;
    let (format, bytes, of_bytes) = match &content {
        Content::Encoded(file) => (decode::format_name(file), file.len(), xxh3_64(file)),
        Content::Pixels(_) => ("raw", 0, 0),
    };
    let started = clock::of_thread();
    let image = content.decode().map_err(|why| dataset.bad(index, why))?;
    let decoding = clock::of_thread() - started;
    let size = [image.width.to_le_bytes(), image.height.to_le_bytes()].concat();
    let of_pixels = xxh3_64(&image.pixels) ^ xxh3_64(&size);
    let seen = Seen {
        index: index as u32,
        format,
        width: image.width,
        height: image.height,
        bytes: bytes as u64,
        of_bytes: if format == "raw" { of_pixels } else { of_bytes },
        of_pixels,
        look: look(&image),
    };
    Ok((seen, decoding))
}

/// See [`Look`].
pub fn look(image: &Image) -> Look {
    const SIDE: usize = LOOK_SIDE as usize;
    let mut small = [0; SIDE * SIDE * 3];
    let whole = CropBox::whole(image);
    let size = (LOOK_SIDE, LOOK_SIDE);
    resize_to(image, whole, size, Filter::Bilinear, &mut small);
    let gray = |x: usize, y: usize| {
        let at = (y * SIDE + x) * 3;
        let [r, g, b] = [0, 1, 2].map(|c| small[at + c] as u32);
        (299 * r + 587 * g + 114 * b) / 1000
    };
    let mut look = Look([0; _]);
    for y in 0..SIDE - 1 {
        for x in 0..SIDE - 1 {
            let here = gray(x, y);
            let bits = [here > gray(x + 1, y), here > gray(x, y + 1)];
            let at = 2 * (y * (SIDE - 1) + x);
            look.0[at / 16] |= (bits[0] as u16 | (bits[1] as u16) << 1) << (at % 16);
        }
    }
    look
}

impl Look {
    /// Bits that differ.
    pub fn distance(&self, other: &Look) -> u32 {
        let bits = self.0.iter().zip(other.0);
        bits.map(|(a, b)| (a ^ b).count_ones()).sum()
    }
}
