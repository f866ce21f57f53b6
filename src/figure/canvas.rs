//! Strokes, marks and letters. Positions are in units, from the top left; a backend has `scale` pixels a unit.
use plotters::{
    coord::Shift,
    prelude::*,
    style::{
        FontTransform,
        text_anchor::{HPos, Pos, VPos},
    },
};

pub type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;
pub type Point = (f64, f64);

/// Okabe and Ito 2008, without the yellow that white paper swallows.
pub const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
pub const INK: RGBColor = RGBColor(17, 17, 17);

/// The bitmap backend sets the baseline half a size below the top of a text, not the capitals' middle in the
/// middle: they stand a fifth too high.
pub const RASTER: f64 = 0.2;

const TYPEFACE: &str = "sans-serif";

pub fn register_typeface() {
    let bytes = epaint_default_fonts::UBUNTU_LIGHT;
    let registered = plotters::style::register_font(TYPEFACE, FontStyle::Normal, bytes);
    assert!(registered.is_ok(), "the typeface of ours is read");
}

/// Of cloud `number`: the colours of lines, then as many as there are clouds, around the circle.
pub fn cloud_color(number: usize) -> RGBColor {
    let hue = number as f64 * 0.381_966; // the golden angle: neighbours are far apart
    let (r, g, b) = HSLColor(hue.fract(), 0.55, 0.48).rgb();
    COLORS.get(number).copied().unwrap_or(RGBColor(r, g, b))
}

/// `lowered` is a share of a text's size: see `RASTER`.
pub struct Canvas<'a, DB: DrawingBackend> {
    pub area: &'a DrawingArea<DB, Shift>,
    pub scale: f64,
    pub lowered: f64,
}

impl<'a, DB: DrawingBackend> Canvas<'a, DB> {
    /// On a bitmap, whose units are pixels.
    pub fn of_pixels(area: &'a DrawingArea<DB, Shift>) -> Canvas<'a, DB> {
        Canvas {
            area,
            scale: 1.0,
            lowered: RASTER,
        }
    }

    pub fn pixel(&self, (x, y): Point) -> (i32, i32) {
        let pixel = |v: f64| (v * self.scale).round() as i32;
        (pixel(x), pixel(y))
    }

    pub fn line(&self, points: &[Point], color: RGBColor, width: f64) -> Drawn<DB> {
        let points: Vec<_> = points.iter().map(|&p| self.pixel(p)).collect();
        let width = (width * self.scale).round().max(1.0) as u32;
        self.area
            .draw(&PathElement::new(points, color.stroke_width(width)))
    }

    fn style(&self, size: f64) -> TextStyle<'static> {
        (TYPEFACE, size * self.scale).into_font().color(&INK)
    }

    /// Its middle at the height of `at`.
    pub fn text(&self, text: &str, (x, y): Point, size: f64, side: HPos) -> Drawn<DB> {
        let style = self.style(size).pos(Pos::new(side, VPos::Center));
        let at = self.pixel((x, y + self.lowered * size));
        self.area.draw(&Text::new(text, at, style))
    }

    /// Bottom to top, its middle at `at`.
    pub fn upright_text(&self, text: &str, (x, y): Point, size: f64) -> Drawn<DB> {
        let style = self.style(size).pos(Pos::new(HPos::Center, VPos::Center));
        let style = style.transform(FontTransform::Rotate270);
        let at = self.pixel((x + self.lowered * size, y));
        self.area.draw(&Text::new(text, at, style))
    }

    pub fn width(&self, text: &str, size: f64) -> f64 {
        let size = self.area.estimate_text_size(text, &self.style(size));
        size.map_or(0.0, |(width, _)| width as f64 / self.scale)
    }

    /// As much of the end of `text` as `room` holds.
    pub fn end_of(&self, text: &str, room: f64, size: f64) -> String {
        let fits = |text: &String| self.width(text, size) <= room;
        let starts = text.char_indices().skip(1);
        let cut = starts.map(|(at, _)| format!("…{}", &text[at..]));
        [text.to_string()]
            .into_iter()
            .chain(cut)
            .find(fits)
            .unwrap_or_default()
    }

    pub fn polygon(&self, points: &[Point], color: RGBColor) -> Drawn<DB> {
        let points: Vec<_> = points.iter().map(|&p| self.pixel(p)).collect();
        self.area.draw(&Polygon::new(points, color.filled()))
    }

    /// The mark of line `number`: no two of the first seven are alike in colour or, side by side, in form.
    pub fn mark(&self, number: usize, (x, y): Point) -> Drawn<DB> {
        let color = COLORS[number % COLORS.len()];
        let around = |points: &[Point]| -> Vec<Point> {
            points.iter().map(|&(dx, dy)| (x + dx, y + dy)).collect()
        };
        match number % 4 {
            0 => {
                let radius = (4.5 * self.scale).round() as i32;
                self.area
                    .draw(&Circle::new(self.pixel((x, y)), radius, color.filled()))
            }
            1 => self.polygon(
                &around(&[(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)]),
                color,
            ),
            2 => self.polygon(&around(&[(0.0, -5.5), (5.5, 4.0), (-5.5, 4.0)]), color),
            _ => self.polygon(
                &around(&[(0.0, -6.0), (6.0, 0.0), (0.0, 6.0), (-6.0, 0.0)]),
                color,
            ),
        }
    }

    pub fn dot(&self, color: RGBColor, at: Point, radius: f64) -> Drawn<DB> {
        let radius = (radius * self.scale).round() as i32;
        let dot = Circle::new(self.pixel(at), radius, color.mix(0.8).filled());
        self.area.draw(&dot)
    }
}
