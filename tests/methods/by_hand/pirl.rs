use super::*;
use selfsame::{
    methods::{Pirl, pirl::Transformed},
    nn::layers::Linear,
    ops::{bank_nce::Form, draw_negatives::draw_negatives},
};

const NEGATIVES: usize = 5;

/// exp(s / T) of each row of v with its own row of the bank, then with those drawn.
fn exponentials(v: &Rows, bank: &Rows, drawn: &[u32]) -> Rows {
    let of = |i: usize| {
        let others = drawn[i * NEGATIVES..][..NEGATIVES].iter();
        let all = [3 * i + 1].into_iter().chain(others.map(|&j| j as usize));
        all.map(|j| (dot(&unit(&v[i]), &bank[j]) / 0.5).exp())
            .collect()
    };
    (0..N).map(of).collect()
}

/// The mean over rows of -ln h of the first and -ln(1 - h) of the others, h = x / (x + c).
fn nce(exponentials: &Rows, z: f64, c: f64) -> f64 {
    let term = |(k, e): (usize, &f64)| {
        let x = e / z;
        let kept = if k == 0 { x } else { c };
        -(kept / (x + c + 1.1920929e-7)).ln()
    };
    let row = |row: &Vec<f64>| row.iter().enumerate().map(term).sum::<f64>();
    mean(exponentials.iter().map(row))
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
    let drawn = draw_negatives(3, &batch.step, [N, NEGATIVES], images)
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
    let scores = |v: &Rows| exponentials(v, &rows, &drawn);
    let (first, second) = (scores(&puzzle), scores(&image));
    let z = images as f64 * mean(first.concat().into_iter());
    let c = NEGATIVES as f64 / images as f64;
    let expected = 0.25 * nce(&first, z, c) + 0.75 * nce(&second, z, c);
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
        negatives: NEGATIVES,
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
