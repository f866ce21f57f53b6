//! Instructions of one warp.
use super::*;

/// Ties, large and small numbers, infinities and no number.
fn floats() -> Vec<f32> {
    let special = [
        0.0,
        -0.0,
        1.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN_POSITIVE,
        1e-42,
    ];
    let near_ties = (0..247u32).map(|i| f32::from_bits(0x3f80_0000 + i * 0x0a80_4001));
    let finite = near_ties.map(|v| if v.is_nan() { 1.0 } else { v });
    special.into_iter().chain(finite).collect()
}

/// No number is one bit pattern on the device.
fn rounded(v: f32) -> u32 {
    if v.is_nan() { 0x7fff } else { bits(v) }
}

#[test]
fn lanes_exchange_what_they_should() {
    let floats = floats();
    let x: Vec<u32> = floats.iter().map(|v| v.to_bits()).collect();
    let expected = floats.iter().enumerate().flat_map(|(i, &v)| {
        let lane = i as u32 % 32;
        let eight = lane & !7;
        let xor = lane ^ 9;
        [
            rounded(v) | rounded(-v) << 16,
            rounded(v),
            (lane & !15) + (lane * 3 + 1) % 16,
            if lane - eight >= 3 { lane - 3 } else { lane },
            if lane % 16 + 5 < 16 { lane + 5 } else { lane },
            if xor < eight + 8 { xor } else { lane },
            (0..32).filter(|l| l % 3 == 0).fold(0, |b, l| b | 1 << l),
            1,
        ]
    });
    let expected: Vec<u32> = expected.collect();
    let kernel = |p: &[Ptr]| ConformLanes { x: p[0], y: p[1] };
    let case = Case {
        inputs: vec![Input::Words(&x)],
        words: 256 * 8,
        compute: 80,
        kernel: &kernel,
    };
    conform(&case, &expected);
}

#[test]
fn fragments_are_where_they_should_be() {
    let (a, b) = (integers(256, 1), integers(256, 2));
    let sum = |row: usize, col: usize| {
        (0..16)
            .map(|k| a[row * 16 + k] * b[k * 16 + col])
            .sum::<f32>()
    };
    let mut expected = Vec::new();
    for lane in 0..32 {
        let (g, t) = (lane / 4, 2 * (lane % 4));
        for i in 0..4 {
            let (row, col) = (g + 8 * (i % 2), t + 8 * (i / 2));
            expected.push(pair(a[row * 16 + col], a[row * 16 + col + 1]));
        }
        for i in 0..4 {
            let (row, col) = (t + 8 * (i % 2), g + 8 * (i / 2));
            expected.push(pair(b[row * 16 + col], b[(row + 1) * 16 + col]));
        }
        for i in 0..8 {
            let (row, col) = (g + 8 * (i / 2 % 2), t + i % 2 + 8 * (i / 4));
            expected.push(sum(row, col).to_bits());
        }
    }
    let kernel = |p: &[Ptr]| ConformMatrices {
        a: p[0],
        b: p[1],
        y: p[2],
    };
    let inputs = vec![Input::Reals(&a), Input::Reals(&b)];
    conform(
        &Case {
            inputs,
            words: 32 * 16,
            compute: 80,
            kernel: &kernel,
        },
        &expected,
    );
}

#[test]
fn copies_are_filled_with_zeros() {
    let bytes: Vec<u8> = (0..17 * 16).map(|i| i as u8 | 1).collect();
    let words = |bytes: &[u8]| -> Vec<u32> {
        let word = |b: &[u8]| u32::from_le_bytes(b.try_into().expect("four bytes"));
        bytes.chunks_exact(4).map(word).collect()
    };
    let kept = bytes.iter().enumerate();
    let kept: Vec<u8> = kept
        .map(|(i, &b)| if i % 16 < i / 16 { b } else { 0 })
        .collect();
    let x = words(&bytes);
    let kernel = |p: &[Ptr]| ConformCopies { x: p[0], y: p[1] };
    let case = Case {
        inputs: vec![Input::Words(&x)],
        words: 17 * 4,
        compute: 80,
        kernel: &kernel,
    };
    conform(&case, &words(&kept));
}

#[test]
fn phases_follow_each_other() {
    let kernel = |p: &[Ptr]| ConformPhases { y: p[0] };
    let squares: Vec<u32> = (0..8).map(|i| i * i).collect();
    conform(
        &Case {
            inputs: vec![],
            words: 8,
            compute: 90,
            kernel: &kernel,
        },
        &squares,
    );
}
