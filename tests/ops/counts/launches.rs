//! Every kernel launched at least once, at one small shape of those it has in a network.
use crate::{batch_norm::Case, check::*};
use selfsame::{
    Device, Result, Tape, Tensor, Var,
    device::{Count, EmulatorOptions, Real},
    ops::{
        self,
        augment::{self, Recipe},
        augment_crop,
        bank_nce::{Candidates, Form},
        batch_norm,
        batch_norm::Mode,
        conv2d::Stride,
        copy,
        dropout::Drops,
        ema,
        optimize::{self, Rule, Segment, Segments, Step},
        sinkhorn::{Assignment, sinkhorn},
    },
};

/// `op` forward and backward on inputs of these shapes.
fn both_ways(
    device: &Device,
    shapes: &[&[usize]],
    op: impl FnOnce(&mut Tape, &[Var]) -> Result<Var>,
) -> Result<()> {
    let mut tape = Tape::default();
    let mut inputs = Vec::new();
    for (i, &shape) in shapes.iter().enumerate() {
        let x = noise(i as u64, shape.iter().product());
        inputs.push(tape.leaf(&Tensor::from_slice(device, shape, &x)?));
    }
    let y = op(&mut tape, &inputs)?;
    let w = noise(99, y.value.len());
    let loss = dot(&mut tape, &y, &w);
    tape.backward(&loss).map(drop)
}

/// Stage 1 of a small network: 4 images of 16 x 16 x 64.
const X: &[usize] = &[4, 16, 16, 64];

fn elementwise_and_pools(device: &Device) -> Result<()> {
    both_ways(device, &[X, X], |tape, v| ops::add(tape, &v[0], &v[1]))?;
    both_ways(device, &[X], |tape, v| ops::relu(tape, &v[0]))?;
    both_ways(device, &[X], |tape, v| {
        ops::global_average_pool(tape, &v[0])
    })?;
    both_ways(device, &[X], |tape, v| ops::max_pool(tape, &v[0], 3, 2, 1))
}

/// Between encoder and head.
fn rows(device: &Device) -> Result<()> {
    both_ways(device, &[&[72, 512]], |tape, v| {
        ops::pair_patches(tape, &v[0])
    })?;
    both_ways(device, &[&[64, 512], &[32, 512]], |tape, v| {
        ops::concat_rows(tape, [&v[0], &v[1]])
    })?;
    let drops = Drops {
        probability: 0.5,
        seed: 1,
        step: Tensor::from_u32(device, [1], &[1])?,
        layer: 0,
    };
    both_ways(device, &[&[64, 1024]], |tape, v| {
        ops::dropout(tape, &v[0], &drops)
    })?;
    let [x, y] = [1.0, 2.0].map(|x| Tensor::from_f32(device, [1], &[x]));
    let mut tape = Tape::default();
    let (x, y) = (tape.leaf(&x?), tape.leaf(&y?));
    let loss = ops::weighted_sum(&mut tape, [0.5, 0.5], [&x, &y])?;
    tape.backward(&loss).map(drop)
}

fn norms(device: &Device) -> Result<()> {
    let case = Case::new(2048, 64, Mode::Train);
    let (gamma, beta) = (case.gamma(device)?, case.beta(device)?);
    let running = case.running(device)?;
    let (gamma, beta) = (Var::constant(gamma), Var::constant(beta));
    let x: &[usize] = &[case.rows, case.channels];
    for mode in [Mode::Train, Mode::Evaluate] {
        both_ways(device, &[x], |tape, v| {
            batch_norm::batch_norm(tape, &v[0], &gamma, &beta, &running, mode.clone())
        })?;
        both_ways(device, &[x], |tape, v| {
            ops::batch_norm_relu(tape, &v[0], &gamma, &beta, &running, mode.clone())
        })?;
        both_ways(device, &[x, x], |tape, v| {
            ops::batch_norm_add_relu(tape, &v[0], &gamma, &beta, &v[1], &running, mode.clone())
        })?;
    }
    Ok(())
}

