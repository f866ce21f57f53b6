//! A folder, walked to its leaves. Where all its images lie in sub-folders, the first level's names
//! are their classes; otherwise they have none.
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use walkdir::{DirEntry, WalkDir};

use super::index::{Folder, IndexCache};
use super::list::Files;
use super::names::{Labels, Names};
use super::{SUFFIXES, has_suffix, is_hidden};
use crate::{Error, Result};

/// The images under `root`, sorted by the bytes of their relative paths. A link is followed only
/// where it is `root` itself, so a walk ends; hidden files are left out. `cache` may know them.
pub(super) fn open(root: &Path, cache: &IndexCache) -> Result<Files> {
    let names = match cache.get(root) {
        Some(names) => names,
        None => {
            let began = SystemTime::now();
            let (names, folders) = walk(root)?;
            cache.put(root, &names, &folders, began);
            names
        }
    };
    let in_folders = names.iter().all(|name| first_folder(name).is_some());
    let labels = names
        .iter()
        .map(|name| first_folder(name).filter(|_| in_folders));
    let labels = Labels::new(labels);
    Ok(Files {
        root: root.to_owned(),
        names: names.labelled(labels),
    })
}

/// The images, sorted, and every folder they could have been in.
fn walk(root: &Path) -> Result<(Names, Vec<Folder>)> {
    let (mut text, mut ends, mut folders) = (Vec::new(), Vec::new(), Vec::new());
    let mut others = Others::default();
    let walk = WalkDir::new(root).into_iter();
    for entry in walk.filter_entry(|e| e.depth() == 0 || !is_hidden(e.file_name().as_bytes())) {
        let entry = entry.map_err(|why| unreadable(root, &why))?;
        if entry.file_type().is_dir() || entry.depth() == 0 {
            folders.extend(Folder::now(root, relative(root, &entry)));
        } else if entry.file_type().is_file() && has_suffix(entry.path(), &SUFFIXES) {
            text.extend_from_slice(relative(root, &entry));
            ends.push(text.len() as u64);
        } else {
            others.count(&entry);
        }
    }
    if ends.is_empty() {
        return Err(others.nothing_found(root));
    }
    Ok((Names::sorted(&text, &ends), folders))
}

fn relative<'a>(root: &Path, entry: &'a DirEntry) -> &'a [u8] {
    let path = entry.path().strip_prefix(root);
    path.expect("a walk stays under its root")
        .as_os_str()
        .as_bytes()
}

fn first_folder(name: &[u8]) -> Option<&[u8]> {
    name.iter().position(|&b| b == b'/').map(|at| &name[..at])
}

fn unreadable(root: &Path, why: &walkdir::Error) -> Error {
    let path = why.path().unwrap_or(root).display();
    let cause = why.io_error().map_or(String::new(), |e| format!(": {e}"));
    Error::Data(format!(
        "cannot read the folder {path}{cause}\n  \
         make it readable, or name the folders beside it instead of {}",
        root.display()
    ))
}

/// What a walk passed by, for the message when it found nothing.
#[derive(Default)]
struct Others {
    suffixes: BTreeMap<String, usize>,
    links: usize,
}

impl Others {
    fn count(&mut self, entry: &DirEntry) {
        if entry.file_type().is_symlink() {
            self.links += 1;
        } else if let Some(suffix) = entry.path().extension()
            && entry.file_type().is_file()
        {
            let suffix = suffix.to_string_lossy().to_ascii_lowercase();
            *self.suffixes.entry(suffix).or_default() += 1;
        }
    }

    fn nothing_found(&self, root: &Path) -> Error {
        let mut text = format!(
            "no images found in {}\n  looked for {}",
            root.display(),
            SUFFIXES.join(" ")
        );
        let mut found: Vec<_> = self.suffixes.iter().collect();
        found.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (suffix, count) in found.iter().take(3) {
            text += &format!("; found {count} .{suffix} files (not supported)");
        }
        if self.links > 0 {
            text += &format!("; found {} links (not followed)", self.links);
        }
        text += self.way_out();
        Error::Data(text)
    }

    fn way_out(&self) -> &'static str {
        let has = |suffix: &str| self.suffixes.contains_key(suffix);
        if has("heic") || has("heif") {
            "\n  convert first, e.g.: mogrify -format jpg *.heic"
        } else if has("avif") || has("jxl") {
            "\n  convert first, e.g.: mogrify -format jpg *.avif"
        } else if has("tar") {
            "\n  name the archives themselves: they are read in place"
        } else if self.links > 0 {
            "\n  name the links' targets, or list the paths in a file: @list.txt"
        } else {
            "\n  name a folder that holds images, or list their paths in a file: @list.txt"
        }
    }
}
