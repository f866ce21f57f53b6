//! What launches move, counted by the emulator and by hand.
use super::matrix::{Product, make};
use selfsame::{
    Device, Tensor,
    device::{Count, EmulatorOptions, Real, kernels::*},
};

fn counted() -> Option<(Device, selfsame::device::Counts)> {
    let options = EmulatorOptions::default();
    let can = EmulatorOptions::can_check();
    if !can {
        eprintln!("skipped: this build cannot count accesses");
    }
    can.then(|| Device::emulated_and_counted(Real::F32, options))
}

fn only(counts: Vec<Count>) -> Count {
    assert_eq!(counts.len(), 1);
    counts[0]
}

#[test]
fn a_sum_reads_and_writes_once() {
    let Some((device, counts)) = counted() else {
        return;
    };
    let [x, y] = [1.0, 0.0].map(|v| Tensor::from_f32(&device, [256], &[v; 256]).unwrap());
    let kernel = SoundSum {
        x: x.ptr(),
        y: y.ptr(),
    };
    device.launch(kernel).unwrap();
    let Count { kernel, moved, .. } = only(counts.take());
    assert_eq!(kernel, "sound_sum");
    for traffic in [moved.read, moved.written] {
        let counted = [traffic.unique, traffic.requested, traffic.sectors];
        assert_eq!(counted, [1024, 1024, 32]);
    }
    // Four sums are written, by a warp each, and every warp reads all four: in each of two blocks.
    assert_eq!([moved.shared.wavefronts, moved.shared.fewest], [16, 16]);
    assert_eq!(moved.tensor_flops, 0);
    assert!(counts.take().is_empty());
}

/// x is read in each of eight steps, and touched once; in shared memory no lanes meet in a bank.
#[test]
fn what_is_read_again_is_requested_again() {
    let Some((device, counts)) = counted() else {
        return;
    };
    let [x, y] = [1.0, 0.0].map(|v| Tensor::from_f32(&device, [256], &[v; 256]).unwrap());
    let kernel = SoundRotation {
        x: x.ptr(),
        y: y.ptr(),
    };
    device.launch(kernel).unwrap();
    let moved = only(counts.take()).moved;
    assert_eq!(moved.read.unique, 1024);
    assert_eq!(moved.read.requested, 8 * 1024);
    assert_eq!(moved.read.sectors, 8 * 32);
    assert_eq!(moved.shared.wavefronts, 8 * 2 * 8);
}

#[test]
fn tensor_cores_and_copies_are_counted() {
    let Some((device, counts)) = counted() else {
        return;
    };
    let [m, n, k] = [96, 96, 96];
    let product = Product::new([m, n, k], 1);
    product.launch(&device, make!(SoundProduct)).unwrap();
    let moved = only(counts.take()).moved;
    // Two by two tiles of 64 x 64, three stages of 32.
    assert_eq!(moved.tensor_flops, 2 * 128 * 128 * 96);
    assert_eq!(moved.read.unique, (2 * (m * k + k * n)) as u64);
    assert_eq!(moved.written.unique, (4 * m * n) as u64);
    // Two tiles along m read all of b, and two along n all of a, in rows of whole sectors.
    assert_eq!(moved.read.requested, 2 * moved.read.unique);
    assert_eq!(32 * moved.read.sectors, moved.read.requested);
    // Eight lanes copy two rows of a tile of a, 80 bytes apart: the second begins in banks 20 to 31 and ends
    // in 0 to 3, where the first is. Nothing else meets: four blocks copy four stages of 64 rows.
    let conflicts = moved.shared.wavefronts - moved.shared.fewest;
    assert_eq!(conflicts, 4 * 4 * 64 / 2);
}
