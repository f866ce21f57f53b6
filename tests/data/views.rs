//! What an image is cut into: where pieces lie, in which order, and what they show.
use std::sync::Arc;

use proptest::prelude::*;
use selfsame::data::crop::{Filter, resize_into, turn};
use selfsame::data::views::{Area, Cut, Mirror, Order, Source, Views};
use selfsame::data::{Image, Loader, Plan};

use super::samples::*;

const AREA: Area = Area {
    scale: (0.6, 1.0),
    ratio: (0.75, 4.0 / 3.0),
};

/// 12-pixel patches of cells of 16.
fn patches(from: Source, mirror: Mirror, order: Order) -> Views {
    Views {
        size: 12,
        filter: Filter::Bilinear,
        cut: Cut::Patches {
            from,
            whole: 48,
            cell: 16,
            mirror,
            order,
        },
        first: 0,
    }
}

fn noise(width: u32, height: u32) -> Image {
    let pixels = (0..width * height * 3).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8);
    Image {
        width,
        height,
        pixels: pixels.collect(),
    }
}

proptest! {
    /// Each patch lies in its own cell, as far from its edges as there is room, and within the image.
    #[test]
    fn patches_lie_in_their_cells(seed: u64, id: u32, width in 16u32..200, height in 16u32..200, square: bool) {
        let from = if square { Source::Square { of: 48 } } else { Source::Resized(AREA) };
        let drawn = patches(from, Mirror::Nothing, Order::Reading).draw(seed, 3, id, width, height);
        prop_assert_eq!(drawn.pieces.len(), 9);
        for (number, piece) in drawn.pieces.iter().enumerate() {
            prop_assert!(piece.x >= 0.0 && piece.y >= 0.0);
            prop_assert!(piece.x + piece.width <= width as f32 + 1e-3);
            prop_assert!(piece.y + piece.height <= height as f32 + 1e-3);
            for (other, beside) in drawn.pieces.iter().enumerate() {
                let apart = |a: f32, length: f32, b: f32| a + length <= b + 1e-3;
                if number % 3 < other % 3 {
                    prop_assert!(apart(piece.x, piece.width, beside.x));
                }
                if number / 3 < other / 3 {
                    prop_assert!(apart(piece.y, piece.height, beside.y));
                }
            }
        }
    }

    /// In a mirrored whole the columns change places, and every patch is mirrored.
    #[test]
    fn a_mirrored_whole_is_mirrored_throughout(seed: u64, id: u32) {
        let drawn = patches(Source::Resized(AREA), Mirror::Whole, Order::Reading).draw(seed, 0, id, 96, 96);
        let mirrored = drawn.pieces[0].mirror;
        prop_assert!(drawn.pieces.iter().all(|piece| piece.mirror == mirrored));
        prop_assert_eq!(drawn.pieces[0].x > drawn.pieces[2].x, mirrored);
    }

    /// Place p shows the cell that the permutation names, whichever it is.
    #[test]
    fn a_permutation_is_the_target(seed: u64, id: u32) {
        let all = vec![[0, 1, 2, 3, 4, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1, 0], [1, 0, 3, 2, 5, 4, 7, 6, 8]];
        let order = Order::OneOf(Arc::new(all.clone()));
        let views = patches(Source::Resized(AREA), Mirror::Nothing, order);
        prop_assert_eq!(views.targets(), 3);
        let drawn = views.draw(seed, 0, id, 64, 64);
        let cells = patches(Source::Resized(AREA), Mirror::Nothing, Order::Reading).draw(seed, 0, id, 64, 64);
        for (place, &cell) in all[drawn.target as usize].iter().enumerate() {
            prop_assert_eq!(drawn.pieces[place], cells.pieces[cell as usize]);
        }
    }

    #[test]
    fn a_turn_is_the_target_and_what_is_seen(seed: u64, id: u32) {
        let views = Views {
            size: 10,
            filter: Filter::Bilinear,
            cut: Cut::Turned { area: AREA },
            first: 0,
        };
        let image = noise(40, 30);
        let drawn = views.draw(seed, 0, id, 40, 30);
        let mut turned = vec![0; 300];
        views.cut(&image, &drawn, &mut [&mut turned[..]]);
        let mut upright = drawn.clone();
        upright.pieces[0].turns = 0;
        upright.pieces[0].mirror = false;
        let mut expected = vec![0; 300];
        views.cut(&image, &upright, &mut [&mut expected[..]]);
        turn(&mut expected, 10, drawn.target);
        if drawn.pieces[0].mirror {
            expected.chunks_exact_mut(30).for_each(|row| row.as_chunks_mut::<3>().0.reverse());
        }
        prop_assert_eq!(turned, expected);
    }
}

