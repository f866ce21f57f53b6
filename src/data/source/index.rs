//! What a large folder holds, remembered between runs: a walk of a million files takes minutes on a network.
//!
//! An index is used only while every folder in it has the times of change and the identity it had: a file or
//! folder that was added, removed or renamed is noticed. Files written to where they stand are not, and
//! need not be: an index holds names. It lies in the user's cache folder, never among the images, and can be
//! deleted at any time.
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_64;

use super::names::Names;
use crate::data::whole;

const MAGIC: [u8; 8] = *b"selfidx1";
/// Fewer are walked faster than it is worth keeping a file for.
const AT_LEAST: usize = 10_000;
/// A change this soon after another may leave a folder's times as they were.
const TICK: Duration = Duration::from_secs(2);

static CHOSEN: OnceLock<PathBuf> = OnceLock::new();

/// Where indexes are kept from now on, instead of the user's cache folder.
pub fn keep_indexes_in(folder: PathBuf) {
    let _ = CHOSEN.set(folder); // the command line says it once
}

/// Where indexes are kept, if anywhere.
#[derive(Clone, Debug)]
pub struct IndexCache {
    pub folder: Option<PathBuf>,
    /// Files from which a folder is remembered.
    pub at_least: usize,
}

/// A folder as it was when it was walked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Folder {
    /// Below the root.
    path: Vec<u8>,
    stamp: Stamp,
}

/// Nanoseconds since 1970 of the last change of its entries and of itself, and its number on the disk.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: u64,
    changed: u64,
    inode: u64,
}

impl Folder {
    /// `None` where it is gone.
    pub fn now(root: &Path, path: &[u8]) -> Option<Folder> {
        let found = std::fs::metadata(root.join(OsStr::from_bytes(path))).ok()?;
        let time = |seconds: i64, nanoseconds: i64| (seconds * 1_000_000_000 + nanoseconds) as u64;
        Some(Folder {
            path: path.to_vec(),
            stamp: Stamp {
                modified: time(found.mtime(), found.mtime_nsec()),
                changed: time(found.ctime(), found.ctime_nsec()),
                inode: found.ino(),
            },
        })
    }
}

impl IndexCache {
    /// The folder that was chosen, else `selfsame` below `$XDG_CACHE_HOME` or `~/.cache`.
    pub fn of_user() -> IndexCache {
        let absolute = |name: &str| {
            let path = std::env::var_os(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        let xdg = || absolute("XDG_CACHE_HOME");
        let home = || absolute("HOME").map(|home| home.join(".cache"));
        let users = || xdg().or_else(home).map(|cache| cache.join("selfsame"));
        IndexCache {
            folder: CHOSEN.get().cloned().or_else(users),
            at_least: AT_LEAST,
        }
    }

    /// The images below `root`, where they are known and the folders have not changed.
    pub(super) fn get(&self, root: &Path) -> Option<Names> {
        let root = root.canonicalize().ok()?;
        let bytes = std::fs::read(self.file(&root)?).ok()?;
        let (names, folders) = parse(&bytes, &root)?;
        drop(bytes);
        let same = |folder: &Folder| Folder::now(&root, &folder.path).as_ref() == Some(folder);
        (!folders.is_empty() && folders.iter().all(same)).then_some(names)
    }

    /// Remembers what a walk found that `began` then. One that cannot be kept is not: it only costs time.
    pub(super) fn put(&self, root: &Path, names: &Names, folders: &[Folder], began: SystemTime) {
        let settled = began.checked_sub(TICK).unwrap_or(UNIX_EPOCH);
        let settled = settled.duration_since(UNIX_EPOCH).unwrap_or_default();
        let settled = settled.as_nanos() as u64;
        let fresh = |f: &Folder| f.stamp.modified.max(f.stamp.changed) >= settled;
        if names.len() < self.at_least || folders.iter().any(fresh) {
            return;
        }
        let Ok(root) = root.canonicalize() else {
            return;
        };
        let (Some(file), Some(folder)) = (self.file(&root), &self.folder) else {
            return;
        };
        let _ = std::fs::create_dir_all(folder).and_then(|()| {
            whole::write(&file, |out| out.write_all(&to_bytes(&root, names, folders)))
        });
    }

    /// `None` where it would lie among the images.
    fn file(&self, root: &Path) -> Option<PathBuf> {
        let folder = std::path::absolute(self.folder.as_ref()?).ok()?;
        let there = folder.canonicalize().unwrap_or(folder);
        if there.starts_with(root) {
            return None;
        }
        let name = xxh3_64(root.as_os_str().as_bytes());
        Some(there.join(format!("{name:016x}.index")))
    }
}

/// Magic, xxh3 of the rest; then, with lengths before them, the root, the folders, the names.
fn to_bytes(root: &Path, names: &Names, folders: &[Folder]) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    let word = |bytes: &mut Vec<u8>, word: u64| bytes.extend_from_slice(&word.to_le_bytes());
    let text = |bytes: &mut Vec<u8>, text: &[u8]| {
        word(bytes, text.len() as u64);
        bytes.extend_from_slice(text);
    };
    text(&mut bytes, root.as_os_str().as_bytes());
    word(&mut bytes, folders.len() as u64);
    for Folder { path, stamp } in folders {
        text(&mut bytes, path);
        for part in [stamp.modified, stamp.changed, stamp.inode] {
            word(&mut bytes, part);
        }
    }
    word(&mut bytes, names.len() as u64);
    bytes.reserve_exact(4 * names.len() + names.text.len());
    let lengths = names.iter().map(|name| name.len() as u32);
    lengths.for_each(|length| bytes.extend_from_slice(&length.to_le_bytes()));
    bytes.extend_from_slice(&names.text);
    let sum = xxh3_64(&bytes[16..]);
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// `None` for anything but an index of `root`, whole.
fn parse(bytes: &[u8], root: &Path) -> Option<(Names, Vec<Folder>)> {
    let mut rest = bytes.strip_prefix(&MAGIC)?;
    if word(&mut rest)? != xxh3_64(rest) || text(&mut rest)? != root.as_os_str().as_bytes() {
        return None;
    }
    let mut folders = Vec::new();
    for _ in 0..word(&mut rest)? {
        folders.push(Folder {
            path: text(&mut rest)?.to_vec(),
            stamp: Stamp {
                modified: word(&mut rest)?,
                changed: word(&mut rest)?,
                inode: word(&mut rest)?,
            },
        });
    }
    let names = word(&mut rest)? as usize;
    let (lengths, text) = rest.split_at_checked(names.checked_mul(4)?)?;
    let (lengths, _) = lengths.as_chunks::<4>();
    let mut end = 0;
    let ends = lengths.iter().map(|&length| {
        end += u32::from_le_bytes(length) as u64;
        end
    });
    let names = Names {
        ends: ends.collect(),
        text: text.to_vec(),
        ..Names::default()
    };
    (end == text.len() as u64).then_some((names, folders))
}

fn word(rest: &mut &[u8]) -> Option<u64> {
    let (word, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_le_bytes(*word))
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = word(rest)?;
    let (text, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(text)
}
