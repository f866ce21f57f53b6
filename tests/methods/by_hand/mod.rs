//! A step of each method against the same step worked out from the network's outputs on the host, in f64, as
//! its paper states it.
mod classes;
mod contrast;
mod other;
mod pirl;
mod swav;

use selfsame::{
    Device, Tensor, Var,
    methods::{Batch, Method},
    nn::{Architecture, Layout, Params, Pass, Projector, ResNet, Stem, heads::Norm},
    random::{Draws, Purpose},
};
use std::sync::Arc;

pub type Rows = Vec<Vec<f64>>;

pub const N: usize = 8; // images
pub const D: usize = 6; // of an embedding
pub const SIDE: usize = 12;

thread_local! {
    static CPU: Device = Device::cpu();
}

/// A test's one: tensors of two do not meet.
pub fn cpu() -> Device {
    CPU.with(Device::clone)
}

pub fn noise(stream: u32, n: usize) -> Vec<f32> {
    let mut draws = Draws::new(5, Purpose::Synthetic, 0, stream, 0);
    (0..n).map(|_| draws.normal()).collect()
}

pub fn tensor(dims: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_slice(&cpu(), dims, values).unwrap()
}

/// (rows, side, side, 3).
pub fn images(stream: u32, rows: usize) -> Tensor {
    tensor(
        &[rows, SIDE, SIDE, 3],
        &noise(stream, rows * SIDE * SIDE * 3),
    )
}

pub fn numbers(values: impl IntoIterator<Item = u32>) -> Tensor {
    let values: Vec<u32> = values.into_iter().collect();
    Tensor::from_u32(&cpu(), [values.len()], &values).unwrap()
}

pub fn batch(views: Vec<Tensor>) -> Batch {
    Batch {
        images: N,
        views,
        ids: numbers((0..N as u32).map(|i| 3 * i + 1)),
        labels: numbers([0; N]),
        targets: numbers([0; N]),
        step: numbers([4]),
    }
}

/// Rows of unit length.
pub fn units(stream: u32, rows: usize) -> Tensor {
    let values: Vec<f32> = to_rows(&tensor(&[rows, D], &noise(stream, rows * D)))
        .iter()
        .flat_map(|row| unit(row))
        .map(|x| x as f32)
        .collect();
    tensor(&[rows, D], &values)
}

pub fn to_rows(t: &Tensor) -> Rows {
    let columns = *t.dims().last().unwrap();
    let values = t.to_vec().unwrap();
    let row = |row: &[f32]| row.iter().map(|&x| x as f64).collect();
    values.chunks(columns).map(row).collect()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub fn unit(row: &[f64]) -> Vec<f64> {
    let norm = dot(row, row).sqrt();
    row.iter().map(|x| x / norm).collect()
}

/// -log softmax(logits)[0].
pub fn first_of(logits: &[f64]) -> f64 {
    logits.iter().map(|s| s.exp()).sum::<f64>().ln() - logits[0]
}

pub fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

#[track_caller]
pub fn close(found: &Tensor, expected: f64) {
    let found = found.item().unwrap() as f64;
    let off = (found - expected).abs() / expected.abs().max(1e-3);
    assert!(off < 2e-4, "loss {found}, by hand {expected}");
}

/// That the method's own step has this loss.
#[track_caller]
pub fn check(method: &mut dyn Method, params: &Params, batch: &Batch, expected: f64) {
    let step = method.loss(&mut Pass::train(params), batch).unwrap();
    close(&step.loss.value, expected);
}

pub struct Net {
    pub layout: Layout,
    pub encoder: ResNet,
}

pub fn net() -> Net {
    let mut layout = Layout::default();
    let encoder = ResNet::new(&mut layout, Architecture::Tiny, Stem::Cifar, 1);
    Net { layout, encoder }
}

impl Net {
    pub fn head(&mut self, name: &str, norm: Norm) -> Projector {
        let sizes = [self.encoder.features(), 10, D];
        Projector::new(&mut self.layout, name, &sizes, norm)
    }
    pub fn params(&self, seed: u64) -> Params {
        Params::new(&cpu(), &Arc::new(self.layout.clone()), seed).unwrap()
    }
}

/// What `layers` make of `views`, batch norm by their own statistics, which are forgotten.
pub fn output(params: &Params, layers: impl Fn(&mut Pass, &Var) -> Var, views: Tensor) -> Rows {
    let params = params.with_own_statistics().unwrap();
    let mut pass = Pass::constant(&params);
    to_rows(&layers(&mut pass, &Var::constant(views)).value)
}

pub fn embed<'a>(encoder: &'a ResNet, head: &'a Projector) -> impl Fn(&mut Pass, &Var) -> Var + 'a {
    |pass, x| {
        let h = encoder.forward(pass, x).unwrap();
        head.forward(pass, &h).unwrap()
    }
}
