//! The CSV beside the features: a row of it for each of theirs.
use crate::{Error, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

pub const CSV_HEAD: &[u8] = b"row,path,label\n";

/// `e.npy` -> `e.ids.csv`.
pub fn ids_path(path: &Path) -> PathBuf {
    path.with_extension("ids.csv")
}

pub(super) fn csv_row(row: usize, name: &str, label: &str) -> String {
    format!("{row},{},{}\n", quoted(name), quoted(label))
}

/// A field as RFC 4180 wants it: quoted where it holds a comma, a quote or a line break.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_string()
    }
}

/// Bytes up to and with the last of so many rows: more may follow, of an append that was cut short.
pub(super) fn end_of_rows(path: &Path, rows: usize) -> Result<u64> {
    let text = fs::read(path).map_err(Error::file(path))?;
    let mut inside = false; // a quoted field, where a line's end is none
    let mut lines = 0;
    let ends = text.iter().position(|&byte| {
        inside ^= byte == b'"';
        lines += usize::from(byte == b'\n' && !inside);
        lines == rows + 1
    });
    match ends {
        Some(last) if text.starts_with(CSV_HEAD) => Ok(last as u64 + 1),
        _ => Err(Error::Checkpoint {
            path: path.into(),
            why: format!("not the {rows} rows of the features beside it"),
        }),
    }
}
