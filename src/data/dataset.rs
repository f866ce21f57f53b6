//! Every image the user named, numbered from 0 in the order named.
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::source::{self, Content, IndexCache, Refusal, Source};
use super::{BadImage, Image};
use crate::{Error, Result};

/// A block of more bytes than this is not made: the loader feeds the images instead.
const MAX_RESIDENT_BYTES: u64 = 4 << 30;
const MAX_RESIDENT_SIDE: u32 = 64;
/// Headers read to learn whether all images are of one size.
const PROBES: usize = 65;

pub struct Dataset {
    sources: Arc<[Part]>,
    len: usize,
    classes: Vec<String>,
    /// Of all images the sources hold, those that are in; `None` for all.
    chosen: Option<Vec<u32>>,
}

/// A source, the number of its first image, and its classes' numbers among all classes.
struct Part {
    start: usize,
    source: Box<dyn Source>,
    classes: Vec<u32>,
}

impl Dataset {
    /// Each of `specs` is a folder, an image, `@list.txt`, `x.tar` or `x.tar:folder`, a CIFAR
    /// binary file or folder, or `synthetic` / `synthetic-val` with an optional `:count` and
    /// `:side`, which alone depend on `seed`. Classes are merged by name and sorted.
    /// Errors where a word names nothing, nothing readable or no images, with the way out.
    pub fn open(specs: &[String], seed: u64) -> Result<Dataset> {
        Dataset::open_by(specs, seed, &IndexCache::of_user())
    }

    /// As [`Dataset::open`]; what a folder holds may be known from `cache`.
    pub fn open_by(specs: &[String], seed: u64, cache: &IndexCache) -> Result<Dataset> {
        if specs.is_empty() {
            return Err(Error::Data(
                "no images named\n  name a folder, @list.txt, a .tar file or `synthetic`".into(),
            ));
        }
        let sources = specs
            .iter()
            .map(|spec| source::open(spec, seed, cache))
            .collect::<Result<Vec<_>>>()?;
        Dataset::concatenate(sources)
    }

    fn concatenate(sources: Vec<Box<dyn Source>>) -> Result<Dataset> {
        let names = sources.iter().flat_map(|s| s.classes()).cloned();
        let mut classes: Vec<String> = names.collect();
        classes.sort_unstable();
        classes.dedup();
        let mut len = 0;
        let part = |source: Box<dyn Source>| {
            let start = len;
            len += source.len();
            let place = |class| classes.binary_search(class).expect("it was merged") as u32;
            let classes = source.classes().iter().map(place).collect();
            Part {
                start,
                source,
                classes,
            }
        };
        let sources = sources.into_iter().map(part).collect();
        if len > u32::MAX as usize {
            return Err(Error::Data(format!(
                "{len} images are more than {} can number",
                u32::MAX
            )));
        }
        Ok(Dataset {
            sources,
            len,
            classes,
            chosen: None,
        })
    }

    /// The images `chosen` alone, numbered anew in that order; the classes stay.
    pub fn only(&self, chosen: &[u32]) -> Dataset {
        let last = chosen.iter().copied().max();
        assert!(last.is_none_or(|last| (last as usize) < self.len));
        let known = self.chosen.as_ref();
        let place = |&image: &u32| known.map_or(image, |known| known[image as usize]);
        Dataset {
            sources: self.sources.clone(),
            len: chosen.len(),
            classes: self.classes.clone(),
            chosen: Some(chosen.iter().map(place).collect()),
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sorted by their bytes; empty where nothing is labelled.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Index into [`Dataset::classes`].
    pub fn label(&self, index: usize) -> Option<u32> {
        let (part, index) = self.find(index);
        let label = part.source.label(index)?;
        Some(part.classes[label as usize])
    }

    /// A path, `archive.tar:entry`, `file.bin:17` or `synthetic:17`.
    pub fn name(&self, index: usize) -> String {
        let (part, index) = self.find(index);
        part.source.name(index)
    }

    pub fn decode(&self, index: usize) -> Result<Image, BadImage> {
        self.content(index)?
            .decode()
            .map_err(|refusal| self.bad(index, refusal))
    }

    pub(super) fn content(&self, index: usize) -> Result<Content<'_>, BadImage> {
        let (part, place) = self.find(index);
        let content = part.source.content(place);
        #[cfg(feature = "fault")]
        let content = content.and_then(|content| match crate::fault::bad_image(index) {
            true => Err(Refusal {
                bytes: 0,
                why: "a fault was planted".into(),
            }),
            false => Ok(content),
        });
        content.map_err(|refusal| self.bad(index, refusal))
    }

    pub(super) fn bad(&self, index: usize, Refusal { bytes, why }: Refusal) -> BadImage {
        BadImage {
            index: index as u32,
            name: self.name(index),
            bytes,
            why,
        }
    }

    /// (width, height) where all images seem to be of that size: of each source the first and some
    /// evenly spread are looked at.
    pub fn common_size(&self) -> Option<(u32, u32)> {
        let mut common = None;
        for part in self.sources.iter() {
            let step = part.source.len().div_ceil(PROBES);
            for index in (0..part.source.len()).step_by(step) {
                let content = part.source.content(index);
                let Ok(size) = content.and_then(|content| content.dimensions()) else {
                    continue; // a bad image says nothing about the others
                };
                if *common.get_or_insert(size) != size {
                    return None;
                }
            }
        }
        common
    }

    /// (width, height) where [`super::resident`] can hold the images: one small size, and not too
    /// many.
    pub fn resident_size(&self) -> Option<(u32, u32)> {
        self.common_size().filter(|&(width, height)| {
            let bytes = 3 * self.len as u64 * width as u64 * height as u64;
            width.max(height) <= MAX_RESIDENT_SIDE && bytes <= MAX_RESIDENT_BYTES
        })
    }

    /// xxh3 of all names in order: a resumed run compares it.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Xxh3::new();
        for index in 0..self.len {
            hash.update(self.name(index).as_bytes());
            hash.update(b"\0");
        }
        hash.digest()
    }

    fn find(&self, index: usize) -> (&Part, usize) {
        assert!(index < self.len, "image {index} of {}", self.len);
        let index = match &self.chosen {
            None => index,
            Some(chosen) => chosen[index] as usize,
        };
        let after = self.sources.partition_point(|part| part.start <= index);
        let part = &self.sources[after - 1];
        (part, index - part.start)
    }
}
