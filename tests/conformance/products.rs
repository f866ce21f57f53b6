//! wgmma with operands of every kind.
use super::*;

const DEPTH: usize = 64;

/// How an operand lies in memory.
#[derive(Clone, Copy, PartialEq)]
enum Lies {
    AlongDepth,
    Across,
}
use Lies::{Across, AlongDepth};

/// `form` as numbered by the kernels: columns, and how a and b lie.
fn check(form: u32, cols: usize, a_lies: Lies, b_lies: Lies) {
    let (a, b) = (integers(64 * DEPTH, 7), integers(cols * DEPTH, 8));
    let at = |values: &[f32], lies: Lies, width: usize, i: usize, k: usize| match lies {
        AlongDepth => values[i * DEPTH + k],
        Across => values[k * width + i],
    };
    let sum = |row: usize, col: usize| -> f32 {
        (0..DEPTH)
            .map(|k| at(&a, a_lies, 64, row, k) * at(&b, b_lies, cols, col, k))
            .sum()
    };
    let accumulator = |t: usize, i: usize| {
        let row = t / 32 * 16 + t % 32 / 4 + 8 * (i / 2 % 2);
        sum(row, 8 * (i / 4) + 2 * (t % 4) + i % 2).to_bits()
    };
    let each = cols / 2;
    let expected: Vec<u32> = (0..128 * each)
        .map(|i| accumulator(i / each, i % each))
        .collect();
    let kernel = |p: &[Ptr]| ConformProduct {
        a: p[0],
        b: p[1],
        d: p[2],
        form,
    };
    let inputs = vec![Input::Reals(&a), Input::Reals(&b)];
    conform(
        &Case {
            inputs,
            words: 128 * each,
            compute: 90,
            kernel: &kernel,
        },
        &expected,
    );
}

#[test]
fn operands_lie_along_and_across() {
    check(0, 64, AlongDepth, AlongDepth);
    check(1, 64, AlongDepth, Across);
    check(2, 64, Across, AlongDepth);
    check(3, 64, Across, Across);
}

#[test]
fn a_comes_from_registers() {
    check(4, 64, AlongDepth, AlongDepth);
    check(5, 64, AlongDepth, Across);
}

#[test]
fn shapes_are_narrow_and_wide() {
    check(6, 8, AlongDepth, AlongDepth);
    check(7, 256, AlongDepth, Across);
}

#[test]
fn operands_may_be_plain() {
    check(8, 64, AlongDepth, AlongDepth);
    check(9, 64, Across, Across);
}
