//! Images in rows: the first of each, then what belongs to it.
use super::{
    Drawing, Placed,
    canvas::{Canvas, Drawn},
    draw::{SAME, STRANGE},
};
use plotters::{coord::Shift, prelude::*, style::text_anchor::HPos};

#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    pub title: String,
    pub rows: Vec<Vec<Tile>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    pub side: u32,
    /// (side, side, 3).
    pub pixels: Vec<u8>,
    /// Under it.
    pub caption: String,
    pub frame: Frame,
}

/// Whether a tile is of the class of its row's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    None,
    Same,
    Other,
}

const MARGIN: f64 = 18.0;
const TITLE: f64 = 44.0;
const TILE: f64 = 72.0;
const GAP: f64 = 12.0;
/// Behind the first of a row.
const STEP: f64 = 14.0;
const CAPTION: f64 = 11.0;
const ROW: f64 = TILE + 26.0;
/// Letters that a tile is wide.
const LETTERS: usize = 13;

impl Grid {
    fn places(&self) -> impl Iterator<Item = ((f64, f64), &Tile)> {
        self.rows.iter().enumerate().flat_map(|(row, tiles)| {
            let y = TITLE + row as f64 * ROW;
            tiles.iter().enumerate().map(move |(column, tile)| {
                let step = if column > 0 { STEP } else { 0.0 };
                ((MARGIN + step + column as f64 * (TILE + GAP), y), tile)
            })
        })
    }
}

impl Drawing for Grid {
    fn size(&self) -> (u32, u32) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(1).max(4);
        let width = 2.0 * MARGIN + STEP + columns as f64 * (TILE + GAP) - GAP;
        let height = TITLE + self.rows.len().max(1) as f64 * ROW + 8.0;
        (width as u32, height as u32)
    }

    fn draw<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        scale: u32,
        lowered: f64,
    ) -> Drawn<DB> {
        let canvas = Canvas {
            area,
            scale: scale as f64,
            lowered,
        };
        area.fill(&WHITE)?;
        canvas.text(&self.title, (MARGIN, 22.0), 17.0, HPos::Left)?;
        for ((x, y), tile) in self.places() {
            let caption = shortened(&tile.caption);
            canvas.text(&caption, (x, y + TILE + 10.0), CAPTION, HPos::Left)?;
            let (color, dashed) = match tile.frame {
                Frame::None => continue,
                Frame::Same => (SAME, false),
                Frame::Other => (STRANGE, true),
            };
            frame(&canvas, (x, y), color, dashed)?;
        }
        area.present()
    }

    fn images(&self) -> Vec<Placed<'_>> {
        self.places()
            .map(|(at, tile)| Placed {
                at,
                size: TILE,
                side: tile.side,
                pixels: &tile.pixels,
            })
            .collect()
    }
}

/// Around a tile; in pieces, so that a print without colour tells.
fn frame<DB: DrawingBackend>(
    canvas: &Canvas<DB>,
    (x, y): (f64, f64),
    color: RGBColor,
    dashed: bool,
) -> Drawn<DB> {
    let (low, high) = (-2.5, TILE + 2.5);
    let corners = [
        (low, low),
        (high, low),
        (high, high),
        (low, high),
        (low, low),
    ];
    let pieces = if dashed { 12 } else { 1 };
    for side in corners.windows(2) {
        let along = |share: f64| {
            let [(x0, y0), (x1, y1)] = [side[0], side[1]];
            (x + x0 + share * (x1 - x0), y + y0 + share * (y1 - y0))
        };
        for piece in (0..pieces).step_by(2) {
            let share = |piece: usize| piece as f64 / pieces as f64;
            let ends = [along(share(piece)), along(share(piece + 1))];
            canvas.line(&ends, color, 2.0)?;
        }
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    match text.chars().count() > LETTERS {
        true => text.chars().take(LETTERS - 1).chain(['…']).collect(),
        false => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_is_no_wider_than_its_tile() {
        assert_eq!(shortened("0.93 cat"), "0.93 cat");
        assert_eq!(shortened("0.93 automobile"), "0.93 automob…");
    }
}
