//! Files other programs read: safetensors under torchvision's names, npy with its ids.
use selfsame::{
    Error,
    interop::{
        Existing, WholeFile,
        npy::{About, NpyWriter, Number, Row, ids_path},
        torchvision,
        weights::{self, Array, Stored},
    },
    shape::Shape,
};
use std::{collections::HashMap, fs, path::Path};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn counted(shape: impl Into<Shape>) -> Array {
    let shape = shape.into();
    let values = (0..shape.len()).map(|i| i as f32).collect();
    Array::new(shape, values)
}

/// A ResNet of one stage of one basic block, as our kernels hold it.
fn network() -> Vec<(String, Array)> {
    let mut tensors = vec![("conv1.weight".to_string(), counted([4, 7, 7, 3]))];
    let mut norm = |name: &str| {
        for part in ["weight", "bias", "running_mean", "running_var"] {
            tensors.push((format!("{name}.{part}"), counted([4])));
        }
    };
    norm("bn1");
    norm("layer1.0.bn1");
    norm("layer1.0.bn2");
    for conv in ["layer1.0.conv1.weight", "layer1.0.conv2.weight"] {
        tensors.push((conv.into(), counted([4, 3, 3, 4])));
    }
    tensors
}

fn slots(tensors: &[(String, Array)]) -> Vec<(&str, &Shape)> {
    tensors
        .iter()
        .map(|(name, array)| (name.as_str(), &array.shape))
        .collect()
}

