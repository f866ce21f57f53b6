//! Image files by path: what a folder's walk found, a list file named, or the user gave.
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::names::{Labels, Names};
use super::{Content, Refusal, Source, read};
use crate::{Error, Result};

/// Names under `root`; an absolute name stands for itself.
pub(super) struct Files {
    pub root: PathBuf,
    pub names: Names,
}

/// One image file.
pub(super) fn single(path: &Path) -> Files {
    let name = path.as_os_str().as_bytes().to_vec();
    Files {
        root: PathBuf::new(),
        names: Names::new([name], Labels::new([None].into_iter())),
    }
}

/// One path a line, relative to the list's folder; after a tab or a comma, its label.
/// Errors with the line number where the file is missing, or when no line names one.
pub(super) fn open(list: &Path) -> Result<Files> {
    let text = std::fs::read(list).map_err(Error::file(list))?;
    let root = list.parent().unwrap_or(Path::new("")).to_owned();
    let mut paths = Vec::new();
    let mut labels = Vec::new();
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let (path, label) = split(&root, line);
        if let Err(why) = std::fs::metadata(root.join(OsStr::from_bytes(path))) {
            return Err(missing(list, number + 1, path, &why));
        }
        paths.push(path.to_vec());
        labels.push(label);
    }
    if paths.is_empty() {
        return Err(Error::Data(format!(
            "no images found in {}: the list has no lines\n  \
             expected one path a line, then optionally a tab and a label",
            list.display()
        )));
    }
    let labels = Labels::new(labels.iter().copied());
    Ok(Files {
        root,
        names: Names::new(paths, labels),
    })
}

/// A tab always divides; a comma only where the whole line is no file.
fn split<'a>(root: &Path, line: &'a [u8]) -> (&'a [u8], Option<&'a [u8]>) {
    let at = |byte| line.iter().rposition(|&b| b == byte);
    let comma = || at(b',').filter(|_| !root.join(OsStr::from_bytes(line)).exists());
    match at(b'\t').or_else(comma) {
        Some(at) => {
            let label = line[at + 1..].trim_ascii();
            let label = Some(label).filter(|label| !label.is_empty());
            (line[..at].trim_ascii_end(), label)
        }
        None => (line, None),
    }
}

fn missing(list: &Path, number: usize, path: &[u8], why: &std::io::Error) -> Error {
    Error::Data(format!(
        "{}:{number}: cannot open {}: {why}\n  \
         paths are relative to the list's folder; correct or remove the line",
        list.display(),
        String::from_utf8_lossy(path)
    ))
}

impl Files {
    fn path(&self, index: usize) -> PathBuf {
        self.root.join(self.names.get(index))
    }
}

impl Source for Files {
    fn len(&self) -> usize {
        self.names.len()
    }

    fn name(&self, index: usize) -> String {
        let path = self.path(index).into_os_string().into_vec();
        String::from_utf8_lossy(&path).into_owned()
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.names.label(index)
    }

    fn classes(&self) -> &[String] {
        self.names.classes()
    }

    fn content(&self, index: usize) -> Result<Content<'_>, Refusal> {
        read::file(&self.path(index)).map(|bytes| Content::Encoded(bytes.into()))
    }
}
