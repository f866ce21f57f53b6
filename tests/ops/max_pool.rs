use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::max_pool::{self, Sizes, max_pool},
};

/// Images and windows that fit: overlapping, apart, padded or not.
fn drawn() -> impl Strategy<Value = ([usize; 4], Sizes, u64)> {
    let sizes = (1u32..5, 1u32..5).prop_flat_map(|(window, stride)| {
        (0..=window / 2).prop_map(move |padding| Sizes {
            window,
            stride,
            padding,
        })
    });
    sizes.prop_flat_map(|sizes| {
        let least = (sizes.window as usize)
            .saturating_sub(2 * sizes.padding as usize)
            .max(1);
        let dims = (
            1usize..4,
            least..least + 9,
            least..least + 9,
            prop_oneof![1usize..12, Just(24)],
        );
        let dims = dims.prop_map(|(n, h, w, c)| [n, h, w, c]);
        (dims, Just(sizes), 0..u64::MAX / 2)
    })
}

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn conforms((dims, sizes, seed) in drawn()) {
        conform(|device| {
            let n = dims.iter().product();
            // Few values, so that equals meet in one window.
            let x: Vec<f32> = noise(seed, n).iter().map(|x| (x * 4.0).round()).collect();
            let x = Tensor::from_slice(device, dims, &x)?;
            let (y, index) = max_pool::forward(&x, sizes)?;
            let dy = Tensor::from_slice(device, y.shape().clone(), &noise(seed + 1, y.len()))?;
            let dx = max_pool::backward(&index, &dy, dims, sizes)?;
            Ok(vec![y, index, dx])
        });
    }

    /// Against the definition: look at every pixel of every window.
    #[test]
    fn is_the_largest_of_its_window((dims, sizes, seed) in drawn()) {
        let [images, height, width, channels] = dims;
        let x: Vec<f32> = noise(seed, dims.iter().product()).iter().map(|x| x - 2.0).collect();
        let (y, _) = max_pool::forward(&Tensor::from_slice(&cpu(), dims, &x).unwrap(), sizes).unwrap();
        let [_, out_height, out_width, _] = y.dims_of();
        let [window, stride, padding] = [sizes.window, sizes.stride, sizes.padding].map(|n| n as usize);
        let mut expected = Vec::new();
        for (n, oy, ox, c) in places([images, out_height, out_width, channels]) {
            let mut best = f32::NEG_INFINITY;
            for (iy, ix) in (0..height).flat_map(|iy| (0..width).map(move |ix| (iy, ix))) {
                let covers = |at: usize, out: usize| (out * stride..out * stride + window).contains(&(at + padding));
                if covers(iy, oy) && covers(ix, ox) {
                    best = best.max(x[((n * height + iy) * width + ix) * channels + c]);
                }
            }
            expected.push(best);
        }
        prop_assert_eq!(y.to_vec().unwrap(), expected);
    }

    #[test]
    fn gradient((dims, sizes, seed) in drawn()) {
        // The pixels of any 4 x 4 are an eighth apart, more than a step can swap.
        let x: Vec<f32> = places(dims)
            .map(|(_, y, x, c)| ((y % 4 * 4 + x % 4) * 7 + c * 3 + seed as usize % 16) % 16)
            .map(|rank| rank as f32 / 8.0)
            .collect();
        let x = Tensor::from_slice(&cpu(), dims, &x).unwrap();
        assert_gradient(&[x], seed, |tape, v| {
            max_pool(tape, &v[0], sizes.window, sizes.stride, sizes.padding)
        });
    }
}

fn places([a, b, c, d]: [usize; 4]) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
}

/// ResNet's own: 3 x 3, stride 2, padding 1; and the first of equals wins.
#[test]
fn the_first_of_equals_gets_the_gradient() {
    let x = Tensor::from_slice(&cpu(), [1, 4, 4, 1], &[1.0; 16]).unwrap();
    let sizes = Sizes {
        window: 3,
        stride: 2,
        padding: 1,
    };
    let (y, index) = max_pool::forward(&x, sizes).unwrap();
    assert_eq!(y.dims(), [1, 2, 2, 1]);
    assert_eq!(index.to_vec().unwrap(), [4.0, 3.0, 1.0, 0.0]);
    let dy = Tensor::from_slice(&cpu(), [1, 2, 2, 1], &[1.0, 2.0, 4.0, 8.0]).unwrap();
    let dx = max_pool::backward(&index, &dy, [1, 4, 4, 1], sizes).unwrap();
    let mut expected = [0.0; 16];
    (expected[0], expected[1], expected[4], expected[5]) = (1.0, 2.0, 4.0, 8.0);
    assert_eq!(dx.to_vec().unwrap(), expected);
}

#[test]
fn not_a_number_is_seen() {
    let x = [1.0, f32::NAN, 3.0, 2.0];
    let x = Tensor::from_slice(&cpu(), [1, 2, 2, 1], &x).unwrap();
    let sizes = Sizes {
        window: 2,
        stride: 2,
        padding: 0,
    };
    let (y, _) = max_pool::forward(&x, sizes).unwrap();
    assert!(y.to_vec().unwrap()[0].is_nan());
}
