//! A tar file read in place: its entries are byte ranges, their names keys and never paths, so that
//! an archive cannot write or reach anything.
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::names::{Labels, Names};
use super::{Content, Refusal, SUFFIXES, Source, has_suffix, is_hidden, read};
use crate::{Error, Result};

pub(super) struct Archive {
    path: PathBuf,
    file: File,
    names: Names,
    /// (offset, length) in bytes of each entry's data.
    ranges: Vec<(u64, u64)>,
}

/// `a.tar:train/` names the entries under `train/`.
pub(super) fn split(spec: &str) -> Option<(&Path, &str)> {
    let at = spec.find(".tar:")? + ".tar".len();
    let (archive, prefix) = (Path::new(&spec[..at]), &spec[at + 1..]);
    archive.is_file().then_some((archive, prefix))
}

/// By its suffix or its magic. A compressed archive cannot be read in place and is an error.
pub(super) fn is_tar(path: &Path) -> Result<bool> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(Error::file(path))?;
    file.take(262)
        .read_to_end(&mut head)
        .map_err(Error::file(path))?;
    if head.starts_with(&[0x1f, 0x8b]) || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Err(Error::Data(format!(
            "{} is compressed and cannot be read in place\n  \
             uncompress it first (gunzip or unzstd), or extract it and name the folder",
            path.display()
        )));
    }
    Ok(has_suffix(path, &["tar"]) || head.get(257..262) == Some(b"ustar"))
}

/// The images whose names begin with the folders of `prefix`, sorted by name; of two entries of one
/// name the later counts, as when extracting. An image's class is its own folder's name, below
/// `prefix`.
pub(super) fn open(path: &Path, prefix: &str) -> Result<Archive> {
    let file = File::open(path).map_err(Error::file(path))?;
    let prefix = prefix.trim_end_matches('/').as_bytes();
    let mut found = images(path, &file)?;
    found.sort_by(|a, b| a.name.cmp(&b.name).then(b.range.cmp(&a.range)));
    found.dedup_by(|earlier, kept| earlier.name == kept.name);
    let all = found.len();
    found.retain(|entry| below(prefix, &entry.name).is_some());
    if found.is_empty() {
        return Err(nothing_found(path, prefix, all));
    }
    let labels = found.iter().map(|e| own_folder(below(prefix, &e.name)?));
    let labels = Labels::new(labels);
    Ok(Archive {
        path: path.to_owned(),
        ranges: found.iter().map(|entry| entry.range).collect(),
        names: Names::new(found.into_iter().map(|entry| entry.name), labels),
        file,
    })
}

struct Entry {
    name: Vec<u8>,
    range: (u64, u64),
}

/// Regular files with an image's suffix: links, devices and sparse files are passed by.
fn images(path: &Path, file: &File) -> Result<Vec<Entry>> {
    let length = file.metadata().map_err(Error::file(path))?.len();
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut found = Vec::new();
    for entry in archive.entries_with_seek().map_err(Error::file(path))? {
        let entry = entry.map_err(|why| damaged(path, &why.to_string()))?;
        let range = (entry.raw_file_position(), entry.size());
        if range.0.saturating_add(range.1) > length {
            return Err(damaged(path, "it ends in the middle of an entry"));
        }
        let name = entry.path_bytes().into_owned();
        let name = name.strip_prefix(b"./").unwrap_or(&name).to_vec();
        let as_path = Path::new(std::ffi::OsStr::from_bytes(&name));
        let hidden = as_path
            .file_name()
            .is_none_or(|name| is_hidden(name.as_bytes()));
        if !entry.header().entry_type().is_file() || hidden || !has_suffix(as_path, &SUFFIXES) {
            continue;
        }
        found.push(Entry { name, range });
    }
    Ok(found)
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::Data(format!(
        "{} is damaged: {why}\n  copy or download it again; `tar tf` lists what is whole",
        path.display()
    ))
}

fn nothing_found(path: &Path, prefix: &[u8], images: usize) -> Error {
    let place = if prefix.is_empty() {
        String::new()
    } else {
        format!(" under {}/", String::from_utf8_lossy(prefix))
    };
    Error::Data(format!(
        "no images found in {}{place}\n  \
         looked for {}; the archive holds {images} of them elsewhere; `tar tf` lists its names",
        path.display(),
        SUFFIXES.join(" ")
    ))
}

/// What of `name` follows the folder `prefix`.
fn below<'a>(prefix: &[u8], name: &'a [u8]) -> Option<&'a [u8]> {
    if prefix.is_empty() {
        return Some(name);
    }
    name.strip_prefix(prefix)?.strip_prefix(b"/")
}

fn own_folder(name: &[u8]) -> Option<&[u8]> {
    let end = name.iter().rposition(|&b| b == b'/')?;
    let start = name[..end].iter().rposition(|&b| b == b'/');
    let folder = &name[start.map_or(0, |at| at + 1)..end];
    Some(folder).filter(|folder| !folder.is_empty())
}

impl Source for Archive {
    fn len(&self) -> usize {
        self.ranges.len()
    }

    fn name(&self, index: usize) -> String {
        let name = self.names.get(index).to_string_lossy();
        format!("{}:{name}", self.path.display())
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.names.label(index)
    }

    fn classes(&self) -> &[String] {
        self.names.classes()
    }

    fn content(&self, index: usize) -> Result<Content<'_>, Refusal> {
        let (offset, length) = self.ranges[index];
        let bytes = read::range(&self.file, offset, length)?;
        Ok(Content::Encoded(bytes.into()))
    }
}