#[test]
fn a_convolution_is_turned_to_oihw_and_back() {
    let krsc = counted([2, 1, 2, 3]); // out 2, kernel 1 x 2, in 3
    let oihw = krsc.to_oihw();
    assert_eq!(oihw.shape, [2, 3, 1, 2].into());
    assert_eq!(oihw.values[..6], [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_eq!(oihw.to_krsc(), krsc);
    let vector = counted([5]);
    assert_eq!(vector.to_oihw(), vector);
}

#[test]
fn what_is_written_is_read_again() {
    let folder = folder();
    let path = folder.path().join("w.safetensors");
    let tensors = network();
    let notes =
        |names: [&str; 3]| HashMap::from(names.map(|n| (n.to_string(), "resnet18".to_string())));
    torchvision::write(
        &path,
        &tensors,
        12,
        &notes(["arch", "a", "b"]),
        Existing::Refuse,
    )
    .unwrap();
    let bytes = std::fs::read(&path).unwrap();
    torchvision::write(
        &path,
        &tensors,
        12,
        &notes(["b", "a", "arch"]),
        Existing::Replace,
    )
    .unwrap();
    assert_eq!(
        bytes,
        std::fs::read(&path).unwrap(),
        "equal weights are equal files"
    );
    let read = torchvision::read(&path).unwrap();
    assert_eq!(read.notes["format"], "pt");
    assert_eq!(read.notes["arch"], "resnet18");
    let values = read.take(&slots(&tensors)).unwrap();
    let written: Vec<Vec<f32>> = tensors.into_iter().map(|(_, array)| array.values).collect();
    assert_eq!(values, written);
}

/// By the format's own definition, without the library that wrote it.
#[test]
fn the_file_is_torchvisions() {
    let folder = folder();
    let path = folder.path().join("w.safetensors");
    torchvision::write(&path, &network(), 12, &HashMap::new(), Existing::Refuse).unwrap();
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    assert_eq!(header["__metadata__"]["format"], "pt");
    assert_eq!(
        header["conv1.weight"]["shape"],
        serde_json::json!([4, 3, 7, 7])
    );
    assert_eq!(header["conv1.weight"]["dtype"], "F32");
    let counter = &header["layer1.0.bn2.num_batches_tracked"];
    assert_eq!(
        (&counter["dtype"], &counter["shape"]),
        (&"I64".into(), &serde_json::json!([]))
    );
    let start = 8 + length + counter["data_offsets"][0].as_u64().unwrap() as usize;
    assert_eq!(
        i64::from_le_bytes(bytes[start..start + 8].try_into().unwrap()),
        12
    );
    let start = 8 + length + header["conv1.weight"]["data_offsets"][0].as_u64().unwrap() as usize;
    let second = f32::from_le_bytes(bytes[start + 4..start + 8].try_into().unwrap());
    assert_eq!(second, 3.0); // the next column of the first channel: three channels further in (kh, kw, in)
}

#[test]
fn the_architecture_is_told_from_the_shapes() {
    let folder = folder();
    let path = folder.path().join("w.safetensors");
    torchvision::write(&path, &network(), 0, &HashMap::new(), Existing::Refuse).unwrap();
    let found = torchvision::read(&path).unwrap().architecture().unwrap();
    assert_eq!((found.blocks, found.bottleneck), (vec![1], false));
    assert_eq!((found.channels, found.stem_kernel), (4, 7));
}

#[test]
fn prefixes_of_other_programs_are_read() {
    let folder = folder();
    for prefix in [
        "module.",
        "backbone.",
        "encoder.",
        "module.encoder_q.",
        "module.backbone.",
    ] {
        let path = folder.path().join("w.safetensors");
        let tensors: Vec<(String, Array)> = network()
            .into_iter()
            .map(|(name, array)| (format!("{prefix}{name}"), array))
            .chain([("fc.weight".into(), counted([10, 4]))])
            .collect();
        torchvision::write(&path, &tensors, 0, &HashMap::new(), Existing::Replace).unwrap();
        let read = torchvision::read(&path).unwrap();
        assert!(read.take(&slots(&network())).is_ok(), "{prefix}");
    }
}

fn why(error: Error) -> String {
    assert!(matches!(error, Error::Checkpoint { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn two_networks_under_two_prefixes_are_refused() {
    let folder = folder();
    let path = folder.path().join("w.safetensors");
    let both = ["encoder.conv1.weight", "module.conv1.weight"];
    let both = both.map(|name| (name.to_string(), counted([4, 7, 7, 3])));
    torchvision::write(&path, &both, 0, &HashMap::new(), Existing::Refuse).unwrap();
    let why = why(torchvision::read(&path).unwrap_err());
    assert!(why.contains("`conv1.weight` twice"), "{why}");
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let folder = folder();
    let path = folder.path().join("w.safetensors");
    torchvision::write(&path, &network(), 0, &HashMap::new(), Existing::Refuse).unwrap();
    let read = torchvision::read(&path).unwrap();
    let (stem, absent) = (Shape::from([4, 3, 3, 3]), Shape::from([8]));
    let why = why(read
        .take(&[("conv1.weight", &stem), ("layer9.bn", &absent)])
        .unwrap_err());
    assert!(why.contains("2 of 2 tensors do not fit"), "{why}");
    assert!(
        why.contains("conv1.weight is (4, 3, 7, 7), (4, 3, 3, 3) is wanted"),
        "{why}"
    );
    assert!(why.contains("layer9.bn is missing"), "{why}");
}

#[test]
fn what_is_no_safetensors_file_is_said_to_be_none() {
    let folder = folder();
    let path = folder.path().join("w.safetensors");
    for bytes in [
        &b""[..],
        b"short",
        &[0xff; 64],
        b"PK\x03\x04 and the rest of a zip",
    ] {
        fs::write(&path, bytes).unwrap();
        let why = why(torchvision::read(&path).unwrap_err());
        let kind = match bytes.starts_with(b"PK") {
            true => "not a .pth file",
            false => "not a safetensors file",
        };
        assert!(why.contains(kind), "{why}");
    }
    let missing = torchvision::read(&folder.path().join("absent")).unwrap_err();
    assert!(matches!(missing, Error::File { .. }));
}

#[test]
fn a_file_without_a_resnet_is_refused() {
    let folder = folder();
    let path = folder.path().join("w.safetensors");
    let vector = counted([3]);
    let tensors = [("cls_token".to_string(), Stored::Floats(&vector))];
    weights::write(&path, &tensors, &HashMap::new(), Existing::Refuse).unwrap();
    let why = why(torchvision::read(&path)
        .unwrap()
        .architecture()
        .unwrap_err());
    assert!(
        why.contains("no conv1.weight") && why.contains("cls_token"),
        "{why}"
    );
}

#[test]
fn half_precision_is_widened() {
    use safetensors::{Dtype, serialize, tensor::TensorView};
    let folder = folder();
    let path = folder.path().join("w.safetensors");
    let halves: Vec<u8> = [1.5f32, -2.0]
        .iter()
        .flat_map(|&x| half::f16::from_f32(x).to_le_bytes())
        .collect();
    let brains: Vec<u8> = [1.5f32, -2.0]
        .iter()
        .flat_map(|&x| half::bf16::from_f32(x).to_le_bytes())
        .collect();
    let doubles: Vec<u8> = [1.5f64, -2.0]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let view = |dtype, bytes| TensorView::new(dtype, vec![2], bytes).unwrap();
    let views = [
        ("f16", view(Dtype::F16, &halves)),
        ("bf16", view(Dtype::BF16, &brains)),
        ("f64", view(Dtype::F64, &doubles)),
    ];
    fs::write(&path, serialize(views, None).unwrap()).unwrap();
    let read = weights::read(&path).unwrap();
    for name in ["f16", "bf16", "f64"] {
        assert_eq!(read.arrays[name].values, [1.5, -2.0], "{name}");
    }
}

fn new_npy(path: &Path, dim: usize) -> NpyWriter {
    let row = Row {
        dim,
        number: Number::F32,
    };
    NpyWriter::create(path, row, &About::new(), Existing::Refuse).unwrap()
}

#[test]
fn npy_is_numpys_format() {
    let folder = folder();
    let path = folder.path().join("e.npy");
    let mut npy = new_npy(&path, 2);
    npy.row(&[1.0, -2.5], "plain.jpg", Some("cat")).unwrap();
    npy.row(&[0.0, 3.0], "with, comma and \"quote\".jpg", None)
        .unwrap();
    assert_eq!(npy.finish().unwrap(), 2);

    let bytes = fs::read(&path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    assert_eq!((10 + header) % 64, 0);
    let text = std::str::from_utf8(&bytes[10..10 + header]).unwrap();
    assert!(
        text.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }"),
        "{text}"
    );
    assert!(text.ends_with(" \n"), "{text}");
    let values: Vec<f32> = bytes[10 + header..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert_eq!(values, [1.0, -2.5, 0.0, 3.0]);

    let ids = fs::read_to_string(ids_path(&path)).unwrap();
    assert_eq!(
        ids,
        "row,path,label\n0,plain.jpg,cat\n1,\"with, comma and \"\"quote\"\".jpg\",\n"
    );
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn an_interrupted_file_leaves_nothing_behind() {
    let folder = folder();
    let mut npy = new_npy(&folder.path().join("e.npy"), 1);
    npy.row(&[1.0], "a", None).unwrap();
    drop(npy);
    assert!(
        names(folder.path()).is_empty(),
        "{:?}",
        names(folder.path())
    );
}

#[test]
fn a_file_is_not_replaced_unless_forced() {
    let folder = folder();
    let path = folder.path().join("w");
    fs::write(&path, "mine").unwrap();
    let refused = WholeFile::create(&path, Existing::Refuse).err().unwrap();
    assert!(
        matches!(&refused, Error::Config(why) if why.contains("--force")),
        "{refused}"
    );

    let late = folder.path().join("late"); // taken between the start and the end
    let file = WholeFile::create(&late, Existing::Refuse).unwrap();
    fs::write(&late, "mine").unwrap();
    assert!(matches!(file.finish(), Err(Error::Config(_))));
    assert_eq!(fs::read(&late).unwrap(), b"mine");

    let mut file = WholeFile::create(&path, Existing::Replace).unwrap();
    file.write(b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"mine"); // until it is whole
    file.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[cfg(unix)]
#[test]
fn a_new_file_is_as_readable_as_any() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
    WholeFile::create(&ours, Existing::Refuse)
        .unwrap()
        .finish()
        .unwrap();
    fs::write(&plain, "").unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&ours), mode(&plain));
}
