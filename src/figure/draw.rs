//! Where everything of a chart stands.
use super::canvas::{COLORS, Canvas, Drawn, INK, Point, cloud_color};
use super::{Chart, Data, Drawing, SIZE, Series, axis::Axis};
use plotters::{coord::Shift, prelude::*, style::text_anchor::HPos};

/// Of what is of a class with another, and of what is not.
pub const SAME: RGBColor = RGBColor(0, 121, 90);
pub const STRANGE: RGBColor = RGBColor(213, 94, 0);
const GRID: RGBColor = RGBColor(222, 222, 222);

const TITLE: f64 = 19.0;
const LABEL: f64 = 15.0;
/// The plot's distance from the figure's edges: room for labels.
const LEFT: f64 = 72.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 64.0;
const MARGIN: f64 = 18.0;
/// Of a legend's line, before its name.
const KEY: f64 = 30.0;

impl Drawing for Chart {
    fn size(&self) -> (u32, u32) {
        SIZE
    }

    fn draw<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        scale: u32,
        lowered: f64,
    ) -> Drawn<DB> {
        chart(self, area, scale, lowered)
    }
}

fn chart<DB: DrawingBackend>(
    chart: &Chart,
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
    let names = chart.names();
    let legend = canvas.legend_width(&names);
    let plot = Plot {
        x: chart.x_axis(),
        y: chart.y_axis(),
        left: LEFT,
        right: SIZE.0 as f64 - MARGIN - legend,
        top: TOP,
        bottom: SIZE.1 as f64 - BOTTOM,
    };
    canvas.text(&chart.title, (LEFT, 22.0), TITLE, HPos::Left)?;
    canvas.axes(chart, &plot)?;
    match &chart.data {
        Data::Lines(lines) => {
            for (number, line) in lines.iter().enumerate() {
                canvas.series(number, &plot, &line.points)?;
            }
        }
        Data::Categories(_, series) => {
            for (number, series) in series.iter().enumerate() {
                let points = series.values.iter().enumerate();
                let points: Vec<Point> = points.map(|(x, &y)| (x as f64, y)).collect();
                canvas.series(number, &plot, &points)?;
            }
        }
        Data::Bars(_, series) => canvas.bars(&plot, series)?,
        Data::Dots(clouds) => {
            for (number, cloud) in clouds.iter().enumerate() {
                canvas.dots(number, &plot, &cloud.points)?;
            }
        }
    }
    if let Some((name, value)) = &chart.level {
        canvas.level(&plot, name, *value)?;
    }
    if legend > 0.0 {
        let keys = match chart.data {
            Data::Bars(..) => Keys::Boxes,
            Data::Dots(_) => Keys::Dots,
            Data::Lines(_) | Data::Categories(..) => Keys::Lines,
        };
        canvas.legend(&names, plot.right + 16.0, keys)?;
    }
    area.present()
}

impl Chart {
    fn names(&self) -> Vec<&str> {
        match &self.data {
            Data::Lines(lines) | Data::Dots(lines) => {
                lines.iter().map(|line| &line.name[..]).collect()
            }
            Data::Categories(_, series) | Data::Bars(_, series) => {
                series.iter().map(|series| &series.name[..]).collect()
            }
        }
    }

    fn x_axis(&self) -> Axis {
        match &self.data {
            Data::Lines(lines) | Data::Dots(lines) => {
                Axis::of_numbers(lines.iter().flat_map(|l| &l.points).map(|p| p.0), false)
            }
            Data::Categories(names, _) | Data::Bars(names, _) => Axis::of_categories(names),
        }
    }

    fn y_axis(&self) -> Axis {
        let level = self.level.iter().map(|(_, value)| *value);
        match &self.data {
            Data::Lines(lines) | Data::Dots(lines) => {
                let values = lines.iter().flat_map(|l| &l.points).map(|p| p.1);
                Axis::of_numbers(values.chain(level), false)
            }
            Data::Categories(_, series) => {
                let values = series.iter().flat_map(|s| &s.values).copied();
                Axis::of_numbers(values.chain(level), false)
            }
            Data::Bars(_, series) => {
                let values = series.iter().flat_map(|s| &s.values).copied();
                Axis::of_numbers(values.chain(level), true)
            }
        }
    }
}

