//! Batch norm in groups, as if each were on a device of its own.
use crate::check::*;
use proptest::prelude::*;
use selfsame::{
    Device, Result, Tape, Tensor, Var,
    ops::{
        self,
        batch_norm::{Mode, Running},
    },
};

/// x, gamma, beta, and a residual, for the one op that has it.
type Op = fn(&mut Tape, &[Var; 4], &Running, Mode) -> Result<Var>;

const OPS: [(&str, Op); 4] = [
    ("batch_norm", |tape, [x, gamma, beta, _], running, mode| {
        ops::batch_norm(tape, x, gamma, beta, running, mode)
    }),
    (
        "batch_norm_relu",
        |tape, [x, gamma, beta, _], running, mode| {
            ops::batch_norm_relu(tape, x, gamma, beta, running, mode)
        },
    ),
    (
        "batch_norm_add_relu",
        |tape, [x, gamma, beta, residual], running, mode| {
            ops::batch_norm_add_relu(tape, x, gamma, beta, residual, running, mode)
        },
    ),
    (
        "batch_norm_relu_max_pool",
        |tape, [x, gamma, beta, _], running, mode| {
            ops::batch_norm_relu_max_pool(tape, x, gamma, beta, running, mode)
        },
    ),
];

#[derive(Clone, Debug)]
struct Case {
    /// Images of each group, height, width, channels.
    dims: [usize; 4],
    groups: usize,
    seed: u64,
}

/// Groups of one image or a few; rows of whole packs of 8 channels or not.
fn drawn() -> impl Strategy<Value = Case> {
    let channels = prop::sample::select(vec![1, 3, 8, 12, 64]);
    let sizes = (1usize..4, 1usize..7, 1usize..7, channels);
    (sizes, 1usize..5, 0..u64::MAX / 2).prop_map(|((n, h, w, c), groups, seed)| Case {
        dims: [n, h, w, c],
        groups,
        seed,
    })
}

/// What an op leaves behind: y, its inputs' gradients (none of a residual that it does not have), the running
/// statistics.
struct Outcome {
    y: Vec<f32>,
    gradients: [Vec<f32>; 4],
    running: [Vec<f32>; 2],
}

impl Case {
    /// The op on images `range` of the whole batch.
    fn run(&self, device: &Device, op: Op, range: std::ops::Range<usize>, mode: Mode) -> Outcome {
        let [n, h, w, c] = self.dims;
        let all = self.groups * n;
        let images = |seed: u64, [h, w]: [usize; 2]| {
            let values = noise(self.seed ^ seed, all * h * w * c);
            let values = &values[range.start * h * w * c..range.end * h * w * c];
            Tensor::from_slice(device, [range.len(), h, w, c], values).unwrap()
        };
        let channels = |seed: u64, centre: f32| {
            let values = noise(self.seed ^ seed, c);
            let values: Vec<f32> = values.iter().map(|v| centre + 0.5 * v).collect();
            Tensor::from_f32(device, [c], &values).unwrap()
        };
        let running = Running {
            mean: channels(103, 0.0),
            variance: channels(104, 1.0),
        };
        let inputs = [
            images(1, [h, w]),
            channels(101, 1.0),
            channels(102, 0.0),
            images(2, [h, w]),
        ];
        let mut tape = Tape::default();
        let vars = inputs.map(|t| tape.leaf(&t));
        let y = op(&mut tape, &vars, &running, mode).unwrap();
        let [_, out_h, out_w, _] = y.value.dims_of();
        let dy = images(3, [out_h, out_w]).to_vec().unwrap();
        let loss = dot(&mut tape, &y, &dy);
        let mut found = tape.backward(&loss).unwrap();
        Outcome {
            y: y.value.to_vec().unwrap(),
            gradients: vars.map(|var| found.take(&var).map_or(Vec::new(), |t| t.to_vec().unwrap())),
            running: [running.mean, running.variance].map(|t| t.to_vec().unwrap()),
        }
    }
    fn whole(&self, device: &Device, op: Op, mode: Mode) -> Outcome {
        self.run(device, op, 0..self.groups * self.dims[0], mode)
    }
}

