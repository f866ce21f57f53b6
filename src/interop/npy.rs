//! Features for other programs: `e.npy` (float32, C order, one row an image) and `e.ids.csv`, which
//! says whose row is whose. Rows are written as they come; both files appear when all are there.
use super::{Existing, WholeFile};
use crate::Result;
use std::path::{Path, PathBuf};

/// Bytes before the first row: magic, version and a padded header, whatever the number of rows.
const HEADER_BYTES: usize = 128;

pub struct NpyWriter {
    features: WholeFile,
    ids: WholeFile,
    rows: usize,
    dim: usize,
}

impl NpyWriter {
    /// `path` for the features; the ids stand beside them ([`ids_path`]).
    pub fn create(path: &Path, dim: usize, existing: Existing) -> Result<NpyWriter> {
        let mut features = WholeFile::create(path, existing)?;
        let mut ids = WholeFile::create(&ids_path(path), existing)?;
        features.write(&header(0, dim))?;
        ids.write(b"row,path,label\n")?;
        Ok(NpyWriter {
            features,
            ids,
            rows: 0,
            dim,
        })
    }

    /// One image: its features, its name, and its class where it has one.
    pub fn row(&mut self, features: &[f32], name: &str, label: Option<&str>) -> Result<()> {
        assert_eq!(features.len(), self.dim, "npy: a row of another length");
        let bytes: Vec<u8> = features.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.features.write(&bytes)?;
        let (row, name, label) = (self.rows, quoted(name), quoted(label.unwrap_or("")));
        self.ids
            .write(format!("{row},{name},{label}\n").as_bytes())?;
        self.rows += 1;
        Ok(())
    }

    /// Puts both files in their places; the number of rows.
    pub fn finish(mut self) -> Result<usize> {
        self.features.rewrite_start(&header(self.rows, self.dim))?;
        self.ids.finish()?;
        self.features.finish()?;
        Ok(self.rows)
    }
}

/// `e.npy` -> `e.ids.csv`.
pub fn ids_path(path: &Path) -> PathBuf {
    path.with_extension("ids.csv")
}

/// NumPy's format, version 1.0, for a (rows, dim) array.
fn header(rows: usize, dim: usize) -> [u8; HEADER_BYTES] {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let mut header = [b' '; HEADER_BYTES];
    header[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
    header[8..10].copy_from_slice(&(HEADER_BYTES as u16 - 10).to_le_bytes());
    header[10..10 + text.len()].copy_from_slice(text.as_bytes());
    header[HEADER_BYTES - 1] = b'\n';
    header
}

/// A field as RFC 4180 wants it: quoted where it holds a comma, a quote or a line break.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_string()
    }
}
