use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Device, Tensor,
    ops::{
        copy,
        optimize::{self, Rule, Segment, Segments, Step},
    },
};

fn rules() -> impl Strategy<Value = Rule> {
    prop_oneof![
        any::<bool>().prop_map(|nesterov| Rule::Sgd { nesterov }),
        Just(Rule::Lars { trust: 0.02 }),
        Just(Rule::Larc { trust: 0.02 }),
    ]
}

/// Tensors one after another at multiples of 64, as parameters are, or of 3; some longer than a chunk, of every kind; and the length
/// of it all.
fn layouts() -> impl Strategy<Value = (Vec<Segment>, usize)> {
    let length = prop_oneof![1usize..200, 16_300usize..16_500, 33_000usize..33_100];
    let list = prop::collection::vec(
        (
            length,
            any::<bool>(),
            prop::sample::select(vec![0.0f32, 1.0, 5.0]),
        ),
        1..6,
    );
    let alignment = prop_oneof![Just(64), Just(3)];
    (list, alignment).prop_map(|(list, alignment)| {
        let mut end = 0;
        let segments = list.into_iter().map(|(length, adapt, decay)| {
            let offset = end;
            end = (offset + length).next_multiple_of(alignment);
            Segment {
                offset,
                length,
                adapt,
                decay,
            }
        });
        (segments.collect(), end)
    })
}

/// Noise where tensors are, zeros between them.
fn flat(seed: u64, segments: &[Segment], n: usize) -> Vec<f32> {
    let mut values = vec![0.0; n];
    for segment in segments {
        let noise = noise(seed ^ segment.offset as u64, segment.length);
        values[segment.offset..][..segment.length].copy_from_slice(&noise);
    }
    values
}

fn at(device: &Device, lr: f32, rule: Rule) -> Step {
    Step {
        lr: Tensor::from_f32(device, [2], &[lr, 0.5 * lr]).unwrap(),
        momentum: 0.9,
        weight_decay: 0.01,
        rule,
    }
}

/// The formulas, in f64, tensor by tensor: what one step makes of (value, velocity).
fn reference(segment: &Segment, [p, g, v]: [&[f32]; 3], step: &Step) -> (Vec<f32>, Vec<f32>) {
    let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let [p, g, v] = [p, g, v].map(|x| x.iter().map(|&x| x as f64).collect::<Vec<_>>());
    let decay = (segment.decay * step.weight_decay) as f64;
    let d: Vec<f64> = g.iter().zip(&p).map(|(g, p)| g + decay * p).collect();
    let lr = step.lr.to_vec().unwrap();
    let (scale, lr) = match step.rule {
        Rule::Sgd { .. } => (1.0, lr[0]),
        _ if !segment.adapt => (1.0, lr[1]),
        Rule::Lars { trust } => (trust as f64 * norm(&p) / norm(&d), lr[0]),
        Rule::Larc { trust } => {
            let by = norm(&g) + decay * norm(&p) + 1e-8;
            (trust as f64 * norm(&p) / by, lr[0])
        }
    };
    let moved = d.iter().zip(&p).zip(&v).map(|((d, p), v)| {
        let (step_by, momentum) = (scale * d, step.momentum as f64);
        let v = momentum * v + step_by;
        let along = match step.rule {
            Rule::Sgd { nesterov: true } => step_by + momentum * v,
            _ => v,
        };
        ((p - lr as f64 * along) as f32, v as f32)
    });
    moved.unzip()
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn conforms((list, n) in layouts(), rule in rules(), seed in 0..u64::MAX / 2) {
        conform(|device| {
            let [p, g, v] = [1, 2, 3].map(|k| Tensor::from_f32(device, [n], &flat(seed ^ k, &list, n)));
            let (p, g, v) = (p?, g?, v?);
            let segments = Segments::new(device, &list)?;
            let step = at(device, 0.1, rule);
            let norms = optimize::norms(&p, &g, &segments, step.weight_decay)?;
            let (rates, _) = optimize::rates(&norms, &segments, &step)?;
            let reals = Tensor::from_slice(device, [n], &vec![0.5; n])?;
            let moved = optimize::step(&p, Some(&reals), &g, &v, &segments, &step)?;
            // The rounded copy follows, exactly, and its gaps are left alone.
            let (rounded, found) = (copy::to_real(&p)?.to_vec()?, reals.to_vec()?);
            for segment in &list {
                let range = segment.offset..segment.offset + segment.length;
                assert_eq!(found[range.clone()], rounded[range]);
            }
            Ok(vec![p, v, rates, norms, moved.summary, reals])
        });
    }

    #[test]
    fn is_the_formulas_and_leaves_the_gaps((list, n) in layouts(), rule in rules(), seed in 0..u64::MAX / 2) {
        let [p, g, v] = [1, 2, 3].map(|k| flat(seed ^ k, &list, n));
        let [tp, tg, tv] = [&p, &g, &v].map(|x| Tensor::from_f32(&cpu(), [n], x).unwrap());
        let segments = Segments::new(&cpu(), &list).unwrap();
        let step = at(&cpu(), 0.1, rule);
        let moved = optimize::step(&tp, None, &tg, &tv, &segments, &step).unwrap();
        let (mut values, mut velocities) = (vec![0.0; n], vec![0.0; n]);
        for segment in &list {
            let range = segment.offset..segment.offset + segment.length;
            let of = [&p, &g, &v].map(|x| &x[range.clone()]);
            let (value, velocity) = reference(segment, of, &step);
            values[range.clone()].copy_from_slice(&value);
            velocities[range].copy_from_slice(&velocity);
        }
        assert_close("values", &tp.to_vec().unwrap(), &values, 1e-5);
        assert_close("velocities", &tv.to_vec().unwrap(), &velocities, 1e-5);
        let squares: f64 = g.iter().map(|&g| g as f64 * g as f64).sum();
        assert_close("summary", &moved.summary.to_vec().unwrap(), &[squares as f32, 0.0], 1e-5);
    }
}

