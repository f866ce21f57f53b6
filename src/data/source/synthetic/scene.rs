//! One image's figure, background and clutter, and their rendering.
use std::f32::consts::TAU;

use super::shape::Shape;
use crate::random::Draws;

type Color = [f32; 3];

/// Lengths are in halves of the image's side, the centre is (0, 0); colours are 0..255.
pub(super) struct Scene {
    figure: Figure,
    ground: Ground,
    clutter: Vec<Blob>,
    /// Standard deviation, in grey levels.
    noise: f32,
}

struct Figure {
    shape: Shape,
    place: Placement,
    color: Color,
    /// Darker lines across the figure: their depth, and waves a unit.
    hatching: Wave,
    depth: f32,
}

/// A figure's frame: x, y, size, and the sine and cosine of its turn; `squeeze` of its height.
struct Placement {
    at: (f32, f32),
    size: f32,
    turn: (f32, f32),
    squeeze: f32,
}

/// Two colours, mixed by a slope and two waves.
struct Ground {
    colors: [Color; 2],
    slope: (f32, f32),
    waves: [Wave; 2],
    depth: f32,
}

struct Wave {
    across: (f32, f32),
    phase: f32,
}

/// A soft disc of another colour, under the figure.
struct Blob {
    at: (f32, f32),
    radius: f32,
    color: Color,
}

impl Scene {
    pub fn draw(draws: &mut Draws, class: usize) -> Scene {
        let ground = Ground::draw(draws);
        let figure = Figure::draw(draws, class, ground.mean());
        let blobs = draws.below(4);
        Scene {
            figure,
            clutter: (0..blobs).map(|_| Blob::draw(draws, &ground)).collect(),
            ground,
            noise: draws.uniform(2.0, 14.0),
        }
    }

    /// (side, side, 3). Edges are antialiased: half a pixel either side of the outline is mixed.
    pub fn render(&self, draws: &mut Draws, side: u32) -> Vec<u8> {
        let pixel = 2.0 / side as f32;
        let mut pixels = Vec::with_capacity(side as usize * side as usize * 3);
        for row in 0..side {
            for column in 0..side {
                let x = (column as f32 + 0.5) * pixel - 1.0;
                let y = (row as f32 + 0.5) * pixel - 1.0;
                let color = self.color((x, y), pixel);
                let grain = grain(draws.bits());
                let channel = |c: usize| (color[c] + self.noise * grain[c]) as u8;
                pixels.extend([channel(0), channel(1), channel(2)]);
            }
        }
        pixels
    }

    fn color(&self, p: (f32, f32), pixel: f32) -> Color {
        let mut color = self.ground.color(p);
        for blob in &self.clutter {
            let (x, y) = (p.0 - blob.at.0, p.1 - blob.at.1);
            let inside = 1.0 - (x * x + y * y) / (blob.radius * blob.radius);
            color = mix(color, blob.color, (inside * 1.5).clamp(0.0, 1.0));
        }
        let (x, y) = self.figure.place.inside(p);
        let distance = self.figure.shape.distance((x, y)) * self.figure.place.size;
        let coverage = (0.5 - distance / pixel).clamp(0.0, 1.0);
        if coverage == 0.0 {
            return color;
        }
        let shade = 1.0 - self.figure.depth * (0.5 + 0.5 * self.figure.hatching.at((x, y)));
        mix(color, self.figure.color.map(|c| c * shade), coverage)
    }
}

impl Figure {
    /// In a colour that stands out from `ground`, be it lighter or darker.
    fn draw(draws: &mut Draws, class: usize, ground: Color) -> Figure {
        Figure {
            shape: Shape::draw(draws, class),
            place: Placement::draw(draws),
            color: contrasting(draws, ground),
            hatching: Wave::draw(draws, 4.0, 9.0),
            depth: draws.uniform(0.0, 0.35),
        }
    }
}

