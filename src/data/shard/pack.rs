//! Packing: every image of a dataset, its short side made no longer than wanted, into shards.
//!
//! A shard is a function of the images and the wish alone and appears whole, so a packing that was stopped
//! goes on with the first shard that is not there.
use std::fs;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::super::crop::{CropBox, Filter, resize_to, resized};
use super::super::image::Tally;
use super::super::ordered::{Ordered, Stop};
use super::super::source::{Content, Refusal};
use super::super::{BadImage, Dataset, Image, whole};
use super::{
    Entry, FORMAT, HEADER_BYTES, Header, INDEX, Index, Record, Table, UNFINISHED, file_name, read,
};
use crate::{Error, Result};

/// Images made ahead at once.
const BLOCK: usize = 64;
const BAD_IMAGES: &str = "bad_images.jsonl";

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packing {
    /// Pixels. A longer one is resampled to this, bicubically, and the image encoded as JPEG; any other
    /// image stays byte for byte what it is.
    pub short_side: u32,
    /// 1 to 100, of those JPEGs.
    pub quality: u8,
    pub images_per_shard: u32,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Packed {
    pub images: usize,
    pub shards: usize,
    /// Of these, those that an earlier packing had finished.
    pub found: usize,
    pub bytes: u64,
    pub bad: Vec<BadImage>,
}

/// What an unfinished folder is being filled with.
#[derive(PartialEq, Serialize, Deserialize)]
struct Plan {
    format: u32,
    how: Packing,
    images: usize,
    names: String,
}

/// Packs `dataset` into the folder `out`, which must be new, empty, or hold a packing of the same images in
/// the same way that was stopped. `progress` hears how many images are done.
/// Errors where more than `max_bad` of the images are bad (as in training), or `out` cannot be written.
pub fn pack(
    dataset: &Arc<Dataset>,
    out: &Path,
    how: &Packing,
    workers: usize,
    max_bad: f32,
    mut progress: impl FnMut(usize),
) -> Result<Packed> {
    claim(out, dataset, how)?;
    let mut packed = Packed::default();
    let mut tally = Tally::new(dataset.len(), max_bad);
    let mut entries = Vec::new();
    let per_shard = how.images_per_shard.max(1) as usize;
    for (number, first) in (0..dataset.len()).step_by(per_shard).enumerate() {
        let range = first..dataset.len().min(first + per_shard);
        let end = range.end;
        let file = out.join(file_name(number));
        let table = if file.exists() {
            packed.found += 1;
            read::table(&file)?.2
        } else {
            write_shard(&file, dataset, how, range, workers, &mut progress)?
        };
        tally.add(table.records.len(), &table.bad)?;
        let entry = entry(&file)?;
        packed.images += table.records.len();
        packed.bytes += entry.bytes;
        packed.bad.extend(table.bad);
        entries.push(entry);
        progress(end);
    }
    packed.shards = entries.len();
    if packed.images == 0 {
        return Err(Error::Data(format!(
            "all {} images are bad, e.g. {}",
            dataset.len(),
            packed.bad[0]
        )));
    }
    let index = Index {
        how: how.clone(),
        classes: dataset.classes().to_vec(),
        shards: entries,
    };
    finish(out, &index, &packed.bad)?;
    Ok(packed)
}

/// Makes `out` this packing's own, or goes on in it.
fn claim(out: &Path, dataset: &Dataset, how: &Packing) -> Result<()> {
    let plan = Plan {
        format: FORMAT,
        how: how.clone(),
        images: dataset.len(),
        names: format!("{:016x}", dataset.fingerprint()),
    };
    let taken = |why: &str| {
        Error::Config(format!(
            "{} {why}\n  name a new folder with --out",
            out.display()
        ))
    };
    fs::create_dir_all(out).map_err(Error::file(out))?;
    if out.join(INDEX).exists() {
        return Err(taken("holds shards already"));
    }
    let unfinished = out.join(UNFINISHED);
    if let Ok(bytes) = fs::read(&unfinished) {
        let found = serde_json::from_slice::<Plan>(&bytes).ok();
        if found.as_ref() != Some(&plan) {
            return Err(taken(
                "holds an unfinished packing of other images, or in another way",
            ));
        }
        return forget_halves(out);
    }
    let mut entries = fs::read_dir(out).map_err(Error::file(out))?;
    if entries.next().is_some() {
        return Err(taken("is not empty"));
    }
    let plan = serde_json::to_vec_pretty(&plan).expect("strings and numbers");
    whole::write(&unfinished, |file| file.write_all(&plan)).map_err(Error::file(&unfinished))
}

/// What a killed packing was writing.
fn forget_halves(out: &Path) -> Result<()> {
    for entry in fs::read_dir(out).map_err(Error::file(out))? {
        let entry = entry.map_err(Error::file(out))?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(whole::PREFIX)
        {
            fs::remove_file(entry.path()).map_err(Error::file(entry.path()))?;
        }
    }
    Ok(())
}

fn finish(out: &Path, index: &Index, bad: &[BadImage]) -> Result<()> {
    if !bad.is_empty() {
        let list = out.join(BAD_IMAGES);
        let lines = bad.iter().map(|bad| {
            let line = serde_json::to_string(bad).expect("strings and numbers");
            format!("{line}\n")
        });
        let lines = lines.collect::<String>();
        whole::write(&list, |file| file.write_all(lines.as_bytes())).map_err(Error::file(&list))?;
    }
    let file = out.join(INDEX);
    whole::write(&file, |out| out.write_all(&index.to_bytes())).map_err(Error::file(&file))?;
    let unfinished = out.join(UNFINISHED);
    fs::remove_file(&unfinished).map_err(Error::file(&unfinished))
}

fn entry(file: &Path) -> Result<Entry> {
    let (mapped, header, table) = read::table(file)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(Entry {
        file: name.into_owned(),
        bytes: mapped.len(),
        images: table.records.len() as u32,
        xxh3: header.xxh3,
    })
}

/// The images `range`, made by `workers` threads, written in their order.
fn write_shard(
    file: &Path,
    dataset: &Arc<Dataset>,
    how: &Packing,
    range: Range<usize>,
    workers: usize,
    progress: &mut impl FnMut(usize),
) -> Result<Table> {
    let blocks = range.len().div_ceil(BLOCK) as u64;
    let (images, how, all) = (dataset.clone(), how.clone(), range.clone());
    let make = move |number: u64, stop: &Stop| {
        let first = all.start + number as usize * BLOCK;
        let ids = first..all.end.min(first + BLOCK);
        let made = ids.into_par_iter().with_max_len(1).map(|id| {
            // Of what nobody waits for any more, nothing is made.
            (!stop.requested()).then(|| made(&images, id, &how))
        });
        made.collect::<Vec<_>>()
    };
    let made = Ordered::start(0..blocks, workers, 4, make)?;
    let fill = |out: &mut BufWriter<&fs::File>| {
        let mut table = Table::default();
        out.write_all(&[0; HEADER_BYTES as usize])?;
        let mut at = HEADER_BYTES;
        for (id, made) in range.clone().zip(made.flatten().flatten()) {
            match made {
                Ok(bytes) => {
                    out.write_all(&bytes)?;
                    table.records.push(Record {
                        name: dataset.name(id),
                        class: dataset.label(id),
                        at,
                        bytes: bytes.len() as u32,
                        xxh3: xxh3_64(&bytes),
                    });
                    at += bytes.len() as u64;
                }
                Err(bad) => table.bad.push(bad),
            }
            progress(id + 1);
        }
        let json = serde_json::to_vec(&table).expect("strings and numbers");
        out.write_all(&json)?;
        let header = Header {
            at,
            bytes: json.len() as u64,
            xxh3: xxh3_64(&json),
        };
        out.flush()?;
        std::os::unix::fs::FileExt::write_all_at(*out.get_ref(), &header.to_bytes(), 0)?;
        Ok(table)
    };
    whole::write(file, fill).map_err(Error::file(file))
}

/// One image's bytes in a shard.
fn made(dataset: &Dataset, id: usize, how: &Packing) -> Result<Vec<u8>, BadImage> {
    let content = dataset.content(id)?;
    let bad = |refusal| dataset.bad(id, refusal);
    let (as_it_is, image) = match content {
        Content::Encoded(bytes) => {
            let image = Content::Encoded(bytes.as_ref().into()).decode();
            (Some(bytes), image.map_err(bad)?)
        }
        Content::Pixels(image) => (None, image),
    };
    let small = image.width.min(image.height) <= how.short_side;
    match (small, as_it_is) {
        (true, Some(bytes)) => Ok(bytes.into_owned()),
        (true, None) => png(&image).map_err(bad),
        (false, _) => jpeg(&shrunk(&image, how.short_side), how.quality).map_err(bad),
    }
}

fn shrunk(image: &Image, short_side: u32) -> Image {
    let (width, height) = resized(image.width, image.height, short_side);
    let mut pixels = vec![0; width as usize * height as usize * 3];
    let from = CropBox::whole(image);
    resize_to(image, from, (width, height), Filter::Bicubic, &mut pixels);
    Image {
        width,
        height,
        pixels,
    }
}

/// Colour at half resolution, as cameras store it.
fn jpeg(image: &Image, quality: u8) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    let (width, height) = (image.width as u16, image.height as u16); // at most decode::MAX_SIDE
    encoder
        .encode(&image.pixels, width, height, ColorType::Rgb)
        .map_err(|why| cannot_encode(&why))?;
    Ok(bytes)
}

/// Lossless, of pixels that no file held.
fn png(image: &Image) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let (width, height) = (image.width, image.height);
    PngEncoder::new(&mut bytes)
        .write_image(&image.pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(|why| cannot_encode(&why))?;
    Ok(bytes)
}

fn cannot_encode(why: &dyn std::fmt::Display) -> Refusal {
    Refusal {
        bytes: 0,
        why: format!("cannot be encoded: {why}"),
    }
}
