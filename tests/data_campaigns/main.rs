//! Campaigns against the data side: a short form of each runs always, the long one by
//!
//! ```text
//! cargo test --release --features emulator --test data_campaigns -- --ignored --nocapture [NAME]
//! ```
//!
//! They run one after another, so that memory and time are their own.
use std::sync::{Mutex, MutexGuard, PoisonError};

mod allocator;
mod archives;
mod fuzz;
mod images;
mod million;
mod mutate;
mod untouched;

static ALONE: Mutex<()> = Mutex::new(());

/// Held while a campaign runs.
fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of memory, by its name in /proc: `VmRSS` now, `VmHWM` at the most so far.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

fn fixture(name: &str) -> Vec<u8> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read(root.join("tests/data/images").join(name)).unwrap()
}

/// One of each kind.
fn images() -> Vec<Vec<u8>> {
    let names = [
        "baseline.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "gray.jpg",
        "orientation6.jpg",
        "png_named.jpg",
        "lossy.webp",
    ];
    let mut all: Vec<Vec<u8>> = names.iter().map(|name| fixture(name)).collect();
    let picture =
        image::RgbImage::from_fn(40, 24, |x, y| image::Rgb([x as u8 * 6, y as u8 * 10, 77]));
    use image::ImageFormat::{Bmp, Gif, Pnm, Tiff, WebP};
    for format in [Bmp, Gif, Pnm, Tiff, WebP] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        all.push(bytes.into_inner());
    }
    all
}
