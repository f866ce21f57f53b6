//! All images of a small-sized set in one block: what fits on the device needs no loader.
use rayon::prelude::*;

use super::crop::{CropBox, Filter, resize_to};
use super::ordered::Pool;
use super::{BadImage, Dataset, Image};
use crate::{Error, Result};

#[derive(Clone, Debug)]
pub struct Resident {
    pub width: u32,
    pub height: u32,
    /// (images, height, width, 3), in the dataset's order.
    pub pixels: Vec<u8>,
    pub labels: Vec<Option<u32>>,
    /// Each has the next good image's pixels and label in its place.
    pub bad: Vec<BadImage>,
}

/// Decodes everything, `workers` at a time, where [`Dataset::resident_size`] says that it is small.
/// An odd image of another size is resampled to the others'.
/// Errors where the sizes differ or are large, or where no image is good.
pub fn resident(dataset: &Dataset, workers: usize) -> Result<Resident> {
    let held = resident_unless(dataset, workers, &|| false)?;
    Ok(held.expect("nobody asked to end"))
}

/// As [`resident`]; `None` where `asked` says before it is done that nobody waits for it any more.
pub fn resident_unless(
    dataset: &Dataset,
    workers: usize,
    asked: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Resident>> {
    let Some((width, height)) = dataset.resident_size() else {
        return Err(Error::Data(
            "these images are not of one small size and cannot be held as a block; \
             feed them by the loader"
                .into(),
        ));
    };
    let bytes = width as usize * height as usize * 3;
    let mut pixels = vec![0; dataset.len() * bytes];
    let decode = |(index, out): (usize, &mut [u8])| {
        if asked() {
            return Ok(());
        }
        let image = dataset.decode(index)?;
        place(&image, width, height, out);
        Ok(())
    };
    let decoded: Vec<Result<(), BadImage>> = Pool::new(workers)?.run(|| {
        let parts = pixels.par_chunks_exact_mut(bytes);
        parts.enumerate().map(decode).collect()
    });
    if asked() {
        return Ok(None);
    }
    let mut resident = Resident {
        width,
        height,
        pixels,
        labels: (0..dataset.len())
            .map(|index| dataset.label(index))
            .collect(),
        bad: decoded.into_iter().filter_map(Result::err).collect(),
    };
    resident.substitute()?;
    Ok(Some(resident))
}

fn place(image: &Image, width: u32, height: u32, out: &mut [u8]) {
    if (image.width, image.height) == (width, height) {
        out.copy_from_slice(&image.pixels);
    } else {
        let whole = CropBox::whole(image);
        resize_to(image, whole, (width, height), Filter::Bilinear, out);
    }
}

impl Resident {
    /// From the last bad image to the first, so that a copied neighbour is good by then; the bad
    /// ones at the end take the first good one.
    fn substitute(&mut self) -> Result<()> {
        let images = self.labels.len();
        if self.bad.len() == images {
            return Err(Error::Data(format!(
                "all {images} images are bad, e.g. {}",
                self.bad[0]
            )));
        }
        let bytes = self.pixels.len() / images;
        let first_good = (0..images)
            .find(|&index| {
                self.bad
                    .get(index)
                    .is_none_or(|bad| bad.index as usize != index)
            })
            .expect("not all are bad");
        for bad in self.bad.iter().rev() {
            let index = bad.index as usize;
            let next = if index + 1 == images {
                first_good
            } else {
                index + 1
            };
            self.pixels
                .copy_within(next * bytes..(next + 1) * bytes, index * bytes);
            self.labels[index] = self.labels[next];
        }
        Ok(())
    }
}
