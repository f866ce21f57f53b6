//! What one image is cut into: boxes drawn from (seed, epoch, image, number of the view) alone, whoever
//! then cuts them: the loader's threads or the device.
use super::Image;
use super::crop::{
    CropBox, Filter, flip_horizontally, random_resized_crop, resize_box_into, resize_into, turn,
};
use crate::random::{Draws, Purpose};
use std::sync::Arc;

/// Pieces of one size, all cut alike.
#[derive(Clone, Debug)]
pub struct Views {
    /// Pixels a side of each piece.
    pub size: u32,
    pub filter: Filter,
    pub cut: Cut,
    /// The number of the first piece among all of an image's: no two pieces share their draws.
    pub first: u32,
}

#[derive(Clone, Debug)]
pub enum Cut {
    /// RandomResizedCrops, each then mirrored or not.
    Crops { count: u32, area: Area },
    /// One such crop of the image turned by a quarter, a half, three quarters or not at all, whose number
    /// (counter-clockwise quarters) is the target (Gidaris et al. 2018).
    Turned { area: Area },
    /// Nine patches of a crop that is seen as `whole` x `whole` pixels: one somewhere in each of 3 x 3
    /// cells (Doersch et al. 2015, Noroozi and Favaro 2016).
    Patches {
        from: Source,
        whole: u32,
        cell: u32,
        mirror: Mirror,
        order: Order,
    },
}

/// What is mirrored for every second image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirror {
    Nothing,
    /// The crop, before it is cut into patches.
    Whole,
    /// Each patch by itself.
    Each,
}

/// What a random crop may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Share of the image's area.
    pub scale: (f32, f32),
    /// Width over height.
    pub ratio: (f32, f32),
}

/// What the patches are cut from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// A RandomResizedCrop: PIRL.
    Resized(Area),
    /// A square: of the image resized so that its short side is `of` pixels, `whole` by `whole` of them
    /// somewhere: Resize(256) and RandomCrop(255), say.
    Square { of: u32 },
}

/// How the nine patches are given.
#[derive(Clone, Debug)]
pub enum Order {
    /// Line by line.
    Reading,
    /// By any permutation: no target.
    Shuffled,
    /// By one of these, whose number is the target: place p shows cell `permutation[p]`.
    OneOf(Arc<Vec<[u8; 9]>>),
}

pub const PATCHES: usize = 9;

/// A piece of an image: a box in its pixels, what is done to it then, and nothing outside it is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
    pub mirror: bool,
    /// Quarters counter-clockwise, before it is mirrored.
    pub turns: u32,
}

/// An image's pieces, and what it was that was done, where that is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    pub pieces: Vec<Piece>,
    pub target: u32,
}

impl Views {
    /// Pieces an image.
    pub fn pieces(&self) -> usize {
        match self.cut {
            Cut::Crops { count, .. } => count as usize,
            Cut::Turned { .. } => 1,
            Cut::Patches { .. } => PATCHES,
        }
    }

    /// Where piece `piece` of the batch's image `place` of `batch` stands among all: crops view by view,
    /// so that a view is a batch of its own; patches image by image, so that an image's are neighbours.
    pub fn row(&self, batch: usize, place: usize, piece: usize) -> usize {
        match self.cut {
            Cut::Patches { .. } => place * PATCHES + piece,
            _ => piece * batch + place,
        }
    }

    /// Classes that a target has.
    pub fn targets(&self) -> usize {
        match &self.cut {
            Cut::Turned { .. } => 4,
            Cut::Patches {
                order: Order::OneOf(permutations),
                ..
            } => permutations.len(),
            _ => 0,
        }
    }

