//! Folders, lists, archives, CIFAR's files: names, order, labels, and what is said when there is nothing.
use std::os::unix::fs::symlink;
use std::path::Path;

use image::ImageFormat;
use selfsame::data::{Dataset, resident};

use super::samples::*;

fn png(number: u32) -> Vec<u8> {
    encoded(&numbered(number, 16), ImageFormat::Png)
}

fn labels(dataset: &Dataset) -> Vec<Option<u32>> {
    (0..dataset.len())
        .map(|index| dataset.label(index))
        .collect()
}

fn names(dataset: &Dataset) -> Vec<String> {
    (0..dataset.len())
        .map(|index| dataset.name(index))
        .collect()
}

#[test]
fn a_nested_folder_is_labelled_by_its_first_level() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(&root.join("dog/b.PNG"), &png(0));
    write(&root.join("dog/deep/a.jpeg"), &png(1));
    write(&root.join("cat/z.png"), &png(2));
    write(&root.join("cat/notes.txt"), b"");
    write(&root.join("cat/._z.png"), b"");
    let dataset = open(root);
    assert_eq!(dataset.classes(), ["cat", "dog"]);
    assert_eq!(labels(&dataset), [Some(0), Some(1), Some(1)]);
    let expected = ["cat/z.png", "dog/b.PNG", "dog/deep/a.jpeg"];
    assert_eq!(
        names(&dataset),
        expected.map(|n| root.join(n).display().to_string())
    );
    assert_eq!(
        dataset.decode(2).unwrap().pixels,
        numbered(1, 16).into_raw()
    );
}

/// Some of the images, and some of those: numbered anew, the classes as they were.
#[test]
fn a_part_of_a_dataset_is_a_dataset() {
    let open = || Dataset::open(&["synthetic:40:16".to_string()], 1).unwrap();
    let (all, part) = (open(), open().only(&[3, 5, 38]).only(&[0, 2]));
    assert_eq!(part.len(), 2);
    assert_eq!(part.classes(), all.classes());
    for (place, image) in [3, 38].into_iter().enumerate() {
        assert_eq!(part.name(place), all.name(image));
        assert_eq!(part.label(place), all.label(image));
        let [part, all] =
            [part.decode(place), all.decode(image)].map(|image| image.unwrap().pixels);
        assert_eq!(part, all);
    }
    assert_ne!(part.fingerprint(), all.fingerprint());
}

#[test]
fn a_flat_folder_has_no_labels() {
    let root = tempfile::tempdir().unwrap();
    write_numbered(root.path(), 3, 16, &[]);
    write(&root.path().join("more/3.png"), &png(3));
    let dataset = open(root.path());
    assert!(dataset.classes().is_empty());
    assert_eq!(labels(&dataset), [None; 4]);
}

/// A link inside is passed by, a link as the root followed: no walk goes in circles.
#[test]
fn links_are_followed_only_as_the_root() {
    let root = tempfile::tempdir().unwrap();
    let real = root.path().join("real");
    write_numbered(&real, 2, 16, &[]);
    symlink(&real, real.join("circle")).unwrap();
    symlink(real.join("00000.png"), real.join("link.png")).unwrap();
    symlink(&real, root.path().join("alias")).unwrap();
    assert_eq!(open(&real).len(), 2);
    assert_eq!(open(root.path().join("alias")).len(), 2);
}

#[test]
fn finding_nothing_says_what_was_there() {
    let root = tempfile::tempdir().unwrap();
    let text = message(try_open(root.path()));
    assert!(
        text.contains("no images found") && text.contains("webp"),
        "{text}"
    );
    write(&root.path().join("a.HEIC"), b"");
    write(&root.path().join("b/c.heic"), b"");
    let text = message(try_open(root.path()));
    assert!(
        text.contains("2 .heic files") && text.contains("mogrify"),
        "{text}"
    );
    let text = message(try_open(root.path().join("absent")));
    assert!(
        text.contains("absent") && text.contains("@list.txt"),
        "{text}"
    );
    assert!(message(Dataset::open(&[], 0)).contains("no images named"));
}

#[test]
fn an_image_and_lists_of_images() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(&root.join("sub/a.png"), &png(0));
    write(&root.join("b,c.png"), &png(1));
    let absolute = root.join("sub/a.png");
    assert_eq!(open(&absolute).len(), 1);

    let list = root.join("list.txt");
    let text = format!("sub/a.png\tx y\r\n\nb,c.png\n{},z\n", absolute.display());
    write(&list, text.as_bytes());
    let dataset = open(format!("@{}", list.display()));
    assert_eq!(dataset.classes(), ["x y", "z"]);
    assert_eq!(labels(&dataset), [Some(0), None, Some(1)]);
    assert_eq!(
        dataset.decode(1).unwrap().pixels,
        numbered(1, 16).into_raw()
    );

    write(&list, b"sub/a.png\nsub/gone.png\n");
    let text = message(try_open(format!("@{}", list.display())));
    assert!(
        text.contains("list.txt:2") && text.contains("gone.png"),
        "{text}"
    );
    write(&list, b"\n");
    assert!(message(try_open(format!("@{}", list.display()))).contains("no images"));
}

fn add(tar: &mut tar::Builder<std::fs::File>, name: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    // Straight into the field: the builder itself refuses names that leave the folder.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append(&header, bytes).unwrap();
}

fn add_link(tar: &mut tar::Builder<std::fs::File>, name: &str, target: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_cksum();
    tar.append_link(&mut header, name, target).unwrap();
}

