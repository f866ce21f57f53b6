//! Every kernel moves what it says it moves. The emulator counts what a launch reads and writes (see
//! `selfsame::device::Moved`), and two things are held against `bytes()`, "fewest bytes through device
//! memory": the bytes touched at all, and the 32-byte sectors that instructions of warps asked for, which
//! would have to come and go if there were no caches. A change that reads something twice fails here.
mod launches;

use launches::launch_all;
use selfsame::device::{Count, EmulatorOptions, Real};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

const SECTOR_BYTES: u64 = 32;

/// What all launches of a kernel say and do together.
#[derive(Clone, Copy, Default)]
struct Sum {
    launches: u64,
    claimed: u64,
    touched: u64,
    moved: u64,
    claimed_flops: u64,
    tensor_flops: u64,
    wavefronts: u64,
    fewest_wavefronts: u64,
}

type Sums = BTreeMap<&'static str, Sum>;

fn by_kernel(counts: &[Count]) -> Sums {
    let mut sums = Sums::new();
    for Count {
        kernel,
        claimed,
        moved,
    } in counts
    {
        let sum = sums.entry(kernel).or_default();
        sum.launches += claimed.launches;
        sum.claimed += claimed.bytes;
        sum.claimed_flops += claimed.flops;
        sum.touched += moved.read.unique + moved.written.unique;
        sum.moved += SECTOR_BYTES * (moved.read.sectors + moved.written.sectors);
        sum.tensor_flops += moved.tensor_flops;
        sum.wavefronts += moved.shared.wavefronts;
        sum.fewest_wavefronts += moved.shared.fewest;
    }
    sums
}

impl Sum {
    /// Bytes touched, and sectors moved, over what `bytes()` says.
    fn factors(&self) -> [f64; 2] {
        [self.touched, self.moved].map(|bytes| bytes as f64 / self.claimed as f64)
    }

    fn print(&self, kernel: &str) {
        let [touched, moved] = self.factors();
        let conflicts = self.wavefronts as f64 / self.fewest_wavefronts.max(1) as f64;
        println!(
            "{kernel:40} {:9} {touched:8.3} {moved:8.3} {conflicts:8.3} {:12}",
            self.claimed, self.tensor_flops
        );
    }
}

/// What a kernel may touch and move, as factors of `bytes()`, where that is more than others may.
struct Allowed {
    kernel: &'static str,
    touched: f64,
    moved: f64,
}

/// Of every kernel not named below; besides, a few numbers for each row or channel.
const ALLOWED: [f64; 2] = [1.02, 1.1];
/// What a launch may move whatever it says: that is latency, not traffic.
const SMALL: u64 = 1024;

const fn moves(kernel: &'static str, moved: f64) -> Allowed {
    Allowed {
        kernel,
        touched: ALLOWED[0],
        moved,
    }
}