impl Placement {
    fn draw(draws: &mut Draws) -> Placement {
        let size = draws.uniform(0.5, 0.85);
        let room = 1.0 - size;
        let turn = draws.uniform(0.0, TAU).sin_cos();
        Placement {
            at: (draws.uniform(-room, room), draws.uniform(-room, room)),
            size,
            turn,
            squeeze: draws.uniform(0.85, 1.15),
        }
    }

    /// `p` in the figure's own frame.
    fn inside(&self, p: (f32, f32)) -> (f32, f32) {
        let (sin, cos) = self.turn;
        let x = (p.0 - self.at.0) / self.size;
        let y = (p.1 - self.at.1) / self.size;
        (x * cos + y * sin, (y * cos - x * sin) * self.squeeze)
    }
}

impl Ground {
    fn draw(draws: &mut Draws) -> Ground {
        let first = color(draws);
        let near = |c: f32, draws: &mut Draws| (c + draws.uniform(-60.0, 60.0)).clamp(20.0, 235.0);
        let (sin, cos) = draws.uniform(0.0, TAU).sin_cos();
        Ground {
            colors: [first, first.map(|c| near(c, draws))],
            slope: (0.5 * cos, 0.5 * sin),
            waves: [Wave::draw(draws, 0.5, 3.0), Wave::draw(draws, 2.0, 7.0)],
            depth: draws.uniform(0.0, 0.4),
        }
    }

    fn mean(&self) -> Color {
        mix(self.colors[0], self.colors[1], 0.5)
    }

    fn color(&self, p: (f32, f32)) -> Color {
        let waves = self.waves[0].at(p) + self.waves[1].at(p);
        let share = 0.5 + p.0 * self.slope.0 + p.1 * self.slope.1 + self.depth * waves;
        mix(self.colors[0], self.colors[1], share.clamp(0.0, 1.0))
    }
}

impl Wave {
    /// `slowest` to `fastest` radians a unit.
    fn draw(draws: &mut Draws, slowest: f32, fastest: f32) -> Wave {
        let (sin, cos) = draws.uniform(0.0, TAU).sin_cos();
        let speed = draws.uniform(slowest, fastest);
        Wave {
            across: (speed * cos, speed * sin),
            phase: draws.uniform(0.0, TAU),
        }
    }

    fn at(&self, p: (f32, f32)) -> f32 {
        (p.0 * self.across.0 + p.1 * self.across.1 + self.phase).sin()
    }
}

impl Blob {
    /// Never as different from the ground as the figure is.
    fn draw(draws: &mut Draws, ground: &Ground) -> Blob {
        let share = draws.uniform(0.1, 0.35);
        Blob {
            at: (draws.uniform(-1.0, 1.0), draws.uniform(-1.0, 1.0)),
            radius: draws.uniform(0.15, 0.45),
            color: mix(ground.mean(), color(draws), share),
        }
    }
}

fn color(draws: &mut Draws) -> Color {
    [(); 3].map(|()| draws.uniform(25.0, 230.0))
}

/// The first of a few colours that differs enough from `ground` in brightness; else black or white.
fn contrasting(draws: &mut Draws, ground: Color) -> Color {
    let tries: [Color; 6] = [(); 6].map(|()| color(draws));
    let enough = |c: &Color| (brightness(*c) - brightness(ground)).abs() > 65.0;
    let extreme = if brightness(ground) < 128.0 {
        240.0
    } else {
        15.0
    };
    tries.into_iter().find(enough).unwrap_or([extreme; 3])
}

fn brightness([red, green, blue]: Color) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

fn mix(a: Color, b: Color, share: f32) -> Color {
    [0, 1, 2].map(|c| a[c] + (b[c] - a[c]) * share)
}

/// Three numbers of mean 0 and standard deviation 1 from the ten-bit fields of `bits`: the sum of
/// two uniform five-bit numbers each, a triangle.
fn grain(bits: u32) -> [f32; 3] {
    [0, 10, 20].map(|at| {
        let (a, b) = (bits >> at & 31, bits >> (at + 5) & 31);
        (a as f32 + b as f32 - 31.0) / 13.06
    })
}
