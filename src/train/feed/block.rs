//! All images as one block of uint8 on the device: only boxes are sent to it.
use super::{Fed, Stretch, check_bad, workers};
use crate::{
    Device, Result, Tensor,
    config::Config,
    data::{
        BadImage, Dataset, Views, resident_unless,
        sampler::{permutation, steps_per_epoch},
        views::Piece,
    },
    ops::{augment, augment_crop::BOX},
    tensor::Element,
};
use std::{mem, sync::Arc, time::Instant};

pub struct Block {
    images: Tensor, // (count, h, w, 3) u8
    labels: Vec<Option<u32>>,
    batch: usize,
    steps_per_epoch: u64,
    next: u64,
    seed: u64,
    /// The current epoch's order.
    order: Option<(u32, Vec<u32>)>,
    /// Told with the first batch.
    bad: Vec<BadImage>,
}

/// What is cut from it for one kind of view.
pub struct Boxes {
    /// (pieces n) u32: the image of each row.
    indices: Tensor,
    /// (pieces n, 6) f32: the box of each row.
    boxes: Tensor,
}

impl Boxes {
    pub fn new(device: &Device, rows: usize) -> Result<Boxes> {
        Ok(Boxes {
            indices: Tensor::uninit(device, Element::U32, [rows])?,
            boxes: Tensor::uninit(device, Element::F32, [rows, BOX])?,
        })
    }

    /// Some of them, which share the memory.
    pub fn rows(&self, first: usize, rows: usize) -> Boxes {
        Boxes {
            indices: self.indices.slice(first, [rows]),
            boxes: self.boxes.rows(first, rows),
        }
    }
}

impl Block {
    pub fn new(
        device: &Device,
        dataset: &Arc<Dataset>,
        config: &Config,
        stretch: &Stretch,
    ) -> Result<Option<Block>> {
        let Some(held) = resident_unless(dataset, workers(config), stretch.asked)? else {
            return Ok(None);
        };
        let count = held.labels.len();
        check_bad(&held, config.data.max_bad)?;
        let shape = [count, held.height as usize, held.width as usize, 3];
        let batch = config.schedule.batch;
        Ok(Some(Block {
            images: Tensor::from_u8(device, shape, &held.pixels)?,
            labels: held.labels,
            batch,
            steps_per_epoch: steps_per_epoch(count, batch)?,
            next: stretch.start,
            seed: config.schedule.seed,
            order: stretch.first_order.clone().map(|order| (0, order)),
            bad: held.bad,
        }))
    }

    /// Room for `count` images of (width, height).
    pub fn blank(device: &Device, count: usize, (width, height): (u32, u32)) -> Result<Block> {
        let shape = [count, height as usize, width as usize, 3];
        Ok(Block {
            images: Tensor::uninit(device, Element::U8, shape)?,
            labels: Vec::new(),
            batch: 0,
            steps_per_epoch: 0,
            next: 0,
            seed: 0,
            order: None,
            bad: Vec::new(),
        })
    }

    /// The next step's images, and the boxes of their views in `to`.
    pub fn fetch(&mut self, to: &[(&Views, &Boxes)]) -> Result<Fed> {
        let started = Instant::now();
        let epoch = (self.next / self.steps_per_epoch) as u32;
        let first = (self.next % self.steps_per_epoch) as usize * self.batch;
        self.next += 1;
        if self.order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            let order = permutation(self.seed, epoch, self.images.dims()[0]);
            self.order = Some((epoch, order));
        }
        let (_, order) = self.order.as_ref().expect("it was just made");
        let ids = order[first..first + self.batch].to_vec();
        let mut targets = vec![0; ids.len()];
        let mut wait = started.elapsed();
        for (views, to) in to {
            let started = Instant::now();
            let (indices, boxes) = self.draw(views, epoch, &ids, &mut targets);
            wait += started.elapsed();
            to.indices.overwrite(&indices)?;
            to.boxes.overwrite(&boxes)?;
        }
        let labels = ids.iter().map(|&id| self.labels[id as usize]).collect();
        Ok(Fed {
            epoch,
            ids,
            labels,
            targets,
            bad: mem::take(&mut self.bad),
            wait,
        })
    }

    /// The image and the box of each row.
    fn draw(
        &self,
        views: &Views,
        epoch: u32,
        ids: &[u32],
        targets: &mut [u32],
    ) -> (Vec<u32>, Vec<f32>) {
        let [_, height, width, _] = self.images.dims_of();
        let rows = ids.len() * views.pieces();
        let (mut indices, mut boxes) = (vec![0; rows], vec![0.0; rows * BOX]);
        for (place, &id) in ids.iter().enumerate() {
            let drawn = views.draw(self.seed, epoch, id, width as u32, height as u32);
            for (number, piece) in drawn.pieces.iter().enumerate() {
                let row = views.row(ids.len(), place, number);
                indices[row] = id;
                boxes[row * BOX..][..BOX].copy_from_slice(&numbers(piece));
            }
            if views.targets() > 0 {
                targets[place] = drawn.target;
            }
        }
        (indices, boxes)
    }

    /// Views of the boxes last fetched: (pieces n, size, size, 3) u8.
    pub fn cut(&self, views: &Views, from: &Boxes) -> Result<Tensor> {
        let size = views.size as usize;
        augment::crop(&self.images, &from.indices, &from.boxes, size)
    }
}

fn numbers(piece: &Piece) -> [f32; BOX] {
    let mirror = if piece.mirror { 1.0 } else { 0.0 };
    let turns = piece.turns as f32;
    [piece.x, piece.y, piece.width, piece.height, turns, mirror]
}
