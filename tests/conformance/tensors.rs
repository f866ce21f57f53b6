//! Tiles of tensors: boxes, swizzles, edges, and the windows of convolutions.
use super::*;

const ROWS: usize = 64;

/// The words of a tile whose chunk's elements are `at(row, element)`, as it lies in shared memory.
fn tile(row_bytes: usize, at: impl Fn(usize, usize) -> f32) -> Vec<u32> {
    let mut words = vec![0; ROWS * row_bytes / 4];
    for row in 0..ROWS {
        for word in 0..row_bytes / 4 {
            let offset = swizzled(row * row_bytes + word * 4, row_bytes);
            words[offset / 4] = pair(at(row, 2 * word), at(row, 2 * word + 1));
        }
    }
    words
}

#[test]
fn tiles_are_swizzled_and_end_in_zeros() {
    let (rows, cols) = (90, 72);
    let x = integers(rows * cols, 3);
    for (row0, col0) in [(0, 0), (40, 24), (-5, -3), (88, 64), (200, 0)] {
        let at = |row: usize, col: usize| {
            let (row, col) = (row0 + row as i32, col0 + col as i32);
            let inside = (0..rows as i32).contains(&row) && (0..cols as i32).contains(&col);
            if inside {
                x[row as usize * cols + col as usize]
            } else {
                0.0
            }
        };
        let mut expected = vec![!0; 4 * 2048];
        for (i, row_bytes) in [16, 32, 64, 128].into_iter().enumerate() {
            let words = tile(row_bytes, at);
            expected[i * 2048..i * 2048 + words.len()].copy_from_slice(&words);
        }
        let kernel = |p: &[Ptr]| ConformTiles {
            x: p[0],
            y: p[1],
            rows: rows as u32,
            cols: cols as u32,
            row: row0,
            col: col0,
        };
        let case = Case {
            inputs: vec![Input::Reals(&x)],
            words: 4 * 2048,
            compute: 90,
            kernel: &kernel,
        };
        conform(&case, &expected);
    }
}

#[test]
fn stores_leave_out_what_is_outside() {
    let (rows, cols) = (72, 80);
    for (row0, col0) in [(0, 0), (30, 40), (-7, -8)] {
        let mut halves = vec![0xffffu32; rows * cols];
        for i in 0..ROWS * 64 {
            let (row, col) = (row0 + (i / 64) as i32, col0 + (i % 64) as i32);
            if (0..rows as i32).contains(&row) && (0..cols as i32).contains(&col) {
                halves[row as usize * cols + col as usize] = i as u32 + 1;
            }
        }
        let expected: Vec<u32> = halves.chunks(2).map(|h| h[0] | h[1] << 16).collect();
        let (rows, cols) = (rows as u32, cols as u32);
        let kernel = |p: &[Ptr]| ConformStore {
            y: p[0],
            rows,
            cols,
            row: row0,
            col: col0,
        };
        conform(
            &Case {
                inputs: vec![],
                words: expected.len(),
                compute: 90,
                kernel: &kernel,
            },
            &expected,
        );
    }
}

/// A convolution's geometry.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    n: i32,
    h: i32,
    w: i32,
    size: i32,
    stride: i32,
    pad: i32,
}

impl Geometry {
    fn out(&self, length: i32) -> i32 {
        (length + 2 * self.pad - self.size) / self.stride + 1
    }

    /// Image and position that output pixel `m` begins at.
    fn start(&self, m: i32) -> [i32; 3] {
        let (p, q) = (self.out(self.h), self.out(self.w));
        let (image, row, col) = (m / (p * q), m / q % p, m % q);
        [
            image,
            row * self.stride - self.pad,
            col * self.stride - self.pad,
        ]
    }

    /// 64 pixels from output pixel `first` on, for one tap of the filter: plain unfolding.
    fn check(&self, x: &[f32], first: i32, [tap_h, tap_w]: [i32; 2]) {
        self.check_walk(x, self.start(first), [tap_h, tap_w], |i| {
            self.start(first + i)
        });
    }

    fn check_walk(
        &self,
        x: &[f32],
        begin: [i32; 3],
        [tap_h, tap_w]: [i32; 2],
        start: impl Fn(i32) -> [i32; 3],
    ) {
        let Geometry {
            n,
            h,
            w,
            size,
            stride,
            pad,
        } = *self;
        let expected = tile(128, |row, channel| {
            let [image, y, z] = start(row as i32);
            let (y, z) = (y + tap_h, z + tap_w);
            let inside = (0..n).contains(&image) && (0..h).contains(&y) && (0..w).contains(&z);
            let at = ((image * h + y) * w + z) as usize * 64 + channel;
            if inside { x[at] } else { 0.0 }
        });
        let [n, h, w, size, stride, pad] = [n, h, w, size, stride, pad].map(|v| v as u32);
        let [at_n, at_h, at_w] = begin;
        let (tap_h, tap_w) = (tap_h as u32, tap_w as u32);
        let kernel = |p: &[Ptr]| {
            let (x, y) = (p[0], p[1]);
            ConformIm2col {
                x,
                y,
                n,
                h,
                w,
                size,
                stride,
                pad,
                tap_h,
                tap_w,
                at_n,
                at_h,
                at_w,
            }
        };
        let case = Case {
            inputs: vec![Input::Reals(x)],
            words: 2048,
            compute: 90,
            kernel: &kernel,
        };
        conform(&case, &expected);
    }
}

#[test]
fn windows_unfold_as_convolutions_read() {
    let mut seed = 1u64;
    let mut below = |n: i32| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((seed >> 33) % n as u64) as i32
    };
    for _ in 0..40 {
        let size = 1 + 2 * below(2);
        let geometry = Geometry {
            n: 1 + below(4),
            h: size + below(9),
            w: size + below(9),
            size,
            stride: 1 + below(2),
            pad: below(2).min(size - 1),
        };
        let Geometry { n, h, w, .. } = geometry;
        let x = integers((n * h * w) as usize * 64, 5);
        let pixels = n * geometry.out(h) * geometry.out(w);
        // From the first pixel, and so near the end that the tile is ragged.
        for first in [0, below(pixels), pixels - 1] {
            geometry.check(&x, first, [below(size), below(size)]);
        }
    }
}

/// Where a tile begins between the positions of a stride, the walk keeps that offset to the end of the row.
#[test]
fn windows_may_begin_off_the_grid() {
    let geometry = Geometry {
        n: 2,
        h: 9,
        w: 9,
        size: 3,
        stride: 2,
        pad: 1,
    };
    let x = integers(2 * 81 * 64, 6);
    let (begin, last) = ([0, 0, 2], 9 - 1 + 1 - 2);
    let walk = |i: i32| {
        let mut at = begin;
        for _ in 0..i {
            at[2] += 2;
            if at[2] > last {
                at[2] = -1;
                at[1] += 2;
            }
            if at[1] > last {
                at[1] = -1;
                at[0] += 1;
            }
        }
        at
    };
    geometry.check_walk(&x, begin, [1, 2], walk);
}
