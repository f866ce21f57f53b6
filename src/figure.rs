//! Charts as files: lines or dots over numbers, lines and bars over categories, and grids of images. SVG,
//! or PNG by extension. And sheets: pictures side by side.
//!
//! Colours are Okabe and Ito's, which colour-blind eyes tell apart, and every line has a mark of its own, so
//! that a print without colour reads too. `plotters` draws, without its default features: it adds eight small
//! crates and no system library, where a rasteriser of SVG (`resvg` with text) adds some thirty. The
//! typeface is inside the program, so a figure is the same on every machine.
mod axis;
mod canvas;
mod draw;
mod grid;
mod sheet;

use crate::{Error, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use canvas::Drawn;
pub use grid::{Frame, Grid, Tile};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use plotters::{coord::Shift, prelude::*};
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
    /// Points that no line joins, a colour a name.
    Dots(Vec<Line>),
    /// A value a category: marks joined by a line.
    Categories(Vec<String>, Vec<Series>),
    /// The same as bars, side by side, from 0.
    Bars(Vec<String>, Vec<Series>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub name: String,
    /// Of a line in order of x.
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
        rendered(self, format)
    }
}

impl Grid {
    /// The bytes of the file.
    pub fn render(&self, format: Format) -> Result<Vec<u8>> {
        rendered(self, format)
    }
}

/// What can be a file.
trait Drawing {
    /// In units.
    fn size(&self) -> (u32, u32);

    /// `lowered` is a share of a text's size: see `canvas::RASTER`.
    fn draw<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        scale: u32,
        lowered: f64,
    ) -> Drawn<DB>;

    /// Photographs, above what is drawn.
    fn images(&self) -> Vec<Placed<'_>> {
        Vec::new()
    }
}

/// An image of `size` units a side, its top left corner `at`.
struct Placed<'a> {
    at: (f64, f64),
    size: f64,
    side: u32,
    /// (side, side, 3).
    pixels: &'a [u8],
}

fn rendered(drawing: &impl Drawing, format: Format) -> Result<Vec<u8>> {
    canvas::register_typeface();
    let size = drawing.size();
    match format {
        Format::Svg => {
            let mut text = String::new();
            let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
            drawn(drawing.draw(&area, 1, 0.0))?;
            drop(area);
            let mut images = String::new();
            for image in drawing.images() {
                images += &image.svg()?;
            }
            Ok(text.replace("</svg>", &(images + "</svg>")).into_bytes())
        }
        Format::Png => {
            let (width, height) = (PIXELS * size.0, PIXELS * size.1);
            let mut pixels = vec![0; (3 * width * height) as usize];
            let area = BitMapBackend::with_buffer(&mut pixels, (width, height));
            let area = area.into_drawing_area();
            drawn(drawing.draw(&area, PIXELS, canvas::RASTER))?;
            drop(area);
            for image in drawing.images() {
                image.onto(&mut pixels, width as usize);
            }
            png(&pixels, (width, height))
        }
    }
}

impl Placed<'_> {
    fn svg(&self) -> Result<String> {
        let (x, y) = self.at;
        let png = STANDARD.encode(png(self.pixels, (self.side, self.side))?);
        Ok(format!(
            "<image x=\"{x}\" y=\"{y}\" width=\"{0}\" height=\"{0}\" href=\"data:image/png;base64,{png}\"/>\n",
            self.size
        ))
    }

    /// Each of its pixels as a block.
    fn onto(&self, sheet: &mut [u8], width: usize) {
        let pixel = |x: f64| (x * PIXELS as f64).round() as usize;
        let (left, top, size) = (pixel(self.at.0), pixel(self.at.1), pixel(self.size));
        let from = |at: usize| at * self.side as usize / size;
        for (y, x) in (0..size).flat_map(|y| (0..size).map(move |x| (y, x))) {
            let start = 3 * (from(y) * self.side as usize + from(x));
            let to = 3 * ((top + y) * width + left + x);
            sheet[to..][..3].copy_from_slice(&self.pixels[start..][..3]);
        }
    }
}

fn drawn<T, E: std::error::Error>(done: Result<T, E>) -> Result<T> {
    done.map_err(|why| Error::Config(format!("the figure cannot be drawn: {why}")))
}

/// Of RGB `pixels` (height, width, 3).
fn png(pixels: &[u8], (width, height): (u32, u32)) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new(&mut bytes);
    drawn(encoder.write_image(pixels, width, height, ExtendedColorType::Rgb8))?;
    Ok(bytes)
}
