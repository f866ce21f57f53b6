use criterion::Criterion;
use selfsame::{
    Device,
    device::kernels::Conv2dImageFold,
    ops::{
        conv2d::{Stride, geometry},
        conv2d_image::Fold,
    },
    tensor::Element,
};

/// ResNet-50's stem: 224 pixels to 112 of 16 channels, and what that makes of the convolution.
pub fn bench(bencher: &mut Criterion, device: &Device) {
    let (n, stride) = (
        super::batch(device),
        Stride {
            stride: 2,
            padding: 3,
        },
    );
    let x = super::operand(device, Element::Real, [n, 224, 224, 3]).unwrap();
    let fold = Fold::of(geometry([n, 224, 224, 3], [64, 7, 7, 3], stride));
    let y = fold.image(&x).unwrap();
    let weight = super::operand(device, Element::Real, [64, 7, 7, 3]).unwrap();
    let dy = super::operand(device, Element::Real, [n, 112, 112, 64]).unwrap();
    let name = "224x224 3 to 64, 7x7/2";
    super::bench_op(bencher, device, ["conv2d_forward", name], "folded", || {
        fold.forward(&fold.image(&x)?, &weight).map(drop)
    });
    let of = ["conv2d_weight_gradient", name];
    super::bench_op(bencher, device, of, "folded", || {
        fold.weight_gradient(&dy, &y).map(drop)
    });
    let kernel = Conv2dImageFold {
        x: x.ptr(),
        y: y.ptr(),
        n: n as u32,
        h: 224,
        w: 224,
        c: 3,
        f: 2,
        folded: 16,
    };
    super::bench(bencher, device, "224x224 to 112x112", kernel);
}
