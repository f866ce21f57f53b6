//! Pictures in rows and columns, each over a line of text: a PNG that holds their pixels as they are.
use super::{
    canvas::{self, Canvas, Drawn},
    drawn, png,
};
use crate::Result;
use plotters::{coord::Shift, prelude::*, style::text_anchor::HPos};

#[derive(Clone, Debug)]
pub struct Sheet {
    pub title: String,
    /// Over each column.
    pub columns: Vec<String>,
    /// Of as many cells each as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// RGB, 8 bits: `pixels` is (height, width, 3).
#[derive(Clone, Debug)]
pub struct Cell {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
    /// Cut at its beginning where the column is too narrow for it.
    pub label: String,
}

/// In pixels, as are the sizes of letters.
const MARGIN: u32 = 18;
const GAP: u32 = 14;
/// A line of text, with the room around it.
const LINE: u32 = 22;
const HEADER: u32 = 38;
/// Light grey, so that white pictures have edges.
const GROUND: u8 = 235;
const TITLE: f64 = 18.0;
const LABEL: f64 = 14.0;

/// Where everything stands, in pixels from the top left.
struct Layout {
    /// Of each column, and how wide it is.
    lefts: Vec<(u32, u32)>,
    /// Of each row's pictures, and how high the highest is.
    tops: Vec<(u32, u32)>,
    width: u32,
    height: u32,
}

impl Sheet {
    /// The bytes of the file.
    pub fn png(&self) -> Result<Vec<u8>> {
        canvas::register_typeface();
        let layout = self.layout();
        let (width, height) = (layout.width, layout.height);
        let mut pixels = vec![GROUND; 3 * width as usize * height as usize];
        for (row, (top, _)) in self.rows.iter().zip(&layout.tops) {
            for (cell, (left, _)) in row.iter().zip(&layout.lefts) {
                cell.copy_to(&mut pixels, width, [*left, *top]);
            }
        }
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        drawn(self.letters(&area, &layout))?;
        drop(area);
        png(&pixels, (width, height))
    }

    fn layout(&self) -> Layout {
        // A text's width is the typeface's, wherever it is drawn.
        let mut none = [0; 3];
        let area = BitMapBackend::with_buffer(&mut none, (1, 1)).into_drawing_area();
        let canvas = Canvas::of_pixels(&area);
        let widest = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].width);
            let header = canvas.width(&self.columns[column], LABEL).ceil() as u32;
            cells.fold(header, u32::max)
        };
        let mut x = MARGIN;
        let columns = (0..self.columns.len()).map(|column| {
            let (left, width) = (x, widest(column));
            x += width + GAP;
            (left, width)
        });
        let lefts = columns.collect();
        let mut y = MARGIN + HEADER + LINE;
        let rows = self.rows.iter().map(|row| {
            let height = row.iter().map(|cell| cell.height).max().unwrap_or(0);
            let top = y;
            y += height + LINE + GAP;
            (top, height)
        });
        let tops = rows.collect();
        let title = canvas.width(&self.title, TITLE).ceil() as u32;
        Layout {
            lefts,
            tops,
            width: (x - GAP).max(MARGIN + title) + MARGIN,
            height: y - GAP + MARGIN,
        }
    }

    fn letters<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        layout: &Layout,
    ) -> Drawn<DB> {
        let canvas = Canvas::of_pixels(area);
        let text = |text: &str, x: u32, y: u32, size| {
            canvas.text(text, (x as f64, y as f64), size, HPos::Left)
        };
        text(&self.title, MARGIN, MARGIN + LINE / 2, TITLE)?;
        for (name, (left, _)) in self.columns.iter().zip(&layout.lefts) {
            text(name, *left, MARGIN + HEADER + LINE / 2 - 2, LABEL)?;
        }
        for (row, (top, _)) in self.rows.iter().zip(&layout.tops) {
            for (cell, (left, width)) in row.iter().zip(&layout.lefts) {
                let label = canvas.end_of(&cell.label, *width as f64, LABEL);
                text(&label, *left, top + cell.height + LINE / 2, LABEL)?;
            }
        }
        area.present()
    }
}

impl Cell {
    fn copy_to(&self, pixels: &mut [u8], width: u32, [left, top]: [u32; 2]) {
        let lines = self.pixels.chunks_exact(3 * self.width as usize);
        for (y, line) in lines.enumerate() {
            let first = 3 * ((top as usize + y) * width as usize + left as usize);
            pixels[first..][..line.len()].copy_from_slice(line);
        }
    }
}
