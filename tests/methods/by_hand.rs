//! A step of each method against the same step worked out from the network's outputs on the host, in f64, as
//! its paper states it.
use selfsame::{
    Device, Tensor, Var,
    methods::{
        BarlowTwins, Batch, Invariance, Method, MoCo, Pirl, RelativePosition, SimClr, SimClrBank,
        SwAv, pirl::Transformed, swav,
    },
    nn::{
        Architecture, Layout, Params, Pass, Projector, ResNet, Stem,
        heads::Norm,
        layers::{BatchNorm, Linear},
    },
    ops::{bank_nce::Form, draw_negatives::draw_negatives, sinkhorn::Assignment},
    random::{Draws, Purpose},
};
use std::sync::Arc;

type Rows = Vec<Vec<f64>>;

const N: usize = 8; // images
const D: usize = 6; // of an embedding
const SIDE: usize = 12;

thread_local! {
    static CPU: Device = Device::cpu();
}

/// A test's one: tensors of two do not meet.
fn cpu() -> Device {
    CPU.with(Device::clone)
}

fn noise(stream: u32, n: usize) -> Vec<f32> {
    let mut draws = Draws::new(5, Purpose::Synthetic, 0, stream, 0);
    (0..n).map(|_| draws.normal()).collect()
}

fn tensor(dims: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_slice(&cpu(), dims, values).unwrap()
}

/// (rows, side, side, 3).
fn images(stream: u32, rows: usize) -> Tensor {
    tensor(
        &[rows, SIDE, SIDE, 3],
        &noise(stream, rows * SIDE * SIDE * 3),
    )
}

fn numbers(values: impl IntoIterator<Item = u32>) -> Tensor {
    let values: Vec<u32> = values.into_iter().collect();
    Tensor::from_u32(&cpu(), [values.len()], &values).unwrap()
}

