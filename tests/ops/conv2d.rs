use crate::check::*;
use approx::assert_relative_eq;
use proptest::prelude::*;
use selfsame::{
    Device, Result, Tape, Tensor, Var,
    device::Real,
    ops::{
        self,
        conv2d::{self, Stride},
    },
};

/// Every geometry a residual network has, and odd ones it has not.
#[derive(Clone, Debug)]
struct Case {
    x: [usize; 4],
    weight: [usize; 4],
    stride: Stride,
}

fn geometries() -> impl Strategy<Value = Case> {
    let sizes = (1usize..4, 1usize..10, 1usize..10, 1usize..20, 1usize..80);
    (sizes, 1usize..5, 1usize..5, 1u32..4, 0u32..4).prop_map(
        |((n, h, w, c, k), r, s, stride, padding)| {
            let (r, s) = (
                r.min(h + 2 * padding as usize),
                s.min(w + 2 * padding as usize),
            );
            Case {
                x: [n, h, w, c],
                weight: [k, r, s, c],
                stride: Stride { stride, padding },
            }
        },
    )
}

/// Channels in eights, which tensor cores take: one tile to a few in every direction, and their edges.
fn tensor_core_geometries() -> impl Strategy<Value = Case> {
    let sizes = (1usize..4, 1usize..15, 1usize..15, 1usize..20, 1usize..20);
    let windows = prop_oneof![
        Just((1usize, 0u32)),
        Just((3, 1)),
        Just((2, 0)),
        Just((4, 2))
    ];
    (sizes, windows, 1u32..4).prop_map(|((n, h, w, c, k), (r, padding), stride)| Case {
        x: [n, h.max(r), w.max(r), 8 * c],
        weight: [8 * k, r, r, 8 * c],
        stride: Stride { stride, padding },
    })
}

/// Channels in sixty-fours, which the copy engine takes.
fn copy_engine_geometries() -> impl Strategy<Value = Case> {
    let sizes = (1usize..4, 1usize..15, 1usize..15, 1usize..4, 1usize..5);
    let windows = prop_oneof![
        Just((1usize, 0u32)),
        Just((3, 1)),
        Just((2, 0)),
        Just((3, 0))
    ];
    (sizes, windows, 1u32..3).prop_map(|((n, h, w, c, k), (r, padding), stride)| Case {
        x: [n, h.max(r), w.max(r), 64 * c],
        weight: [64 * k, r, r, 64 * c],
        stride: Stride { stride, padding },
    })
}

/// y, dx and dw of one case.
fn all_three(device: &Device, case: &Case, seed: u64) -> Result<Vec<Tensor>> {
    let x = Tensor::from_slice(device, case.x, &noise(seed, len(&case.x)))?;
    let weight = Tensor::from_slice(device, case.weight, &noise(seed + 1, len(&case.weight)))?;
    let y = conv2d::forward(&x, &weight, case.stride)?;
    let dy = Tensor::from_slice(device, y.shape().clone(), &noise(seed + 2, y.len()))?;
    Ok(vec![
        conv2d::input_gradient(&dy, &weight, case.x, case.stride)?,
        conv2d::weight_gradient(&dy, &x, case.weight, case.stride)?,
        y,
    ])
}