fn write_tar(path: &Path) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    add(&mut tar, "train/dog/1.png", b"replaced below");
    add(&mut tar, "train/cat/2.png", &png(2));
    add(&mut tar, "./test/cat/3.png", &png(3));
    add(&mut tar, "../escape/4.png", &png(4));
    add(&mut tar, "/etc/5.png", &png(5));
    add(&mut tar, "train/readme.txt", b"text");
    add(&mut tar, "train/dog/1.png", &png(1));
    add_link(&mut tar, "train/dog/link.png", "/etc/passwd");
    tar.finish().unwrap();
}

#[test]
fn a_tar_is_read_in_place_and_its_names_are_only_keys() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.tar");
    write_tar(&path);
    let dataset = open(&path);
    let keys = [
        "../escape/4.png",
        "/etc/5.png",
        "test/cat/3.png",
        "train/cat/2.png",
        "train/dog/1.png",
    ];
    assert_eq!(
        names(&dataset),
        keys.map(|key| format!("{}:{key}", path.display()))
    );
    assert_eq!(dataset.classes(), ["cat", "dog", "escape", "etc"]);
    for (index, number) in [4, 5, 3, 2, 1].into_iter().enumerate() {
        let pixels = dataset.decode(index).unwrap().pixels;
        assert_eq!(pixels, numbered(number, 16).into_raw(), "{}", keys[index]);
    }
    assert_eq!(
        std::fs::read_dir(root.path()).unwrap().count(),
        1,
        "nothing is written"
    );
}

#[test]
fn a_folder_in_a_tar_is_a_dataset() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.tar");
    write_tar(&path);
    let train = open(format!("{}:train/", path.display()));
    assert_eq!(
        (train.len(), train.classes()),
        (2, &["cat".into(), "dog".into()][..])
    );
    assert_eq!(
        open(format!("{}:train/dog", path.display()))
            .classes()
            .len(),
        0
    );
    let text = message(try_open(format!("{}:tra", path.display())));
    assert!(
        text.contains("under tra/") && text.contains("5 of them"),
        "{text}"
    );
}

#[test]
fn a_cut_or_compressed_tar_is_named() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.tar");
    write_tar(&path);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..1600]).unwrap();
    assert!(message(try_open(&path)).contains("a.tar is damaged"));
    let path = root.path().join("a.tar.gz");
    std::fs::write(&path, [0x1f, 0x8b, 8, 0]).unwrap();
    assert!(message(try_open(&path)).contains("gunzip"));
}

/// Records of (labels, planes) that `numbered` images make.
fn cifar_records(labels: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, label) in labels.iter().enumerate() {
        bytes.extend_from_slice(label);
        let image = numbered(number as u32, 32);
        for channel in 0..3 {
            bytes.extend(image.pixels().map(|pixel| pixel[channel]));
        }
    }
    bytes
}

#[test]
fn cifar_10_reads_its_training_files_alone() {
    let root = tempfile::tempdir().unwrap();
    let records = cifar_records(&[&[9], &[0], &[3]]);
    write(&root.path().join("test_batch.bin"), &records);
    assert_eq!(open(root.path()).len(), 3);
    write(&root.path().join("data_batch_1.bin"), &records);
    write(&root.path().join("data_batch_2.bin"), &records);
    let dataset = open(root.path());
    assert_eq!(dataset.len(), 6);
    assert_eq!(labels(&dataset)[..3], [Some(9), Some(0), Some(3)]);
    assert_eq!(dataset.classes()[9], "truck");
    assert_eq!(dataset.resident_size(), Some((32, 32)));
    let block = resident(&dataset, 2).unwrap();
    let expected: Vec<u8> = (0..6)
        .flat_map(|n| numbered(n % 3, 32).into_raw())
        .collect();
    assert!(block.pixels == expected);
    assert_eq!(open(root.path().join("test_batch.bin")).len(), 3);
}

#[test]
fn cifar_100_is_labelled_by_its_fine_classes() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("train.bin");
    write(&file, &cifar_records(&[&[3, 99], &[19, 7]]));
    let dataset = open(root.path());
    assert_eq!(labels(&dataset), [Some(99), Some(7)]);
    assert_eq!(
        dataset.decode(1).unwrap().pixels,
        numbered(1, 32).into_raw()
    );
    write(&file, &[0; 5000]);
    assert!(message(try_open(&file)).contains("3073"));
}

#[test]
fn several_sources_share_their_classes() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    write(&a.join("dog/1.png"), &png(0));
    write(&a.join("cat/1.png"), &png(1));
    write(&b.join("ant/1.png"), &png(2));
    write(&b.join("dog/1.png"), &png(3));
    let specs = [&a, &b].map(|path| path.display().to_string());
    let both = Dataset::open(&specs, 0).unwrap();
    assert_eq!(both.classes(), ["ant", "cat", "dog"]);
    assert_eq!(labels(&both), [Some(1), Some(2), Some(0), Some(2)]);
    assert_eq!(both.resident_size(), Some((16, 16)));
    assert_ne!(both.fingerprint(), open(&a).fingerprint());
    let specs = [specs[0].clone(), "synthetic:5".into()];
    assert_eq!(
        Dataset::open(&specs, 0).unwrap().resident_size(),
        None,
        "two sizes"
    );
}

#[test]
fn a_bad_image_in_a_block_is_its_neighbour() {
    let root = tempfile::tempdir().unwrap();
    write_numbered(root.path(), 5, 16, &[0, 1, 4]);
    let block = resident(&open(root.path()), 2).unwrap();
    let bad: Vec<u32> = block.bad.iter().map(|bad| bad.index).collect();
    assert_eq!(bad, [0, 1, 4]);
    assert_eq!(block.bad[0].bytes, 15);
    let expected: Vec<u8> = [2, 2, 2, 3, 2]
        .into_iter()
        .flat_map(|n| numbered(n, 16).into_raw())
        .collect();
    assert!(block.pixels == expected);
}
