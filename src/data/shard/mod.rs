//! Shards: many images in few files, for disks and file systems that are slow at many.
//!
//! ```text
//! shards/shard-00000.shard   header | images, one behind the other | table (JSON: Table)
//! shards/shards.index        "selfsame-shards FORMAT XXH3", then JSON: Index
//! ```
//!
//! Names inside are keys, no paths lead out: the folder can be copied or moved as it is. Everything is
//! checked by xxh3: index and tables when opened, an image whenever it is read.
mod pack;
mod read;

use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::BadImage;
use crate::{Error, Result};
pub use pack::{Packed, Packing, pack};
pub(super) use read::open;

/// Of the files; another is refused.
const FORMAT: u32 = 1;
pub(super) const INDEX: &str = "shards.index";
/// What is being packed, until it is.
pub(super) const UNFINISHED: &str = "shards.unfinished";
pub(super) const SUFFIX: &str = "shard";
const MAGIC: [u8; 8] = *b"selfshrd";
const HEADER_BYTES: u64 = 48;
const FIRST_WORD: &str = "selfsame-shards";

/// The first bytes of a shard, little-endian: magic, format (u32), 0 (u32), the table's offset, length and
/// xxh3, and the xxh3 of all these (u64 each).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    at: u64,
    bytes: u64,
    xxh3: u64,
}

/// What a shard holds, in order.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Table {
    records: Vec<Record>,
    /// Those of its images that were left out.
    bad: Vec<BadImage>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// As it was called when it was packed.
    name: String,
    /// Into [`Index::classes`].
    class: Option<u32>,
    at: u64,
    bytes: u32,
    xxh3: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    how: Packing,
    classes: Vec<String>,
    shards: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    file: String,
    bytes: u64,
    images: u32,
    /// Of its table, which has those of its images.
    xxh3: u64,
}

fn file_name(number: usize) -> String {
    format!("shard-{number:05}.{SUFFIX}")
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        for (place, value) in [self.at, self.bytes, self.xxh3].into_iter().enumerate() {
            bytes[16 + 8 * place..][..8].copy_from_slice(&value.to_le_bytes());
        }
        let seal = xxh3_64(&bytes[..40]);
        bytes[40..].copy_from_slice(&seal.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Header, String> {
        let (bytes, _) = bytes
            .split_first_chunk::<{ HEADER_BYTES as usize }>()
            .ok_or("cut before its first image")?;
        if bytes[..8] != MAGIC {
            return Err("not a shard".into());
        }
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let format = word(8) as u32;
        if format != FORMAT {
            return Err(foreign(format));
        }
        if word(40) != xxh3_64(&bytes[..40]) {
            return Err("its header is damaged (checksum)".into());
        }
        Ok(Header {
            at: word(16),
            bytes: word(24),
            xxh3: word(32),
        })
    }
}

fn foreign(format: u32) -> String {
    format!("of format {format}, and this selfsame reads {FORMAT}: pack the images again with it")
}

impl Index {
    fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec_pretty(self).expect("strings and numbers");
        let first = format!("{FIRST_WORD} {FORMAT} {:016x}\n", xxh3_64(&json));
        [first.into_bytes(), json].concat()
    }

    fn parse(bytes: &[u8]) -> Result<Index, String> {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let (first, json) = bytes.split_at(end.ok_or("cut in its first line")?);
        let json = &json[1..];
        let first = String::from_utf8_lossy(first);
        let mut words = first.split(' ');
        if words.next() != Some(FIRST_WORD) {
            return Err("not an index of shards".into());
        }
        let format = words.next().and_then(|word| word.parse().ok());
        match format.ok_or("damaged in its first line")? {
            FORMAT => {}
            other => return Err(foreign(other)),
        }
        if words.next() != Some(&format!("{:016x}", xxh3_64(json))) {
            return Err("damaged (checksum)".into());
        }
        serde_json::from_slice(json).map_err(|why| format!("not readable: {why}"))
    }
}

/// Something is wrong with `file` as a whole.
fn damaged(file: &Path, why: &str) -> Error {
    Error::Data(format!(
        "{}: {why}\n  copy it again from where it was packed, or pack the images anew",
        file.display()
    ))
}