/// All turns and orders are drawn, each about equally often; so is each place of a patch in its cell.
#[test]
fn draws_are_even() {
    let turned = Views {
        size: 10,
        filter: Filter::Bilinear,
        cut: Cut::Turned { area: AREA },
        first: 0,
    };
    let shuffled = patches(Source::Square { of: 48 }, Mirror::Nothing, Order::Shuffled);
    let reading = patches(Source::Square { of: 48 }, Mirror::Nothing, Order::Reading);
    let (mut turns, mut first, mut offsets) = ([0; 4], [0; 9], [0; 5]);
    for id in 0..9000 {
        turns[turned.draw(1, 0, id, 48, 48).target as usize] += 1;
        let piece = shuffled.draw(1, 0, id, 48, 48).pieces[0];
        first[(piece.y / 16.0) as usize * 3 + (piece.x / 16.0) as usize] += 1;
        offsets[reading.draw(1, 0, id, 48, 48).pieces[4].x as usize - 16] += 1;
    }
    let even = |counts: &[i32], each: i32| counts.iter().all(|n| (n - each).abs() < each / 8);
    assert!(even(&turns, 2250), "{turns:?}");
    assert!(even(&first, 1000), "{first:?}");
    assert!(even(&offsets, 1800), "{offsets:?}");
}

/// A patch shows what a cut out of the whole, resized, would: but for the rounding to bytes in between, and
/// at the edge of the crop.
#[test]
fn a_patch_is_cut_from_the_resized_whole() {
    let image = Image {
        width: 96,
        height: 96,
        pixels: (0..96 * 96)
            .flat_map(|i| [i % 96 * 2, i / 96 * 2, 100].map(|v| v as u8))
            .collect(),
    };
    let views = patches(Source::Square { of: 48 }, Mirror::Nothing, Order::Reading);
    let drawn = views.draw(5, 0, 1, 96, 96);
    let mut whole = vec![0; 48 * 48 * 3];
    let all = selfsame::data::crop::CropBox::whole(&image);
    resize_into(&image, all, 48, Filter::Bilinear, &mut whole);
    for piece in &drawn.pieces {
        let one = selfsame::data::views::Drawn {
            pieces: vec![*piece],
            target: 0,
        };
        let mut patch = vec![0; 12 * 12 * 3];
        views.cut(&image, &one, &mut [&mut patch[..]]);
        let (x, y) = (piece.x as usize / 2, piece.y as usize / 2);
        for (line, row) in patch.chunks_exact(36).enumerate() {
            let from = &whole[((y + line) * 48 + x) * 3..][..36];
            let close = row.iter().zip(from).all(|(a, b)| a.abs_diff(*b) <= 2);
            assert!(close, "line {line}: {row:?} is not {from:?}");
        }
    }
}

/// Crops stand view by view, patches image by image, and the targets are told.
#[test]
fn the_loader_puts_pieces_where_they_belong() {
    let dataset = Arc::new(open("synthetic:32:24"));
    let order = Order::OneOf(Arc::new(vec![[8, 7, 6, 5, 4, 3, 2, 1, 0]; 7]));
    let views = vec![
        Views {
            size: 8,
            filter: Filter::Bilinear,
            cut: crops(2, (0.2, 1.0)),
            first: 0,
        },
        Views {
            first: 2,
            ..patches(Source::Resized(AREA), Mirror::Each, order)
        },
    ];
    let plan = Plan {
        batch: 4,
        seed: 9,
        start_step: 1,
        steps: 2,
        workers: 2,
        depth: 1,
        views: views.clone(),
        max_bad: 0.0,
        bad_before: 0,
    };
    let batch = Loader::start(dataset.clone(), plan).unwrap().next();
    let batch = batch.unwrap().unwrap();
    for (place, &id) in batch.ids.iter().enumerate() {
        let image = dataset.decode(id as usize).unwrap();
        for (views, found) in views.iter().zip(&batch.views) {
            let drawn = views.draw(9, 0, id, image.width, image.height);
            let bytes = (views.size * views.size * 3) as usize;
            let mut pieces = vec![vec![0; bytes]; views.pieces()];
            let mut out: Vec<&mut [u8]> = pieces.iter_mut().map(|p| &mut p[..]).collect();
            views.cut(&image, &drawn, &mut out);
            for (number, piece) in pieces.iter().enumerate() {
                let row = match views.cut {
                    Cut::Patches { .. } => place * 9 + number,
                    _ => number * 4 + place,
                };
                assert_eq!(&found[row * bytes..][..bytes], piece, "{place} {number}");
            }
            if views.targets() > 0 {
                assert_eq!(batch.targets[place], drawn.target);
            }
        }
    }
}
