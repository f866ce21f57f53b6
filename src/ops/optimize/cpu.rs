//! The optimizer's definition on the CPU.
use crate::device::{Host, kernels::OptimizeStep};
use rayon::prelude::*;

pub fn step(p: &OptimizeStep, memory: &Host) {
    let n = p.n as usize;
    let mut values = memory.write::<f32>(p.values, n);
    let gradients = memory.read::<f32>(p.gradients, n);
    let mut velocities = memory.write::<f32>(p.velocities, n);
    let chunks = memory.read::<u32>(p.chunks, 3 * p.chunk_count as usize);
    let rates = memory.read::<f32>(p.rates, 3 * p.segment_count as usize);
    if memory.read::<f32>(p.summary, 2)[1] > 0.0 {
        return;
    }
    let copied = if p.reals.is_null() { 0 } else { n };
    let mut reals = memory.write::<f32>(p.reals, copied);
    let (mut pieces, mut at) = (Vec::new(), 0);
    for chunk in chunks.chunks(3) {
        let [offset, length, segment] = [0, 1, 2].map(|field| chunk[field] as usize);
        let (value, velocity, mut real): (_, _, &mut [f32]) = (
            take(&mut values, offset - at, length),
            take(&mut velocities, offset - at, length),
            &mut [],
        );
        if !p.reals.is_null() {
            real = take(&mut reals, offset - at, length);
        }
        at = offset + length;
        let rates = &rates[3 * segment..][..3];
        pieces.push((value, real, &gradients[offset..at], velocity, rates));
    }
    pieces
        .into_par_iter()
        .for_each(|(values, reals, gradients, velocities, rates)| {
            let [scale, decay, lr] = [rates[0], rates[1], rates[2]];
            // lr (step + momentum velocity) is lr velocity where these are 0 and 1.
            let (now, later) = match p.nesterov {
                0 => (0.0, 1.0),
                _ => (1.0, p.momentum),
            };
            for ((value, gradient), velocity) in values.iter_mut().zip(gradients).zip(velocities) {
                let step = scale * (gradient + decay * *value);
                *velocity = p.momentum * *velocity + step;
                *value -= lr * (now * step + later * *velocity);
            }
            reals.copy_from_slice(&values[..reals.len()]);
        });
}

/// The `length` elements after `skip`; `from` goes on behind them.
fn take<'a>(from: &mut &'a mut [f32], skip: usize, length: usize) -> &'a mut [f32] {
    let (taken, rest) = std::mem::take(from)[skip..].split_at_mut(length);
    *from = rest;
    taken
}

/// The sums of v^2, g^2 and (g + decay v)^2: in eight lanes, so that the compiler makes vectors of them.
pub fn squares(values: &[f32], gradients: &[f32], decay: f32) -> [f32; 3] {
    const LANES: usize = 8;
    let mut lanes = [[0.0f32; LANES]; 3];
    let mut add = |lane: usize, v: f32, g: f32| {
        let d = g + decay * v;
        lanes[0][lane] += v * v;
        lanes[1][lane] += g * g;
        lanes[2][lane] += d * d;
    };
    let (values, values_left) = values.as_chunks::<LANES>();
    let (gradients, gradients_left) = gradients.as_chunks::<LANES>();
    for (v, g) in values.iter().zip(gradients) {
        (0..LANES).for_each(|lane| add(lane, v[lane], g[lane]));
    }
    for (lane, (v, g)) in values_left.iter().zip(gradients_left).enumerate() {
        add(lane, *v, *g);
    }
    lanes.map(|lanes| lanes.iter().sum())
}
