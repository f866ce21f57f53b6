//! Shards as a source of images, mapped into memory.
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::super::source::{Content, Labels, Names, Refusal, Source};
use super::{Entry, HEADER_BYTES, Header, INDEX, Index, Table, damaged};
use crate::device::Mapped;
use crate::{Error, Result};

pub(in crate::data) struct Shards {
    folder: PathBuf,
    names: Names,
    places: Vec<Place>,
    /// Each with the number of its first image.
    shards: Vec<(usize, Mapped)>,
}

struct Place {
    at: u64,
    xxh3: u64,
    bytes: u32,
}

/// Errors where the index or a shard is missing, cut, damaged or of another format. Damage inside an image is
/// found when that image is read: it is then a bad image.
pub(in crate::data) fn open(folder: &Path) -> Result<Shards> {
    let index_file = folder.join(INDEX);
    let bytes = std::fs::read(&index_file).map_err(Error::file(&index_file))?;
    let index = Index::parse(&bytes).map_err(|why| damaged(&index_file, &why))?;
    let mut shards = Vec::new();
    let (mut names, mut classes, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for entry in &index.shards {
        let (mapped, table) = checked(folder, entry, index.classes.len())?;
        shards.push((places.len(), mapped));
        for record in table.records {
            names.push(record.name.into_bytes());
            classes.push(record.class.unwrap_or(Labels::NONE));
            places.push(Place {
                at: record.at,
                xxh3: record.xxh3,
                bytes: record.bytes,
            });
        }
    }
    let labels = Labels {
        classes: index.classes,
        of: classes,
    };
    Ok(Shards {
        folder: folder.to_owned(),
        names: Names::new(names, labels),
        places,
        shards,
    })
}

fn checked(folder: &Path, entry: &Entry, classes: usize) -> Result<(Mapped, Table)> {
    // A name, never a way out of the folder.
    let name = Path::new(&entry.file).file_name().unwrap_or_default();
    let file = folder.join(name);
    let (mapped, header, table) = table(&file)?;
    if (mapped.len(), header.xxh3) != (entry.bytes, entry.xxh3) {
        return Err(damaged(
            &file,
            "not the shard that the index names: of another packing",
        ));
    }
    let known = |class: u32| (class as usize) < classes;
    let whole = table
        .records
        .iter()
        .all(|r| r.at.saturating_add(r.bytes as u64) <= header.at && r.class.is_none_or(known));
    if !whole || table.records.len() != entry.images as usize {
        return Err(damaged(&file, "its table does not fit its images"));
    }
    Ok((mapped, table))
}

/// A shard's table, verified.
pub(super) fn table(file: &Path) -> Result<(Mapped, Header, Table)> {
    let mapped = match Mapped::open(file) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            return Err(damaged(file, "missing, though the index names it"));
        }
        opened => opened.map_err(Error::file(file))?,
    };
    let parsed = |mapped: &Mapped| {
        let head = mapped.range(0, HEADER_BYTES.min(mapped.len()));
        let header = Header::parse(head.unwrap_or_default())?;
        let end = header.at.checked_add(header.bytes);
        if end != Some(mapped.len()) {
            return Err(format!(
                "cut: {} bytes are there, {} belong to it",
                mapped.len(),
                end.unwrap_or(u64::MAX)
            ));
        }
        let json = mapped.range(header.at, header.bytes).unwrap_or_default();
        if xxh3_64(json) != header.xxh3 {
            return Err("its table is damaged (checksum)".into());
        }
        let table = serde_json::from_slice(json).map_err(|e| format!("not readable: {e}"))?;
        Ok((header, table))
    };
    let (header, table) = parsed(&mapped).map_err(|why| damaged(file, &why))?;
    Ok((mapped, header, table))
}

impl Source for Shards {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn name(&self, index: usize) -> String {
        let name = self.names.get(index).to_string_lossy();
        format!("{}:{name}", self.folder.display())
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.names.label(index)
    }

    fn classes(&self) -> &[String] {
        self.names.classes()
    }

    fn content(&self, index: usize) -> Result<Content<'_>, Refusal> {
        let place = &self.places[index];
        let after = self.shards.partition_point(|(first, _)| *first <= index);
        let (_, shard) = &self.shards[after - 1];
        let refused = |why: &str| Refusal {
            bytes: place.bytes as u64,
            why: why.into(),
        };
        let bytes = shard.range(place.at, place.bytes as u64);
        let bytes = bytes.ok_or_else(|| refused("its shard was cut while in use"))?;
        if xxh3_64(bytes) != place.xxh3 {
            return Err(refused("its bytes in the shard are damaged (checksum)"));
        }
        Ok(Content::Encoded(bytes.into()))
    }
}
