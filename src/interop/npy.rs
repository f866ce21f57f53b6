//! Features for other programs: `e.npy` (C order, one row an image), `e.ids.csv`, which says whose row is
//! whose, and `e.about.json`, which says what made them. Rows are written as they come.
//!
//! New files appear when all rows are there. Rows appended to files that are there count from the moment
//! the npy's header says so, which is written last: whatever ends the program before, the rows that were
//! there are there, and the next append cuts off what lies behind them.
mod ids;

use super::{Existing, WholeFile, grow::GrownFile};
use crate::{Error, Result};
use half::f16;
pub use ids::{CSV_HEAD, ids_path};
use ids::{csv_row, end_of_rows};
use serde_json::{Map, Value};
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// Bytes before the first row: magic, version and a padded header, whatever the number of rows.
const HEADER_BYTES: usize = 128;

/// What a number of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    F32,
    F16,
}

impl Number {
    fn descr(self) -> &'static str {
        match self {
            Number::F32 => "<f4",
            Number::F16 => "<f2",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Number::F32 => 4,
            Number::F16 => 2,
        }
    }
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub dim: usize,
    pub number: Number,
}

/// What made the rows: appended ones must be made by the same.
pub type About = Map<String, Value>;

pub struct NpyWriter {
    row: Row,
    rows: usize,
    out: Out,
}

enum Out {
    New {
        features: WholeFile,
        ids: WholeFile,
        about: WholeFile,
    },
    Longer {
        features: GrownFile,
        ids: GrownFile,
    },
}

impl NpyWriter {
    /// `path` for the features; the others stand beside them ([`ids_path`], [`about_path`]).
    pub fn create(path: &Path, row: Row, about: &About, existing: Existing) -> Result<NpyWriter> {
        let mut features = WholeFile::create(path, existing)?;
        let mut ids = WholeFile::create(&ids_path(path), existing)?;
        features.write(&header(0, row))?;
        ids.write(CSV_HEAD)?;
        let mut json = WholeFile::create(&about_path(path), existing)?;
        json.write(format!("{:#}\n", Value::Object(about.clone())).as_bytes())?;
        let out = Out::New {
            features,
            ids,
            about: json,
        };
        Ok(NpyWriter { row, rows: 0, out })
    }

    /// Behind the rows of files that [`NpyWriter::create`] wrote.
    /// Errors where they are not such files, or where something else made their rows.
    pub fn append(path: &Path, row: Row, about: &About) -> Result<NpyWriter> {
        let rows = rows_of(path, row)?;
        same(&about_path(path), about)?;
        let ids = ids_path(path);
        let ids_bytes = end_of_rows(&ids, rows)?;
        let bytes = HEADER_BYTES + rows * row.dim * row.number.bytes();
        let features = GrownFile::open(path, bytes as u64)?;
        let ids = GrownFile::open(&ids, ids_bytes)?;
        let out = Out::Longer { features, ids };
        Ok(NpyWriter { row, rows, out })
    }

    /// One image: its features, its name, and its class where it has one.
    pub fn row(&mut self, features: &[f32], name: &str, label: Option<&str>) -> Result<()> {
        assert_eq!(features.len(), self.row.dim, "npy: a row of another length");
        let bytes: Vec<u8> = match self.row.number {
            Number::F32 => features.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Number::F16 => halves(features, name)?,
        };
        let line = csv_row(self.rows, name, label.unwrap_or(""));
        match &mut self.out {
            Out::New { features, ids, .. } => {
                features.write(&bytes)?;
                ids.write(line.as_bytes())?;
            }
            Out::Longer { features, ids } => {
                features.write(&bytes)?;
                ids.write(line.as_bytes())?;
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Puts all in its place; the number of rows, old ones included.
    pub fn finish(self) -> Result<usize> {
        let header = header(self.rows, self.row);
        match self.out {
            Out::New {
                mut features,
                ids,
                about,
            } => {
                features.rewrite_start(&header)?;
                about.finish()?;
                ids.finish()?;
                features.finish()?;
            }
            Out::Longer {
                mut features,
                mut ids,
            } => {
                ids.sync()?;
                features.sync()?;
                features.rewrite_start(&header)?; // from here on the new rows count
                ids.keep();
                features.keep();
            }
        }
        Ok(self.rows)
    }
}

/// `e.npy` -> `e.about.json`.
pub fn about_path(path: &Path) -> PathBuf {
    path.with_extension("about.json")
}

fn halves(features: &[f32], name: &str) -> Result<Vec<u8>> {
    let half = |&x: &f32| {
        let half = f16::from_f32(x);
        match half.is_finite() {
            true => Ok(half.to_le_bytes()),
            false => Err(Error::Config(format!(
                "a feature of {name} is {x}: float16 ends at 65504\n  use --dtype float32, or leave out --raw"
            ))),
        }
    };
    let halves: Result<Vec<[u8; 2]>> = features.iter().map(half).collect();
    Ok(halves?.concat())
}

/// NumPy's format, version 1.0, for a (rows, dim) array.
fn header(rows: usize, row: Row) -> [u8; HEADER_BYTES] {
    let (descr, dim) = (row.number.descr(), row.dim);
    let text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let mut header = [b' '; HEADER_BYTES];
    header[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
    header[8..10].copy_from_slice(&(HEADER_BYTES as u16 - 10).to_le_bytes());
    header[10..10 + text.len()].copy_from_slice(text.as_bytes());
    header[HEADER_BYTES - 1] = b'\n';
    header
}

/// How many rows the file says it has, which are all there.
fn rows_of(path: &Path, row: Row) -> Result<usize> {
    let mut file = File::open(path).map_err(Error::file(path))?;
    let mut found = [0; HEADER_BYTES];
    let read = file.read_exact(&mut found);
    let text = String::from_utf8_lossy(&found[10..]).into_owned();
    let shape = text.split_once("'shape': (").map(|(_, shape)| shape);
    let rows = shape.and_then(|shape| shape.split_once(',')?.0.parse().ok());
    let rows = rows.filter(|&rows| read.is_ok() && header(rows, row) == found);
    let rows = rows.ok_or_else(|| {
        let (number, dim) = (row.number.descr(), row.dim);
        let (text, path) = (text.trim(), path.display());
        Error::Config(format!(
            "{path} does not hold rows of {dim} numbers {number} as `embed` writes them: {text}\n  rows of another width or type need a file of their own"
        ))
    })?;
    let bytes = HEADER_BYTES + rows * row.dim * row.number.bytes();
    let length = file.metadata().map_err(Error::file(path))?.len();
    match length < bytes as u64 {
        false => Ok(rows),
        true => Err(Error::Checkpoint {
            path: path.into(),
            why: format!("{length} bytes long, and its {rows} rows are {bytes}: it was cut"),
        }),
    }
}

/// Errors with what differs in how the rows were made.
fn same(path: &Path, about: &About) -> Result<()> {
    let text = fs::read(path).map_err(Error::file(path))?;
    let found: About = serde_json::from_slice(&text).map_err(|why| Error::Checkpoint {
        path: path.into(),
        why: why.to_string(),
    })?;
    let names = found.keys().chain(about.keys());
    for name in names {
        let (was, is) = (found.get(name), about.get(name));
        if was != is {
            let text = |value: Option<&Value>| value.map_or("not said".into(), Value::to_string);
            let (was, is, path) = (text(was), text(is), path.display());
            return Err(Error::Config(format!(
                "{path}: {name} was {was} for the rows that are there, and is {is} now\n  rows made otherwise cannot be compared: name another --out"
            )));
        }
    }
    Ok(())
}
