//! Instruction by instruction: the emulator makes of known numbers what the manual says, and a GPU what the
//! emulator says, bit for bit. `SELFSAME_DEVICE=cuda` asks the GPU; without one only the former is tested.
#![cfg(emulated_kernels)]
use selfsame::{
    Device, Result, Tensor,
    device::{Kernel, Ptr, Real, kernels::*},
};
use std::sync::{LazyLock, Once};

mod products;
mod tensors;
mod warps;

static EMULATOR: LazyLock<Device> =
    LazyLock::new(|| Device::emulated(Real::Bf16, 90).expect("this build has it"));
static GPU: LazyLock<Option<Device>> =
    LazyLock::new(|| match std::env::var("SELFSAME_DEVICE").as_deref() {
        Ok("cuda") => Some(Device::cuda(0, Real::Bf16).unwrap()),
        _ => None,
    });

/// Schedules of the emulator: each launch takes another.
const SCHEDULES: usize = 10;

/// The emulator leaves `expected` of `kernel`, and so does the GPU.
#[track_caller]
fn conform<K: Kernel>(kernel: &Case<K>, expected: &[u32]) {
    for _ in 0..SCHEDULES {
        agree(kernel, expected, kernel.run(&EMULATOR).unwrap());
    }
    let gpu = GPU.as_ref();
    let gpu = gpu.filter(|gpu| gpu.arch().compute >= kernel.compute);
    match gpu {
        Some(gpu) => agree(kernel, expected, kernel.run(gpu).unwrap()),
        None => {
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                eprintln!(
                    "skipped: no GPU, or one too old, was asked for: the emulator is compared with the manual only"
                );
            });
        }
    }
}

#[track_caller]
fn agree<K: Kernel>(_: &Case<K>, expected: &[u32], found: Vec<u32>) {
    assert_eq!(found.len(), expected.len());
    let wrong = (0..found.len()).filter(|&i| found[i] != expected[i]);
    let wrong: Vec<usize> = wrong.collect();
    if let Some(&i) = wrong.first() {
        let (name, count, of) = (K::INFO.name, wrong.len(), found.len());
        let (found, expected) = (found[i], expected[i]);
        panic!(
            "{name}: {count} of {of} words differ, the first is {i}: {found:#x}, not {expected:#x}"
        );
    }
}

/// One launch: what it is given, and how many words it leaves.
struct Case<'a, K> {
    inputs: Vec<Input<'a>>,
    words: usize,
    /// The first compute capability that has the instruction, times ten.
    compute: u32,
    kernel: &'a dyn Fn(&[Ptr]) -> K,
}

#[derive(Clone, Copy)]
enum Input<'a> {
    Words(&'a [u32]),
    Reals(&'a [f32]),
}

impl<K: Kernel> Case<'_, K> {
    /// The output comes last among the pointers; it is all ones before.
    fn run(&self, device: &Device) -> Result<Vec<u32>> {
        let tensor = |input: &Input| match *input {
            Input::Words(words) => Tensor::from_u32(device, [words.len()], words),
            Input::Reals(reals) => Tensor::from_slice(device, [reals.len()], reals),
        };
        let inputs: Vec<Tensor> = self.inputs.iter().map(tensor).collect::<Result<_>>()?;
        let output = Tensor::from_u32(device, [self.words], &vec![!0; self.words])?;
        let mut ptrs: Vec<Ptr> = inputs.iter().map(Tensor::ptr).collect();
        ptrs.push(output.ptr());
        device.launch((self.kernel)(&ptrs))?;
        output.to_u32()
    }
}

/// bf16, as bits.
fn bits(v: f32) -> u32 {
    u32::from(half::bf16::from_f32(v).to_bits())
}

/// Two neighbours in a word.
fn pair(low: f32, high: f32) -> u32 {
    bits(low) | bits(high) << 16
}

/// Small integers that follow no pattern.
fn integers(n: usize, seed: usize) -> Vec<f32> {
    (0..n)
        .map(|i| (((i + seed) * 2_654_435_761) >> 7) % 9)
        .map(|v| v as f32 - 4.0)
        .collect()
}

/// Where the chunks of 16 bytes go in rows of `row_bytes`: `offset` with its swizzle.
fn swizzled(offset: usize, row_bytes: usize) -> usize {
    let mask = (row_bytes / 16 - 1) & 7;
    offset ^ ((offset >> 7 & mask) << 4)
}
