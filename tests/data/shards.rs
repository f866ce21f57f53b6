//! Packed images: what comes back, what is said of damage, and that a packing goes on where it stopped.
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::ImageFormat;
use selfsame::data::crop::Filter;
use selfsame::data::{BadImage, Loader, Packed, Packing, Plan, Views, pack};

use super::samples::*;

fn how(short_side: u32) -> Packing {
    Packing {
        short_side,
        quality: 90,
        images_per_shard: 5,
    }
}

fn packed(images: &Path, out: &Path, how: &Packing) -> selfsame::Result<Packed> {
    pack(&Arc::new(open(images)), out, how, 2, 0.5, |_| ())
}

/// Twelve images of two classes, 40 x 40, one of them bad; packed into three shards.
fn shards(short_side: u32) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    write_numbered(&root.path().join("images/a"), 6, 40, &[2]);
    write_numbered(&root.path().join("images/b"), 6, 40, &[]);
    let out = root.path().join("shards");
    let done = packed(&root.path().join("images"), &out, &how(short_side)).unwrap();
    assert_eq!((done.images, done.shards, done.found), (11, 3, 0));
    assert_eq!(done.bad.len(), 1);
    (root, out)
}

#[test]
fn small_images_come_back_as_they_were() {
    let (root, out) = shards(64);
    let (before, after) = (open(root.path().join("images")), open(&out));
    assert_eq!(after.classes(), ["a", "b"]);
    let good = (0..12).filter(|&index| index != 2);
    assert_eq!(after.len(), 11);
    for (now, then) in good.enumerate() {
        assert_eq!(after.label(now), before.label(then));
        assert_eq!(after.decode(now), before.decode(then));
        let name = format!("{}:{}", out.display(), before.name(then));
        assert_eq!(after.name(now), name);
    }
    let bad = fs::read_to_string(out.join("bad_images.jsonl")).unwrap();
    let bad: BadImage = serde_json::from_str(bad.trim()).unwrap();
    assert!(bad.index == 2 && bad.name.ends_with("a/00002.png") && !bad.why.is_empty());
}

/// The short side, the shape, and pixels that are near those of the image.
#[test]
fn large_images_are_made_smaller() {
    let root = tempfile::tempdir().unwrap();
    let wide = image::imageops::resize(&quarters(), 300, 200, image::imageops::Nearest);
    write(
        &root.path().join("images/wide.png"),
        &encoded(&wide, ImageFormat::Png),
    );
    write(
        &root.path().join("images/turned.jpg"),
        &fixture("orientation6.jpg"),
    );
    let out = root.path().join("shards");
    packed(&root.path().join("images"), &out, &how(12)).unwrap();
    let after = open(&out);
    let (turned, wide) = (after.decode(0).unwrap(), after.decode(1).unwrap());
    assert_eq!((turned.width, turned.height), (12, 18), "16 x 24, upright");
    assert_eq!((wide.width, wide.height), (18, 12));
    let quarters = [(4, 3), (13, 3), (4, 8), (13, 8)];
    for ((x, y), expected) in quarters.into_iter().zip([RED, GREEN, BLUE, WHITE]) {
        let pixel = &wide.pixels[(y * 18 + x) * 3..][..3];
        let off = pixel.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max();
        assert!(off.unwrap() < 40, "{pixel:?} for {expected:?}");
    }
}

/// What no file held is packed without loss.
#[test]
fn rendered_images_are_packed_without_loss() {
    let root = tempfile::tempdir().unwrap();
    let before = Arc::new(open("synthetic:7:24"));
    pack(&before, root.path(), &how(24), 2, 0.5, |_| ()).unwrap();
    let after = open(root.path());
    for index in 0..7 {
        assert_eq!(after.decode(index), before.decode(index));
        assert_eq!(after.label(index), before.label(index));
    }
}

/// Batches of crops, by any number of threads, and after the folder has moved.
#[test]
fn shards_train_alike_whatever_the_threads_and_the_place() {
    let (root, out) = shards(20);
    let batches = |folder: &Path, workers| {
        let view = Views {
            size: 16,
            filter: Filter::Bilinear,
            cut: crops(2, (0.2, 1.0)),
            first: 0,
        };
        let plan = Plan {
            batch: 4,
            seed: 1,
            start_step: 0,
            steps: 9,
            workers,
            depth: 2,
            views: vec![view],
            max_bad: 0.0,
            bad_before: 0,
        };
        let loader = Loader::start(Arc::new(open(folder)), plan).unwrap();
        let batches = loader.map(|batch| batch.unwrap());
        batches
            .map(|batch| (batch.ids, batch.labels, batch.views))
            .collect::<Vec<_>>()
    };
    let one = batches(&out, 1);
    assert!(one == batches(&out, 2) && one == batches(&out, 4));
    let moved = root.path().join("moved");
    fs::rename(&out, &moved).unwrap();
    assert!(one == batches(&moved, 2));
}

