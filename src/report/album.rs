//! Images as a page shows them: which of them, their names and classes, and small copies on one sheet.
use crate::{
    Error, Result,
    data::{
        Dataset, EvaluationBatch, Image,
        crop::{CropBox, Filter, resize_into},
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use serde::Serialize;
use std::sync::Arc;

/// Pixels a side of a small copy, at most: whole blocks of a JPEG with colour at half resolution, so that
/// no image colours its neighbour.
const SIDE: u32 = 64;
const BLOCK: u32 = 16;
const QUALITY: u8 = 80;

/// Images of a dataset, evenly spread over it.
pub struct Source {
    /// `validation images`, `training images`.
    pub kind: &'static str,
    /// As they were named.
    pub specs: Vec<String>,
    /// Of all of them.
    pub of: usize,
    pub images: Arc<Dataset>,
}

impl Source {
    /// At most `most` of what `specs` name; `seed` is that of `synthetic`.
    pub fn open(kind: &'static str, specs: &[String], seed: u64, most: usize) -> Result<Source> {
        let all = Dataset::open(specs, seed)?;
        let (n, most) = (all.len() as u64, most.max(1) as u64);
        let shown = n.min(most);
        let spread: Vec<u32> = (0..shown).map(|i| (i * n / shown) as u32).collect();
        Ok(Source {
            kind,
            specs: specs.to_vec(),
            of: all.len(),
            images: Arc::new(all.only(&spread)),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Album {
    pub names: Vec<String>,
    /// Indices into `classes`; null where there is none.
    pub labels: Vec<Option<u32>>,
    pub classes: Vec<String>,
    pub sheet: Sheet,
}

/// Small copies side by side, row by row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sheet {
    pub side: u32,
    pub columns: u32,
    pub rows: u32,
    /// `data:image/jpeg;base64,...`
    pub uri: String,
}

/// An album that is being filled.
pub struct Filling {
    names: Vec<String>,
    labels: Vec<Option<u32>>,
    side: u32,
    /// (images, side, side, 3).
    pixels: Vec<u8>,
}

impl Filling {
    /// For images of `size` pixels a side.
    pub fn new(size: u32) -> Filling {
        Filling {
            names: Vec::new(),
            labels: Vec::new(),
            side: size.next_multiple_of(BLOCK).min(SIDE),
            pixels: Vec::new(),
        }
    }

    pub fn add(&mut self, images: &Dataset, batch: &EvaluationBatch, size: u32) {
        let bytes = 3 * size as usize * size as usize;
        let side = self.side as usize;
        for (place, pixels) in batch.pixels.chunks_exact(bytes).enumerate() {
            let image = Image {
                width: size,
                height: size,
                pixels: pixels.to_vec(),
            };
            let start = self.pixels.len();
            self.pixels.resize(start + 3 * side * side, 0);
            let small = &mut self.pixels[start..];
            let whole = CropBox::whole(&image);
            resize_into(&image, whole, self.side, Filter::Bilinear, small);
            self.names.push(images.name(batch.ids[place] as usize));
            self.labels.push(batch.labels[place]);
        }
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Of the images `chosen` alone, in that order.
    pub fn only(&self, chosen: &[u32]) -> Filling {
        let bytes = 3 * self.side as usize * self.side as usize;
        let places = || chosen.iter().map(|&image| image as usize);
        Filling {
            names: places().map(|at| self.names[at].clone()).collect(),
            labels: places().map(|at| self.labels[at]).collect(),
            side: self.side,
            pixels: places()
                .flat_map(|at| &self.pixels[at * bytes..][..bytes])
                .copied()
                .collect(),
        }
    }

    pub fn labels(&self) -> &[Option<u32>] {
        &self.labels
    }

    /// (images, side, side, 3) and the side.
    pub fn pixels(&self) -> (&[u8], u32) {
        (&self.pixels, self.side)
    }

    pub fn done(self, classes: &[String]) -> Result<Album> {
        Ok(Album {
            sheet: self.sheet()?,
            names: self.names,
            labels: self.labels,
            classes: classes.to_vec(),
        })
    }

    fn sheet(&self) -> Result<Sheet> {
        let (n, side) = (self.names.len().max(1), self.side as usize);
        let columns = (n as f64).sqrt().ceil() as usize;
        let rows = n.div_ceil(columns);
        let width = columns * side;
        let mut sheet = vec![0; 3 * width * rows * side];
        for (at, image) in self.pixels.chunks_exact(3 * side * side).enumerate() {
            let (left, top) = (at % columns * side, at / columns * side);
            for (line, pixels) in image.chunks_exact(3 * side).enumerate() {
                let start = 3 * ((top + line) * width + left);
                sheet[start..][..pixels.len()].copy_from_slice(pixels);
            }
        }
        let jpeg = jpeg(&sheet, width, rows * side)?;
        Ok(Sheet {
            side: self.side,
            columns: columns as u32,
            rows: rows as u32,
            uri: format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)),
        })
    }
}

fn jpeg(pixels: &[u8], width: usize, height: usize) -> Result<Vec<u8>> {
    let failed = |why: String| Error::Data(format!("the page's images cannot be encoded: {why}"));
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_optimized_huffman_tables(true);
    let (width, height) = (width as u16, height as u16); // some thousands
    encoder
        .encode(pixels, width, height, ColorType::Rgb)
        .map_err(|e| failed(e.to_string()))?;
    Ok(bytes)
}
