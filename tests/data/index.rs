//! The remembered list of a folder: used while nothing changed, and only then.
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use selfsame::data::{Dataset, IndexCache};
use xxhash_rust::xxh3::xxh3_64;

use super::samples::*;

/// Longer than what counts as just changed.
fn settle() {
    std::thread::sleep(Duration::from_millis(2100));
}

fn cache(folder: &Path) -> IndexCache {
    IndexCache {
        folder: Some(folder.to_owned()),
        at_least: 1,
    }
}

fn names(images: &Path, cache: &IndexCache) -> Vec<String> {
    let spec = images.to_str().unwrap().to_string();
    let dataset = Dataset::open_by(&[spec], 0, cache).unwrap();
    let name = |index| dataset.name(index);
    let short = |name: String| name.rsplit_once("images/").unwrap().1.to_string();
    (0..dataset.len()).map(name).map(short).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn an_index_is_used_until_the_folder_changes() {
    let root = tempfile::tempdir().unwrap();
    let images = root.path().join("images");
    let kept = root.path().join("cache");
    for folder in ["a", "b"] {
        write_numbered(&images.join(folder), 2, 8, &[]);
    }
    let cache = cache(&kept);
    let all = ["a/00000.png", "a/00001.png", "b/00000.png", "b/00001.png"];
    assert_eq!(names(&images, &cache), all);
    assert!(
        files(&kept).is_empty(),
        "just written: not yet to be trusted"
    );
    settle();
    assert_eq!(names(&images, &cache), all);
    let [index] = &files(&kept)[..] else {
        panic!("one index");
    };

    // It is used: what it says is believed.
    let honest = fs::read(index).unwrap();
    let mut other = honest.clone();
    let last = other.len() - "00001.png".len();
    other[last] = b'9';
    let sum = xxh3_64(&other[16..]);
    other[8..16].copy_from_slice(&sum.to_le_bytes());
    fs::write(index, &other).unwrap();
    assert_eq!(names(&images, &cache)[3], "b/90001.png");

    // Damage is noticed.
    other[last] = b'8';
    for damaged in [&other[..], &honest[..honest.len() - 1], &honest[..20], b""] {
        fs::write(index, damaged).unwrap();
        assert_eq!(names(&images, &cache), all);
    }

    // So is what was added, renamed or removed, in any folder.
    fs::write(index, &honest).unwrap();
    write(&images.join("b/new.png"), b"");
    assert_eq!(names(&images, &cache).len(), 5);
    fs::rename(images.join("b/new.png"), images.join("b/old.png")).unwrap();
    assert_eq!(names(&images, &cache)[4], "b/old.png");
    settle();
    assert_eq!(names(&images, &cache).len(), 5);
    assert_ne!(fs::read(index).unwrap(), honest, "kept anew");
    fs::remove_file(images.join("a/00000.png")).unwrap();
    assert_eq!(names(&images, &cache).len(), 4);
}

#[test]
fn nothing_is_kept_among_the_images_nor_of_few() {
    let root = tempfile::tempdir().unwrap();
    let images = root.path().join("images");
    write_numbered(&images, 3, 8, &[]);
    settle();
    let kept = root.path().join("cache");
    let many = IndexCache {
        at_least: 4,
        ..cache(&kept)
    };
    for cache in [cache(&images), cache(&images.join("cache")), many] {
        assert_eq!(names(&images, &cache).len(), 3);
    }
    assert_eq!(files(&images).len(), 3);
    assert!(files(&kept).is_empty());
    names(&images, &cache(&kept));
    assert_eq!(files(&kept).len(), 1, "though these would be");
}
