//! Asynchronous copies and tensor cores (planted_matrix.cu): one matrix product, and bugs in it.
use super::{Mode, device_of, fails, modes};
use selfsame::{
    Device, Result, Tensor,
    device::{Kernel, Ptr, Real, kernels::*},
    random::{Draws, Purpose},
};

/// c (m, n) = a (m, k) b (k, n), of small integers: bf16 holds them, and f32 sums of them are exact.
struct Product {
    m: usize,
    n: usize,
    k: usize,
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Product {
    fn new([m, n, k]: [usize; 3], seed: u64) -> Product {
        let mut draws = Draws::new(seed, Purpose::Synthetic, 0, 0, 0);
        let mut integers =
            |n| -> Vec<f32> { (0..n).map(|_| draws.uniform(-8.0, 9.0).floor()).collect() };
        let (a, b) = (integers(m * k), integers(k * n));
        Product { m, n, k, a, b }
    }

    /// Shapes of up to three tiles a side, ragged where they may be.
    fn random(seed: u64) -> Product {
        let mut draws = Draws::new(seed, Purpose::Synthetic, 1, 0, 0);
        let mut below = |n: usize| draws.uniform(0.0, n as f32) as usize;
        let shape = [1 + below(150), 8 + 8 * below(18), 8 + 8 * below(14)];
        Product::new(shape, seed)
    }

    fn expected(&self) -> Vec<f32> {
        let at = |row: usize, col: usize| -> f32 {
            (0..self.k)
                .map(|i| self.a[row * self.k + i] * self.b[i * self.n + col])
                .sum()
        };
        (0..self.m * self.n)
            .map(|i| at(i / self.n, i % self.n))
            .collect()
    }

    /// What `kernel` leaves in c, which it finds as NaN.
    fn launch<K: Kernel>(&self, device: &Device, kernel: Make<K>) -> Result<Vec<f32>> {
        let [a, b] = [&self.a, &self.b].map(|numbers| bf16(device, numbers));
        let (a, b) = (a?, b?);
        let c = Tensor::from_f32(device, [self.m, self.n], &vec![f32::NAN; self.m * self.n])?;
        let shape = [self.m, self.n, self.k].map(|n| n as u32);
        device.launch(kernel([a.ptr(), b.ptr(), c.ptr()], shape))?;
        c.to_vec()
    }
}

type Make<K> = fn([Ptr; 3], [u32; 3]) -> K;

macro_rules! make {
    ($kernel:ident) => {
        |[a, b, c], [m, n, k]| $kernel { a, b, c, m, n, k }
    };
}

/// bf16 on every device, whatever its `real` is.
fn bf16(device: &Device, numbers: &[f32]) -> Result<Tensor> {
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|&v| half::bf16::from_f32(v).to_le_bytes())
        .collect();
    Tensor::from_u8(device, [bytes.len()], &bytes)
}

#[test]
fn a_sound_product_is_right() {
    for (&mode, real) in modes()
        .iter()
        .flat_map(|mode| [Real::F32, Real::Bf16].map(|real| (mode, real)))
    {
        for seed in 0..60 {
            let product = Product::random(seed);
            let device = device_of(real, mode, seed, 1 + seed as usize % 2);
            let found = product.launch(&device, make!(SoundProduct));
            let what = format!(
                "{mode:?}, {real:?}, seed {seed}, {:?}",
                [product.m, product.n, product.k]
            );
            let found = found.unwrap_or_else(|why| panic!("{what}: {why}"));
            assert!(found == product.expected(), "{what}");
        }
    }
}

/// One and a half tiles each way, and more stages than there are buffers.
#[track_caller]
fn found<K: Kernel>(mode: Mode, kernel: Make<K>, words: &[&str]) {
    let product = Product::new([96, 96, 96], 1);
    fails::<K>(mode, 50, |device| product.launch(device, kernel), words);
}

const RACE: [&str; 3] = ["race, shared array", "by thread", "planted_matrix.cu:"];

#[test]
fn a_copy_is_waited_for() {
    found(Mode::Checked, make!(NoWait), &RACE);
    found(Mode::Checked, make!(ShortWait), &RACE);
    found(Mode::Checked, make!(OwnCopyUnwaited), &["on its way"]);
    for &mode in modes() {
        let words = ["exits, and never waited", "planted_matrix.cu:"];
        found(mode, make!(NeverWaited), &words);
    }
}

#[test]
fn a_wait_is_no_barrier() {
    found(Mode::Checked, make!(NoBarrierAfterWait), &RACE);
    found(Mode::Checked, make!(EarlyCopy), &RACE);
}

#[test]
fn copies_stay_inside() {
    for &mode in modes() {
        let words = ["device memory, at offset 18432 of", "planted_matrix.cu:"];
        found(mode, make!(CopyPastEnd), &words);
        let words = [
            "copy_async, at planted_matrix.cu:",
            "not aligned to 16 bytes",
        ];
        found(mode, make!(MisalignedCopy), &words);
        let words = [
            "copy_async, at planted_matrix.cu:",
            "out of bounds, shared array \"tile\" of 2032 bytes, at offset 2032",
        ];
        found(mode, make!(CopyOverrun), &words);
    }
}

#[test]
fn a_warp_multiplies_together() {
    for &mode in modes() {
        let words = ["lane 5: not aligned to 16 bytes", "planted_matrix.cu:"];
        found(mode, make!(MisalignedMatrix), &words);
        let words = ["divergent mma_tile", "planted_matrix.cu:"];
        found(mode, make!(DivergentProduct), &words);
        let words = ["mma_tile at planted_matrix.cu:"];
        found(mode, make!(HalfWarpProduct), &words);
    }
}
