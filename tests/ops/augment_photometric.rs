use crate::{
    augment::{bytes, unscaled},
    check::*,
};
use proptest::prelude::*;
use selfsame::{
    Tensor,
    ops::{
        augment::{self, Recipe, table},
        augment_photometric,
    },
};

/// A row of the table that changes what PIL would by these.
fn row(bits: u32, sharpness: f32, invert: f32) -> [f32; table::COLS] {
    let mut row = table::identity();
    row[table::PHOTOMETRIC] = 1.0;
    row[table::POSTERIZE] = (1 << (8 - bits)) as f32;
    (row[table::SHARPNESS], row[table::INVERT]) = (sharpness, invert);
    row
}

fn applied(x: &[f32], dims: [usize; 4], rows: &[[f32; table::COLS]]) -> Vec<f32> {
    let x = Tensor::from_f32(&cpu(), dims, x).unwrap();
    let rows = Tensor::from_f32(&cpu(), [rows.len(), table::COLS], rows.as_flattened()).unwrap();
    let y = augment_photometric::forward(&x, &rows).unwrap();
    y.to_vec().unwrap()
}

proptest! {
    #![proptest_config(cases(10))]
    /// To the bit: every device rounds to the same whole numbers. Channels need not be whole.
    #[test]
    fn conforms(rows in 1usize..4, h in 1usize..12, w in 1usize..40, seed: u64, sharpness in 0.1f32..1.9, bits in 4u32..9, invert in 0u32..257) {
        let x: Vec<f32> = bytes(seed, rows * h * w * 3).iter().map(|&v| (v as f32 - 0.3).abs()).collect();
        let changed = row(bits, sharpness, invert as f32);
        let mut table: Vec<[f32; table::COLS]> = vec![changed; rows];
        table[0][table::PHOTOMETRIC] = (seed % 2) as f32;
        table[rows - 1][table::GRAY] = [0.0, table::GRAY_LAST, table::GRAY_PHOTOMETRIC][seed as usize % 3];
        conform_within(2e-6, 1.0, |device| {
            let x = Tensor::from_f32(device, [rows, h, w, 3], &x)?;
            let table = Tensor::from_f32(device, [rows, table::COLS], table.as_flattened())?;
            Ok(vec![augment_photometric::forward(&x, &table)?])
        });
    }
}

/// What Pillow 13.0 makes of 4 x 5 pixels; it drops what is after the point where contrast is stretched.
#[test]
fn it_is_pils() {
    let x: Vec<f32> = (0..20u32)
        .flat_map(|i| (0..3).map(move |c| ((i * 53 + c * 91 + i * i * 7) % 256) as f32))
        .collect();
    let golden: [(_, [u8; 60]); 3] = [
        (
            row(4, 1.7, 200.0),
            [
                0, 106, 233, 63, 191, 19, 170, 41, 63, 62, 63, 191, 85, 191, 19, 233, 21, 127, 19,
                204, 0, 34, 0, 185, 120, 49, 0, 21, 127, 255, 255, 42, 170, 205, 0, 57, 118, 71,
                21, 87, 223, 0, 85, 191, 19, 85, 191, 19, 106, 212, 0, 127, 255, 42, 191, 19, 85,
                255, 42, 170,
            ],
        ),
        (
            row(6, 0.3, 90.0),
            [
                0, 127, 113, 96, 160, 17, 197, 27, 89, 56, 71, 165, 109, 146, 4, 113, 1, 229, 139,
                179, 101, 149, 255, 214, 237, 125, 110, 32, 230, 81, 81, 43, 190, 187, 90, 255,
                230, 94, 73, 255, 143, 72, 102, 146, 4, 102, 146, 4, 128, 125, 0, 235, 76, 44, 171,
                0, 115, 81, 43, 190,
            ],
        ),
        (
            row(8, 1.0, 256.0),
            [
                0, 82, 183, 68, 151, 246, 153, 236, 56, 255, 43, 148, 78, 160, 255, 211, 0, 108,
                66, 149, 244, 232, 20, 127, 119, 202, 25, 22, 105, 204, 236, 25, 131, 172, 255, 73,
                124, 206, 29, 91, 174, 0, 75, 158, 252, 75, 158, 252, 91, 174, 0, 124, 206, 29,
                172, 255, 73, 236, 25, 131,
            ],
        ),
    ];
    for (row, pils) in golden {
        let ours = applied(&x, [1, 4, 5, 3], &[row]);
        for (i, (y, pil)) in ours.iter().zip(pils).enumerate() {
            let dropped = y - pil as f32;
            assert!(
                (-1e-3..1.0).contains(&dropped),
                "{i}: {y}, Pillow's is {pil}"
            );
        }
    }
}

/// A row that is not to be changed, and a channel without contrast, stay as they are.
#[test]
fn what_is_not_drawn_stays() {
    let x: Vec<f32> = (0..24).map(|i| i as f32 * 9.7).collect();
    assert_eq!(applied(&x, [1, 2, 4, 3], &[table::identity()]), x);
    let flat = [90.0, 20.0, 7.0].repeat(12);
    assert_eq!(applied(&flat, [1, 3, 4, 3], &[row(8, 1.9, 256.0)]), flat);
}

/// After the photometric changes, not before: what is inverted is grey all the same.
#[test]
fn grey_waits_for_it() {
    let recipe = Recipe {
        photometric_probability: 1.0,
        gray_probability: 1.0,
        ..unscaled()
    };
    let pixels = bytes(3, 8 * 6 * 6 * 3);
    let x = Tensor::from_u8(&cpu(), [8, 6, 6, 3], &pixels).unwrap();
    let ids = Tensor::from_u32(&cpu(), [8], &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
    let epoch = Tensor::from_u32(&cpu(), [1], &[0]).unwrap();
    let grey = augment::views(&x, &ids, &recipe, 1, &epoch, 0).unwrap();
    let coloured = Recipe {
        gray_probability: 0.0,
        ..recipe
    };
    let coloured = augment::views(&x, &ids, &coloured, 1, &epoch, 0).unwrap();
    let luma = |v: &[f32]| (19595.0 * v[0] + 38470.0 * v[1] + 7471.0 * v[2]) / 65536.0;
    let coloured = coloured.to_vec().unwrap();
    let expected: Vec<f32> = coloured.chunks(3).flat_map(|v| [luma(v); 3]).collect();
    assert_close("grey", &grey.to_vec().unwrap(), &expected, 1e-4);
}
