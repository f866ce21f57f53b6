use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Device, Result, Tensor,
    ops::dropout::{self, Drops, dropout},
};

fn drops(device: &Device, probability: f32, [seed, step, layer]: [u32; 3]) -> Result<Drops> {
    Ok(Drops {
        probability,
        seed: seed as u64 | 5 << 40,
        step: Tensor::from_u32(device, [1], &[step])?,
        layer,
    })
}

/// Which of `n` elements are kept.
fn kept(n: usize, probability: f32, of: [u32; 3]) -> Vec<bool> {
    let ones = Tensor::from_slice(&cpu(), [n], &vec![1.0; n]).unwrap();
    let y = dropout::apply(&ones, &drops(&cpu(), probability, of).unwrap()).unwrap();
    y.to_vec().unwrap().iter().map(|&y| y != 0.0).collect()
}

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms(n in prop_oneof![1usize..40, 1usize..9000], probability in 0.0f32..1.0, seed: u32, step: u32) {
        conform(|device| {
            let x = Tensor::from_slice(device, [n], &noise(seed as u64, n))?;
            let drops = drops(device, probability, [seed, step, 3])?;
            let mut found = vec![dropout::apply(&x, &drops)?];
            if n > 1 {
                found.push(dropout::apply(&x.slice(1, [n - 1]), &drops)?);
            }
            Ok(found)
        });
    }

    #[test]
    fn gradient(n in 1usize..50, seed in 0u64..1 << 30) {
        let x = Tensor::from_slice(&cpu(), [n], &noise(seed, n)).unwrap();
        let drops = drops(&cpu(), 0.5, [seed as u32, 2, 1]).unwrap();
        assert_gradient(&[x], seed, |tape, v| dropout(tape, &v[0], &drops));
    }
}

/// As many are dropped as should be, and what is kept makes up for them.
#[test]
fn the_mean_is_kept() {
    let n = 100_000;
    let ones = Tensor::from_slice(&cpu(), [n], &vec![1.0; n]).unwrap();
    for probability in [0.0, 0.25, 0.5, 0.9] {
        let drops = drops(&cpu(), probability, [1, 2, 3]).unwrap();
        let y = dropout::apply(&ones, &drops).unwrap().to_vec().unwrap();
        let zeros = y.iter().filter(|&&y| y == 0.0).count() as f32 / n as f32;
        // Five standard deviations.
        let off = 5.0 * (probability * (1.0 - probability) / n as f32).sqrt();
        assert!(
            (zeros - probability).abs() <= off,
            "{zeros} of {probability}"
        );
        let value = 1.0 / (1.0 - probability);
        assert!(y.iter().all(|&y| y == 0.0 || y == value));
    }
}

#[test]
fn steps_layers_and_seeds_draw_apart() {
    let mask = kept(2000, 0.5, [1, 2, 3]);
    assert_eq!(mask, kept(2000, 0.5, [1, 2, 3]));
    for other in [[2, 2, 3], [1, 3, 3], [1, 2, 4]] {
        let other = kept(2000, 0.5, other);
        let alike = mask.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(alike.abs_diff(1000) < 120, "{alike} of 2000 alike");
    }
    let longer = kept(20_000, 0.5, [1, 2, 3]);
    assert_eq!(
        longer[..2000],
        mask,
        "an element's draw is of its place alone"
    );
}
