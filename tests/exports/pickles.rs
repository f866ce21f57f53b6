//! What a `.pth` may hold beside a state dict, and what a hostile one may try.
use proptest::prelude::*;
use selfsame::{
    Error,
    interop::{
        Existing, pickle,
        pth::{self, StateDict},
        weights::{self, Array, Stored},
    },
};
use std::{fs, path::Path};

/// As Python's `pickle.dumps` writes `{"state_dict": OrderedDict(a=tensor), "epoch": 3, "args": Namespace()}`
/// at protocol 2: memoised, with a parameter, a view that is not row-major, and an object.
fn checkpoint() -> Vec<u8> {
    let mut p: Vec<u8> = b"\x80\x02}q\x00(".into();
    p.extend(b"X\x0a\x00\x00\x00state_dictq\x01ccollections\nOrderedDict\nq\x02)Rq\x03(");
    p.extend(b"X\x01\x00\x00\x00aq\x04ctorch._utils\n_rebuild_parameter\nq\x05");
    p.extend(b"ctorch._utils\n_rebuild_tensor_v2\nq\x06((X\x07\x00\x00\x00storageq\x07");
    p.extend(b"ctorch\nFloatStorage\nq\x08X\x01\x00\x00\x000q\x09X\x03\x00\x00\x00cpuq\x0aK\x07tQ");
    p.extend(b"K\x01K\x02K\x03\x86q\x0bK\x01K\x02\x86q\x0c\x89h\x02)Rtq\x0dR\x88h\x02)R\x87Rq\x0e");
    p.extend(b"u}X\x09\x00\x00\x00_metadataq\x0fh\x02)Rsb"); // BUILD, as a state dict's own attribute
    p.extend(b"X\x05\x00\x00\x00epochq\x10K\x03X\x04\x00\x00\x00argsq\x11");
    p.extend(
        b"cargparse\nNamespace\nq\x12)\x81q\x13}q\x14X\x04\x00\x00\x00archX\x01\x00\x00\x00rsbu.",
    );
    p
}

#[test]
fn a_training_checkpoint_gives_its_tensors_alone() {
    let found = pickle::tensors(&checkpoint()).unwrap();
    let (name, view) = &found[0];
    assert_eq!((found.len(), &name[..]), (1, "state_dict.a"));
    assert_eq!((&view.class[..], view.offset), ("torch.FloatStorage", 1));
    assert_eq!(
        (&view.shape[..], &view.strides[..]),
        (&[2, 3][..], &[1, 2][..])
    );
}

/// A zip with this pickle and 0, 1, ... as storage 0.
fn archive(path: &Path, pickle: &[u8], numbers: usize) {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let storage: Vec<u8> = (0..numbers)
        .flat_map(|x| (x as f32).to_le_bytes())
        .collect();
    for (name, bytes) in [("w/data.pkl", pickle), ("w/data/0", &storage)] {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn a_view_is_gathered_by_its_strides() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    archive(&path, &checkpoint(), 7);
    let read = weights::read(&path).unwrap().arrays;
    let wanted = Array::new([2, 3], vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
    assert_eq!(read["state_dict.a"], wanted);
    archive(&path, &checkpoint(), 6); // one number too few
    let why = refused(&path);
    assert!(
        why.contains("state_dict.a") && why.contains("outside its storage"),
        "{why}"
    );
}

fn refused(path: &Path) -> String {
    let error = weights::read(path).unwrap_err();
    assert!(matches!(error, Error::Checkpoint { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn what_is_no_state_dict_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    fs::write(&path, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.").unwrap(); // before PyTorch 1.6
    assert!(refused(&path).contains("before 1.6"));
    for pickle in [
        &b""[..],
        b"\x80\x02",
        b"R.",
        b"h\x05.",
        b"t.",
        b"X\xff\xff\xff\xffa.",
        b"\xfe.",
    ] {
        archive(&path, pickle, 1);
        assert!(refused(&path).contains("its pickle"), "{pickle:?}");
    }
}

/// It would run a command if anything ran it.
#[test]
fn nothing_that_a_pickle_asks_for_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let command = format!("touch {}", mark.display());
    let mut bytes = b"\x80\x02}(X\x01\x00\x00\x00acposix\nsystem\nX".to_vec();
    bytes.extend((command.len() as u32).to_le_bytes());
    bytes.extend(command.as_bytes());
    bytes.extend(b"\x85Ru.");
    assert!(pickle::tensors(&bytes).unwrap().is_empty());
    assert!(!mark.exists());
}

fn written(path: &Path) -> Vec<u8> {
    let arrays = [3, 4, 5].map(|n| Array::new([n, 2], (0..2 * n).map(|x| x as f32).collect()));
    let named = arrays.iter().zip(["a.weight", "b.weight", "c.bias"]);
    let tensors: Vec<(String, Stored)> = named
        .map(|(array, name)| (name.to_string(), Stored::Floats(array)))
        .chain([("n".to_string(), Stored::Count(1 << 40))])
        .collect();
    let state = StateDict {
        tensors: &tensors,
        under: None,
        facts: &[],
    };
    pth::write(path, &state, Existing::Replace).unwrap();
    fs::read(path).unwrap()
}

/// Storages begin at multiples of 64 bytes, as PyTorch's do.
#[test]
fn storages_are_aligned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    let bytes = written(&path);
    let mut zip = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
    for number in 0..zip.len() {
        let file = zip.by_index(number).unwrap();
        assert_eq!(file.data_start().unwrap() % 64, 0);
    }
    assert_eq!(weights::read(&path).unwrap().arrays.len(), 3);
    assert_eq!(bytes, written(&path), "equal weights are equal files");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_changed_pickle_is_read_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = checkpoint();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = pickle::tensors(&bytes);
    }

    #[test]
    fn a_changed_archive_is_read_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = written(&folder.path().join("w.pth"));
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = pth::read(Path::new("w"), &bytes);
        let _ = pth::read(Path::new("w"), &bytes[..cut.index(bytes.len())]);
    }
}
