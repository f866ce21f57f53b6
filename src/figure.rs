//! Charts as files: lines over numbers, or lines and bars over categories. SVG, or PNG by extension. And
//! sheets: pictures side by side.
//!
//! Colours are Okabe and Ito's, which colour-blind eyes tell apart, and every line has a mark of its own, so
//! that a print without colour reads too. `plotters` draws, without its default features: it adds eight small
//! crates and no system library, where a rasteriser of SVG (`resvg` with text) adds some thirty. The
//! typeface is inside the program, so a figure is the same on every machine.
mod axis;
mod draw;
mod sheet;

use crate::{Error, Result};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use plotters::prelude::*;
pub use sheet::{Cell, Sheet};
use std::path::Path;

#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    pub title: String,
    /// What x is, with its unit; may be empty under categories.
    pub x: String,
    /// What y is, with its unit.
    pub y: String,
    pub data: Data,
    /// A line across, to compare with: its name and its value.
    pub level: Option<(String, f64)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Lines(Vec<Line>),
    /// A value a category: marks joined by a line.
    Categories(Vec<String>, Vec<Series>),
    /// The same as bars, side by side, from 0.
    Bars(Vec<String>, Vec<Series>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub name: String,
    /// In order of x.
    pub points: Vec<(f64, f64)>,
}

/// NaN where there is no value.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    pub values: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Svg,
    Png,
}

impl Format {
    /// By the extension of `path`.
    pub fn of(path: &Path) -> Result<Format> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("svg") => Ok(Format::Svg),
            Some("png") => Ok(Format::Png),
            _ => Err(Error::Config(format!(
                "{}: a figure is an .svg or a .png",
                path.display()
            ))),
        }
    }
}

/// In the units everything is drawn in: a column of a page.
const SIZE: (u32, u32) = (720, 450);
/// Pixels a unit of a PNG: 300 an inch where the figure is 18 cm wide.
const PIXELS: u32 = 3;

impl Chart {
    /// The bytes of the file.
    pub fn render(&self, format: Format) -> Result<Vec<u8>> {
        draw::register_typeface();
        match format {
            Format::Svg => {
                let mut text = String::new();
                let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
                drawn(draw::chart(self, &area, 1, 0.0))?;
                drop(area);
                Ok(text.into_bytes())
            }
            Format::Png => {
                let (width, height) = (PIXELS * SIZE.0, PIXELS * SIZE.1);
                let mut pixels = vec![0; (3 * width * height) as usize];
                let area = BitMapBackend::with_buffer(&mut pixels, (width, height));
                let area = area.into_drawing_area();
                drawn(draw::chart(self, &area, PIXELS, draw::RASTER))?;
                drop(area);
                png(&pixels, width, height)
            }
        }
    }
}

fn drawn<T, E: std::error::Error>(done: Result<T, E>) -> Result<T> {
    done.map_err(|why| Error::Config(format!("the figure cannot be drawn: {why}")))
}

/// Of RGB `pixels` (height, width, 3).
fn png(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new(&mut bytes);
    drawn(encoder.write_image(pixels, width, height, ExtendedColorType::Rgb8))?;
    Ok(bytes)
}
