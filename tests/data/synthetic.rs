//! The synthetic set: repeatable, balanced, and not to be solved without learning.
use selfsame::data::{Dataset, resident};

use super::samples::open;

#[test]
fn an_image_is_a_function_of_seed_split_and_number() {
    let set = open("synthetic:100");
    let again = open("synthetic:50");
    assert_eq!(set.decode(17).unwrap(), again.decode(17).unwrap());
    assert_ne!(
        set.decode(17).unwrap(),
        set.decode(27).unwrap(),
        "one class, two images"
    );
    assert_ne!(
        set.decode(17).unwrap(),
        open("synthetic-val").decode(17).unwrap()
    );
    let other = Dataset::open(&["synthetic:100".into()], 1).unwrap();
    assert_ne!(set.decode(17).unwrap(), other.decode(17).unwrap());
    assert_eq!(set.name(17), "synthetic:17");
    assert_eq!((set.label(17), set.classes().len()), (Some(7), 10));
    assert_eq!(open("synthetic:5:64").resident_size(), Some((64, 64)));
}

#[test]
fn a_malformed_word_is_explained() {
    for word in [
        "synthetic:0",
        "synthetic:x",
        "synthetic:5:65",
        "synthetic:5:32:1",
    ] {
        let text = super::samples::message(Dataset::open(&[word.into()], 0));
        assert!(text.contains(word), "{text}");
    }
}

/// Rows of unit length: raw bytes of (n, 32, 32, 3), optionally less their mean.
fn rows(spec: &str, centred: bool) -> (Vec<Vec<f32>>, Vec<u32>) {
    let block = resident(&open(spec), 2).unwrap();
    let row = |pixels: &[u8]| {
        let sum: u32 = pixels.iter().map(|&v| v as u32).sum();
        let mean = if centred {
            sum as f32 / pixels.len() as f32
        } else {
            0.0
        };
        let row: Vec<f32> = pixels.iter().map(|&v| v as f32 - mean).collect();
        let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        row.into_iter().map(|v| v / norm).collect()
    };
    let rows = block.pixels.chunks(3072).map(row).collect();
    (rows, block.labels.into_iter().map(Option::unwrap).collect())
}

/// Weighted vote of the 200 nearest by cosine, weight exp(cosine / 0.1).
fn knn_accuracy(centred: bool) -> f64 {
    let (train, train_labels) = rows("synthetic:5000", centred);
    let (held_out, held_out_labels) = rows("synthetic-val:1000", centred);
    let guess = |row: &Vec<f32>| {
        let cosines = train.iter().map(|other| cosine(row, other));
        let mut near: Vec<(f32, u32)> = cosines.zip(train_labels.iter().copied()).collect();
        near.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut votes = [0.0f32; 10];
        for (cosine, label) in &near[..200] {
            votes[*label as usize] += (cosine / 0.1).exp();
        }
        (0..10).max_by(|&a, &b| votes[a as usize].total_cmp(&votes[b as usize]))
    };
    let pairs = held_out.iter().zip(&held_out_labels);
    pairs
        .filter(|(row, label)| guess(row) == Some(**label))
        .count() as f64
        / 1000.0
}

/// Of rows of unit length; in 16 lanes, which the compiler makes SIMD of.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    for (a, b) in a.chunks_exact(16).zip(b.chunks_exact(16)) {
        (0..16).for_each(|lane| lanes[lane] += a[lane] * b[lane]);
    }
    lanes.iter().sum()
}

/// Chance is 10 %.
#[test]
fn raw_pixels_do_not_solve_it() {
    let plain = knn_accuracy(false);
    let centred = knn_accuracy(true);
    eprintln!("kNN on raw pixels: {plain}, less each image's mean: {centred}");
    assert!((0.12..0.45).contains(&plain) && centred < 0.45);
}