fn len(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// y by the definition, in f64.
fn reference(x: &[f32], weight: &[f32], case: &Case, [p, q]: [usize; 2]) -> Vec<f32> {
    let ([n, h, w, c], [k, r, s, _]) = (case.x, case.weight);
    let (stride, padding) = (case.stride.stride as usize, case.stride.padding as usize);
    let mut y = Vec::new();
    for (i, p, q, k) in (0..n * p * q * k).map(|i| (i / k / q / p, i / k / q % p, i / k % q, i % k))
    {
        let mut sum = 0f64;
        for (r_, s_, c_) in (0..r * s * c).map(|i| (i / c / s, i / c % s, i % c)) {
            let (top, left) = (p * stride + r_, q * stride + s_);
            if (padding..padding + h).contains(&top) && (padding..padding + w).contains(&left) {
                let x = x[((i * h + top - padding) * w + left - padding) * c + c_];
                sum += x as f64 * weight[((k * r + r_) * s + s_) * c + c_] as f64;
            }
        }
        y.push(sum as f32);
    }
    y
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn conforms(case in geometries(), seed in 0u64..1000) {
        conform_within(1e-4, 8.0, |device| all_three(device, &case, seed));
    }

    #[test]
    fn tensor_cores_conform(case in tensor_core_geometries(), seed in 0u64..1000) {
        conform_within(1e-3, 16.0, |device| all_three(device, &case, seed));
    }

    #[test]
    fn the_copy_engine_conforms(case in copy_engine_geometries(), seed in 0u64..1000) {
        conform_within(1e-3, 32.0, |device| all_three(device, &case, seed));
    }

    #[test]
    fn equals_the_definition(case in geometries(), seed in 0u64..1000) {
        let (x, weight) = (noise(seed, len(&case.x)), noise(seed + 1, len(&case.weight)));
        let tx = Tensor::from_slice(&cpu(), case.x, &x).unwrap();
        let y = conv2d::forward(&tx, &Tensor::from_slice(&cpu(), case.weight, &weight).unwrap(), case.stride).unwrap();
        let [_, p, q, _] = y.dims_of();
        let expected = reference(&x, &weight, &case, [p, q]);
        assert_relative_eq!(y.to_vec().unwrap()[..], expected[..], max_relative = 1e-4, epsilon = 1e-4);
    }

    #[test]
    fn gradients(case in geometries(), seed in 0u64..1000) {
        let x = Tensor::from_slice(&cpu(), case.x, &noise(seed, len(&case.x))).unwrap();
        let weight = Tensor::from_slice(&cpu(), case.weight, &noise(seed + 1, len(&case.weight))).unwrap();
        assert_gradient(&[x, weight], seed, |t, v| conv2d::conv2d(t, &v[0], &v[1], case.stride));
    }
}

/// A gradient made onto another is their sum, to the bit: plain kernels and tensor cores, one phase and four.
#[test]
fn a_gradient_is_added_to_another() {
    for (c, stride) in [(5, 1), (64, 1), (64, 2)] {
        let (x, weight, padding) = ([2, 9, 7, c], [64, 3, 3, c], 1);
        let stride = Stride { stride, padding };
        for device in devices() {
            let make = |seed, shape: &[usize]| {
                Tensor::from_slice(&device, shape, &noise(seed, len(shape))).unwrap()
            };
            let g = conv2d::geometry(x, weight, stride);
            let dy = make(1, &[g.n, g.p, g.q, g.k].map(|d| d as usize));
            let (weight, before) = (make(2, &weight), make(3, &x));
            let found =
                conv2d::input_gradient_onto(&dy, &weight, x, stride, Some(&before)).unwrap();
            let dx = conv2d::input_gradient(&dy, &weight, x, stride).unwrap();
            let sum = ops::add(
                &mut Tape::default(),
                &Var::constant(dx),
                &Var::constant(before),
            )
            .unwrap();
            assert_eq!(
                found.to_vec().unwrap(),
                sum.value.to_vec().unwrap(),
                "{}",
                device.name()
            );
        }
    }
}

/// The mean of a convolution's output, and the squared differences, as batch norm would have found them
/// in the output itself.
#[test]
fn statistics_are_those_of_the_output() {
    let stride = Stride {
        stride: 1,
        padding: 1,
    };
    let (x, weight) = ([2, 13, 11, 16], [72, 3, 3, 16]);
    for device in devices() {
        let tx = Tensor::from_slice(&device, x, &noise(1, len(&x))).unwrap();
        let tw = Tensor::from_slice(&device, weight, &noise(2, len(&weight))).unwrap();
        let (y, seen) = conv2d::forward_with_statistics(&tx, &tw, stride).unwrap();
        let Some(seen) = seen else {
            assert_eq!(device.real(), Real::F32, "{}", device.name());
            continue;
        };
        let (y, found) = (y.to_vec().unwrap(), seen.chunks.to_vec().unwrap());
        let chunks = y.chunks(72 * seen.chunk_rows as usize);
        assert_eq!(found.len(), chunks.len() * 2 * 72);
        for (rows, found) in chunks.zip(found.chunks(2 * 72)) {
            for channel in 0..72 {
                let values: Vec<f64> = rows
                    .iter()
                    .skip(channel)
                    .step_by(72)
                    .map(|&v| v as f64)
                    .collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
                let found = [channel, 72 + channel].map(|i| found[i] as f64);
                assert_relative_eq!(
                    found[..],
                    [mean, squares][..],
                    max_relative = 1e-4,
                    epsilon = 1e-4
                );
            }
        }
    }
}

/// Enough pixels that the weight gradient is summed in several ranges, and forward in several blocks.
#[test]
fn long_sums_conform() {
    let case = Case {
        x: [2, 18, 17, 5],
        weight: [7, 3, 3, 5],
        stride: Stride {
            stride: 1,
            padding: 1,
        },
    };
    conform_within(1e-3, 16.0, |device| {
        let x = Tensor::from_slice(device, case.x, &noise(1, len(&case.x)))?;
        let dy = Tensor::from_slice(device, [2, 18, 17, 7], &noise(2, 2 * 18 * 17 * 7))?;
        Ok(vec![conv2d::weight_gradient(
            &dy,
            &x,
            case.weight,
            case.stride,
        )?])
    });
}