fn batch(views: Vec<Tensor>) -> Batch {
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
fn units(stream: u32, rows: usize) -> Tensor {
    let values: Vec<f32> = to_rows(&tensor(&[rows, D], &noise(stream, rows * D)))
        .iter()
        .flat_map(|row| unit(row))
        .map(|x| x as f32)
        .collect();
    tensor(&[rows, D], &values)
}

fn to_rows(t: &Tensor) -> Rows {
    let columns = *t.dims().last().unwrap();
    let values = t.to_vec().unwrap();
    let row = |row: &[f32]| row.iter().map(|&x| x as f64).collect();
    values.chunks(columns).map(row).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(row: &[f64]) -> Vec<f64> {
    let norm = dot(row, row).sqrt();
    row.iter().map(|x| x / norm).collect()
}

/// -log softmax(logits)[0].
fn first_of(logits: &[f64]) -> f64 {
    logits.iter().map(|s| s.exp()).sum::<f64>().ln() - logits[0]
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

#[track_caller]
fn close(found: &Tensor, expected: f64) {
    let found = found.item().unwrap() as f64;
    let off = (found - expected).abs() / expected.abs().max(1e-3);
    assert!(off < 2e-4, "loss {found}, by hand {expected}");
}

struct Net {
    layout: Layout,
    encoder: ResNet,
}

fn net() -> Net {
    let mut layout = Layout::default();
    let encoder = ResNet::new(&mut layout, Architecture::Tiny, Stem::Cifar, 1);
    Net { layout, encoder }
}

impl Net {
    fn head(&mut self, name: &str, norm: Norm) -> Projector {
        let sizes = [self.encoder.features(), 10, D];
        Projector::new(&mut self.layout, name, &sizes, norm)
    }
    fn params(&self, seed: u64) -> Params {
        Params::new(&cpu(), &Arc::new(self.layout.clone()), seed).unwrap()
    }
}

/// What `layers` make of `views`, batch norm by their own statistics, which are forgotten.
fn output(params: &Params, layers: impl Fn(&mut Pass, &Var) -> Var, views: Tensor) -> Rows {
    let params = params.with_own_statistics().unwrap();
    let mut pass = Pass::constant(&params);
    to_rows(&layers(&mut pass, &Var::constant(views)).value)
}

fn embed<'a>(encoder: &'a ResNet, head: &'a Projector) -> impl Fn(&mut Pass, &Var) -> Var + 'a {
    |pass, x| {
        let h = encoder.forward(pass, x).unwrap();
        head.forward(pass, &h).unwrap()
    }
}

#[test]
fn simclr() {
    let mut net = net();
    let head = net.head("head", Norm::All);
    let params = net.params(1);
    let batch = batch(vec![images(0, 2 * N)]);
    let z = output(&params, embed(&net.encoder, &head), batch.views[0].clone());
    let z: Rows = z.iter().map(|row| unit(row)).collect();
    let row = |i: usize| {
        let positive = (i + N) % (2 * N);
        let others = (0..2 * N).filter(|&j| j != i && j != positive);
        let logits: Vec<f64> = [positive]
            .into_iter()
            .chain(others)
            .map(|j| dot(&z[i], &z[j]) / 0.5)
            .collect();
        first_of(&logits)
    };
    let expected = mean((0..2 * N).map(row));
    let mut method = SimClr {
        encoder: net.encoder,
        head,
        temperature: 0.5,
    };
    close(
        &method
            .loss(&mut Pass::train(&params), &batch)
            .unwrap()
            .loss
            .value,
        expected,
    );
}

#[test]
fn simclr_with_a_bank() {
    let mut net = net();
    let head = net.head("head", Norm::All);
    let params = net.params(1);
    let batch = batch(vec![images(0, 2 * N)]);
    let [z, other] =
        [0, 1].map(|view| output(&params, embed(&net.encoder, &head), batch.view(view)));
    let bank = units(7, 12);
    let rows = to_rows(&bank);
    let row = |i: usize| {
        let (z, positive) = (unit(&z[i]), unit(&other[i]));
        let others = rows.iter().map(|row| dot(&z, row) / 0.2);
        let logits: Vec<f64> = [dot(&z, &positive) / 0.2]
            .into_iter()
            .chain(others)
            .collect();
        first_of(&logits)
    };
    let expected = mean((0..N).map(row));
    let mut method = SimClrBank {
        encoder: net.encoder,
        head,
        bank: bank.clone(),
        pointer: numbers([9]),
        temperature: 0.2,
        latest: None,
    };
    let mut pass = Pass::train(&params);
    let step = method.loss(&mut pass, &batch).unwrap();
    close(&step.loss.value, expected);
    assert_eq!(to_rows(&bank), rows, "it moves once the gradient is known");
    pass.backward(&step.loss, &params.zeros().unwrap()).unwrap();
    method.after_backward(&batch, &step).unwrap();
    let (moved, latest) = (to_rows(&bank), unit(&other[4]));
    // eight rows from row 9 of twelve on: the fourth is row 0, the fifth row 1
    let off: f64 = moved[1]
        .iter()
        .zip(&latest)
        .map(|(a, b)| (a - b).abs())
        .sum();
    assert!(off < 1e-5, "{:?} is not {latest:?}", moved[1]);
    assert_eq!(moved[8], rows[8], "not its turn");
    assert_eq!(method.pointer.to_u32().unwrap(), [5]);
}

fn moco(net: Net, head: Projector, key: Params, groups: usize) -> MoCo {
    MoCo {
        encoder: net.encoder,
        head,
        key,
        queue: units(7, 12),
        pointer: numbers([0]),
        temperature: 0.2,
        momentum: 0.75,
        symmetric: false,
        groups,
        latest: Vec::new(),
    }
}

fn info_nce(q: &Rows, k: &Rows, queue: &Rows) -> f64 {
    let row = |(q, k): (&Vec<f64>, &Vec<f64>)| {
        let (q, k) = (unit(q), unit(k));
        let negatives = queue.iter().map(|row| dot(&q, row) / 0.2);
        let logits: Vec<f64> = [dot(&q, &k) / 0.2].into_iter().chain(negatives).collect();
        first_of(&logits)
    };
    mean(q.iter().zip(k).map(row))
}

/// The key encoder moves before the keys are made; its batch norm remembers for itself.
#[test]
fn moco_step() {
    let mut net = net();
    let head = net.head("head", Norm::None);
    let (params, key) = (net.params(1), net.params(2));
    let batch = batch(vec![images(0, 2 * N)]);
    let moved: Vec<f32> = key
        .values
        .to_vec()
        .unwrap()
        .iter()
        .zip(params.values.to_vec().unwrap())
        .map(|(k, q)| 0.75 * k + 0.25 * q)
        .collect();
    let expected_key = key.deep_copy().unwrap();
    expected_key.values.overwrite(&moved).unwrap();
    expected_key.refresh().unwrap();
    let q = output(&params, embed(&net.encoder, &head), batch.view(0));
    let k = output(&expected_key, embed(&net.encoder, &head), batch.view(1));
    let mut method = moco(net, head, key, 1);
    let queue = to_rows(&method.queue);
    let mut pass = Pass::train(&params);
    let step = method.loss(&mut pass, &batch).unwrap();
    close(&step.loss.value, info_nce(&q, &k, &queue));
    assert_eq!(
        to_rows(&method.queue),
        queue,
        "enqueued once the gradient is known"
    );
    pass.backward(&step.loss, &params.zeros().unwrap()).unwrap();
    method.after_backward(&batch, &step).unwrap();
    let (after, first) = (to_rows(&method.queue), unit(&k[0]));
    let off: f64 = after[0]
        .iter()
        .zip(&first)
        .map(|(a, b)| (a - b).abs())
        .sum();
    assert!(off < 1e-5);
    assert_eq!(after[N..], queue[N..]);
    let statistics = |params: &Params| params.statistics.to_vec().unwrap();
    assert_ne!(
        statistics(&method.key),
        statistics(&params),
        "of its own images"
    );
}

/// Both views in both roles: the sum of the two losses.
#[test]
fn moco_symmetric() {
    let mut net = net();
    let head = net.head("head", Norm::None);
    let params = net.params(1);
    let key = params.deep_copy().unwrap(); // stays where it is
    let batch = batch(vec![images(0, 2 * N)]);
    let [first, second] =
        [0, 1].map(|view| output(&params, embed(&net.encoder, &head), batch.view(view)));
    let mut method = moco(net, head, key, 1);
    method.queue = units(7, 2 * N);
    method.symmetric = true;
    let queue = to_rows(&method.queue);
    let step = method.loss(&mut Pass::train(&params), &batch).unwrap();
    let expected = info_nce(&first, &second, &queue) + info_nce(&second, &first, &queue);
    close(&step.loss.value, expected);
    method.after_backward(&batch, &step).unwrap();
    let replaced = to_rows(&method.queue)
        .iter()
        .zip(&queue)
        .filter(|(a, b)| a != b)
        .count();
    assert_eq!(replaced, 2 * N);
}

/// Queries are normalised with their neighbours, keys with every other image: no two share both groups more
/// often than chance has it.
#[test]
fn moco_in_groups() {
    let mut net = net();
    let head = net.head("head", Norm::All); // a batch norm here too
    let params = net.params(1);
    let key = params.deep_copy().unwrap();
    let batch = batch(vec![images(0, 2 * N)]);
    let pick = |view: usize, which: &[usize]| {
        let all = batch.view(view).to_vec().unwrap();
        let size = SIDE * SIDE * 3;
        let values: Vec<f32> = which
            .iter()
            .flat_map(|&i| all[i * size..][..size].to_vec())
            .collect();
        let rows = output(
            &params,
            embed(&net.encoder, &head),
            tensor(&[which.len(), SIDE, SIDE, 3], &values),
        );
        which.iter().copied().zip(rows).collect::<Vec<_>>()
    };
    let gather = |groups: [Vec<(usize, Vec<f64>)>; 2]| {
        let mut all: Vec<(usize, Vec<f64>)> = groups.into_iter().flatten().collect();
        all.sort_by_key(|(i, _)| *i);
        all.into_iter().map(|(_, row)| row).collect::<Rows>()
    };
    let q = gather([pick(0, &[0, 1, 2, 3]), pick(0, &[4, 5, 6, 7])]);
    let k = gather([pick(1, &[0, 2, 4, 6]), pick(1, &[1, 3, 5, 7])]);
    let mut method = moco(net, head, key, 2);
    let queue = to_rows(&method.queue);
    let step = method.loss(&mut Pass::train(&params), &batch).unwrap();
    close(&step.loss.value, info_nce(&q, &k, &queue));
}

/// VISSL's form: Z is fixed by the first head's scores.
#[test]
fn pirl_by_noise_contrast() {
    let mut net = net();
    let head = net.head("head", Norm::None);
    let patch = net.head("head.patch", Norm::None);
    let all = Linear::new(&mut net.layout, "head.patches", [9 * D, D], true);
    let params = net.params(1);
    let (pictures, patches) = (images(0, N), images(1, 9 * N));
    let batch = batch(vec![pictures.clone(), patches.clone()]);
    let images = 40;
    let values = units(7, images).to_vec().unwrap();
    let bank = Tensor::from_f32(&cpu(), [images, D], &values).unwrap();
    let rows = to_rows(&bank);
    let negatives = 5;
    let drawn = draw_negatives(3, &batch.step, [N, negatives], images)
        .unwrap()
        .to_u32()
        .unwrap();
    let image = output(&params, embed(&net.encoder, &head), pictures);
    let puzzle = output(
        &params,
        |pass, x| {
            let z = embed(&net.encoder, &patch)(pass, x);
            let z = selfsame::ops::relu(&mut pass.tape, &z).unwrap();
            let z = selfsame::ops::reshape(&mut pass.tape, &z, [N, 9 * D]).unwrap();
            all.forward(pass, &z).unwrap()
        },
        patches,
    );
    let scores = |v: &Rows| -> Rows {
        (0..N)
            .map(|i| {
                let own = [3 * i + 1].into_iter();
                let others = drawn[i * negatives..][..negatives]
                    .iter()
                    .map(|&j| j as usize);
                own.chain(others)
                    .map(|j| (dot(&unit(&v[i]), &rows[j]) / 0.5).exp())
                    .collect()
            })
            .collect()
    };
    let (first, second) = (scores(&puzzle), scores(&image));
    let z = images as f64 * mean(first.concat().into_iter());
    let c = negatives as f64 / images as f64;
    let loss = |scores: &Rows| {
        mean(scores.iter().map(|row| {
            row.iter()
                .enumerate()
                .map(|(k, e)| {
                    let x = e / z;
                    let kept = if k == 0 { x } else { c };
                    -(kept / (x + c + 1.1920929e-7)).ln()
                })
                .sum::<f64>()
        }))
    };
    let expected = 0.25 * loss(&first) + 0.75 * loss(&second);
    let mut method = Pirl {
        encoder: net.encoder,
        head,
        transformed: Transformed::Jigsaw {
            patch,
            relu: true,
            all,
        },
        bank: bank.clone(),
        form: Form::Nce {
            constant: Tensor::from_f32(&cpu(), [1], &[0.0]).unwrap(),
        },
        negatives,
        temperature: 0.5,
        lambda: 0.25,
        momentum: 0.5,
        seed: 3,
    };
    let mut pass = Pass::train(&params);
    let step = method.loss(&mut pass, &batch).unwrap();
    close(&step.loss.value, expected);
    pass.backward(&step.loss, &params.zeros().unwrap()).unwrap();
    method.after_backward(&batch, &step).unwrap();
    let after = to_rows(&bank);
    let half: Vec<f64> = rows[4]
        .iter()
        .zip(unit(&image[1]))
        .map(|(m, v)| 0.5 * m + 0.5 * v)
        .collect();
    let off: f64 = after[4]
        .iter()
        .zip(unit(&half))
        .map(|(a, b)| (a - b).abs())
        .sum();
    assert!(off < 1e-5, "the image's row, not the puzzle's");
    assert_eq!(after[5], rows[5]);
}

/// Scores to codes as the authors' code has it: exp, then rows and columns in turn.
fn sinkhorn(scores: &Rows, epsilon: f64, iterations: usize) -> Rows {
    let (n, k) = (scores.len(), scores[0].len());
    let mut q: Rows = scores
        .iter()
        .map(|row| row.iter().map(|s| (s / epsilon).exp()).collect())
        .collect();
    for _ in 0..iterations {
        for prototype in 0..k {
            let sum: f64 = q.iter().map(|row| row[prototype]).sum();
            q.iter_mut()
                .for_each(|row| row[prototype] /= sum * k as f64);
        }
        for row in &mut q {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= sum * n as f64);
        }
    }
    q.iter()
        .map(|row| row.iter().map(|x| x * n as f64).collect())
        .collect()
}

/// With a queue in use, and crops of two sizes.
#[test]
fn swav_step() {
    const K: usize = 4;
    let mut net = net();
    let head = net.head("head", Norm::Hidden);
    let prototypes = Linear::new(&mut net.layout, "head.prototypes", [D, K], false);
    let params = net.params(1);
    let small = tensor(&[3 * N, 8, 8, 3], &noise(2, 3 * N * 8 * 8 * 3));
    let batch = batch(vec![images(0, 2 * N), small.clone()]);
    let entry = params.layout().entry(prototypes.weight()).clone();
    let c: Rows = to_rows(&params.view(&params.values, &entry))
        .iter()
        .map(|row| unit(row))
        .collect();
    // one head over all crops, whose features come size by size
    let z = output(
        &params,
        |pass, x| {
            let large = net.encoder.forward(pass, x).unwrap();
            let small = net
                .encoder
                .forward(pass, &Var::constant(small.clone()))
                .unwrap();
            let all = selfsame::ops::concat_rows(&mut pass.tape, [&large, &small]).unwrap();
            head.forward(pass, &all).unwrap()
        },
        batch.views[0].clone(),
    );
    let z: Rows = z.iter().map(|row| unit(row)).collect();
    let scores = |z: &Rows| -> Rows {
        z.iter()
            .map(|z| c.iter().map(|c| dot(z, c)).collect())
            .collect()
    };
    let rings = [units(8, 16), units(9, 16)];
    let all = scores(&z);
    let mut expected = 0.0;
    for assigned in 0..2 {
        let own = all[assigned * N..][..N].to_vec();
        let queue = scores(&to_rows(&rings[assigned]));
        let q = sinkhorn(&[queue, own].concat(), 0.05, 3)[16..].to_vec();
        for view in (0..5).filter(|&view| view != assigned) {
            let rows = q.iter().zip(&all[view * N..][..N]);
            expected += mean(rows.map(|(q, s)| {
                let lse = s.iter().map(|s| (s / 0.1).exp()).sum::<f64>().ln();
                q.iter()
                    .zip(s)
                    .map(|(q, s)| q * (lse - s / 0.1))
                    .sum::<f64>()
            })) / 8.0;
        }
    }
    let mut method = SwAv {
        encoder: net.encoder,
        head,
        prototypes,
        temperature: 0.1,
        assignment: Assignment {
            epsilon: 0.05,
            iterations: 3,
            hard: false,
        },
        queue: Some(swav::Queue {
            rings: rings.clone(),
            pointers: [numbers([0]), numbers([0])],
            steps: 2,
            from: 1,
            state: swav::State::Idle,
        }),
        freeze_steps: 2,
    };
    // 3 steps an epoch: filled in steps 3 and 4, used from step 5
    let states = [0, 2, 3, 4, 5].map(|step| method.begin(step, 3));
    assert_eq!(states.map(|phase| phase.number), [0, 0, 1, 1, 2]);
    assert_eq!(
        states.map(|phase| phase.frozen),
        [true, false, false, false, false]
    );
    let before = to_rows(&rings[0]);
    let step = method.loss(&mut Pass::train(&params), &batch).unwrap();
    close(&step.loss.value, expected);
    let after = to_rows(&rings[0]);
    assert_eq!(after[N..], before[N..]);
    let off: f64 = after[0].iter().zip(&z[0]).map(|(a, b)| (a - b).abs()).sum();
    assert!(off < 1e-5);
}

#[test]
fn barlow_twins() {
    let mut net = net();
    let head = net.head("head", Norm::Outside);
    let params = net.params(1);
    let batch = batch(vec![images(0, 2 * N)]);
    let [a, b] = [0, 1].map(|view| {
        let mut z = output(&params, embed(&net.encoder, &head), batch.view(view));
        for d in 0..D {
            let mu = mean(z.iter().map(|row| row[d]));
            let variance = mean(z.iter().map(|row| (row[d] - mu).powi(2)));
            z.iter_mut()
                .for_each(|row| row[d] = (row[d] - mu) / (variance + 1e-5).sqrt());
        }
        z
    });
    let mut expected = 0.0;
    for i in 0..D {
        for j in 0..D {
            let c = mean(a.iter().zip(&b).map(|(a, b)| a[i] * b[j]));
            expected += if i == j {
                (1.0 - c).powi(2)
            } else {
                0.1 * c * c
            };
        }
    }
    let mut method = BarlowTwins {
        encoder: net.encoder,
        head,
        off_diagonal: 0.1,
    };
    close(
        &method
            .loss(&mut Pass::train(&params), &batch)
            .unwrap()
            .loss
            .value,
        expected,
    );
}

#[test]
fn invariance() {
    let mut net = net();
    let head = net.head("head", Norm::All);
    let params = net.params(1);
    let batch = batch(vec![images(0, 2 * N)]);
    let [a, b] = [0, 1].map(|view| output(&params, embed(&net.encoder, &head), batch.view(view)));
    let expected = mean(a.iter().zip(&b).map(|(a, b)| 1.0 - dot(&unit(a), &unit(b))));
    let mut method = Invariance {
        encoder: net.encoder,
        head,
    };
    close(
        &method
            .loss(&mut Pass::train(&params), &batch)
            .unwrap()
            .loss
            .value,
        expected,
    );
}

/// The centre and each neighbour, in reading order; nothing dropped.
#[test]
fn relative_position() {
    let mut net = net();
    let features = net.encoder.features();
    let hidden = Linear::new(&mut net.layout, "head.pair", [2 * features, 10], false);
    let norm = BatchNorm::new(&mut net.layout, "head.norm", 10);
    let classifier = Linear::new(&mut net.layout, "head.side", [10, 8], true);
    let params = net.params(1);
    let patches = images(0, 9 * N);
    let batch = batch(vec![patches.clone()]);
    let h = output(
        &params,
        |pass, x| net.encoder.forward(pass, x).unwrap(),
        patches,
    );
    let mut pairs = Vec::new();
    for image in 0..N {
        for side in [0, 1, 2, 3, 5, 6, 7, 8] {
            pairs.extend([&h[9 * image + 4][..], &h[9 * image + side]].concat());
        }
    }
    let pairs: Vec<f32> = pairs.iter().map(|&x| x as f32).collect();
    let logits = output(
        &params,
        |pass, x| {
            let h = hidden.forward(pass, x).unwrap();
            let h = norm.forward_relu(pass, &h, None).unwrap();
            classifier.forward(pass, &h).unwrap()
        },
        tensor(&[8 * N, 2 * features], &pairs),
    );
    let expected = mean(
        logits
            .iter()
            .enumerate()
            .map(|(i, row)| row.iter().map(|s| s.exp()).sum::<f64>().ln() - row[i % 8]),
    );
    let mut method = RelativePosition {
        encoder: net.encoder,
        hidden,
        norm,
        dropout: 0.0,
        classifier,
        sides: numbers((0..8 * N as u32).map(|i| i % 8)),
        seed: 0,
    };
    close(
        &method
            .loss(&mut Pass::train(&params), &batch)
            .unwrap()
            .loss
            .value,
        expected,
    );
}
