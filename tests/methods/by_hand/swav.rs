use super::*;
use selfsame::{
    methods::{SwAv, swav},
    nn::layers::Linear,
    ops::sinkhorn::Assignment,
};

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

/// Of a code and the softmax of scores, at 0.1.
fn cross_entropy(q: &[f64], scores: &[f64]) -> f64 {
    let lse = scores.iter().map(|s| (s / 0.1).exp()).sum::<f64>().ln();
    let terms = q.iter().zip(scores).map(|(q, s)| q * (lse - s / 0.1));
    terms.sum()
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
            let mut maps = |x: &Var| net.encoder.forward(pass, x).unwrap();
            let both = [maps(x), maps(&Var::constant(small.clone()))];
            let all = selfsame::ops::concat_rows(&mut pass.tape, [&both[0], &both[1]]);
            head.forward(pass, &all.unwrap()).unwrap()
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
            expected += mean(rows.map(|(q, s)| cross_entropy(q, s))) / 8.0;
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
    method.begin(5, 3); // it is full
    let before = to_rows(&rings[0]);
    let step = method.loss(&mut Pass::train(&params), &batch).unwrap();
    close(&step.loss.value, expected);
    let after = to_rows(&rings[0]);
    assert_eq!(after[N..], before[N..]);
    let off: f64 = after[0].iter().zip(&z[0]).map(|(a, b)| (a - b).abs()).sum();
    assert!(off < 1e-5);
}

/// Filled from its epoch on, used once it is full; the prototypes stand still at first.
#[test]
fn a_step_decides_its_phase() {
    let mut net = net();
    let head = net.head("head", Norm::Hidden);
    let prototypes = Linear::new(&mut net.layout, "head.prototypes", [D, 4], false);
    let ring = || (units(8, 16), numbers([0]));
    let ((first, at), (second, at_second)) = (ring(), ring());
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
            rings: [first, second],
            pointers: [at, at_second],
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
}