/// One tensor of four, one step from rest: value after, and the scale of its gradient.
fn golden(rule: Rule) -> (Vec<f32>, f64) {
    let t = |values: &[f32]| Tensor::from_f32(&cpu(), [4], values).unwrap();
    let (p, g, v) = (
        t(&[0.5, -0.25, 1.0, 2.0]),
        t(&[0.1, 0.2, -0.3, 0.4]),
        t(&[0.0; 4]),
    );
    let whole = Segment {
        offset: 0,
        length: 4,
        adapt: true,
        decay: 1.0,
    };
    let segments = Segments::new(&cpu(), &[whole]).unwrap();
    let step = Step {
        lr: Tensor::from_f32(&cpu(), [2], &[4.8, 0.0]).unwrap(),
        momentum: 0.9,
        weight_decay: 1e-4,
        rule,
    };
    let norms = optimize::norms(&p, &g, &segments, step.weight_decay).unwrap();
    let (rates, _) = optimize::rates(&norms, &segments, &step).unwrap();
    optimize::step(&p, None, &g, &v, &segments, &step).unwrap();
    (p.to_vec().unwrap(), rates.to_vec().unwrap()[0] as f64)
}

#[test]
fn lars_golden() {
    let (p, scale) = golden(Rule::Lars { trust: 1e-3 });
    assert!((scale - 0.004207425506).abs() < 1e-9, "{scale}");
    let expected: [f64; 4] = [0.4979794260, -0.2540386236, 1.0060566732, 1.9919177039];
    assert_close("values", &p, &expected.map(|p| p as f32), 1e-7);
}

#[test]
fn larc_golden() {
    let (p, scale) = golden(Rule::Larc { trust: 1e-3 });
    assert!((scale - 0.004206356892).abs() < 1e-9, "{scale}");
    let expected: [f64; 4] = [0.4979799392, -0.2540375979, 1.0060551349, 1.9919197567];
    assert_close("values", &p, &expected.map(|p| p as f32), 1e-7);
}

/// A tensor of zeros, or without a gradient: the norms' quotient must not be taken.
#[test]
fn no_norm_divides_by_zero() {
    let list = [0, 64].map(|offset| Segment {
        offset,
        length: 2,
        adapt: true,
        decay: 1.0,
    });
    for (device, rule) in
        [Rule::Lars { trust: 0.01 }, Rule::Larc { trust: 0.01 }].map(|rule| (cpu(), rule))
    {
        let (mut p, mut g) = (vec![0.0; 128], vec![0.0; 128]);
        (p[0], p[1], g[64], g[65]) = (1.0, 2.0, 3.0, 4.0);
        let [p, g, v] =
            [p, g, vec![0.0; 128]].map(|x| Tensor::from_f32(&device, [128], &x).unwrap());
        let segments = Segments::new(&device, &list).unwrap();
        optimize::step(&p, None, &g, &v, &segments, &at(&device, 0.1, rule)).unwrap();
        let p = p.to_vec().unwrap();
        assert!(p.iter().all(|p| p.is_finite()));
        assert_close("plain gradient", &p[64..66], &[-0.3, -0.4], 1e-6);
        if rule == (Rule::Larc { trust: 0.01 }) {
            assert_eq!(p[..2], [1.0, 2.0], "no gradient, no decay");
        }
    }
}

#[test]
fn nothing_moves_where_a_gradient_is_not_finite() {
    conform(|device| {
        let whole = Segment {
            offset: 0,
            length: 600,
            adapt: true,
            decay: 1.0,
        };
        let mut g = noise(3, 600);
        (g[77], g[400]) = (f32::NAN, f32::NEG_INFINITY);
        let [p, g, v] =
            [noise(4, 600), g, vec![0.0; 600]].map(|x| Tensor::from_f32(device, [600], &x));
        let (p, g, v) = (p?, g?, v?);
        let segments = Segments::new(device, &[whole])?;
        let rule = Rule::Lars { trust: 0.01 };
        let moved = optimize::step(&p, None, &g, &v, &segments, &at(device, 0.1, rule))?;
        assert_eq!(moved.summary.to_vec()?[1], 2.0);
        let found = segments.not_finite(&moved.norms.to_vec()?);
        assert_eq!(found, [(0, 2)], "both in the tensor that begins at 0");
        assert_eq!(p.to_vec()?, noise(4, 600));
        assert_eq!(v.to_vec()?, [0.0; 600]);
        Ok(vec![p])
    });
}
