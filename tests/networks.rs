//! Whole networks against PyTorch: parameters, features, losses, gradients and running statistics of
//! ResNet-18 (CIFAR stem) and ResNet-50 under weights and images that a hash makes, so that nothing but
//! a few numbers need be kept. The expected numbers were computed by PyTorch in double precision.
use selfsame::{
    Device, Tape, Tensor, Var,
    nn::{Architecture, Entry, Layout, Params, Pass, ResNet, Stem},
    tensor::Element,
};
use std::sync::Arc;

/// Uniform in [-1, 1), a function of the tensor's number and the element's: SplitMix64's finaliser.
fn hashed(tensor: u64, element: u64) -> f64 {
    let z = element
        .wrapping_add(tensor << 32)
        .wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let z = z ^ (z >> 31);
    2.0 * ((z >> 11) as f64 / (1u64 << 53) as f64) - 1.0
}

#[test]
fn the_hash_is_the_one_the_numbers_were_made_with() {
    for (j, expected) in [0.532603514678172, -0.7479379591580257, 0.401862483741414]
        .iter()
        .enumerate()
    {
        assert!((hashed(1, j as u64) - expected).abs() < 1e-15);
    }
    assert!((hashed(0, 0) - 0.7666216164272852).abs() < 1e-15);
}

/// The fill of one parameter, in PyTorch's OIHW order, stored in ours.
fn fill(entry: &Entry, number: u64) -> Vec<f32> {
    let dims = entry.shape.dims();
    let v = |j: usize| hashed(number, j as u64);
    match dims {
        [k, r, s, c] => {
            let bound = (6.0 / (r * s * k) as f64).sqrt();
            let at = |i: usize| {
                let (ci, si, ri, ki) = (i % c, i / c % s, i / c / s % r, i / c / s / r);
                ((ki * c + ci) * r + ri) * s + si
            };
            (0..entry.len())
                .map(|i| (bound * v(at(i))) as f32)
                .collect()
        }
        _ if entry.name.ends_with("weight") => (0..entry.len())
            .map(|j| (1.0 + 0.2 * v(j)) as f32)
            .collect(),
        _ => (0..entry.len()).map(|j| (0.2 * v(j)) as f32).collect(),
    }
}

