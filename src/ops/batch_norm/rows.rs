//! What the batch normalisations do on the CPU: loops over the rows of (rows, channels), whose inner
//! loop is over channels, contiguous and free of bounds checks, so that the compiler makes vectors of it.
use rayon::prelude::*;

/// Elements a rayon task handles: large enough to pay for its start, small enough to balance.
const TASK: usize = 1 << 15;
/// Rows added up before their sum meets the sums so far: those are then loaded and stored less often.
const TOGETHER: usize = 4;

/// Rows of (rows, channels) that make a task.
pub(in crate::ops) fn task(channels: usize) -> usize {
    (TASK / channels).max(1)
}

/// y[r, c] = body(inputs[r, c], parameters[c]).
pub(in crate::ops) fn map<const N: usize>(
    y: &mut [f32],
    inputs: [&[f32]; 2],
    parameters: [&[f32]; N],
    body: impl Fn([f32; 2], [f32; N]) -> f32 + Sync,
) {
    let channels = parameters[0].len();
    let task = task(channels) * channels;
    y.par_chunks_mut(task).enumerate().for_each(|(at, y)| {
        let inputs = inputs.map(|input| &input[at * task..][..y.len()]);
        map_here(y, inputs, parameters, &body);
    });
}

/// `map`, on the calling thread.
pub(in crate::ops) fn map_here<const N: usize>(
    y: &mut [f32],
    inputs: [&[f32]; 2],
    parameters: [&[f32]; N],
    body: &impl Fn([f32; 2], [f32; N]) -> f32,
) {
    let channels = parameters[0].len();
    for (row, y) in y.chunks_exact_mut(channels).enumerate() {
        let inputs = inputs.map(|input| &input[row * channels..][..channels]);
        map_row(y, inputs, parameters, body);
    }
}

/// A function of its own: that its slices do not overlap is known of arguments only.
#[inline(never)]
fn map_row<const N: usize>(
    y: &mut [f32],
    [a, b]: [&[f32]; 2],
    parameters: [&[f32]; N],
    body: &impl Fn([f32; 2], [f32; N]) -> f32,
) {
    let n = y.len();
    let (a, b) = (&a[..n], &b[..n]);
    let parameters = parameters.map(|parameter| &parameter[..n]);
    for i in 0..n {
        y[i] = body([a[i], b[i]], std::array::from_fn(|k| parameters[k][i]));
    }
}

/// partial (chunks, 2, channels): of each chunk of rows, the sums of body(inputs[r, c], parameters[c]).
pub(in crate::ops) fn sum_chunks<const N: usize>(
    partial: &mut [f32],
    chunk_rows: u32,
    inputs: [&[f32]; 2],
    parameters: [&[f32]; N],
    body: impl Fn([f32; 2], [f32; N]) -> [f32; 2] + Sync,
) {
    let channels = parameters[0].len();
    let [a, b] = inputs.map(|input| input.par_chunks(chunk_rows as usize * channels));
    let chunks = a.zip(b).zip(partial.par_chunks_mut(2 * channels));
    chunks.for_each(|((a, b), sums)| sum(sums, [a, b], parameters, &body));
}

/// sums (2, channels) = the sums over rows of body(inputs[r, c], parameters[c]); on the calling thread.
pub(in crate::ops) fn sum<const N: usize>(
    sums: &mut [f32],
    inputs: [&[f32]; 2],
    parameters: [&[f32]; N],
    body: impl Fn([f32; 2], [f32; N]) -> [f32; 2],
) {
    let channels = sums.len() / 2;
    sums.fill(0.0);
    let (first, second) = sums.split_at_mut(channels);
    let [a, b] = inputs.map(|input| input.chunks(TOGETHER * channels));
    for (a, b) in a.zip(b) {
        if a.len() == TOGETHER * channels {
            add_rows::<TOGETHER, N>([first, second], [a, b], parameters, &body);
        } else {
            let rows = a.chunks(channels).zip(b.chunks(channels));
            rows.for_each(|(a, b)| {
                add_rows::<1, N>([first, second], [a, b], parameters, &body);
            });
        }
    }
}

#[inline(never)]
fn add_rows<const ROWS: usize, const N: usize>(
    [first, second]: [&mut [f32]; 2],
    inputs: [&[f32]; 2],
    parameters: [&[f32]; N],
    body: &impl Fn([f32; 2], [f32; N]) -> [f32; 2],
) {
    let n = first.len();
    let second = &mut second[..n];
    let [a, b]: [[&[f32]; ROWS]; 2] =
        inputs.map(|input| std::array::from_fn(|row| &input[row * n..][..n]));
    let parameters = parameters.map(|parameter| &parameter[..n]);
    for i in 0..n {
        let parameters = std::array::from_fn(|k| parameters[k][i]);
        let mut sum = [0.0; 2];
        for row in 0..ROWS {
            let term = body([a[row][i], b[row][i]], parameters);
            sum = [sum[0] + term[0], sum[1] + term[1]];
        }
        first[i] += sum[0];
        second[i] += sum[1];
    }
}
