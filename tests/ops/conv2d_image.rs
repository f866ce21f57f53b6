use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Tape, Tensor,
    ops::{
        conv2d::{self, Stride},
        conv2d_image::{Fold, conv2d_image},
    },
};

fn len(shape: &[usize]) -> usize {
    shape.iter().product()
}

proptest! {
    #![proptest_config(cases(16))]
    /// Folded or not, it is the same convolution: forward and the weight's gradient.
    #[test]
    fn equals_conv2d(
        [n, h, w] in [1usize..4, 8usize..20, 8usize..20], c in 1usize..5, k in 1usize..4,
        r in 1usize..8, stride in 1u32..4, padding in 0u32..4, seed in 0u64..1000,
    ) {
        let (x, weight) = ([n, h, w, c], [8 * k, r, r, c]);
        let stride = Stride { stride, padding };
        for device in devices() {
            let tx = Tensor::from_slice(&device, x, &noise(seed, len(&x))).unwrap();
            let tw = Tensor::from_slice(&device, weight, &noise(seed + 1, len(&weight))).unwrap();
            let fold = Fold::of(conv2d::geometry(x, weight, stride));
            let folded = fold.image(&tx).unwrap();
            let (y, _) = fold.forward(&folded, &tw).unwrap();
            let expected = conv2d::forward(&tx, &tw, stride).unwrap();
            let dy = Tensor::from_slice(&device, y.shape().clone(), &noise(seed + 2, y.len())).unwrap();
            let dw = fold.weight_gradient(&dy, &folded).unwrap();
            let expected_dw = conv2d::weight_gradient(&dy, &tx, weight, stride).unwrap();
            let tolerance = if device.real().bytes() == 4 { 1e-4 } else { 1.0 / 128.0 };
            let what = format!("{} {}", device.name(), device.real().name());
            assert_close(&what, &y.to_vec().unwrap(), &expected.to_vec().unwrap(), tolerance);
            assert_close(&what, &dw.to_vec().unwrap(), &expected_dw.to_vec().unwrap(), 1e-3);
        }
    }
}

/// As recorded: statistics of y, the weight's gradient, and the image's where somebody asks for it.
#[test]
fn conforms_as_the_stem_uses_it() {
    let (x, weight) = ([2, 21, 18, 3], [16, 7, 7, 3]);
    let stride = Stride {
        stride: 2,
        padding: 3,
    };
    conform_within(1e-4, 16.0, |device| {
        let tx = Tensor::from_slice(device, x, &noise(1, len(&x)))?;
        let tw = Tensor::from_slice(device, weight, &noise(2, len(&weight)))?;
        let mut tape = Tape::default();
        let (vx, vw) = (tape.leaf(&tx), tape.leaf(&tw));
        let (y, _) = conv2d_image(&mut tape, &vx, &vw, stride)?;
        let loss = dot(&mut tape, &y, &noise(3, y.value.len()));
        let mut gradients = tape.backward(&loss)?;
        let (dx, dw) = (gradients.take(&vx), gradients.take(&vw));
        Ok(vec![y.value.clone(), dx.expect("dx"), dw.expect("dw")])
    });
}
