use crate::check::*;
use proptest::prelude::*;
use selfsame::{Device, Result, Tensor, ops::draw_negatives};

fn drawn(
    device: &Device,
    seed: u64,
    step: u32,
    shape: [usize; 2],
    images: usize,
) -> Result<Tensor> {
    draw_negatives(
        seed,
        &Tensor::from_u32(device, [1], &[step])?,
        shape,
        images,
    )
}

fn on_cpu(seed: u64, step: u32, shape: [usize; 2], images: usize) -> Vec<u32> {
    drawn(&cpu(), seed, step, shape, images)
        .unwrap()
        .to_u32()
        .unwrap()
}

proptest! {
    #![proptest_config(cases(16))]
    /// The same on every device, bit for bit.
    #[test]
    fn conforms(rows in 1usize..9, count in 1usize..40, images in 1usize..5_000_000, seed: u64, step: u32) {
        let expected = on_cpu(seed, step, [rows, count], images);
        prop_assert!(expected.iter().all(|&image| image < images as u32));
        for device in devices() {
            let found = drawn(&device, seed, step, [rows, count], images).unwrap();
            prop_assert_eq!(found.dims(), [rows, count]);
            prop_assert_eq!(&found.to_u32().unwrap(), &expected);
        }
    }
}

/// 40,000 draws of 16 images: each image its share (a standard deviation is 48), itself and twice in a row
/// not excluded.
#[test]
fn uniform_and_with_replacement() {
    let found = on_cpu(3, 1, [400, 100], 16);
    for image in 0..16 {
        let times = found.iter().filter(|&&found| found == image).count();
        assert!(times.abs_diff(2500) < 250, "image {image}: {times} times");
    }
    let twice = found.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(twice.abs_diff(2500) < 250, "{twice} repeat the one before");
}

#[test]
fn another_step_row_or_seed_draws_others() {
    let (images, shape) = (1 << 30, [2, 20]);
    let found = on_cpu(3, 1, shape, images);
    assert_eq!(found, on_cpu(3, 1, shape, images));
    assert_ne!(found[..20], found[20..]);
    assert_ne!(found, on_cpu(3, 2, shape, images));
    assert_ne!(found, on_cpu(4, 1, shape, images));
    // A row's draws do not depend on how many rows there are.
    assert_eq!(found[20..], on_cpu(3, 1, [5, 20], images)[20..40]);
}
