//! Methods whose loss is the cross-entropy of a class: of the image, of its turn, of its patches' order.
use super::*;
use selfsame::{
    methods::{Jigsaw, Rotation, Supervised},
    nn::layers::{BatchNorm, Linear},
};

/// Labels and targets that differ, so that one taken for the other shows.
fn batch_of(views: Tensor, classes: u32) -> (Batch, [Vec<u32>; 2]) {
    let drawn = [3, 5].map(|times| {
        (0..N as u32)
            .map(|i| times * i % classes)
            .collect::<Vec<_>>()
    });
    let batch = Batch {
        labels: numbers(drawn[0].clone()),
        targets: numbers(drawn[1].clone()),
        ..batch(vec![views])
    };
    (batch, drawn)
}

/// Its mean over rows of logits.
fn cross_entropy(logits: &Rows, classes: &[u32]) -> f64 {
    let of = |(row, &class): (&Vec<f64>, &u32)| {
        row.iter().map(|s| s.exp()).sum::<f64>().ln() - row[class as usize]
    };
    mean(logits.iter().zip(classes).map(of))
}

#[test]
fn supervised_and_rotation() {
    let mut net = net();
    let sizes = [net.encoder.features(), 4];
    let classifier = Linear::new(&mut net.layout, "head.class", sizes, true);
    let params = net.params(1);
    let views = images(0, N);
    let (batch, [labels, targets]) = batch_of(views.clone(), 4);
    let layers = |pass: &mut Pass, x: &Var| {
        let h = net.encoder.forward(pass, x).unwrap();
        classifier.forward(pass, &h).unwrap()
    };
    let logits = output(&params, layers, views);
    let [by_label, by_target] = [labels, targets].map(|classes| cross_entropy(&logits, &classes));
    assert!((by_label - by_target).abs() > 0.01);
    let mut supervised = Supervised {
        encoder: net.encoder.clone(),
        classifier: classifier.clone(),
    };
    check(&mut supervised, &params, &batch, by_label);
    let mut rotation = Rotation {
        encoder: net.encoder,
        classifier,
    };
    check(&mut rotation, &params, &batch, by_target);
}

/// An image's nine patches, each through one layer, lie side by side in the order given.
#[test]
fn jigsaw() {
    let mut net = net();
    let features = net.encoder.features();
    let patch = Linear::new(&mut net.layout, "head.patch", [features, 10], false);
    let norm = BatchNorm::new(&mut net.layout, "head.norm", 10);
    let classifier = Linear::new(&mut net.layout, "head.order", [90, 5], true);
    let params = net.params(1);
    let patches = images(0, 9 * N);
    let (batch, [_, targets]) = batch_of(patches.clone(), 5);
    let layers = |pass: &mut Pass, x: &Var| {
        let h = net.encoder.forward(pass, x).unwrap();
        let h = patch.forward(pass, &h).unwrap();
        norm.forward_relu(pass, &h, None).unwrap()
    };
    let of_patches = output(&params, layers, patches);
    let side_by_side: Vec<f32> = of_patches.concat().iter().map(|&x| x as f32).collect();
    let classify = |pass: &mut Pass, x: &Var| classifier.forward(pass, x).unwrap();
    let logits = output(&params, classify, tensor(&[N, 90], &side_by_side));
    let expected = cross_entropy(&logits, &targets);
    let mut method = Jigsaw {
        encoder: net.encoder,
        patch,
        norm,
        classifier,
    };
    check(&mut method, &params, &batch, expected);
}
