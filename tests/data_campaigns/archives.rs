//! Hostile archives: their names are keys and never paths, so nothing outside is read and nothing is written.
use std::fs;
use std::path::Path;
use std::time::Instant;

use selfsame::Result;
use selfsame::data::Dataset;
use tar::{Builder, EntryType, Header};

use super::{alone, fixture, memory};

fn open(path: &Path) -> Result<Dataset> {
    Dataset::open(&[path.to_str().unwrap().into()], 0)
}

/// The name is written as it is: the crate's own setter refuses the bad ones.
fn header(name: &[u8], kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o777);
    header.set_cksum();
    header
}

/// An entry of a hole of 512 bytes.
fn sparse() -> Header {
    let mut sparse = Header::new_gnu();
    sparse.set_path("sparse.jpg").unwrap();
    sparse.set_entry_type(EntryType::GNUSparse);
    sparse.set_size(0);
    let gnu = sparse.as_gnu_mut().unwrap();
    gnu.realsize[..11].copy_from_slice(b"00000001000");
    gnu.sparse[0].offset[..11].copy_from_slice(b"00000001000");
    gnu.sparse[0].numbytes[..11].copy_from_slice(b"00000000000");
    sparse.set_cksum();
    sparse
}

fn everything_below(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(everything_below(&path)),
            false => found.push((path.clone(), fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

#[test]
fn hostile_entries_reach_nothing() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let inside = root.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let (image, other) = (fixture("baseline.jpg"), fixture("progressive.jpg"));
    let secret = root.path().join("secret.jpg");
    fs::write(&secret, &other).unwrap();

    let path = inside.join("a.tar");
    fs::write(&path, hostile(&image)).unwrap();

    let before = everything_below(root.path());
    let dataset = open(&path).unwrap();
    let names = (0..dataset.len()).map(|index| dataset.name(index));
    let short = |name: String| name.rsplit_once("a.tar:").unwrap().1.to_string();
    let short: Vec<String> = names.map(short).collect();
    let expected = [
        "../up.jpg",
        "/absolute.jpg",
        "a/../../b.jpg",
        "a/\u{fffd}\u{1}.jpg",
        "twice.jpg",
    ];
    assert_eq!(short, expected, "and no link, no device");
    let pixels = selfsame::data::decode::decode(&image).unwrap();
    for index in 0..dataset.len() {
        assert_eq!(dataset.decode(index).as_ref(), Ok(&pixels), "its own bytes");
    }
    assert!(
        everything_below(root.path()) == before,
        "nothing was written"
    );
}

/// Five entries that are images, under names that lead elsewhere; links, devices and the like.
fn hostile(image: &[u8]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let file = EntryType::Regular;
    for name in [
        &b"../up.jpg"[..],
        b"/absolute.jpg",
        b"a/../../b.jpg",
        b"a/\xff\x01.jpg",
    ] {
        let header = header(name, file, image.len() as u64);
        tar.append(&header, image).unwrap();
    }
    for kind in [EntryType::Symlink, EntryType::Link] {
        let mut link = header(b"link.jpg", kind, 0);
        link.as_old_mut().linkname[..13].copy_from_slice(b"../secret.jpg");
        link.set_cksum();
        tar.append(&link, &b""[..]).unwrap();
    }
    for kind in [EntryType::Char, EntryType::Fifo, EntryType::Directory] {
        tar.append(&header(b"other.jpg", kind, 0), &b""[..])
            .unwrap();
    }
    tar.append(&sparse(), &b""[..]).unwrap();
    // Twice the same name: the later counts, as when extracting.
    tar.append(&header(b"twice.jpg", file, 5), &b"wrong"[..])
        .unwrap();
    let size = image.len() as u64;
    tar.append(&header(b"twice.jpg", file, size), image)
        .unwrap();
    tar.into_inner().unwrap()
}

/// A size in a PAX header that differs from the header's own, or leads beyond the file's end.
#[test]
fn sizes_that_lie_are_refused_or_bounded() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let image = fixture("baseline.jpg");
    let path = root.path().join("pax.tar");
    for claimed in ["0", "1", "99999999999", "18446744073709551615", "-5", "x"] {
        let record = |text: &str| {
            let length = text.len() + 3;
            format!("{} {text}\n", length + usize::from(length > 9))
        };
        let pax = record(&format!("size={claimed}"));
        let mut tar = Builder::new(Vec::new());
        let head = header(b"pax", EntryType::XHeader, pax.len() as u64);
        tar.append(&head, pax.as_bytes()).unwrap();
        let head = header(b"a.jpg", EntryType::Regular, image.len() as u64);
        tar.append(&head, &image[..]).unwrap();
        fs::write(&path, tar.into_inner().unwrap()).unwrap();
        match open(&path) {
            Err(error) => assert_eq!(error.exit_code(), 3, "{claimed}: {error}"),
            Ok(dataset) => drop(
                (0..dataset.len())
                    .map(|i| dataset.decode(i))
                    .collect::<Vec<_>>(),
            ),
        }
    }
    assert!(memory("VmHWM") < 1 << 30);
}

fn tiny_entries(count: usize) {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("many.tar");
    let mut tar = Builder::new(std::io::BufWriter::new(fs::File::create(&path).unwrap()));
    for number in 0..count {
        let name = format!("{:03}/{number:07}.jpg", number % 1000);
        let head = header(name.as_bytes(), EntryType::Regular, 1);
        tar.append(&head, &b"x"[..]).unwrap();
    }
    drop(tar.into_inner().unwrap());
    let (began, before) = (Instant::now(), memory("VmRSS"));
    let dataset = open(&path).unwrap();
    let grown = memory("VmRSS").saturating_sub(before);
    eprintln!(
        "{count} entries opened in {:.1?}, {} bytes of memory an entry",
        began.elapsed(),
        grown / count as u64
    );
    assert_eq!(dataset.len(), count);
    assert!(dataset.decode(count / 2).is_err());
    assert!(grown < 200 * count as u64 + (8 << 20), "{grown}");
}

#[test]
fn many_tiny_entries_are_no_matter() {
    tiny_entries(20_000);
}

#[test]
#[ignore = "a campaign: a million entries, 1 GB on the disk"]
fn a_million_tiny_entries_are_no_matter() {
    tiny_entries(1_000_000);
}
