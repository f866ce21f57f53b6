use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tape, Tensor,
    ops::cross_entropy::{self, cross_entropy},
};

/// Rows, classes, logits and targets.
fn problems() -> impl Strategy<Value = (usize, usize, Vec<f32>, Vec<u32>)> {
    (1usize..40, 1usize..300).prop_flat_map(|(rows, classes)| {
        let targets = prop::collection::vec(0..classes as u32, rows);
        let logits = any::<u32>().prop_map(move |seed| noise(seed as u64, rows * classes));
        let logits = logits.prop_map(|l| l.iter().map(|l| l * 8.0).collect());
        (Just(rows), Just(classes), logits, targets)
    })
}

fn loss_of(rows: usize, logits: &[f32], targets: &[u32]) -> f32 {
    let logits = Tensor::from_slice(&cpu(), [rows, logits.len() / rows], logits).unwrap();
    let targets = Tensor::from_u32(&cpu(), [rows], targets).unwrap();
    cross_entropy::forward(&logits, &targets)
        .unwrap()
        .0
        .item()
        .unwrap()
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn conforms((rows, classes, logits, targets) in problems()) {
        conform_within(2e-5, 1.0, |device| {
            let logits = Tensor::from_slice(device, [rows, classes], &logits)?;
            let targets = Tensor::from_u32(device, [rows], &targets)?;
            let dy = Tensor::from_f32(device, [1], &[1.5])?;
            let (loss, lse) = cross_entropy::forward(&logits, &targets)?;
            let dlogits = cross_entropy::backward(&logits, &targets, &lse, &dy)?;
            Ok(vec![loss, lse, dlogits])
        });
    }

    #[test]
    fn matches_the_definition((rows, classes, logits, targets) in problems()) {
        let row = |(row, &target): (&[f32], &u32)| {
            let sum: f64 = row.iter().map(|&s| (s as f64).exp()).sum();
            sum.ln() - row[target as usize] as f64
        };
        let expected = logits.chunks(classes).zip(&targets).map(row).sum::<f64>() / rows as f64;
        assert_close("loss", &[loss_of(rows, &logits, &targets)], &[expected as f32], 1e-5);
    }

    #[test]
    fn gradient(rows in 1usize..6, classes in 1usize..20, seed in 0u64..1 << 40) {
        let logits = Tensor::from_slice(&cpu(), [rows, classes], &noise(seed, rows * classes)).unwrap();
        let targets: Vec<u32> = (0..rows).map(|row| (row * 7 % classes) as u32).collect();
        let targets = Tensor::from_u32(&cpu(), [rows], &targets).unwrap();
        assert_gradient(&[logits], seed, |tape, v| cross_entropy(tape, &v[0], &targets));
    }
}

/// Logits that know nothing cost log(classes), whatever they are added to.
#[test]
fn equal_logits_cost_the_logarithm_of_their_number() {
    for offset in [0.0, 1000.0, -1000.0] {
        let loss = loss_of(2, &[offset; 20], &[3, 9]);
        assert!((loss - 10f32.ln()).abs() < 1e-4, "{loss} at {offset}");
    }
}

/// Each row of dlogits adds up to zero.
#[test]
fn gradients_add_up_to_zero() {
    let logits = Tensor::from_slice(&cpu(), [3, 5], &noise(1, 15)).unwrap();
    let targets = Tensor::from_u32(&cpu(), [3], &[0, 4, 2]).unwrap();
    let mut tape = Tape::default();
    let logits = tape.leaf(&logits);
    let loss = cross_entropy(&mut tape, &logits, &targets).unwrap();
    let d = tape
        .backward(&loss)
        .unwrap()
        .take(&logits)
        .unwrap()
        .to_vec()
        .unwrap();
    for row in d.chunks(5) {
        assert!(row.iter().sum::<f32>().abs() < 1e-6, "{row:?}");
    }
}
