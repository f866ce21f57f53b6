//! The copy engine, mbarriers and wgmma (planted_tensor.cu): matrix products, and bugs in one of them.
use super::{Mode, device_of, fails_of, modes};
use selfsame::{
    Device, Result, Tensor,
    device::{Kernel, Ptr, Real, kernels::*},
    random::{Draws, Purpose},
};

/// Which way an operand lies in memory.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Lies {
    AlongDepth,
    Across,
}
use Lies::{Across, AlongDepth};

/// c (m, n) = a b of depth k, of small integers: bf16 holds them, and sums in f32 are exact.
struct Product {
    m: usize,
    n: usize,
    k: usize,
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Product {
    fn new([m, n, k]: [usize; 3], seed: u64) -> Product {
        let mut draws = Draws::new(seed, Purpose::Synthetic, 0, 0, 0);
        let mut integers =
            |n| -> Vec<f32> { (0..n).map(|_| draws.uniform(-4.0, 5.0).floor()).collect() };
        let (a, b) = (integers(m * k), integers(k * n));
        Product { m, n, k, a, b }
    }

    /// Up to three tiles a side, ragged, in rows of whole 16 bytes.
    fn random(seed: u64) -> Product {
        let mut draws = Draws::new(seed, Purpose::Synthetic, 1, 0, 0);
        let mut eights = |n: usize| 8 * (1 + draws.uniform(0.0, n as f32) as usize);
        Product::new([eights(17), eights(33), eights(40)], seed)
    }

    /// To bf16, as c is stored.
    fn expected(&self, a: Lies, b: Lies) -> Vec<f32> {
        let Product { m, n, k, .. } = *self;
        let left = |row: usize, i: usize| match a {
            AlongDepth => self.a[row * k + i],
            Across => self.a[i * m + row],
        };
        let right = |i: usize, col: usize| match b {
            AlongDepth => self.b[col * k + i],
            Across => self.b[i * n + col],
        };
        let at = |row, col| (0..k).map(|i| left(row, i) * right(i, col)).sum::<f32>();
        (0..m * n)
            .map(|i| half::bf16::from_f32(at(i / n, i % n)).to_f32())
            .collect()
    }

    /// What `kernel` leaves in c.
    fn launch<K: Kernel>(
        &self,
        device: &Device,
        kernel: impl Fn([Ptr; 3], [u32; 3]) -> K,
    ) -> Result<Vec<f32>> {
        let Product { m, n, k, .. } = *self;
        let a = Tensor::from_slice(device, [m * k], &self.a)?;
        let b = Tensor::from_slice(device, [k * n], &self.b)?;
        let c = Tensor::from_slice(device, [m * n], &vec![f32::NAN; m * n])?;
        let shape = [m, n, k].map(|n| n as u32);
        device.launch(kernel([a.ptr(), b.ptr(), c.ptr()], shape))?;
        c.to_vec()
    }
}

macro_rules! make {
    ($kernel:ident $(, $field:ident: $value:expr)*) => {
        |[a, b, c]: [Ptr; 3], [m, n, k]: [u32; 3]| $kernel { a, b, c, m, n, k $(, $field: $value)* }
    };
}

#[track_caller]
fn sound<K: Kernel>(lie: [Lies; 2], kernel: impl Fn([Ptr; 3], [u32; 3]) -> K) {
    for &mode in modes() {
        for seed in 0..60 {
            let product = Product::random(seed);
            let device = device_of(Real::Bf16, mode, seed, 1 + seed as usize % 2);
            let Product { m, n, k, .. } = product;
            let what = format!(
                "{}, {mode:?}, seed {seed}, {m} x {n}, depth {k}",
                K::INFO.name
            );
            let found = product.launch(&device, &kernel);
            let found = found.unwrap_or_else(|why| panic!("{what}: {why}"));
            assert!(found == product.expected(lie[0], lie[1]), "{what}");
        }
    }
}

#[test]
fn sound_products_are_right() {
    sound([AlongDepth, AlongDepth], make!(TensorProduct, bug: 0));
    sound([AlongDepth, Across], make!(TensorProductAcross));
    sound([Across, Across], make!(TensorProductBothAcross));
    sound([AlongDepth, AlongDepth], make!(PersistentProduct, bug: 0));
}

/// As numbered in planted_tensor.cu.
#[derive(Clone, Copy, Debug)]
enum Bug {
    NoProductWait = 1,
    EarlyRelease,
    WrongExpect,
    ShortExpect,
    NoStoreFence,
    NoInit,
    NoInitBarrier,
    NoInitFence,
    MisalignedTile,
    NoReadWait,
    NoFullWait,
    NoEmptyWait,
    NoProductFence,
    NoCommit,
    LanesDiffer,
    StoreUnwaited,
    TilePastEnd,
}

/// Found under every schedule, in one tile and a half each way and five steps of depth.
#[track_caller]
fn found(mode: Mode, bug: Bug, words: &[&str]) {
    let product = Product::new([96, 192, 320], 1);
    println!("{bug:?}");
    let launch = |device: &Device| product.launch(device, make!(TensorProduct, bug: bug as u32));
    fails_of::<TensorProduct>(Real::Bf16, mode, 50, launch, words);
}

#[track_caller]
fn found_in_all(bug: Bug, words: &[&str]) {
    modes().iter().for_each(|&mode| found(mode, bug, words));
}

#[test]
fn accumulators_are_no_numbers_before_the_wait() {
    let product = Product::new([96, 192, 320], 1);
    for (&mode, seed) in modes().iter().flat_map(|m| (0..50).map(move |s| (m, s))) {
        let device = device_of(Real::Bf16, mode, seed, 1);
        let bug = Bug::NoProductWait as u32;
        let found = product.launch(&device, make!(TensorProduct, bug: bug));
        assert!(
            found.unwrap().iter().any(|v| v.is_nan()),
            "{mode:?}, seed {seed}"
        );
    }
}

#[test]
fn stages_are_kept_until_they_are_read() {
    let race = [
        "race, dynamic shared memory",
        "which nothing orders after",
        "planted_tensor.cu:",
    ];
    let early = [
        &race[..],
        &["by the copy engine", "by wgmma of warpgroup 0"],
    ]
    .concat();
    found(Mode::Checked, Bug::EarlyRelease, &early);
    // Where these do not race, the loader arrives twice in a phase.
    found(Mode::Checked, Bug::NoFullWait, &["planted_tensor.cu:"]);
    found(Mode::Checked, Bug::NoEmptyWait, &["planted_tensor.cu:"]);
    found(Mode::Checked, Bug::ShortExpect, &race[2..]);
    found(
        Mode::Checked,
        Bug::NoReadWait,
        &[&race[..], &["by thread", "by the copy engine"]].concat(),
    );
}

#[test]
fn writes_are_fenced_before_units_read_them() {
    let words = [
        "missing fence_async_proxy",
        "read by the copy engine",
        "planted_tensor.cu:",
    ];
    found(Mode::Checked, Bug::NoStoreFence, &words);
    found(Mode::Checked, Bug::NoInitFence, &words);
}

#[test]
fn mbarriers_are_checked() {
    let words = [
        "deadlock",
        "an mbarrier, at planted_tensor.cu:",
        "and 16 bytes missing in a phase of parity 0",
    ];
    found_in_all(Bug::WrongExpect, &words);
    found_in_all(Bug::NoInit, &["no mbarrier is there", "planted_tensor.cu:"]);
    found(
        Mode::Checked,
        Bug::NoInitBarrier,
        &["shared array \"barriers\"", "planted_tensor.cu:"],
    );
}

#[test]
fn tiles_are_where_they_can_be() {
    found_in_all(
        Bug::MisalignedTile,
        &["not aligned to 1024 bytes", "planted_tensor.cu:"],
    );
    found_in_all(Bug::TilePastEnd, &["out of bounds", "planted_tensor.cu:"]);
}

#[test]
fn warpgroups_keep_their_rules() {
    found_in_all(
        Bug::NoProductFence,
        &["no wgmma_fence", "planted_tensor.cu:"],
    );
    found_in_all(Bug::NoCommit, &["no wgmma_commit", "planted_tensor.cu:"]);
    found_in_all(
        Bug::LanesDiffer,
        &[
            "issued another wgmma",
            "thread (77,0,0)",
            "planted_tensor.cu:",
        ],
    );
    found_in_all(
        Bug::StoreUnwaited,
        &["exited without bulk_wait_read", "planted_tensor.cu:"],
    );
}

/// As numbered in planted_persistent.cu.
#[test]
fn pipelines_keep_what_is_on_its_way() {
    let product = Product::new([256, 256, 320], 1);
    // Lanes that a stage overtakes by two phases may wait for ever instead of racing.
    let early = ["planted_persistent.cu:"];
    let race = [
        "race, dynamic shared memory",
        "by thread",
        "by the copy engine",
        "planted_persistent.cu:",
    ];
    let registers = [
        "the warpgroups ask for 520 registers",
        "planted_persistent.cu:",
    ];
    for (bug, words) in [(1, &early[..]), (2, &registers[..]), (3, &race[..])] {
        let launch = |device: &Device| product.launch(device, make!(PersistentProduct, bug: bug));
        fails_of::<PersistentProduct>(Real::Bf16, Mode::Checked, 50, launch, words);
    }
}

#[test]
fn a_bad_tensor_map_is_refused() {
    let device = device_of(Real::Bf16, Mode::Plain, 0, 1);
    let product = Product::new([64, 128, 60], 1);
    let why = product
        .launch(&device, make!(TensorProduct, bug: 0))
        .unwrap_err();
    let words = "tensor map 0: strides[0] is 120 bytes: not a multiple of 16";
    assert!(why.to_string().contains(words), "{why}");
}