/// The sums of `parts`, element by element, times `scale`.
fn total(parts: &[&Vec<f32>], scale: f64) -> Vec<f32> {
    let at = |i: usize| parts.iter().map(|part| part[i] as f64).sum::<f64>() * scale;
    (0..parts[0].len()).map(|i| at(i) as f32).collect()
}

proptest! {
    #![proptest_config(cases(8))]
    /// Values and their gradients bit for bit those of ordinary batch norms of the groups, parameters'
    /// gradients the sums of theirs, running statistics their mean.
    #[test]
    fn each_group_is_a_batch_of_its_own(case in drawn()) {
        for device in devices() {
            for (name, op) in OPS {
                let what = |part: &str| format!("{name} on {}: {part}", device.name());
                let found = case.whole(&device, op, Mode::Groups(case.groups));
                let n = case.dims[0];
                let parts: Vec<Outcome> = (0..case.groups)
                    .map(|group| case.run(&device, op, group * n..(group + 1) * n, Mode::Train))
                    .collect();
                let joined = |of: fn(&Outcome) -> &Vec<f32>| parts.iter().flat_map(of).copied().collect::<Vec<f32>>();
                prop_assert_eq!(&found.y, &joined(|part| &part.y), "{}", what("y"));
                prop_assert_eq!(&found.gradients[0], &joined(|part| &part.gradients[0]), "{}", what("dx"));
                prop_assert_eq!(&found.gradients[3], &joined(|part| &part.gradients[3]), "{}", what("dresidual"));
                for i in [1, 2] {
                    let sums: Vec<&Vec<f32>> = parts.iter().map(|part| &part.gradients[i]).collect();
                    assert_close(&what("a parameter's gradient"), &found.gradients[i], &total(&sums, 1.0), 1e-5);
                }
                for i in [0, 1] {
                    let moved: Vec<&Vec<f32>> = parts.iter().map(|part| &part.running[i]).collect();
                    let expected = total(&moved, 1.0 / case.groups as f64);
                    assert_close(&what("a running statistic"), &found.running[i], &expected, 1e-6);
                }
            }
        }
    }

    /// One group is the whole batch, in every bit.
    #[test]
    fn one_group_is_the_ordinary(mut case in drawn()) {
        case.dims[0] *= case.groups;
        case.groups = 1;
        for device in devices() {
            for (name, op) in OPS {
                let [found, expected] = [Mode::Groups(1), Mode::Train].map(|mode| case.whole(&device, op, mode));
                prop_assert_eq!(&found.y, &expected.y, "{}", name);
                prop_assert_eq!(&found.gradients, &expected.gradients, "{}", name);
                prop_assert_eq!(&found.running, &expected.running, "{}", name);
            }
        }
    }

    #[test]
    fn gradient(seed in 0..u64::MAX / 2, groups in 2usize..4, channels in 1usize..10) {
        let device = cpu();
        let (images, channel) = ([2 * groups, 2, 3, channels], [channels]);
        let x = Tensor::from_slice(&device, images, &noise(seed, images.iter().product())).unwrap();
        let of = |which: u64, centre: f32| {
            let values: Vec<f32> = noise(seed ^ which, channels).iter().map(|v| centre + 0.5 * v).collect();
            Tensor::from_f32(&device, channel, &values).unwrap()
        };
        let running = Running { mean: of(3, 0.0), variance: of(4, 1.0) };
        assert_gradient(&[x, of(1, 1.0), of(2, 0.0)], seed, |tape, v| {
            ops::batch_norm(tape, &v[0], &v[1], &v[2], &running, Mode::Groups(groups))
        });
    }
}

#[test]
#[should_panic(expected = "batch_norm: 2 of")]
fn groups_are_of_one_size() {
    let case = Case {
        dims: [3, 1, 1, 1],
        groups: 1,
        seed: 1,
    };
    case.whole(&cpu(), OPS[0].1, Mode::Groups(2));
}
