//! What the tests read: fixtures made with Pillow, and small images made here.
use std::path::{Path, PathBuf};

use image::{ImageFormat, Rgb, RgbImage};
use selfsame::data::{
    Dataset,
    views::{Area, Cut},
};

/// `count` crops of a share of the area within `scale`.
pub fn crops(count: u32, scale: (f32, f32)) -> Cut {
    let ratio = (3.0 / 4.0, 4.0 / 3.0);
    Cut::Crops {
        count,
        area: Area { scale, ratio },
    }
}

pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixture_path(name)).unwrap()
}

pub fn fixture_path(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/data/images").join(name)
}

pub const RED: [u8; 3] = [220, 20, 20];
pub const GREEN: [u8; 3] = [20, 200, 30];
pub const BLUE: [u8; 3] = [20, 30, 210];
pub const WHITE: [u8; 3] = [240, 240, 240];

/// 24 x 16: red, green over blue, white, as in the fixtures.
pub fn quarters() -> RgbImage {
    RgbImage::from_fn(24, 16, |x, y| {
        Rgb(match (x < 12, y < 8) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => WHITE,
        })
    })
}

/// An image of its own for every number; `side` x `side`.
pub fn numbered(number: u32, side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| {
        let value = number * 7919 + x * 31 + y * 57;
        Rgb([value as u8, (value >> 3) as u8, (value * 13) as u8])
    })
}

pub fn encoded(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// `count` PNGs of `side` x `side` in `folder`; those of `bad` hold no image.
pub fn write_numbered(folder: &Path, count: u32, side: u32, bad: &[u32]) {
    for number in 0..count {
        let bytes = match bad.contains(&number) {
            true => b"no image at all".to_vec(),
            false => encoded(&numbered(number, side), ImageFormat::Png),
        };
        write(&folder.join(format!("{number:05}.png")), &bytes);
    }
}

/// Also makes the folders above.
pub fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

pub fn open(spec: impl AsRef<Path>) -> Dataset {
    try_open(spec).unwrap()
}

pub fn try_open(spec: impl AsRef<Path>) -> selfsame::Result<Dataset> {
    Dataset::open(&[spec.as_ref().to_str().unwrap().into()], 0)
}

pub fn message(opened: selfsame::Result<Dataset>) -> String {
    let error = opened.err().expect("an error was expected");
    assert_eq!(error.exit_code(), 3, "{error}");
    error.to_string()
}
