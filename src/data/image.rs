//! A decoded image, and one that could not be decoded.

use crate::{Error, Result};

/// RGB, 8 bits a channel, rows from the top: `pixels` is (height, width, 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
}

/// An image that gives no pixels, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("{name} ({bytes} bytes): {why}")]
pub struct BadImage {
    /// Its place in the dataset.
    pub index: u32,
    pub name: String,
    /// The size of its file or record; 0 if that could not be read.
    pub bytes: u64,
    pub why: String,
}

/// Bad images are left out, but not without limit: a wrong folder or a failing disk must be
/// noticed.
pub(super) struct Tally {
    read: usize,
    bad: usize,
    example: Option<BadImage>,
    judged_from: usize,
    max_bad: f32,
}

impl Tally {
    const JUDGED_FROM: usize = 1000;

    pub fn new(images: usize, max_bad: f32) -> Tally {
        Tally {
            read: 0,
            bad: 0,
            example: None,
            judged_from: images.min(Tally::JUDGED_FROM),
            max_bad,
        }
    }

    /// Errors when enough images are read and more than `max_bad` of them were bad.
    pub fn add(&mut self, good: usize, bad: &[BadImage]) -> Result<()> {
        self.read += good + bad.len();
        self.bad += bad.len();
        self.example = self.example.take().or_else(|| bad.first().cloned());
        match &self.example {
            Some(example) if self.judged_from <= self.read && self.is_over() => {
                Err(Error::Data(format!(
                    "{} of {} images read are bad, e.g. {example}\n  \
                     repair or remove them, or allow more than {} % with --max-bad",
                    self.bad,
                    self.read,
                    self.max_bad * 100.0
                )))
            }
            _ => Ok(()),
        }
    }

    fn is_over(&self) -> bool {
        self.bad as f64 > self.max_bad as f64 * self.read as f64
    }
}
