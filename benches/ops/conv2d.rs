use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::{Conv2dForward, Conv2dInputGradient, Conv2dWeightGradient},
    tensor::Element,
};

/// A name, then h = w, c, k, r = s and stride: the convolutions of ResNet-50 at 224, one of each kind.
const SHAPES: [(&str, u32, u32, u32, u32, u32); 6] = [
    ("stem 7x7/2", 224, 3, 64, 7, 2),
    ("stage1 3x3", 56, 64, 64, 3, 1),
    ("stage1 1x1 expand", 56, 64, 256, 1, 1),
    ("stage2 3x3/2", 56, 128, 128, 3, 2),
    ("stage3 3x3", 14, 256, 256, 3, 1),
    ("stage4 1x1 reduce", 7, 2048, 512, 1, 1),
];

pub fn bench(bencher: &mut Criterion, device: &Device) {
    for (name, size, c, k, r, stride) in SHAPES {
        let (n, padding, s) = (super::batch(device) as u32, r / 2, r);
        let p = (size + 2 * padding - r) / stride + 1;
        let (h, w, q) = (size, size, p);
        let make = |element, shape: [u32; 4]| {
            Tensor::uninit(device, element, shape.map(|d| d as usize)).unwrap()
        };
        let x = make(Element::Real, [n, h, w, c]);
        let weight = make(Element::Real, [k, r, s, c]);
        let y = make(Element::Real, [n, p, q, k]);
        let range = (n * p * q).div_ceil(4).next_multiple_of(16);
        let splits = (n * p * q).div_ceil(range);
        let partial = make(Element::F32, [splits, k, r * s, c]);
        let (px, pw, py) = (x.ptr(), weight.ptr(), y.ptr());
        let forward = Conv2dForward {
            x: px,
            weight: pw,
            y: py,
            n,
            h,
            w,
            c,
            k,
            r,
            s,
            stride,
            padding,
            p,
            q,
        };
        let input = Conv2dInputGradient {
            dy: py,
            weight: pw,
            dx: px,
            n,
            h,
            w,
            c,
            k,
            r,
            s,
            stride,
            padding,
            p,
            q,
        };
        let weight = Conv2dWeightGradient {
            dy: py,
            x: px,
            partial: partial.ptr(),
            n,
            h,
            w,
            c,
            k,
            r,
            s,
            stride,
            padding,
            p,
            q,
            splits,
            range,
        };
        super::bench(bencher, device, name, forward);
        super::bench(bencher, device, name, input);
        super::bench(bencher, device, name, weight);
    }
}
