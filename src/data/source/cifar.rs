//! CIFAR's binary files (Krizhevsky 2009): records of a label byte (CIFAR-100: coarse, then fine)
//! and 3072 bytes, (3, 32, 32): red, green, blue planes of 32 rows.
use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Content, Refusal, Source, read};
use crate::data::Image;
use crate::{Error, Result};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const NAMES_10: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

pub(super) struct Cifar {
    files: Vec<(PathBuf, File)>,
    /// (file, record) of each image.
    places: Vec<(u32, u32)>,
    labels: Vec<u32>,
    classes: Vec<String>,
    /// 1, or 2 for CIFAR-100; the last is the class.
    label_bytes: usize,
}

/// The training files of a CIFAR folder, or its test file where there is nothing else; none for any
/// other folder. Training and test images never mix.
pub(super) fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let batches = (1..=5).map(|number| folder.join(format!("data_batch_{number}.bin")));
    let mut files: Vec<PathBuf> = batches.filter(|file| file.is_file()).collect();
    for name in ["train.bin", "test_batch.bin", "test.bin"] {
        let file = folder.join(name);
        if files.is_empty() && file.is_file() && label_bytes(&file).is_ok() {
            files.push(file);
        }
    }
    Ok(files)
}

/// All records of `files`, in order. Errors where a file's length is no multiple of a record's.
pub(super) fn open(files: &[PathBuf]) -> Result<Cifar> {
    let label_bytes = label_bytes(&files[0])?;
    let mut cifar = Cifar {
        files: Vec::new(),
        places: Vec::new(),
        labels: Vec::new(),
        classes: class_names(&files[0], label_bytes),
        label_bytes,
    };
    for path in files {
        cifar.add(path)?;
    }
    Ok(cifar)
}

/// The label bytes a record: both lengths can divide the file's, the labels then decide.
fn label_bytes(path: &Path) -> Result<usize> {
    let bytes = std::fs::metadata(path).map_err(Error::file(path))?.len();
    let file = File::open(path).map_err(Error::file(path))?;
    let fits = |labels: usize, classes: u8| {
        let record = (labels + 3 * PLANE) as u64;
        let class = |index| read::range(&file, index * record + labels as u64 - 1, 1);
        bytes > 0
            && bytes.is_multiple_of(record)
            && (0..bytes / record).all(|index| class(index).is_ok_and(|c| c[0] < classes))
    };
    match (fits(1, 10), fits(2, 100)) {
        (true, _) => Ok(1),
        (_, true) => Ok(2),
        _ => Err(Error::Data(format!(
            "{} is not CIFAR's binary format: its {bytes} bytes are not \
             records of 3073 (CIFAR-10) or 3074 (CIFAR-100) with labels in range\n  \
             download the binary version again, or name a folder of images",
            path.display()
        ))),
    }
}

/// From the text file beside the images; else CIFAR-10's known names, or CIFAR-100's numbers.
fn class_names(file: &Path, label_bytes: usize) -> Vec<String> {
    let (name, count) = match label_bytes {
        1 => ("batches.meta.txt", 10),
        _ => ("fine_label_names.txt", 100),
    };
    let text = std::fs::read_to_string(file.with_file_name(name)).unwrap_or_default();
    let lines: Vec<String> = text.split_whitespace().map(String::from).collect();
    match (lines.len() == count, count) {
        (true, _) => lines,
        (_, 10) => NAMES_10.map(String::from).to_vec(),
        _ => (0..count).map(|class| format!("{class:02}")).collect(),
    }
}

impl Cifar {
    fn add(&mut self, path: &Path) -> Result<()> {
        let label_bytes = label_bytes(path)?;
        if label_bytes != self.label_bytes {
            return Err(Error::Data(format!(
                "{} and {} are of different CIFARs; name one of them",
                self.files[0].0.display(),
                path.display()
            )));
        }
        let file = File::open(path).map_err(Error::file(path))?;
        let bytes = file.metadata().map_err(Error::file(path))?.len();
        for record in 0..bytes / self.record_bytes() {
            let at = record * self.record_bytes() + label_bytes as u64 - 1;
            let label = read::range(&file, at, 1).map_err(|refusal| {
                Error::Data(format!("cannot read {}: {}", path.display(), refusal.why))
            })?;
            self.labels.push(label[0] as u32);
            self.places.push((self.files.len() as u32, record as u32));
        }
        self.files.push((path.to_owned(), file));
        Ok(())
    }

    fn record_bytes(&self) -> u64 {
        (self.label_bytes + 3 * PLANE) as u64
    }
}

impl Source for Cifar {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn name(&self, index: usize) -> String {
        let (file, record) = self.places[index];
        format!("{}:{record}", self.files[file as usize].0.display())
    }

    fn label(&self, index: usize) -> Option<u32> {
        Some(self.labels[index])
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn content(&self, index: usize) -> Result<Content<'_>, Refusal> {
        let (file, record) = self.places[index];
        let offset = record as u64 * self.record_bytes() + self.label_bytes as u64;
        let planes = read::range(&self.files[file as usize].1, offset, 3 * PLANE as u64)?;
        let pixel = |at: usize| [planes[at], planes[PLANE + at], planes[2 * PLANE + at]];
        Ok(Content::Pixels(Image {
            width: SIDE as u32,
            height: SIDE as u32,
            pixels: (0..PLANE).flat_map(pixel).collect(),
        }))
    }
}