const EXCEPTIONS: &[Allowed] = &[
    // Products read each operand once for every tile of the other, 64 or 128 rows or columns wide, and a
    // window once for each of its taps. Channels in sixties end in the middle of a sector.
    moves("conv2d_forward", 9.5),
    moves("conv2d_input_gradient", 9.2),
    moves("conv2d_weight_gradient", 6.2),
    moves("conv2d_forward_128x128", 2.8),
    moves("conv2d_forward_128x64", 3.6),
    moves("conv2d_input_gradient_128x128", 2.8),
    moves("conv2d_input_gradient_128x64", 1.6),
    moves("conv2d_weight_gradient_128x128", 2.1),
    moves("conv2d_weight_gradient_64x128", 3.3),
    moves("conv2d_forward_wgmma_128x256", 1.8),
    moves("conv2d_forward_wgmma_128x128", 2.4),
    moves("conv2d_forward_wgmma_128x64", 1.6),
    moves("conv2d_input_gradient_wgmma_128x256", 1.8),
    moves("conv2d_input_gradient_wgmma_128x128", 2.4),
    moves("conv2d_input_gradient_wgmma_128x64", 1.6),
    moves("conv2d_weight_gradient_wgmma_128x128", 1.8),
    moves("conv2d_weight_gradient_wgmma_64x128", 1.8),
    moves("matmul", 5.0),
    moves("matmul_128x64", 1.5),
    moves("matmul_f32", 4.0),
    moves("matmul_f32_128x64", 1.4),
    moves("cross_correlation_forward", 3.8),
    moves("cross_correlation_forward_128x64", 1.9),
    // Three channels to a pixel: pieces of six bytes.
    moves("conv2d_image_fold", 3.4),
    moves("conv2d_image_fold_weight", 1.6),
    moves("conv2d_image_unfold_gradient", 1.7),
    // Rows z are read for every block of rows of similarities.
    moves("nt_xent_forward", 4.5),
    moves("nt_xent_backward", 5.2),
    moves("nt_xent_forward_d64", 3.2),
    moves("nt_xent_forward_d128", 3.2),
    moves("nt_xent_forward_d256", 3.2),
    moves("nt_xent_backward_d64", 1.6),
    moves("nt_xent_backward_d128", 1.6),
    moves("nt_xent_backward_d256", 1.9),
    // The same of queries and negatives.
    moves("info_nce_forward", 2.4),
    moves("info_nce_backward", 4.0),
    moves("info_nce_forward_d64", 1.4),
    moves("info_nce_forward_d128", 1.4),
    moves("info_nce_forward_d256", 1.8),
    moves("info_nce_backward_d64", 1.2),
    moves("info_nce_backward_d128", 1.2),
    moves("info_nce_backward_d256", 1.5),
    // A row has a few numbers of its own, a sector each.
    moves("info_nce_positive", 1.2),
    moves("info_nce_key_gradient", 1.2),
    moves("cosine_distance_forward", 1.3),
    // And each of a row's warps reads them.
    moves("cosine_distance_backward", 1.6),
    // So has each of a row's warps; and its sums are read again when they are whole.
    moves("info_nce_query_gradient", 1.8),
    // As norms: a number that g++ loads twice.
    moves("nt_xent_gradient", 2.0),
    // z[k] z[k], which g++ loads twice where it is bf16, and NVRTC once.
    moves("nt_xent_norms", 2.2),
    // A row is read twice: for its norm or its sums (there g++ does as above), then to be used.
    moves("l2_normalize_forward", 2.2),
    moves("l2_normalize_backward", 2.0),
    moves("cross_entropy_forward", 2.5),
    moves("cross_entropy_backward", 1.9),
    moves("bank_update", 2.0),
    // Rows of 601 scores begin in the middle of a sector; softmax reads them twice.
    moves("bank_nce_loss", 1.4),
    moves("bank_nce_softmax_loss", 2.6),
    moves("normalize_rows", 1.5),
    moves("sinkhorn_prototypes", 2.1),
    // A row and log_u: of every row, or of chunks of four.
    moves("sinkhorn_samples", 4.1),
    moves("sinkhorn_codes", 3.5),
    moves("sinkhorn_round", 2.0),
    // Every crop reads the codes of its image.
    moves("swapped_prediction_forward", 5.4),
    moves("swapped_prediction_backward", 3.7),
    // Every block reads the few numbers of its channels again; the batch is small here.
    moves("batch_norm_forward", 1.6),
    moves("batch_norm_backward", 1.5),
    moves("batch_norm_relu_forward", 1.6),
    moves("batch_norm_relu_backward", 1.6),
    moves("batch_norm_add_relu_forward", 1.4),
    // Twice: means first, then squared differences.
    moves("batch_norm_combine", 3.0),
    moves("batch_norm_relu_sums", 1.4),
    // A pixel is in up to four windows.
    moves("batch_norm_relu_max_pool_forward", 2.0),
    moves("batch_norm_relu_max_pool_backward", 1.8),
    // Windows overlap; backward, every input looks at all windows around it.
    moves("max_pool_forward", 2.0),
    moves("max_pool_backward", 3.0),
    // A thread a row of sixteen numbers.
    moves("augment_draw", 8.0),
    // Three bytes a pixel, each an instruction; what neighbours share is in cache.
    moves("augment_jitter", 4.5),
    moves("augment_color", 5.2),
    // Taps of the blur, first along lines in shared memory, then from device memory.
    moves("augment_blur_lines", 1.5),
    moves("augment_blur_columns", 1.8),
    // A pixel's nine neighbours, from L1, and what was written once more, three floats apart.
    moves("augment_photometric", 11.0),
    Allowed {
        // The box of the source, which `bytes()` cannot know; four corners and three bytes of each pixel.
        kernel: "augment_crop",
        touched: 1.7,
        moved: 32.0,
    },
];

