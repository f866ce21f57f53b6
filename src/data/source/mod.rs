//! Where images come from: one file a kind, each behind [`Source`], chosen by the user's word.
mod archive;
mod cifar;
mod folder;
mod index;
mod list;
mod names;
mod read;
pub(super) mod synthetic;

use std::borrow::Cow;
use std::path::Path;

use super::{Image, decode, shard};
use crate::{Error, Result};
pub use index::{IndexCache, keep_indexes_in};
pub(super) use names::{Labels, Names};

/// Suffixes a walk takes; what a file really is, its first bytes say.
const SUFFIXES: [&str; 9] = [
    "jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm",
];

/// A numbered set of images that any thread may read.
pub(super) trait Source: Send + Sync {
    fn len(&self) -> usize;
    /// A path, `archive.tar:entry`, `file.bin:17` or `synthetic:17`.
    fn name(&self, index: usize) -> String;
    /// Index into [`Source::classes`].
    fn label(&self, index: usize) -> Option<u32>;
    fn classes(&self) -> &[String];
    fn content(&self, index: usize) -> Result<Content<'_>, Refusal>;
}

/// What a source holds of an image.
pub(super) enum Content<'a> {
    /// A file's bytes.
    Encoded(Cow<'a, [u8]>),
    Pixels(Image),
}

impl Content<'_> {
    pub fn decode(self) -> Result<Image, Refusal> {
        match self {
            Content::Encoded(bytes) => parsed(&bytes, decode::decode),
            Content::Pixels(image) => Ok(image),
        }
    }

    /// (width, height), from the header where there is one.
    pub fn dimensions(&self) -> Result<(u32, u32), Refusal> {
        match self {
            Content::Encoded(bytes) => parsed(bytes, decode::dimensions),
            Content::Pixels(image) => Ok((image.width, image.height)),
        }
    }
}

/// Runs a decoder on `bytes`; a refusal knows their number.
fn parsed<T>(bytes: &[u8], parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Result<T, Refusal> {
    parse(bytes).map_err(|why| Refusal {
        bytes: bytes.len() as u64,
        why,
    })
}

/// Why an image gives no pixels, and the bytes it takes on the disk.
#[derive(Debug)]
pub(super) struct Refusal {
    pub bytes: u64,
    pub why: String,
}

/// The images behind one word of the command line.
pub(super) fn open(spec: &str, seed: u64, cache: &IndexCache) -> Result<Box<dyn Source>> {
    if let Some(list) = spec.strip_prefix('@') {
        return Ok(Box::new(list::open(Path::new(list))?));
    }
    if let Some(set) = synthetic::parse(spec, seed)? {
        return Ok(Box::new(set));
    }
    let path = Path::new(spec);
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => open_folder(path, cache),
        Ok(_) => open_file(path),
        Err(why) => match archive::split(spec) {
            Some((archive, prefix)) => Ok(Box::new(archive::open(archive, prefix)?)),
            None => Err(Error::Data(format!(
                "cannot open {spec}: {why}\n  \
                 expected a folder, an image, @list.txt, a .tar file, CIFAR's .bin files or `synthetic`"
            ))),
        },
    }
}

fn open_folder(path: &Path, cache: &IndexCache) -> Result<Box<dyn Source>> {
    if path.join(shard::INDEX).exists() {
        return Ok(Box::new(shard::open(path)?));
    }
    if path.join(shard::UNFINISHED).exists() {
        return Err(Error::Data(format!(
            "{} holds shards that are not finished\n  the same `selfsame pack` goes on with them",
            path.display()
        )));
    }
    Ok(match cifar::files_in(path)? {
        files if files.is_empty() => Box::new(folder::open(path, cache)?),
        files => Box::new(cifar::open(&files)?),
    })
}

fn open_file(path: &Path) -> Result<Box<dyn Source>> {
    if has_suffix(path, &["bin"]) {
        return Ok(Box::new(cifar::open(&[path.to_owned()])?));
    }
    if has_suffix(path, &[shard::SUFFIX]) {
        return Err(Error::Data(format!(
            "{} is one shard of several\n  name the folder that holds them and {}",
            path.display(),
            shard::INDEX
        )));
    }
    if archive::is_tar(path)? {
        return Ok(Box::new(archive::open(path, "")?));
    }
    Ok(Box::new(list::single(path)))
}

/// `suffixes` in lower case; the path's may be in any.
fn has_suffix(path: &Path, suffixes: &[&str]) -> bool {
    let suffix = path.extension().map(|s| s.to_ascii_lowercase());
    suffix.is_some_and(|suffix| suffixes.iter().any(|&known| suffix == known))
}

/// Finder's and rsync's leftovers (`._x.jpg`, `.x.jpg.Ab3`) look like images and are none.
fn is_hidden(name: &[u8]) -> bool {
    name.first() == Some(&b'.')
}
