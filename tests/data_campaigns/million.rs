//! A folder of as many files as ImageNet has: time and memory of its list, walked and remembered.
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use selfsame::data::crop::Filter;
use selfsame::data::views::{Area, Cut};
use selfsame::data::{Dataset, IndexCache, Loader, Plan, Views};

use super::allocator::{live, most};
use super::{alone, memory};

const CLASSES: usize = 1000;
/// Names an image may have on ext4 are 65,000.
const LINKS: usize = 50_000;

/// `count` files named as ImageNet's, all of them one picture of 72 x 72.
fn plant(root: &Path, count: usize) {
    let picture = image::RgbImage::from_fn(72, 72, |x, y| image::Rgb([x as u8, y as u8, 9]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    let mut first = Path::new("").to_owned();
    for number in 0..count {
        let class = 1_440_764 + number % CLASSES * 97;
        let folder = root.join(format!("n{class:08}"));
        if number < CLASSES {
            fs::create_dir_all(&folder).unwrap();
        }
        let file = folder.join(format!("n{class:08}_{}.JPEG", number / CLASSES));
        match number % LINKS {
            0 => {
                fs::write(&file, bytes.get_ref()).unwrap();
                first = file;
            }
            _ => fs::hard_link(&first, &file).unwrap(),
        }
    }
}

fn first_batch(dataset: Arc<Dataset>) {
    let views = Views {
        size: 64,
        filter: Filter::Bilinear,
        cut: Cut::Crops {
            count: 2,
            area: Area {
                scale: (0.2, 1.0),
                ratio: (0.75, 1.33),
            },
        },
        first: 0,
    };
    let plan = Plan {
        batch: 256,
        seed: 0,
        start_step: 0,
        steps: 1,
        workers: 2,
        depth: 1,
        views: vec![views],
        max_bad: 0.0,
        bad_before: 0,
    };
    let batch = Loader::start(dataset, plan).unwrap().next().unwrap();
    assert_eq!(batch.unwrap().ids.len(), 256);
}

fn large_folder(count: usize) {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let images = root.path().join("images");
    let clock = Instant::now();
    plant(&images, count);
    eprintln!("{count} files made in {:.1?}", clock.elapsed());
    std::thread::sleep(Duration::from_millis(2100)); // what has just changed is not remembered
    let cache = IndexCache {
        folder: Some(root.path().join("cache")),
        at_least: 1,
    };
    let spec = images.to_str().unwrap().to_string();
    let mut fingerprints = Vec::new();
    for what in ["walked", "remembered"] {
        let (clock, before) = (Instant::now(), live());
        most();
        let dataset = Dataset::open_by(std::slice::from_ref(&spec), 0, &cache).unwrap();
        let opened = clock.elapsed();
        let kept = live().saturating_sub(before) / count as u64;
        let opening = most().saturating_sub(before) / count as u64;
        fingerprints.push(dataset.fingerprint());
        assert_eq!(
            (dataset.len(), dataset.classes().len()),
            (count, CLASSES.min(count))
        );
        assert_eq!(dataset.common_size(), Some((72, 72)));
        first_batch(Arc::new(dataset));
        eprintln!(
            "{what}: opened in {opened:.2?}, first batch after {:.2?}; {kept} bytes allocated a file, \
             {opening} while opening; the process {} MB at the most",
            clock.elapsed(),
            memory("VmHWM") >> 20
        );
        assert!(kept <= 100, "{kept} bytes a file");
        assert!(clock.elapsed() < Duration::from_secs(20) || what == "walked");
    }
    assert_eq!(fingerprints[0], fingerprints[1]);
    assert_eq!(fs::read_dir(root.path().join("cache")).unwrap().count(), 1);
}

#[test]
fn a_large_folder_is_listed_once() {
    large_folder(3000);
}

#[test]
#[ignore = "a campaign: 1.28 million files, as links to few"]
fn a_folder_of_imagenets_size_is_listed_once() {
    large_folder(1_281_167);
}
