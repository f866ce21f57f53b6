use crate::{augment::bytes, check::*};
use proptest::prelude::*;
use selfsame::{Device, Result, Tensor, ops::augment::crop};

fn cropped(
    device: &Device,
    images: &Tensor,
    indices: &[u32],
    boxes: &[[f32; 6]],
    size: usize,
) -> Result<Tensor> {
    let rows = indices.len();
    let indices = Tensor::from_u32(device, [rows], indices)?;
    let boxes = Tensor::from_f32(device, [rows, 6], boxes.as_flattened())?;
    crop(images, &indices, &boxes, size)
}

/// A box inside (h, w), by three fractions of what is possible.
fn box_in(h: usize, w: usize, [a, b, c, d]: [f32; 4], turns: u8, mirror: bool) -> [f32; 6] {
    let (bw, bh) = (
        (1.0 + a * (w - 1) as f32).round(),
        (1.0 + b * (h - 1) as f32).round(),
    );
    let (x, y) = ((c * (w as f32 - bw)).round(), (d * (h as f32 - bh)).round());
    [x, y, bw, bh, f32::from(turns), f32::from(u8::from(mirror))]
}

proptest! {
    #![proptest_config(cases(10))]
    /// To the byte.
    #[test]
    fn conforms(h in 1usize..20, w in 1usize..20, size in 1usize..14, seed: u64,
                rows in prop::collection::vec((0u32..3, prop::array::uniform4(0f32..1.0), 0u8..4, any::<bool>()), 1..5)) {
        let images = bytes(seed, 3 * h * w * 3);
        let indices: Vec<u32> = rows.iter().map(|row| row.0).collect();
        let boxes: Vec<_> = rows.iter().map(|&(_, f, turns, mirror)| box_in(h, w, f, turns, mirror)).collect();
        conform_within(0.0, 0.0, |device| {
            let images = Tensor::from_u8(device, [3, h, w, 3], &images)?;
            Ok(vec![cropped(device, &images, &indices, &boxes, size)?])
        });
    }

    /// The whole image at its own size is the image; mirrored twice as well.
    #[test]
    fn whole_images_stay(size in 1usize..20, seed: u64) {
        let pixels = bytes(seed, 2 * size * size * 3);
        let images = Tensor::from_u8(&cpu(), [2, size, size, 3], &pixels).unwrap();
        let whole = |turns: f32, mirror: f32| [[0.0, 0.0, size as f32, size as f32, turns, mirror]; 2];
        let same = cropped(&cpu(), &images, &[0, 1], &whole(0.0, 0.0), size).unwrap();
        prop_assert_eq!(same.to_vec().unwrap(), images.to_vec().unwrap());
        let once = cropped(&cpu(), &images, &[0, 1], &whole(0.0, 1.0), size).unwrap();
        let twice = cropped(&cpu(), &once, &[0, 1], &whole(0.0, 1.0), size).unwrap();
        prop_assert_eq!(twice.to_vec().unwrap(), images.to_vec().unwrap());
        prop_assert_eq!(&once.to_vec().unwrap()[..3], &images.to_vec().unwrap()[(size - 1) * 3..size * 3]);
        // NumPy's rot90, and four quarters are none.
        let turned = cropped(&cpu(), &images, &[0, 1], &whole(1.0, 0.0), size).unwrap();
        let (pixel, image) = (|line: usize, column: usize| (line * size + column) * 3, images.to_vec().unwrap());
        for (line, column) in (0..size).flat_map(|i| (0..size).map(move |j| (i, j))) {
            let from = pixel(column, size - 1 - line);
            prop_assert_eq!(turned.to_vec().unwrap()[pixel(line, column)], image[from]);
        }
        let back = cropped(&cpu(), &turned, &[0, 1], &whole(3.0, 0.0), size).unwrap();
        prop_assert_eq!(&back.to_vec().unwrap(), &image);
        let half = cropped(&cpu(), &turned, &[0, 1], &whole(1.0, 1.0), size).unwrap();
        let other = cropped(&cpu(), &images, &[0, 1], &whole(2.0, 1.0), size).unwrap();
        prop_assert_eq!(half.to_vec().unwrap(), other.to_vec().unwrap());
    }
}

/// Pillow 13.0's `crop(..).resize(.., BILINEAR)` of a 6 x 5 image: shrunk, unchanged in one direction and grown
/// in the other, and grown. It rounds to bytes between the two directions, so a byte may differ by 1.
#[test]
fn is_pillows() {
    let value =
        |i: usize| (37 * (i / 3 % 6) + 91 * (i / 18) + 53 * (i % 3) * (i / 3 % 6 + 1)) as u8;
    let pixels: Vec<u8> = (0..90).map(value).collect();
    let images = Tensor::from_u8(&cpu(), [1, 5, 6, 3], &pixels).unwrap();
    let golden: [([f32; 6], usize, &[u8]); 3] = [
        (
            [0.0, 0.0, 6.0, 5.0, 0.0, 0.0],
            3,
            &[
                65, 141, 164, 132, 148, 124, 151, 175, 89, 131, 153, 106, 94, 165, 127, 117, 137,
                137, 95, 165, 131, 144, 146, 131, 102, 79, 103,
            ],
        ),
        (
            [1.0, 1.0, 4.0, 3.0, 0.0, 0.0],
            4,
            &[
                128, 234, 84, 165, 68, 227, 202, 158, 114, 239, 248, 1, 185, 131, 141, 62, 125,
                124, 99, 215, 171, 136, 145, 58, 157, 103, 113, 34, 193, 96, 71, 187, 143, 108,
                117, 126, 54, 160, 10, 91, 250, 153, 128, 84, 40, 165, 174, 183,
            ],
        ),
        (
            [0.0, 0.0, 6.0, 5.0, 0.0, 0.0],
            2,
            &[104, 151, 142, 134, 161, 109, 111, 161, 119, 114, 119, 121],
        ),
    ];
    for (bounds, size, expected) in golden {
        let y = cropped(&cpu(), &images, &[0], &[bounds], size)
            .unwrap()
            .to_vec()
            .unwrap();
        assert_eq!(y.len(), expected.len());
        for (i, (&y, &e)) in y.iter().zip(expected).enumerate() {
            assert!(
                (y - e as f32).abs() <= 1.0,
                "{bounds:?} to {size}, byte {i}: {y}, Pillow's is {e}"
            );
        }
    }
}
