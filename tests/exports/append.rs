//! `embed --append` and `--dtype`: rows that are there stay, whatever ends the program.
use super::{fails, succeeds, text, weights_in};
use selfsame::{
    Error,
    interop::{
        Existing,
        npy::{About, NpyWriter, Number, Row, ids_path},
    },
    nn::{Architecture, Stem},
};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

const ROW: Row = Row {
    dim: 2,
    number: Number::F32,
};

fn about(weights: &str) -> About {
    About::from_iter([("weights_xxh3".to_string(), weights.into())])
}

/// Two rows; the second's name has a line's end in it.
fn begun(path: &Path) {
    let mut npy = NpyWriter::create(path, ROW, &about("a"), Existing::Refuse).unwrap();
    npy.row(&[1.0, 2.0], "one", Some("cat")).unwrap();
    npy.row(&[3.0, 4.0], "a \"line\"\nand another", None)
        .unwrap();
    assert_eq!(npy.finish().unwrap(), 2);
}

fn both(path: &Path) -> (Vec<u8>, String) {
    (
        fs::read(path).unwrap(),
        fs::read_to_string(ids_path(path)).unwrap(),
    )
}

fn more(path: &Path) -> NpyWriter {
    let mut npy = NpyWriter::append(path, ROW, &about("a")).unwrap();
    npy.row(&[5.0, 6.0], "three", None).unwrap();
    npy
}

#[test]
fn rows_are_appended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.npy");
    begun(&path);
    let before = both(&path);
    assert_eq!(more(&path).finish().unwrap(), 3);
    let after = both(&path);
    assert!(text(&after.0[..128]).contains("'shape': (3, 2)"));
    assert_eq!(after.0[128..144], before.0[128..]);
    let numbers: Vec<f32> = bytemuck::pod_collect_to_vec(&after.0[144..]);
    assert_eq!(numbers, [5.0, 6.0]);
    assert_eq!(after.1, before.1 + "2,three,\n");
}

#[test]
fn an_append_given_up_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.npy");
    begun(&path);
    let before = both(&path);
    drop(more(&path));
    assert!(both(&path) == before);
}

/// What a kill leaves: any part of the new rows in either file, under the old header. At every length the
/// old rows are read, and the next append goes on from them.
#[test]
fn an_append_cut_anywhere_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.npy");
    let tails: [(&[u8], &str); 4] = [
        (b"", "2,thr"),
        (b"\x00\x00\x80", ""),
        (&[7; 8], "2,three,\n3,\"fo"),
        (&[7; 19], "2,three,\n3,four,\n"),
    ];
    for (features, ids) in tails {
        for file in fs::read_dir(folder.path()).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        begun(&path);
        let before = both(&path);
        for (path, tail) in [(path.clone(), features), (ids_path(&path), ids.as_bytes())] {
            let mut file = OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(tail).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap()[..144], before.0); // header and rows
        assert_eq!(more(&path).finish().unwrap(), 3);
        let after = both(&path);
        assert_eq!(after.0.len(), 128 + 3 * 8);
        assert_eq!(after.0[128..144], before.0[128..]);
        assert_eq!(after.1, before.1 + "2,three,\n");
    }
}

fn refused(path: &Path, row: Row, weights: &str) -> String {
    let before = both(path);
    let error = NpyWriter::append(path, row, &about(weights)).err().unwrap();
    assert!(both(path) == before, "{error}");
    assert!(
        matches!(error, Error::Config(_) | Error::Checkpoint { .. }),
        "{error:?}"
    );
    error.to_string()
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.npy");
    begun(&path);
    let why = refused(&path, ROW, "b");
    assert!(
        why.contains("weights_xxh3 was \"a\"") && why.contains("is \"b\" now"),
        "{why}"
    );
    let why = refused(&path, Row { dim: 3, ..ROW }, "a");
    assert!(
        why.contains("rows of 3 numbers <f4") && why.contains("(2, 2)"),
        "{why}"
    );
    let half = Number::F16;
    assert!(
        refused(
            &path,
            Row {
                number: half,
                ..ROW
            },
            "a"
        )
        .contains("<f2")
    );
    let first = more(&path);
    let error = NpyWriter::append(&path, ROW, &about("a")).err().unwrap();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(first);

    fs::write(ids_path(&path), "row,path,label\n0,one,\n").unwrap();
    assert!(refused(&path, ROW, "a").contains("not the 2 rows"));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(refused(&path, ROW, "a").contains("it was cut"));
    fs::write(&path, b"\x93NUMPY").unwrap();
    assert!(refused(&path, ROW, "a").contains("does not hold rows"));
}

#[test]
fn a_half_that_would_be_infinite_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.npy");
    let row = Row {
        number: Number::F16,
        ..ROW
    };
    let mut npy = NpyWriter::create(&path, row, &about("a"), Existing::Refuse).unwrap();
    npy.row(&[65504.0, -0.1], "most", None).unwrap();
    let error = npy.row(&[65520.0, 0.0], "too much", None).unwrap_err();
    assert!(error.to_string().contains("too much is 65520"), "{error}");
}

/// In two parts or at once: the same file.
#[test]
fn embed_appends() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder, Architecture::Tiny, Stem::Cifar, 1);
    super::images_in(folder, 5, 32);
    let line = "--weights w.safetensors --device cpu --dtype float16 --out";
    succeeds(folder, &format!("embed images {line} whole.npy"));
    let (first, rest) = (
        "images/0.ppm images/1.ppm",
        "images/2.ppm images/3.ppm images/4.ppm",
    );
    succeeds(folder, &format!("embed {first} {line} parts.npy --append"));
    let (_, said) = succeeds(folder, &format!("embed {rest} {line} parts.npy --append"));
    assert!(said.contains("5 x 128 float16, of length 1"), "{said}");
    assert!(
        fs::read(folder.join("parts.npy")).unwrap() == fs::read(folder.join("whole.npy")).unwrap()
    );
    let ids = fs::read_to_string(folder.join("parts.ids.csv")).unwrap();
    assert_eq!(ids.lines().count(), 6);

    let why = fails(
        folder,
        &format!("embed {rest} {line} parts.npy --append --raw"),
        2,
    );
    assert!(why.contains("vectors was \"of length 1\""), "{why}");
    let other = "--image-size 16 --append";
    let why = fails(folder, &format!("embed {rest} {line} parts.npy {other}"), 2);
    assert!(why.contains("image_size was \"32\""), "{why}");
    assert_eq!(
        fs::read_to_string(folder.join("parts.ids.csv")).unwrap(),
        ids
    );
}
