use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::{bank_first, bank_update},
};

/// Images, rows of a batch, d, ids of which some come twice.
fn batches() -> impl Strategy<Value = (usize, usize, Vec<u32>)> {
    (1usize..20, 1usize..300).prop_flat_map(|(images, d)| {
        let ids = prop::collection::vec(0..images as u32, 1..30);
        (Just(images), Just(d), ids)
    })
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn conforms((images, d, ids) in batches(), momentum in 0.0f32..1.0, seed: u64) {
        conform(|device| {
            let bank = bank_first(device, images, d, seed)?;
            let v = Tensor::from_slice(device, [ids.len(), d], &noise(seed, ids.len() * d))?;
            bank_update(&bank, &v, &Tensor::from_u32(device, [ids.len()], &ids)?, momentum)?;
            Ok(vec![bank])
        });
    }

    /// As if row came after row, each from the bank's old value: what counts is the last of each id.
    #[test]
    fn the_last_row_of_an_id_is_taken((images, d, ids) in batches(), seed: u64) {
        let v = noise(seed, ids.len() * d);
        let old = bank_first(&cpu(), images, d, seed).unwrap().to_vec().unwrap();
        let norm = |x: Vec<f64>| -> Vec<f64> {
            let length = x.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
            x.iter().map(|x| x / length).collect()
        };
        let mut expected = old.clone();
        for (row, &id) in ids.iter().enumerate() {
            let unit = norm(v[row * d..][..d].iter().map(|&v| v as f64).collect());
            let start = id as usize * d;
            let mixed = unit.iter().zip(&old[start..]).map(|(v, &m)| 0.75 * m as f64 + 0.25 * v);
            let m = norm(mixed.collect());
            expected[start..][..d].iter_mut().zip(m).for_each(|(e, m)| *e = m as f32);
        }
        let bank = Tensor::from_f32(&cpu(), [images, d], &old).unwrap();
        let v = Tensor::from_slice(&cpu(), [ids.len(), d], &v).unwrap();
        bank_update(&bank, &v, &Tensor::from_u32(&cpu(), [ids.len()], &ids).unwrap(), 0.75).unwrap();
        assert_close("bank", &bank.to_vec().unwrap(), &expected, 1e-5);
    }
}

#[test]
fn golden() {
    let unit = |row: usize| {
        let m = (0..6).map(move |j| (0.9 * row as f64 + 0.4 * j as f64 + 0.2).cos());
        let length = m.clone().map(|m| m * m).sum::<f64>().sqrt();
        m.map(move |m| (m / length) as f32)
    };
    let bank: Vec<f32> = (0..8).flat_map(unit).collect();
    let x: Vec<f32> = (0..24)
        .map(|k| (0.7 * (k / 6) as f64 + 0.3 * (k % 6) as f64 + 0.1).sin() as f32)
        .collect();
    let old = bank[24..].to_vec();
    let bank = Tensor::from_f32(&cpu(), [8, 6], &bank).unwrap();
    let x = Tensor::from_slice(&cpu(), [4, 6], &x).unwrap();
    let ids = Tensor::from_u32(&cpu(), [4], &[0, 1, 2, 3]).unwrap();
    bank_update(&bank, &x, &ids, 0.5).unwrap();
    let found = bank.to_vec().unwrap();
    let expected: [f64; 6] = [
        0.48151629, 0.52376784, 0.49366796, 0.40273430, 0.27056086, 0.12125661,
    ];
    assert_close("row 0", &found[..6], &expected.map(|m| m as f32), 1e-6);
    assert_eq!(found[24..], old, "images of no batch stay where they are");
}

/// Rows of length 1, each its own, the same for one seed however many there are.
#[test]
fn the_first_bank_is_of_unit_rows() {
    let (images, d) = (50, 128);
    let bank = bank_first(&cpu(), images, d, 7).unwrap().to_vec().unwrap();
    for row in bank.chunks(d) {
        let length: f32 = row.iter().map(|m| m * m).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    // Of independent directions, no cosine is large (a standard deviation is 1 / sqrt(128) = 0.09).
    let cosine: f32 = bank[..d].iter().zip(&bank[d..]).map(|(a, b)| a * b).sum();
    assert!(cosine.abs() < 0.4, "{cosine}");
    let fewer = bank_first(&cpu(), 3, d, 7).unwrap().to_vec().unwrap();
    assert_eq!(fewer, bank[..3 * d]);
    let other = bank_first(&cpu(), 3, d, 8).unwrap().to_vec().unwrap();
    assert_ne!(other, fewer);
}
