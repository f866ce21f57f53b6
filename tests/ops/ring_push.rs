use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::{ring_first, ring_push},
};

proptest! {
    #![proptest_config(cases(12))]
    /// Batch after batch into a ring whose length is a multiple of none: what a list of all rows ends with,
    /// each where it was put.
    #[test]
    fn the_last_rows_are_remembered(
        d in 1usize..40, batches in prop::collection::vec(0usize..20, 1..5), more in 1usize..30, first: u32,
    ) {
        let count = batches.iter().max().unwrap() + more;
        let first = first % count as u32;
        let mut expected = noise(1, count * d);
        let mut at = first as usize;
        let rows: Vec<Vec<f32>> = (2..).zip(&batches).map(|(seed, n)| noise(seed, n * d)).collect();
        for row in rows.iter().flat_map(|rows| rows.chunks(d)) {
            expected[at * d..][..d].copy_from_slice(row);
            at = (at + 1) % count;
        }
        for device in devices() {
            let ring = Tensor::from_slice(&device, [count, d], &noise(1, count * d)).unwrap();
            let pointer = Tensor::from_u32(&device, [1], &[first]).unwrap();
            for rows in &rows {
                let rows = Tensor::from_slice(&device, [rows.len() / d, d], rows).unwrap();
                ring_push(&ring, &rows, &pointer).unwrap();
            }
            prop_assert_eq!(&ring.to_vec().unwrap(), &expected, "{}", device.name());
            prop_assert_eq!(pointer.to_u32().unwrap(), [at as u32], "{}", device.name());
        }
    }
}

/// A batch as long as the ring replaces all of it, from the pointer on, and leaves the pointer.
#[test]
fn a_whole_turn() {
    for device in devices() {
        let ring = Tensor::from_slice(&device, [3, 2], &[0.0; 6]).unwrap();
        let rows = Tensor::from_slice(&device, [3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let pointer = Tensor::from_u32(&device, [1], &[2]).unwrap();
        ring_push(&ring, &rows, &pointer).unwrap();
        assert_eq!(ring.to_vec().unwrap(), [3.0, 4.0, 5.0, 6.0, 1.0, 2.0]);
        assert_eq!(pointer.to_u32().unwrap(), [2]);
    }
}

/// Captured once, replayed: where rows go is read from memory each time.
#[test]
fn a_replay_goes_on_where_the_last_one_ended() {
    for device in devices() {
        let ring = Tensor::from_slice(&device, [5, 1], &[0.0; 5]).unwrap();
        let rows = Tensor::from_slice(&device, [2, 1], &[1.0, 2.0]).unwrap();
        let pointer = Tensor::from_u32(&device, [1], &[0]).unwrap();
        let ((), graph) = device
            .capture(|| ring_push(&ring, &rows, &pointer))
            .unwrap();
        (0..3).for_each(|_| graph.replay().unwrap());
        assert_eq!(ring.to_vec().unwrap(), [2.0, 2.0, 1.0, 2.0, 1.0]);
        assert_eq!(pointer.to_u32().unwrap(), [1]);
    }
}

/// Rows of length 1 which the seed decides, in directions that know nothing of each other: of 300 in 64
/// dimensions the mean is about 1 / sqrt(300) long, and a cosine's mean square is 1 / 64.
#[test]
fn a_ring_begins_with_directions_at_random() {
    let rows = |seed| ring_first(&cpu(), 300, 64, seed).unwrap().to_vec().unwrap();
    let (a, b) = (rows(1), rows(2));
    assert_eq!(a, rows(1));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    for row in a.chunks(64) {
        assert!((dot(row, row) - 1.0).abs() < 1e-5);
    }
    let cosines = a
        .chunks(64)
        .zip(b.chunks(64))
        .map(|(a, b)| dot(a, b).powi(2));
    let square = cosines.sum::<f32>() / 300.0 * 64.0;
    assert!((0.7..1.3).contains(&square), "{square}");
    let mean: Vec<f32> = (0..64)
        .map(|c| a.iter().skip(c).step_by(64).sum::<f32>() / 300.0)
        .collect();
    let length = dot(&mean, &mean).sqrt() * 300f32.sqrt();
    assert!((0.6..1.4).contains(&length), "{length}");
}