struct Plot {
    x: Axis,
    y: Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Plot {
    fn at(&self, (x, y): Point) -> Point {
        (
            self.left + self.x.share(x) * (self.right - self.left),
            self.bottom - self.y.share(y) * (self.bottom - self.top),
        )
    }
}

/// How a legend shows a colour.
enum Keys {
    Lines,
    Boxes,
    Dots,
}

/// What only charts have.
impl<DB: DrawingBackend> Canvas<'_, DB> {
    /// A line, broken where a value is missing, and marks where they do not hide it.
    fn series(&self, number: usize, plot: &Plot, points: &[Point]) -> Drawn<DB> {
        let known = |p: &Point| p.0.is_finite() && p.1.is_finite();
        for run in points.split(|p| !known(p)) {
            let run: Vec<Point> = run.iter().map(|&p| plot.at(p)).collect();
            if run.len() > 1 {
                self.line(&run, COLORS[number % COLORS.len()], 2.2)?;
            }
        }
        let every = points.len().div_ceil(24).max(1);
        for &point in points.iter().step_by(every).filter(|p| known(p)) {
            self.mark(number, plot.at(point))?;
        }
        Ok(())
    }

    fn dots(&self, number: usize, plot: &Plot, points: &[Point]) -> Drawn<DB> {
        let radius = if points.len() > 400 { 1.8 } else { 2.6 };
        points
            .iter()
            .try_for_each(|&point| self.dot(cloud_color(number), plot.at(point), radius))
    }

    fn bars(&self, plot: &Plot, series: &[Series]) -> Drawn<DB> {
        let width = 0.8 / series.len().max(1) as f64; // of a category's room
        for (number, series) in series.iter().enumerate() {
            let color = COLORS[number % COLORS.len()];
            for (category, &value) in series.values.iter().enumerate() {
                if !value.is_finite() {
                    continue;
                }
                let from = category as f64 - 0.4 + number as f64 * width;
                let (low, high) = (plot.at((from, 0.0)), plot.at((from + 0.94 * width, value)));
                self.polygon(&[low, (high.0, low.1), high, (low.0, high.1)], color)?;
            }
        }
        Ok(())
    }

    /// Its name above it, at the right.
    fn level(&self, plot: &Plot, name: &str, value: f64) -> Drawn<DB> {
        let y = plot.at((0.0, value)).1;
        self.line(&[(plot.left, y), (plot.right, y)], INK, 1.6)?;
        self.text(name, (plot.right, y - 10.0), LABEL, HPos::Right)
    }

    fn axes(&self, chart: &Chart, plot: &Plot) -> Drawn<DB> {
        for (value, label) in &plot.y.ticks {
            let y = plot.at((0.0, *value)).1;
            self.line(&[(plot.left, y), (plot.right, y)], GRID, 1.0)?;
            self.text(label, (plot.left - 8.0, y), LABEL, HPos::Right)?;
        }
        // Two rows where names are too long for one.
        let room = (plot.right - plot.left) / plot.x.ticks.len().max(1) as f64;
        let widest = plot
            .x
            .ticks
            .iter()
            .map(|(_, label)| self.width(label, LABEL));
        let rows = if widest.fold(0.0, f64::max) + 6.0 > room {
            2
        } else {
            1
        };
        for (number, (value, label)) in plot.x.ticks.iter().enumerate() {
            let x = plot.left + plot.x.share(*value) * (plot.right - plot.left);
            let below = plot.bottom + 16.0 + 15.0 * (number % rows) as f64;
            self.line(&[(x, plot.bottom), (x, plot.bottom + 4.0)], INK, 1.0)?;
            self.text(label, (x, below), LABEL, HPos::Center)?;
        }
        self.line(
            &[(plot.left, plot.bottom), (plot.right, plot.bottom)],
            INK,
            1.2,
        )?;
        let middle = 0.5 * (plot.left + plot.right);
        let bottom = SIZE.1 as f64 - 17.0;
        self.text(&chart.x, (middle, bottom), LABEL, HPos::Center)?;
        self.upright_text(&chart.y, (16.0, 0.5 * (plot.top + plot.bottom)), LABEL)
    }

    /// 0 where one series needs none.
    fn legend_width(&self, names: &[&str]) -> f64 {
        if names.len() < 2 {
            return 0.0;
        }
        let widest = names.iter().map(|name| self.width(name, LABEL));
        16.0 + KEY + widest.fold(0.0, f64::max)
    }

    fn legend(&self, names: &[&str], left: f64, keys: Keys) -> Drawn<DB> {
        for (number, name) in names.iter().enumerate() {
            let y = TOP + 12.0 + 22.0 * number as f64;
            let color = COLORS[number % COLORS.len()];
            match keys {
                Keys::Boxes => {
                    let [l, r, t, b] = [left + 8.0, left + 20.0, y - 6.0, y + 6.0];
                    self.polygon(&[(l, t), (r, t), (r, b), (l, b)], color)?;
                }
                Keys::Dots => self.dot(cloud_color(number), (left + 14.0, y), 4.5)?,
                Keys::Lines => {
                    self.line(&[(left, y), (left + 22.0, y)], color, 2.2)?;
                    self.mark(number, (left + 11.0, y))?;
                }
            }
            self.text(name, (left + KEY, y), LABEL, HPos::Left)?;
        }
        Ok(())
    }
}