struct Golden {
    arch: Architecture,
    stem: Stem,
    size: usize,
    tensors: usize,
    features: [f64; 4],
    sum: f64,
    loss: f64,
    /// A parameter's gradient: its norm and its first element.
    gradients: [(&'static str, f64, f64); 7],
    norm: f64,
    mean: [f64; 3],
    variance: [f64; 3],
    last_variance: [f64; 3],
    evaluated: [f64; 4],
}

fn close(what: &str, found: f64, expected: f64, relative: f64) {
    let error = (found - expected).abs() / expected.abs().max(1e-3);
    assert!(
        error <= relative,
        "{what}: found {found}, expected {expected}, off by {error:.1e}"
    );
}

fn all_close(what: &str, found: &[f32], expected: &[f64], relative: f64) {
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        close(&format!("{what}[{i}]"), found as f64, expected, relative);
    }
}

/// `tight` for what goes forward, `loose` for gradients: with 4 images a batch norm of the last stage
/// sees few numbers, and f32 loses digits there.
fn check(golden: &Golden, tight: f64, loose: f64) {
    let device = Device::cpu();
    let mut layout = Layout::default();
    let network = ResNet::new(&mut layout, golden.arch, golden.stem, 1);
    let layout = Arc::new(layout);
    assert_eq!(layout.parameters().len(), golden.tensors);
    let params = Params::new(&device, &layout, 0).unwrap();
    for (i, entry) in layout.parameters().iter().enumerate() {
        params
            .view(&params.values, entry)
            .overwrite(&fill(entry, i as u64 + 1))
            .unwrap();
    }

    let (n, s, d) = (4, golden.size, network.features());
    let x = Var::constant(images(&device, n, s));
    let w: Vec<f32> = (0..n * d).map(|j| hashed(1001, j as u64) as f32).collect();

    let mut pass = Pass::train(&params);
    let f = network.forward(&mut pass, &x).unwrap();
    let features = f.value.to_vec().unwrap();
    all_close("features", &features, &golden.features, tight);
    close(
        "sum of features",
        features.iter().map(|&f| f as f64).sum(),
        golden.sum,
        tight,
    );
    let loss = dot(&mut pass.tape, &f, &w);
    close(
        "loss",
        loss.value.item().unwrap() as f64,
        golden.loss,
        tight * 10.0,
    );

    let gradients = params.zeros().unwrap();
    pass.backward(&loss, &gradients).unwrap();
    for (name, norm, first) in golden.gradients {
        let entry = layout.parameters().iter().find(|e| e.name == name).unwrap();
        let g = params.view(&gradients, entry).to_vec().unwrap();
        close(&format!("norm of d {name}"), norm_of(&g), norm, loose);
        // One element against the tensor's typical one: where much cancels, PyTorch's own f32 is off by 2 %.
        let typical = (norm / (g.len() as f64).sqrt()).max(first.abs());
        let off = (g[0] as f64 - first).abs() / typical;
        assert!(
            off <= 10.0 * loose,
            "d {name}[0]: found {}, expected {first}",
            g[0]
        );
    }
    close(
        "gradient norm",
        norm_of(&gradients.to_vec().unwrap()),
        golden.norm,
        loose,
    );

    check_statistics(golden, &params, tight);
    let evaluated = network
        .forward(&mut Pass::evaluate(&params), &x)
        .unwrap()
        .value
        .to_vec()
        .unwrap();
    all_close("evaluated", &evaluated, &golden.evaluated, tight * 10.0);
}

/// Images (n, side, side, 3), hashed in PyTorch's NCHW order.
fn images(device: &Device, n: usize, side: usize) -> Tensor {
    let s = side;
    let nchw = |i: usize| {
        let (c, w, h, n) = (i % 3, i / 3 % s, i / 3 / s % s, i / 3 / s / s);
        ((n * 3 + c) * s + h) * s + w
    };
    let x: Vec<f32> = (0..n * s * s * 3)
        .map(|i| (1.5 * hashed(1000, nchw(i) as u64)) as f32)
        .collect();
    Tensor::from_slice(device, [n, s, s, 3], &x).unwrap()
}

fn check_statistics(golden: &Golden, params: &Params, tight: f64) {
    let statistic = |name: &str| {
        let entry = params
            .layout()
            .statistics()
            .iter()
            .find(|e| e.name == name)
            .unwrap();
        params.view(&params.statistics, entry).to_vec().unwrap()
    };
    all_close(
        "bn1.running_mean",
        &statistic("bn1.running_mean"),
        &golden.mean,
        1e-3,
    );
    all_close(
        "bn1.running_var",
        &statistic("bn1.running_var"),
        &golden.variance,
        tight,
    );
    all_close(
        "last running_var",
        &statistic("layer4.1.bn2.running_var"),
        &golden.last_variance,
        tight,
    );
}

fn norm_of(values: &[f32]) -> f64 {
    values
        .iter()
        .map(|&v| v as f64 * v as f64)
        .sum::<f64>()
        .sqrt()
}

/// <y, w>, recorded: the scalar whose gradient is w.
fn dot(tape: &mut Tape, y: &Var, w: &[f32]) -> Var {
    let sum: f64 = y
        .value
        .to_vec()
        .unwrap()
        .iter()
        .zip(w)
        .map(|(&y, &w)| y as f64 * w as f64)
        .sum();
    let device = y.value.device();
    let w = Tensor::from_slice(device, y.value.shape().clone(), w).unwrap();
    assert_eq!(w.element(), Element::Real);
    let output = Tensor::from_f32(device, [1], &[sum as f32]).unwrap();
    tape.record("dot", [y], output, move |_, _| Ok([Some(w)]))
}

#[test]
fn resnet18_with_the_cifar_stem_equals_pytorch() {
    let golden = Golden {
        arch: Architecture::ResNet18,
        stem: Stem::Cifar,
        size: 32,
        tensors: 60,
        features: [0.823665079, 0.819593087, 0.770868020, 0.897950029],
        sum: 1712.133656312,
        loss: -18.857436917,
        gradients: [
            ("conv1.weight", 797.233845, -7.44153168),
            ("bn1.weight", 43.9853266, -7.37311637),
            ("bn1.bias", 31.2350376, -4.48181989),
            ("layer1.0.conv1.weight", 576.699604, -1.30032967),
            ("layer2.0.downsample.0.weight", 121.173211, 0.688808092),
            ("layer3.1.bn2.weight", 6.37450829, -0.263516699),
            ("layer4.1.conv2.weight", 218.914974, -0.0550945894),
        ],
        norm: 1661.34518,
        mean: [-5.82383068e-5, -1.41350244e-4, 5.22131666e-4],
        variance: [0.905818424, 0.90517637, 0.905047261],
        last_variance: [0.957148251, 0.968977444, 0.950407439],
        evaluated: [0.0, 0.503093214, 0.066098455, 0.528778176],
    };
    check(&golden, 2e-5, 1e-3);
}

#[test]
fn resnet50_equals_pytorch() {
    let golden = Golden {
        arch: Architecture::ResNet50,
        stem: Stem::ImageNet,
        size: 64,
        tensors: 159,
        features: [1.000115530, 0.453664747, 1.079041614, 0.412757162],
        sum: 8660.744687308,
        loss: 17.735370994,
        gradients: [
            ("conv1.weight", 249870.228, -3874.41642),
            ("bn1.weight", 3587.33425, 308.06476),
            ("bn1.bias", 392.03167, -11.5739283),
            ("layer1.0.conv1.weight", 19027.9783, 290.398434),
            ("layer2.0.downsample.0.weight", 12890.6122, 83.170779),
            ("layer3.1.bn2.weight", 157.232814, 13.4179502),
            ("layer4.1.conv2.weight", 1895.16515, -0.110256365),
        ],
        norm: 265307.582,
        mean: [-1.8565461e-4, -3.95241179e-4, -3.96791258e-4],
        variance: [0.905602408, 0.907001519, 0.906455948],
        last_variance: [0.921460968, 0.939599855, 0.928835611],
        evaluated: [1.784220994, 0.597859022, 0.237130970, 1.054192243],
    };
    check(&golden, 5e-4, 1e-2);
}

/// torchvision's counts, its feature sizes, and what `width` does to them.
#[test]
fn networks_have_torchvisions_sizes() {
    let count = |arch, stem, width| {
        let mut layout = Layout::default();
        let network = ResNet::new(&mut layout, arch, stem, width);
        (layout.count(), network.features())
    };
    assert_eq!(
        count(Architecture::ResNet18, Stem::ImageNet, 1),
        (11_176_512, 512)
    );
    assert_eq!(
        count(Architecture::ResNet18, Stem::Cifar, 1),
        (11_168_832, 512)
    );
    assert_eq!(
        count(Architecture::ResNet50, Stem::ImageNet, 1),
        (23_508_032, 2048)
    );
    assert_eq!(count(Architecture::ResNet50, Stem::ImageNet, 2).1, 4096);
}

/// What a network gives on its way: as many maps as torchvision has layers, of its sizes, and features that
/// are those of `forward`, though its stem's pool is then another kernel.
#[test]
fn the_stages_end_in_the_same_features() {
    let device = Device::cpu();
    for (arch, stem, size, sides) in [
        (
            Architecture::ResNet18,
            Stem::Cifar,
            16,
            vec![16, 16, 8, 4, 2],
        ),
        (
            Architecture::ResNet18,
            Stem::ImageNet,
            64,
            vec![32, 16, 8, 4, 2],
        ),
        (Architecture::Tiny, Stem::Cifar, 16, vec![8, 8, 4, 2]),
    ] {
        let mut layout = Layout::default();
        let network = ResNet::new(&mut layout, arch, stem, 1);
        let params = Params::new(&device, &Arc::new(layout), 3).unwrap();
        let x = Var::constant(images(&device, 2, size));
        for pass in [Pass::evaluate, Pass::constant] {
            let features = network.forward(&mut pass(&params), &x).unwrap();
            let stages = network.forward_stages(&mut pass(&params), &x).unwrap();
            let names = network.stage_names();
            assert_eq!(names.len(), stages.len());
            assert_eq!((&names[0][..], &names[1][..]), ("conv1", "layer1"));
            let (last, maps) = stages.split_last().unwrap();
            for (map, side) in maps.iter().zip(&sides) {
                assert_eq!(map.value.dims()[..3], [2, *side, *side]);
            }
            let [wanted, got] = [&features, last].map(|var| var.value.to_vec().unwrap());
            for (wanted, got) in wanted.iter().zip(&got) {
                assert!((wanted - got).abs() <= 1e-5 * wanted.abs().max(1.0));
            }
        }
    }
}

/// A network in groups is as many networks on parts of the batch, under the same weights: features, the sum of
/// gradients, the mean of what they remember.
#[test]
fn a_pass_in_groups_is_a_pass_for_each_group() {
    let device = Device::cpu();
    let mut layout = Layout::default();
    let network = ResNet::new(&mut layout, Architecture::Tiny, Stem::ImageNet, 1);
    let layout = Arc::new(layout);
    let x = images(&device, 12, 24);
    let w: Vec<f32> = (0..12 * network.features())
        .map(|j| hashed(1001, j as u64) as f32)
        .collect();
    let run = |first: usize, n: usize, groups: usize| {
        let params = Params::new(&device, &layout, 1).unwrap();
        let mut pass = Pass::train(&params).with_groups(groups);
        let x = Var::constant(x.rows(first, n));
        let f = network.forward(&mut pass, &x).unwrap();
        let d = network.features();
        let loss = dot(&mut pass.tape, &f, &w[first * d..(first + n) * d]);
        let gradients = params.zeros().unwrap();
        pass.backward(&loss, &gradients).unwrap();
        [&f.value, &gradients, &params.statistics].map(|t| t.to_vec().unwrap())
    };
    let [features, gradients, statistics] = run(0, 12, 3);
    let parts: Vec<_> = (0..3).map(|group| run(4 * group, 4, 1)).collect();
    let add = |i: usize| {
        let sums = |at: usize| parts.iter().map(|part| part[i][at] as f64).sum::<f64>();
        (0..parts[0][i].len()).map(sums).collect::<Vec<f64>>()
    };
    let joined: Vec<f64> = parts
        .iter()
        .flat_map(|part| &part[0])
        .map(|&f| f as f64)
        .collect();
    let mean: Vec<f64> = add(2).iter().map(|sum| sum / 3.0).collect();
    for (what, found, expected) in [
        ("features", features, joined),
        ("gradients", gradients, add(1)),
        ("running statistics", statistics, mean),
    ] {
        assert_eq!(found.len(), expected.len());
        let scale = expected.iter().fold(0f64, |most, v| most.max(v.abs()));
        for (at, (&found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (found as f64 - expected).abs() / scale;
            assert!(
                error < 1e-4,
                "{what}, {at}: found {found}, expected {expected}"
            );
        }
    }
}