/// What is wrong with a kernel that was launched as `sums` say, for each number type.
fn complaints(kernel: &str, sums: &[Sum]) -> Vec<String> {
    let exception = EXCEPTIONS.iter().find(|allowed| allowed.kernel == kernel);
    let allowed = exception.map_or(ALLOWED, |allowed| [allowed.touched, allowed.moved]);
    let mut complaints = Vec::new();
    let mut most: [f64; 2] = [0.0; 2];
    for sum in sums {
        for ((what, bytes), allowed) in [("touches", sum.touched), ("moves", sum.moved)]
            .into_iter()
            .zip(allowed)
        {
            let limit = allowed * sum.claimed as f64 + (SMALL * sum.launches) as f64;
            if bytes as f64 > limit {
                let claimed = sum.claimed;
                complaints.push(format!(
                    "{what} {bytes} bytes; bytes() is {claimed}, and {allowed} times that is allowed"
                ));
            }
        }
        if sum.tensor_flops > 0 {
            let done = sum.tensor_flops as f64 / sum.claimed_flops as f64;
            if !(1.0..EDGES).contains(&done) {
                complaints.push(format!("multiplies {done} times what flops() says"));
            }
        }
        most = [0, 1].map(|i| most[i].max(sum.factors()[i]));
        if sum.touched < sum.claimed / 2 {
            complaints.push("touches not half of what bytes() says".into());
        }
    }
    if exception.is_some() && most[1] < 0.7 * allowed[1] {
        let (most, allowed) = (most[1], allowed[1]);
        complaints.push(format!(
            "moves {most} times bytes() and may move {allowed} times that: allow less"
        ));
    }
    complaints
}

/// How often tensor cores may multiply what they need not: the edges of tiles, which are a large part of
/// shapes as small as these.
const EDGES: f64 = 2.1;

/// The names of all kernels, from the files themselves.
fn all_kernels() -> BTreeSet<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels");
    let mut kernels = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "cu") {
            let text = fs::read_to_string(path).unwrap();
            let heads = text.lines().filter_map(|line| line.strip_prefix("KERNEL"));
            let name = |head: &str| head.split(['(', ',']).nth(1).unwrap().trim().to_string();
            kernels.extend(heads.map(name));
        }
    }
    kernels
}

/// `cargo test --release --features emulator --test ops counts -- --nocapture` prints what was counted.
#[test]
fn every_kernel_moves_what_it_says() {
    if !EmulatorOptions::can_check() {
        return eprintln!("skipped: this build cannot count accesses");
    }
    let mut sums: BTreeMap<&str, Vec<Sum>> = BTreeMap::new();
    for (real, compute) in [(Real::F32, 80), (Real::Bf16, 80), (Real::Bf16, 90)] {
        println!(
            "{:40} {:>9} {:>8} {:>8} {:>8} {:>12}",
            format!("{}, sm_{compute}", real.name()),
            "bytes()",
            "touched",
            "moved",
            "banks",
            "tensor flops"
        );
        for (kernel, mut sum) in by_kernel(&launch_all(real, compute)) {
            sum.print(kernel);
            // A pack of f32 is two accesses of half of every sector; the other half is in cache by then.
            if real == Real::F32 {
                sum.moved /= 2;
            }
            sums.entry(kernel).or_default().push(sum);
        }
    }
    let missing = all_kernels()
        .into_iter()
        .filter(|kernel| !sums.contains_key(&**kernel));
    let missing = missing.map(|kernel| format!("{kernel}: never launched here"));
    let found = sums.iter().flat_map(|(kernel, sums)| {
        let complaints = complaints(kernel, sums).into_iter();
        complaints.map(move |complaint| format!("{kernel} {complaint}"))
    });
    let all: Vec<String> = missing.chain(found).collect();
    assert!(all.is_empty(), "\n{}\n", all.join("\n"));
}
