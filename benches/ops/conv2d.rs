use criterion::Criterion;
use selfsame::{
    Device,
    device::{
        Ptr,
        kernels::{Conv2dForward, Conv2dInputGradient},
    },
    ops::conv2d::{self, Stride, geometry},
    tensor::Element,
};

/// h = w, c, k, r = s and stride of every convolution of ResNet-50 at 224 but the stem, which is
/// `conv2d_image`'s. A CPU does every fourth of them. `peers/gpu_conv.py` has the same under the same names.
const SHAPES: [(usize, usize, usize, usize, u32); 22] = [
    (56, 64, 64, 1, 1),
    (56, 64, 64, 3, 1),
    (56, 64, 256, 1, 1),
    (56, 256, 64, 1, 1),
    (56, 256, 128, 1, 1),
    (56, 128, 128, 3, 2),
    (28, 128, 512, 1, 1),
    (56, 256, 512, 1, 2),
    (28, 512, 128, 1, 1),
    (28, 128, 128, 3, 1),
    (28, 512, 256, 1, 1),
    (28, 256, 256, 3, 2),
    (14, 256, 1024, 1, 1),
    (28, 512, 1024, 1, 2),
    (14, 1024, 256, 1, 1),
    (14, 256, 256, 3, 1),
    (14, 1024, 512, 1, 1),
    (14, 512, 512, 3, 2),
    (7, 512, 2048, 1, 1),
    (14, 1024, 2048, 1, 2),
    (7, 2048, 512, 1, 1),
    (7, 512, 512, 3, 1),
];

pub fn bench(bencher: &mut Criterion, device: &Device) {
    let every = if device.arch().compute > 0 { 1 } else { 4 };
    for (size, c, k, r, stride) in SHAPES.into_iter().step_by(every) {
        let name = format!("{size}x{size} {c} to {k}, {r}x{r}/{stride}");
        let stride = Stride {
            stride,
            padding: (r / 2) as u32,
        };
        let (x, weight) = ([super::batch(device), size, size, c], [k, r, r, c]);
        let g = geometry(x, weight, stride);
        let make = |shape: &[usize]| super::operand(device, Element::Real, shape).unwrap();
        let (x, w) = (make(&x), make(&weight));
        let y = make(&[g.n, g.p, g.q, g.k].map(|d| d as usize));
        let forward = Conv2dForward {
            x: x.ptr(),
            weight: w.ptr(),
            y: y.ptr(),
            statistics: Ptr::NULL,
            g,
        };
        super::bench(bencher, device, &name, forward);
        let input = Conv2dInputGradient {
            dy: y.ptr(),
            weight: w.ptr(),
            onto: Ptr::NULL,
            dx: x.ptr(),
            g,
        };
        super::bench(bencher, device, &name, input);
        let of = ["conv2d_weight_gradient", &name];
        super::bench_op(bencher, device, of, "with its parts' sum", || {
            conv2d::weight_gradient(&y, &x, weight, stride).map(drop)
        });
    }
}