    /// Of image `id`, which is `width` x `height`.
    pub fn draw(&self, seed: u64, epoch: u32, id: u32, width: u32, height: u32) -> Drawn {
        let stream = |piece: u32| Draws::new(seed, Purpose::Crop, epoch, id, self.first + piece);
        match &self.cut {
            Cut::Crops { count, area } => Drawn {
                pieces: (0..*count)
                    .map(|piece| crop(&mut stream(piece), width, height, area, 0))
                    .collect(),
                target: 0,
            },
            Cut::Turned { area } => {
                let mut draws = stream(0);
                let turns = draws.below(4);
                Drawn {
                    pieces: vec![crop(&mut draws, width, height, area, turns)],
                    target: turns,
                }
            }
            Cut::Patches {
                from,
                whole,
                cell,
                mirror,
                order,
            } => {
                let mut draws = stream(0);
                let from = from.draw(&mut draws, width, height, *whole);
                let mirrored = *mirror == Mirror::Whole && draws.unit() < 0.5;
                let scale = [from.width / *whole as f32, from.height / *whole as f32];
                let mut patch = |number| {
                    let seen = if mirrored {
                        number / 3 * 3 + 2 - number % 3
                    } else {
                        number
                    };
                    let patch = self.patch(&mut draws, from, scale, *cell, seen);
                    let alone = *mirror == Mirror::Each && draws.unit() < 0.5;
                    Piece {
                        mirror: mirrored || alone,
                        ..patch
                    }
                };
                let cells: Vec<Piece> = (0..PATCHES as u32).map(&mut patch).collect();
                let (order, target) = order.draw(&mut draws);
                let pieces = order.map(|cell| cells[cell as usize]).to_vec();
                Drawn { pieces, target }
            }
        }
    }

    /// A patch somewhere in cell `number` of what `from` holds.
    fn patch(
        &self,
        draws: &mut Draws,
        from: Piece,
        scale: [f32; 2],
        cell: u32,
        number: u32,
    ) -> Piece {
        let room = cell - self.size + 1;
        let (line, column) = (number / 3, number % 3);
        let (down, across) = (draws.below(room), draws.below(room));
        Piece {
            x: from.x + (column * cell + across) as f32 * scale[0],
            y: from.y + (line * cell + down) as f32 * scale[1],
            width: self.size as f32 * scale[0],
            height: self.size as f32 * scale[1],
            mirror: false,
            turns: 0,
        }
    }

    /// Cuts what `drawn` says into `out`, (size, size, 3) a piece.
    pub fn cut(&self, image: &Image, drawn: &Drawn, out: &mut [&mut [u8]]) {
        for (piece, out) in drawn.pieces.iter().zip(out) {
            match piece.whole_pixels() {
                Some(from) => resize_into(image, from, self.size, self.filter, out),
                None => {
                    let from = [piece.x, piece.y, piece.width, piece.height];
                    resize_box_into(image, from, self.size, self.filter, out);
                }
            }
            turn(out, self.size, piece.turns);
            if piece.mirror {
                flip_horizontally(out, self.size);
            }
        }
    }
}

fn crop(draws: &mut Draws, width: u32, height: u32, area: &Area, turns: u32) -> Piece {
    let from = random_resized_crop(draws, width, height, area.scale, area.ratio);
    Piece {
        mirror: draws.unit() < 0.5,
        turns,
        ..Piece::of(from)
    }
}

impl Source {
    fn draw(self, draws: &mut Draws, width: u32, height: u32, whole: u32) -> Piece {
        match self {
            Source::Resized(Area { scale, ratio }) => {
                Piece::of(random_resized_crop(draws, width, height, scale, ratio))
            }
            Source::Square { of } => {
                let side = width.min(height) as f32 * (whole as f32 / of as f32).min(1.0);
                let mut place = |room: f32| draws.unit() * room;
                Piece {
                    x: place(width as f32 - side),
                    y: place(height as f32 - side),
                    width: side,
                    height: side,
                    mirror: false,
                    turns: 0,
                }
            }
        }
    }
}

impl Order {
    fn draw(&self, draws: &mut Draws) -> ([u8; PATCHES], u32) {
        let mut order = [0, 1, 2, 3, 4, 5, 6, 7, 8];
        match self {
            Order::Reading => (order, 0),
            Order::Shuffled => {
                for last in (1..PATCHES).rev() {
                    order.swap(last, draws.below(last as u32 + 1) as usize); // Fisher and Yates
                }
                (order, 0)
            }
            Order::OneOf(permutations) => {
                let target = draws.below(permutations.len() as u32);
                (permutations[target as usize], target)
            }
        }
    }
}

impl Piece {
    fn of(from: CropBox) -> Piece {
        let [x, y, width, height] =
            [from.x, from.y, from.width, from.height].map(|side| side as f32);
        Piece {
            x,
            y,
            width,
            height,
            mirror: false,
            turns: 0,
        }
    }

    fn whole_pixels(&self) -> Option<CropBox> {
        let sides = [self.x, self.y, self.width, self.height];
        let whole = sides.iter().all(|side| side.fract() == 0.0);
        let [x, y, width, height] = sides.map(|side| side as u32);
        whole.then_some(CropBox {
            x,
            y,
            width,
            height,
        })
    }
}
