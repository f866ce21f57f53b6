//! `augment_draw`: the table of what will be done to each view, from (seed, epoch, id, view).
use super::augment::{Recipe, table};
use crate::{
    Result, Tensor,
    device::{Arch, Grid, Host, Kernel, Real, kernels::AugmentDraw},
    random::{Draws, Purpose},
    tensor::Element,
};

/// The table (rows, 16) f32 for images `ids` (rows) u32 in `epoch` (1) u32; its fields are in [`table`].
pub fn draw(ids: &Tensor, recipe: &Recipe, seed: u64, epoch: &Tensor, view: u32) -> Result<Tensor> {
    draw_pieces(ids, 1, recipe, seed, epoch, view)
}

/// The table (n pieces, 16) of images `ids` (n) that were cut into `pieces`: row i pieces + p is of piece p of
/// image i, whose view has the number `view + p`.
pub fn draw_pieces(
    ids: &Tensor,
    pieces: usize,
    recipe: &Recipe,
    seed: u64,
    epoch: &Tensor,
    view: u32,
) -> Result<Tensor> {
    assert_eq!(ids.element(), Element::U32, "augment: ids");
    let found = (epoch.len(), epoch.element());
    assert_eq!(found, (1, Element::U32), "augment: epoch");
    let rows = ids.len() * pieces;
    let made = Tensor::uninit(ids.device(), Element::F32, [rows, table::COLS])?;
    let [brightness, contrast, saturation, hue] = recipe.jitter;
    assert!(hue <= 0.5, "augment: hue shifts by {hue} turns");
    ids.device().launch(AugmentDraw {
        ids: ids.ptr(),
        table: made.ptr(),
        epoch: epoch.ptr(),
        seed,
        rows: rows as u32,
        pieces: pieces as u32,
        view,
        brightness,
        contrast,
        saturation,
        hue,
        jitter_probability: recipe.jitter_probability,
        gray_probability: recipe.gray_probability,
        gray: match recipe.gray_first {
            true => table::GRAY_FIRST,
            false if recipe.photometric_probability > 0.0 => table::GRAY_PHOTOMETRIC,
            false => table::GRAY_LAST,
        },
        blur_probability: recipe.blur_probability,
        sigma_low: recipe.blur_sigma[0],
        sigma_high: recipe.blur_sigma[1],
        solarize_probability: recipe.solarize_probability,
        solarize_threshold: recipe.solarize_threshold,
        photometric_probability: recipe.photometric_probability,
    })?;
    Ok(made)
}

impl AugmentDraw {
    /// Takes the same draws in the same order whatever the recipe.
    fn row(&self, draws: &mut Draws) -> [f32; table::COLS] {
        let mut row = [0.0; table::COLS];
        let jitter = draws.unit() < self.jitter_probability;
        let mut order = [0, 1, 2, 3];
        for last in (1..4).rev() {
            order.swap(last, draws.below(last as u32 + 1) as usize); // Fisher and Yates
        }
        for (to, op) in row[table::ORDER..].iter_mut().zip(order) {
            *to = if jitter { op } else { table::NONE } as f32;
        }
        let mut factor = |s: f32| draws.uniform((1.0 - s).max(0.0), 1.0 + s);
        row[table::FACTORS + table::BRIGHTNESS] = factor(self.brightness);
        row[table::FACTORS + table::CONTRAST] = factor(self.contrast);
        row[table::FACTORS + table::SATURATION] = factor(self.saturation);
        row[table::FACTORS + table::HUE] = draws.uniform(-self.hue, self.hue);
        let gray = draws.unit() < self.gray_probability;
        row[table::GRAY] = if gray { self.gray } else { 0.0 };
        let blur = draws.unit() < self.blur_probability;
        let sigma = draws.uniform(self.sigma_low, self.sigma_high);
        row[table::SIGMA] = if blur { sigma } else { 0.0 };
        let solarize = draws.unit() < self.solarize_probability;
        row[table::SOLARIZE] = if solarize {
            self.solarize_threshold
        } else {
            256.0
        };
        let photometric = draws.unit() < self.photometric_probability;
        row[table::PHOTOMETRIC] = photometric as u32 as f32;
        row[table::POSTERIZE] = (1 << draws.below(5)) as f32; // 8 to 4 bits
        row[table::SHARPNESS] = draws.uniform(0.1, 1.9);
        row[table::INVERT] = draws.below(257) as f32;
        row
    }
}

impl Kernel for AugmentDraw {
    fn grid(&self, _: Arch) -> Grid {
        Grid::elements(self.rows as u64)
    }
    fn bytes(&self, _: Real) -> u64 {
        4 * (self.rows as u64 * table::COLS as u64 + (self.rows / self.pieces) as u64)
    }
    fn on_cpu(&self, memory: &Host) {
        let rows = self.rows as usize;
        let pieces = self.pieces as usize;
        let ids = memory.read::<u32>(self.ids, rows / pieces);
        let epoch = memory.read::<u32>(self.epoch, 1)[0];
        let made = memory.write::<f32>(self.table, rows * table::COLS);
        for (number, row) in made.chunks_exact_mut(table::COLS).enumerate() {
            let (id, view) = (ids[number / pieces], self.view + (number % pieces) as u32);
            let mut draws = Draws::new(self.seed, Purpose::Color, epoch, id, view);
            row.copy_from_slice(&self.row(&mut draws));
        }
    }
}
