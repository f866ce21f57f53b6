//! One step of training on images that lie on the device: the launches `train` makes, without its loader
//! and its log.
use selfsame::{
    Device, Result, Tensor, Var,
    config::{self, Config, Layers},
    data::crop::random_resized_crop,
    methods::Batch,
    nn::{Layout, Params, Pass, layers::Linear},
    ops::{
        augment, augment_draw, copy, cross_entropy,
        optimize::{self, Segments},
    },
    random::{Draws, Purpose},
    tensor::Element,
    train::build::{self, About, Network},
};
use std::sync::Arc;

/// Views an image.
const VIEWS: usize = 2;

type Loss = Box<dyn FnMut(&mut Pass) -> Result<Var>>;

pub struct Training {
    params: Params,
    gradients: Tensor,
    velocities: Tensor,
    segments: Segments,
    rule: optimize::Step,
    loss: Loss,
}

impl Training {
    fn new(device: &Device, config: &Config, layout: &Arc<Layout>, loss: Loss) -> Result<Training> {
        let params = Params::new(device, layout, 0)?;
        let lr = Tensor::from_f32(device, [2], &[0.01; 2])?;
        Ok(Training {
            gradients: params.zeros()?,
            velocities: params.zeros()?,
            segments: build::segments(device, layout, &config.optimize, None)?,
            rule: build::optimizer_step(&config.optimize, lr),
            params,
            loss,
        })
    }

    /// From the images to the weights moved.
    pub fn step(&mut self) -> Result<()> {
        let mut pass = Pass::train(&self.params);
        let loss = (self.loss)(&mut pass)?;
        pass.backward(&loss, &self.gradients)?;
        optimize::step(
            &self.params.values,
            self.params.reals(),
            &self.gradients,
            &self.velocities,
            &self.segments,
            &self.rule,
        )
        .map(drop)
    }

    /// `images` under labels: a linear layer on the features, cross-entropy, momentum SGD.
    pub fn supervised(
        device: &Device,
        preset: &str,
        images: usize,
        classes: usize,
    ) -> Result<Training> {
        let config = configured(
            preset,
            &["optimize.rule=sgd", "optimize.spare_vectors=false"],
        )?;
        let mut layout = Layout::default();
        let encoder = build::encoder(&config.encoder, &mut layout);
        let classifier = Linear::new(&mut layout, "fc", [encoder.features(), classes], true);
        let side = config.encoder.image_size;
        let x = augment::normalize(&pixels(device, images, side)?, [0.5; 3], [0.25; 3])?;
        let x = Var::constant(x); // (images, side, side, 3)
        let targets: Vec<u32> = (0..images).map(|i| (i * 7 % classes) as u32).collect();
        let targets = Tensor::from_u32(device, [images], &targets)?;
        let loss = move |pass: &mut Pass| {
            let features = encoder.forward(pass, &x)?;
            let logits = classifier.forward(pass, &features)?;
            cross_entropy(&mut pass.tape, &logits, &targets)
        };
        Training::new(device, &config, &Arc::new(layout), Box::new(loss))
    }

    /// SimCLR as its preset has it: two views cut and coloured from uint8, NT-Xent, LARS.
    pub fn simclr(device: &Device, preset: &str, images: usize) -> Result<Training> {
        let config = configured(preset, &["optimize.rule=lars"])?;
        let about = About { images, classes: 0 };
        let Network {
            layout, mut method, ..
        } = Network::new(device, &config, about)?;
        let views = Views::new(device, &config, images)?;
        let loss = move |pass: &mut Pass| Ok(method.loss(pass, &views.batch()?)?.loss);
        Training::new(device, &config, &layout, Box::new(loss))
    }
}

fn configured(preset: &str, assignments: &[&str]) -> Result<Config> {
    let mut layers = Layers::default();
    layers.preset(preset)?;
    for assignment in assignments {
        layers.assign(assignment)?;
    }
    layers.finish()
}

/// Noise (images, side, side, 3) u8.
fn pixels(device: &Device, images: usize, side: usize) -> Result<Tensor> {
    let mut draws = Draws::new(0, Purpose::Synthetic, 0, 0, 0);
    let words = (images * side * side * 3).div_ceil(4);
    let mut bytes: Vec<u8> = (0..words)
        .flat_map(|_| draws.bits().to_ne_bytes())
        .collect();
    bytes.truncate(images * side * side * 3);
    Tensor::from_u8(device, [images, side, side, 3], &bytes)
}

/// What a feed holds of a batch: images a little larger than their views, and a box for each view.
struct Views {
    /// (n, side, side, 3) u8
    images: Tensor,
    /// (n) u32
    ids: Tensor,
    /// (views n) u32
    indices: Tensor,
    /// (views n, 6) f32
    boxes: Tensor,
    epoch: Tensor,
    recipe: augment::Recipe,
    size: usize,
}

impl Views {
    fn new(device: &Device, config: &Config, images: usize) -> Result<Views> {
        let size = config.encoder.image_size;
        let side = if size > 64 { size * 8 / 7 } else { size };
        let ids: Vec<u32> = (0..images as u32).collect();
        let boxes: Vec<f32> = (0..VIEWS * images)
            .flat_map(|row| cut(&config.augment, side as u32, row))
            .collect();
        Ok(Views {
            images: pixels(device, images, side)?,
            indices: Tensor::from_u32(device, [VIEWS * images], &ids.repeat(VIEWS))?,
            ids: Tensor::from_u32(device, [images], &ids)?,
            boxes: Tensor::from_f32(device, [VIEWS * images, 6], &boxes)?,
            epoch: Tensor::from_u32(device, [1], &[0])?,
            recipe: build::recipe(&config.augment),
            size,
        })
    }

    fn batch(&self) -> Result<Batch> {
        let (n, columns) = (self.ids.len(), augment::table::COLS);
        let pixels = augment::crop(&self.images, &self.indices, &self.boxes, self.size)?;
        let table = Tensor::uninit(pixels.device(), Element::F32, [VIEWS * n, columns])?;
        for view in 0..VIEWS {
            let rows = augment_draw::draw(&self.ids, &self.recipe, 0, &self.epoch, view as u32)?;
            copy::copy(&rows, &table.rows(view * n, n))?;
        }
        Ok(Batch {
            images: n,
            views: vec![augment::apply(&pixels, &table, &self.recipe)?],
            ids: self.ids.clone(),
            labels: self.ids.clone(),
            targets: self.ids.clone(),
            step: self.epoch.clone(),
        })
    }
}

/// x, y, width, height, no turn, and 1 to mirror.
fn cut(augment: &config::Augment, side: u32, row: usize) -> [f32; 6] {
    let mut draws = Draws::new(0, Purpose::Crop, 0, row as u32, 0);
    let pair = |[low, high]: [f64; 2]| (low as f32, high as f32);
    let (scale, ratio) = (pair(augment.crop_scale), pair(augment.crop_ratio));
    let cut = random_resized_crop(&mut draws, side, side, scale, ratio);
    let [x, y, w, h] = [cut.x, cut.y, cut.width, cut.height].map(|side| side as f32);
    [x, y, w, h, 0.0, (row % 2) as f32]
}
