//! Damaged images: refused or decoded, never a panic, a hang, a giant allocation or a leak.
use std::time::Duration;

use selfsame::data::clock;
use selfsame::data::decode::{decode, dimensions};

use super::allocator::{live, most};
use super::{alone, images, memory, mutate::mutated};

/// `count` damaged images, decoded.
fn mutations(count: u32) {
    let _alone = alone();
    let valid = images();
    most();
    let began = clock::of_thread();
    let (mut good, mut panicked, mut longest) = (0, 0, Duration::ZERO);
    for number in 0..count {
        let bytes = mutated(&valid, number);
        let started = clock::of_thread();
        match decode(&bytes) {
            Ok(image) => {
                assert_eq!(image.pixels.len() as u32, 3 * image.width * image.height);
                assert_eq!(dimensions(&bytes), Ok((image.width, image.height)));
                good += 1;
            }
            Err(why) => panicked += u32::from(why.contains("panicked")),
        }
        longest = longest.max(clock::of_thread() - started);
    }
    let (took, allocated) = (clock::of_thread() - began, most());
    eprintln!(
        "{count} damaged images in {took:.1?}: {good} decoded all the same, {panicked} caught panics, \
         the longest took {longest:.1?} of processor time; {} MB allocated at the most",
        allocated >> 20
    );
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert!(allocated < 1 << 30, "{allocated} bytes");
    assert!(took < Duration::from_secs(60), "{took:?}");
}

/// After `count` decodes exactly what was allocated before is allocated, and the process is not larger: its size
/// goes up and down with what the allocator keeps, so the largest of each half is compared.
fn growth(count: u32) {
    let _alone = alone();
    let valid = images();
    let run = |range: std::ops::Range<u32>| {
        for number in range {
            let whole = &valid[number as usize % valid.len()];
            let _ = decode(whole);
            let _ = decode(&mutated(&valid, number));
        }
    };
    run(0..500);
    let (before, part) = (live(), count / 2 / 20);
    let size = |at: u32| {
        run(at * part..(at + 1) * part);
        memory("VmRSS")
    };
    let sizes: Vec<u64> = (0..20).map(size).collect();
    let largest = |sizes: &[u64]| *sizes.iter().max().unwrap();
    let (first, second) = (largest(&sizes[..10]), largest(&sizes[10..]));
    eprintln!(
        "{count} decodes: {} bytes more allocated; the process at the most {} MB, then {} MB",
        live() as i64 - before as i64,
        first >> 20,
        second >> 20
    );
    assert!(live() <= before + 10_000, "{} bytes", live() - before);
    assert!(second.saturating_sub(first) <= 20_000_000);
}

#[test]
fn damaged_images_never_escape() {
    mutations(6000);
}

#[test]
#[ignore = "a campaign: 40,000 damaged images"]
fn many_damaged_images_never_escape() {
    mutations(40_000);
}

#[test]
fn decoding_does_not_leak() {
    growth(10_000);
}

#[test]
#[ignore = "a campaign: 200,000 decodes"]
fn much_decoding_does_not_leak() {
    growth(200_000);
}
