//! Where images come from: one file a kind, each behind [`Source`], chosen by the user's word.
mod archive;
mod cifar;
mod folder;
mod list;
mod names;
mod read;
pub(super) mod synthetic;

use std::path::Path;

use super::Image;
use crate::{Error, Result};

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
    fn decode(&self, index: usize) -> Result<Image, Refusal>;
    /// (width, height), from the header where there is one.
    fn dimensions(&self, index: usize) -> Result<(u32, u32), Refusal>;
}

/// Why an image gives no pixels, and the bytes it takes on the disk.
#[derive(Debug)]
pub(super) struct Refusal {
    pub bytes: u64,
    pub why: String,
}

/// The images behind one word of the command line.
pub(super) fn open(spec: &str, seed: u64) -> Result<Box<dyn Source>> {
    if let Some(list) = spec.strip_prefix('@') {
        return Ok(Box::new(list::open(Path::new(list))?));
    }
    if let Some(set) = synthetic::parse(spec, seed)? {
        return Ok(Box::new(set));
    }
    let path = Path::new(spec);
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => open_folder(path),
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

fn open_folder(path: &Path) -> Result<Box<dyn Source>> {
    Ok(match cifar::files_in(path)? {
        files if files.is_empty() => Box::new(folder::open(path)?),
        files => Box::new(cifar::open(&files)?),
    })
}

fn open_file(path: &Path) -> Result<Box<dyn Source>> {
    if has_suffix(path, &["bin"]) {
        return Ok(Box::new(cifar::open(&[path.to_owned()])?));
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
