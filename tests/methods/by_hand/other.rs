use super::*;
use selfsame::{
    methods::{BarlowTwins, Invariance, RelativePosition},
    nn::layers::{BatchNorm, Linear},
};

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
    check(&mut method, &params, &batch, expected);
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
    check(&mut method, &params, &batch, expected);
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
    check(&mut method, &params, &batch, expected);
}
