//! Reading one image's bytes, whole or from the middle of a file.
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Refusal;
use crate::data::decode::MAX_FILE_BYTES;

/// All of `path`; a file over the limit is refused unread.
pub(super) fn file(path: &Path) -> Result<Vec<u8>, Refusal> {
    let unread = |why: io::Error| Refusal {
        bytes: 0,
        why: why.to_string(),
    };
    let found = std::fs::metadata(path).map_err(unread)?;
    if !found.is_file() {
        return Err(Refusal {
            bytes: 0,
            why: "not a regular file".into(),
        });
    }
    check_length(found.len())?;
    std::fs::read(path).map_err(unread)
}

/// `length` bytes of `file` from `offset`, without moving its cursor: threads share the handle.
pub(super) fn range(file: &File, offset: u64, length: u64) -> Result<Vec<u8>, Refusal> {
    check_length(length)?;
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, offset)
        .map_err(|why| Refusal {
            bytes: length,
            why: why.to_string(),
        })?;
    Ok(bytes)
}

fn check_length(bytes: u64) -> Result<(), Refusal> {
    if bytes > MAX_FILE_BYTES {
        let why = format!("over the limit of {MAX_FILE_BYTES} bytes");
        return Err(Refusal { bytes, why });
    }
    Ok(())
}