fn products(device: &Device) -> Result<()> {
    let (x, weight): (&[usize], &[usize]) = (&[2, 8, 8, 64], &[64, 3, 3, 64]);
    let same = Stride {
        stride: 1,
        padding: 1,
    };
    let one = Stride {
        stride: 1,
        padding: 0,
    };
    both_ways(device, &[x, weight], |tape, v| {
        ops::conv2d(tape, &v[0], &v[1], same)
    })?;
    // Weights so small that their gradient's sum over pixels is split.
    both_ways(device, &[X, &[64, 1, 1, 64]], |tape, v| {
        ops::conv2d(tape, &v[0], &v[1], one)
    })?;
    // What takes the larger tiles, forward and backward.
    for (c, k, stride) in [(128, 128, same), (1024, 256, one), (256, 1024, one)] {
        let window = 1 + 2 * stride.padding as usize;
        both_ways(
            device,
            &[&[1, 12, 12, c], &[k, window, window, c]],
            |tape, v| ops::conv2d(tape, &v[0], &v[1], stride),
        )?;
    }
    // Channels that are none of tensor cores'.
    both_ways(device, &[&[2, 12, 12, 60], &[60, 3, 3, 60]], |tape, v| {
        ops::conv2d(tape, &v[0], &v[1], same)
    })?;
    both_ways(device, &[&[130, 70], &[66, 70]], |tape, v| {
        ops::linear(tape, &v[0], &v[1])
    })?;
    // A weight that is used twice: its gradients are added, as f32.
    both_ways(device, &[&[128, 64], &[64, 64]], |tape, v| {
        let y = ops::linear(tape, &v[0], &v[1])?;
        ops::linear(tape, &y, &v[1])
    })?;
    let bias = Tensor::from_f32(device, [128], &noise(1, 128))?;
    both_ways(device, &[&[128, 192], &[128, 192]], |tape, v| {
        let bias = tape.leaf(&bias);
        ops::linear_bias(tape, &v[0], &v[1], &bias)
    })
}

fn losses(device: &Device) -> Result<()> {
    let targets: Vec<u32> = (0..64).map(|i| i * 7 % 100).collect();
    let targets = Tensor::from_u32(device, [64], &targets)?;
    both_ways(device, &[&[64, 128]], |tape, v| {
        ops::cross_entropy(tape, &v[0], &targets)
    })?;
    both_ways(device, &[&[64, 128]], |tape, v| {
        ops::l2_normalize(tape, &v[0])
    })?;
    for d in [192, 70] {
        both_ways(device, &[&[128, d], &[128, d]], |tape, v| {
            ops::cross_correlation(tape, &v[0], &v[1], 0.0051)
        })?;
    }
    ops::deal_rows(
        &Tensor::from_slice(device, [64, 128], &noise(5, 64 * 128))?,
        8,
    )?;
    both_ways(device, &[&[64, 128], &[64, 128]], |tape, v| {
        ops::cosine_distance(tape, &v[0], &v[1])
    })?;
    for d in [64, 128, 256] {
        both_ways(device, &[&[128, d]], |tape, v| {
            ops::nt_xent(tape, &v[0], 0.1)
        })?;
        let negatives = ops::ring_first(device, 256, d, 1)?;
        both_ways(device, &[&[128, d], &[128, d]], |tape, v| {
            ops::info_nce(tape, &v[0], &v[1], &negatives, 0.1)
        })?;
    }
    Ok(())
}

/// A memory bank of so many images that few of them are met twice.
fn banks(device: &Device) -> Result<()> {
    const IMAGES: usize = 20_000;
    let bank = ops::bank_first(device, IMAGES, 128, 1)?;
    let step = Tensor::from_u32(device, [1], &[1])?;
    let among = Candidates {
        bank: bank.clone(),
        positives: Tensor::from_u32(device, [6], &[3, 1, 4, 15, 9, 2])?,
        negatives: ops::draw_negatives(1, &step, [6, 600], IMAGES)?,
    };
    // Known, as it is in all steps but the first.
    let constant = Tensor::from_f32(device, [1], &[3e4])?;
    for form in [Form::Softmax, Form::Nce { constant }] {
        both_ways(device, &[&[6, 128]], |tape, v| {
            ops::bank_nce(tape, &v[0], &among, &form, 0.5)
        })?;
    }
    let v = Tensor::from_slice(device, [6, 128], &noise(1, 6 * 128))?;
    ops::bank_update(&bank, &v, &among.positives, 0.5)
}

