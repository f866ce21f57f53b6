//! Ten shapes as functions of the plane: negative inside, positive outside, about the distance to
//! the edge. A figure fills about the unit disc; its proportions are its own.
use std::f32::consts::{PI, TAU};

use crate::random::Draws;

/// Sorted, so that a class's number is its shape's.
pub(super) const NAMES: [&str; 10] = [
    "angle", "bars", "crescent", "cross", "disc", "dots", "ring", "square", "star", "triangle",
];

type Point = (f32, f32);

pub(super) struct Shape {
    class: usize,
    /// Each uniform in 0..1: what the shape makes of them is its own affair.
    a: f32,
    b: f32,
}

impl Shape {
    pub fn draw(draws: &mut Draws, class: usize) -> Shape {
        Shape {
            class,
            a: draws.unit(),
            b: draws.unit(),
        }
    }

    pub fn distance(&self, p: Point) -> f32 {
        let Shape { class, a, b } = *self;
        match class {
            0 => angle(p, 0.30 + 0.25 * a, 0.16 + 0.1 * b),
            1 => bars(p, 0.13 + 0.08 * a, 0.75 + 0.2 * b),
            2 => crescent(p, 0.35 + 0.2 * a, 0.75 + 0.15 * b),
            3 => cross(p, 0.2 + 0.12 * a, 0.85 + 0.15 * b),
            4 => disc(p, 0.8 + 0.1 * a),
            5 => dots(p, 0.28 + 0.1 * a, 0.6 + 0.1 * b),
            6 => ring(p, 0.7, 0.12 + 0.12 * a),
            7 => rectangle(p, 0.78, 0.66 + 0.12 * a) - 0.08 * b,
            8 => star(p, 0.42 + 0.14 * a),
            _ => polygon(p, 3.0, 0.45) - 0.12 * a,
        }
    }
}

fn length((x, y): Point) -> f32 {
    (x * x + y * y).sqrt()
}

fn disc(p: Point, radius: f32) -> f32 {
    length(p) - radius
}

fn rectangle((x, y): Point, half_width: f32, half_height: f32) -> f32 {
    (x.abs() - half_width).max(y.abs() - half_height)
}

/// Two arms from a corner, `spread` half turns apart.
fn angle((x, y): Point, spread: f32, half_width: f32) -> f32 {
    let (sin, cos) = (spread * PI / 2.0).sin_cos();
    let (x, y) = (x + 0.45, y.abs());
    let along = (x * cos + y * sin).clamp(0.0, 1.1);
    length((x - along * cos, y - along * sin)) - half_width
}

fn bars((x, y): Point, half_width: f32, half_length: f32) -> f32 {
    let nearest = (x / 0.62).round().clamp(-1.0, 1.0) * 0.62;
    rectangle((x - nearest, y), half_width, half_length)
}

fn crescent(p: Point, shift: f32, hole: f32) -> f32 {
    disc(p, 0.9).max(-disc((p.0 - shift, p.1), hole))
}

fn cross(p: Point, half_width: f32, half_length: f32) -> f32 {
    rectangle(p, half_width, half_length).min(rectangle(p, half_length, half_width))
}

fn dots(p: Point, radius: f32, from_centre: f32) -> f32 {
    let p = sector(p, 3.0);
    disc((p.0 - from_centre, p.1), radius)
}

fn ring(p: Point, radius: f32, half_width: f32) -> f32 {
    disc(p, radius).abs() - half_width
}

/// A regular polygon of `sides` sides, `apothem` from its centre.
fn polygon(p: Point, sides: f32, apothem: f32) -> f32 {
    sector(p, sides).0 - apothem
}

/// Five points at 0.95, five corners at `inner` between them.
fn star(p: Point, inner: f32) -> f32 {
    let (x, y) = sector(p, 5.0);
    let y = y.abs();
    let (sin, cos) = (PI / 5.0).sin_cos();
    let (tip, corner) = ((0.95, 0.0), (inner * cos, inner * sin));
    let edge = (corner.0 - tip.0, corner.1 - tip.1);
    ((x - tip.0) * edge.1 - (y - tip.1) * edge.0) / length(edge)
}

/// `p` turned into the sector of `count` that lies around the x axis.
fn sector(p: Point, count: f32) -> Point {
    let turn = TAU / count;
    let angle = p.1.atan2(p.0);
    let angle = angle - (angle / turn).round() * turn;
    let (sin, cos) = angle.sin_cos();
    (length(p) * cos, length(p) * sin)
}
