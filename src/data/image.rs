//! A decoded image, and one that could not be decoded.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// RGB, 8 bits a channel, rows from the top: `pixels` is (height, width, 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
}

/// An image that gives no pixels, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{name} ({bytes} bytes): {why}")]
pub struct BadImage {
    /// Its place in the dataset.
    pub index: u32,
    pub name: String,
    /// The size of its file or record; 0 if that could not be read.
    pub bytes: u64,
    pub why: String,
}

/// The error that training ends with where these are the `bad` ones of all `images`.
pub fn too_many_bad(images: usize, bad: &[BadImage], max_bad: f32) -> Result<()> {
    if images == bad.len()
        && let Some(example) = bad.first()
    {
        return Err(Error::Data(format!(
            "all {images} images are bad, e.g. {example}"
        )));
    }
    Tally::new(images, max_bad).add(images - bad.len(), bad)
}

/// Bad images are left out, but not without limit: a wrong folder or a failing disk must be
/// noticed.
pub(super) struct Tally {
    read: usize,
    pub bad: usize,
    example: Option<BadImage>,
    /// Images the share is taken of while fewer were read.
    at_least: usize,
    max_bad: f32,
}

impl Tally {
    const AT_LEAST: usize = 1000;

    pub fn new(images: usize, max_bad: f32) -> Tally {
        Tally {
            read: 0,
            bad: 0,
            example: None,
            at_least: images.min(Tally::AT_LEAST),
            max_bad,
        }
    }

    /// What another process has read for the same run.
    pub fn resume(&mut self, good: usize, bad: usize) {
        (self.read, self.bad) = (good + bad, bad);
    }

    /// Errors when more images were bad than `max_bad` of those read, or of the first thousand (or of all,
    /// where they are fewer): a few bad ones at the start are no verdict.
    pub fn add(&mut self, good: usize, bad: &[BadImage]) -> Result<()> {
        self.read += good + bad.len();
        self.bad += bad.len();
        self.example = self.example.take().or_else(|| bad.first().cloned());
        match &self.example {
            Some(example) if self.is_over() => Err(Error::Data(format!(
                "{} of {} images read are bad, e.g. {example}\n  \
                     repair or remove them, or allow more than {} % with --max-bad",
                self.bad,
                self.read,
                self.max_bad * 100.0
            ))),
            _ => Ok(()),
        }
    }

    fn is_over(&self) -> bool {
        self.bad as f64 > self.max_bad as f64 * self.read.max(self.at_least) as f64
    }
}
