use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::{
        Ptr,
        kernels::{Conv2dForward, Conv2dInputGradient, Conv2dWeightGradient},
    },
    ops::conv2d::{Stride, geometry, splits},
    tensor::Element,
};

/// h = w, c, k, r = s and stride of every convolution of ResNet-50 at 224 but the stem, which is
/// `conv2d_image`'s. A CPU does every fourth of them.
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
        let padding = (r / 2) as u32;
        let (x, weight) = ([super::batch(device), size, size, c], [k, r, r, c]);
        let g = geometry(x, weight, Stride { stride, padding });
        let make = |element, shape: &[usize]| Tensor::uninit(device, element, shape).unwrap();
        let x = make(Element::Real, &x);
        let weight = make(Element::Real, &weight);
        let y = make(Element::Real, &[g.n, g.p, g.q, g.k].map(|d| d as usize));
        let (splits, range) = splits(&g, device.arch());
        let partial = make(Element::F32, &[splits as usize, weight.len()]);
        let forward = Conv2dForward {
            x: x.ptr(),
            weight: weight.ptr(),
            y: y.ptr(),
            statistics: Ptr::NULL,
            g,
        };
        let input = Conv2dInputGradient {
            dy: y.ptr(),
            weight: weight.ptr(),
            onto: Ptr::NULL,
            dx: x.ptr(),
            g,
        };
        let weight = Conv2dWeightGradient {
            dy: y.ptr(),
            x: x.ptr(),
            partial: partial.ptr(),
            g,
            splits,
            range,
        };
        super::bench(bencher, device, &name, forward);
        super::bench(bencher, device, &name, input);
        super::bench(bencher, device, &name, weight);
    }
}