/// The same bytes whoever made them, and however often it was stopped.
#[test]
fn a_packing_that_was_stopped_goes_on() {
    let (root, out) = shards(20);
    let images = root.path().join("images");
    let again = root.path().join("again");
    packed(&images, &again, &how(20)).unwrap();
    let plan_of_old = root.path().join("stopped");
    let refused = packed(&images, &plan_of_old, &how(20).clone()).unwrap();
    assert_eq!(refused.found, 0);
    // As a kill leaves it: no index, the last shard half written under another name.
    let plan = serde_json::json!({
        "format": 1,
        "how": how(20),
        "images": 12,
        "names": format!("{:016x}", open(&images).fingerprint()),
    });
    fs::write(again.join("shards.unfinished"), plan.to_string()).unwrap();
    fs::remove_file(again.join("shards.index")).unwrap();
    fs::remove_file(again.join("shard-00002.shard")).unwrap();
    fs::write(again.join(".selfsame-half"), b"half").unwrap();
    let text = message(try_open(&again));
    assert!(text.contains("not finished"), "{text}");
    let text = packed(&images, &again, &how(21)).unwrap_err().to_string();
    assert!(text.contains("in another way"), "{text}");

    let done = packed(&images, &again, &how(20)).unwrap();
    assert_eq!((done.images, done.shards, done.found), (11, 3, 2));
    assert_eq!(contents(&again), contents(&out));
    let error = packed(&images, &again, &how(20)).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("holds shards already"));
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into(), path))
        .map(|(name, path): (String, PathBuf)| (name, fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_folder_with_anything_in_it_is_not_packed_into() {
    let (root, _) = shards(20);
    let images = root.path().join("images");
    let error = packed(&images, &images, &how(20)).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("is not empty"), "{error}");
}

#[test]
fn too_many_bad_images_stop_a_packing() {
    let root = tempfile::tempdir().unwrap();
    write_numbered(&root.path().join("images"), 8, 16, &[0, 1, 2]);
    let images = Arc::new(open(root.path().join("images")));
    let out = root.path().join("shards");
    let error = pack(&images, &out, &how(8), 1, 0.1, |_| ()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(!out.join("shards.index").exists());
}

#[test]
fn a_damaged_set_of_shards_is_told_of() {
    let (_root, out) = shards(64);
    let shard = out.join("shard-00001.shard");
    let whole = fs::read(&shard).unwrap();
    let says = |words: &str| {
        let text = message(try_open(&out));
        assert!(text.contains("shard") && text.contains(words), "{text}");
        assert!(text.contains("copy it again"), "{text}");
    };
    fs::write(&shard, &whole[..whole.len() - 9]).unwrap();
    says("cut: ");
    fs::write(&shard, &whole[..30]).unwrap();
    says("cut before");
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(&shard, bytes).unwrap();
    };
    flipped(whole.len() - 20);
    says("its table is damaged");
    flipped(20);
    says("its header is damaged");
    flipped(1);
    says("not a shard");
    flipped(8);
    says("of format 5");
    fs::remove_file(&shard).unwrap();
    says("missing");
    fs::copy(out.join("shard-00000.shard"), &shard).unwrap();
    says("of another packing");
    fs::write(&shard, &whole).unwrap();
    assert_eq!(open(&out).len(), 11);

    let index = out.join("shards.index");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replace("\"images\": 5", "\"images\": 4")).unwrap();
    says("damaged (checksum)");
    fs::write(&index, text.replacen(" 1 ", " 7 ", 1)).unwrap();
    says("of format 7");
    fs::write(&index, &text[..10]).unwrap();
    says("cut");
    let text = message(try_open(&shard));
    assert!(text.contains("one shard of several"), "{text}");
}

/// One flipped bit in an image, and a shard that is cut while it is mapped: bad images, no end of the run.
#[test]
fn damage_inside_a_shard_is_a_bad_image() {
    let (_root, out) = shards(64);
    let dataset = open(&out);
    let shard = out.join("shard-00000.shard");
    let file = fs::OpenOptions::new().write(true).open(&shard).unwrap();
    file.write_all_at(&[0xAA], 48 + 1000).unwrap();
    let reasons: Vec<String> = (0..dataset.len())
        .filter_map(|index| dataset.decode(index).err())
        .map(|bad| bad.why)
        .collect();
    assert_eq!(
        reasons,
        ["its bytes in the shard are damaged (checksum)"],
        "and no other"
    );
    file.set_len(60).unwrap();
    let bad = dataset.decode(3).unwrap_err();
    assert!(bad.why.contains("cut while in use"), "{bad}");
    assert!(dataset.decode(7).is_ok(), "another shard");
}