/// Prototypes: as many as a block holds, and more; eight crops that tell one another's.
fn clusters(device: &Device) -> Result<()> {
    let prototypes = Tensor::from_f32(device, [64, 128], &noise(1, 64 * 128))?;
    ops::normalize_rows(&prototypes, Some(&copy::to_real(&prototypes)?))?;
    let codes = Tensor::from_f32(device, [2 * 8, 512], &noise(1, 2 * 8 * 512))?;
    both_ways(device, &[&[8 * 8, 512]], |tape, v| {
        ops::swapped_prediction(tape, &v[0], &codes, 0.1)
    })?;
    for (n, k) in [(64, 512), (8, 8256)] {
        let scores = Tensor::from_slice(device, [n, k], &noise(1, n * k))?;
        for hard in [false, true] {
            let how = Assignment {
                epsilon: 0.05,
                iterations: 3,
                hard,
            };
            sinkhorn(&scores, n / 2, &how)?;
        }
    }
    Ok(())
}

/// The beginning of a network for large images.
fn stem(device: &Device) -> Result<()> {
    let stride = Stride {
        stride: 2,
        padding: 3,
    };
    let weight: &[usize] = &[64, 7, 7, 3];
    both_ways(device, &[&[2, 64, 64, 3], weight], |tape, v| {
        Ok(ops::conv2d_image(tape, &v[0].detach(), &v[1], stride)?.0)
    })?;
    let case = Case::new(2048, 64, Mode::Train);
    let (gamma, beta) = (case.gamma(device)?, case.beta(device)?);
    let (gamma, beta) = (Var::constant(gamma), Var::constant(beta));
    let running = case.running(device)?;
    both_ways(device, &[&[2, 32, 32, 64]], |tape, v| {
        ops::batch_norm_relu_max_pool(tape, &v[0], &gamma, &beta, &running, Mode::Train)
    })
}

fn images(device: &Device) -> Result<()> {
    let pixels = crate::augment::bytes(1, 8 * 64 * 64 * 3);
    let pixels = Tensor::from_u8(device, [8, 64, 64, 3], &pixels)?;
    let rows: Vec<u32> = (0..8).collect();
    let rows = Tensor::from_u32(device, [8], &rows)?;
    let boxes = [[8.0, 8.0, 48.0, 48.0, 0.0, 1.0]; 8];
    let boxes = Tensor::from_f32(device, [8, 6], boxes.as_flattened())?;
    let epoch = Tensor::from_u32(device, [1], &[0])?;
    let views = augment_crop::crop(&pixels, &rows, &boxes, 32)?;
    let pirl = Recipe {
        photometric_probability: 1.0,
        ..Recipe::simclr_cifar()
    };
    for recipe in [Recipe::simclr_imagenet(), Recipe::simclr_cifar(), pirl] {
        augment::views(&views, &rows, &recipe, 1, &epoch, 0)?;
    }
    Ok(())
}

fn parameters(device: &Device) -> Result<()> {
    const N: usize = 40_000;
    let [values, gradients, velocities] =
        [1, 2, 3].map(|seed| Tensor::from_f32(device, [N], &noise(seed, N)));
    let (values, gradients, velocities) = (values?, gradients?, velocities?);
    let whole = Segment {
        offset: 0,
        length: N,
        adapt: true,
        decay: 1.0,
    };
    let segments = Segments::new(device, &[whole])?;
    let step = Step {
        lr: Tensor::from_f32(device, [2], &[0.1, 0.1])?,
        momentum: 0.9,
        weight_decay: 1e-4,
        rule: Rule::Lars { trust: 0.02 },
    };
    optimize::step(&values, None, &gradients, &velocities, &segments, &step)?;
    ema::ema(&velocities, None, &values, 0.99)?;
    let reals = copy::to_real(&velocities)?;
    ema::ema(&velocities, Some(&reals), &values, 0.99)?;
    copy::to_f32(&copy::to_real(&values)?)?;
    copy::copy(&values, &velocities)?;
    copy::full(device, [N], 1.0)?;
    let (ring, rows) = (copy::to_real(&values)?, copy::to_real(&velocities)?);
    let pointer = Tensor::from_u32(device, [1], &[600])?;
    let rows = rows.slice(0, [256, 64]);
    ops::ring_push(&ring.reshape([625, 64]), &rows, &pointer)
}

/// Every kernel that a GPU of this compute capability would take.
pub fn launch_all(real: Real, compute: u32) -> Vec<Count> {
    let options = EmulatorOptions {
        compute,
        ..EmulatorOptions::default()
    };
    let (device, counts) = Device::emulated_and_counted(real, options);
    for launches in [
        elementwise_and_pools,
        rows,
        norms,
        products,
        stem,
        losses,
        banks,
        clusters,
        images,
        parameters,
    ] {
        launches(&device).unwrap_or_else(|why| panic!("{why}"));
    }
    counts.take()
}
