//! Every target, by our own reader: what it holds, what it refuses, what it prints.
use super::{drawn, fails, succeeds, text, weights_in};
use half::f16;
use selfsame::{
    interop::{detectron2, onnx, torchvision},
    nn::{Architecture, Stem},
};
use std::{fs, path::Path};

const TARGETS: [&str; 6] = ["torchvision", "timm", "hf", "pth", "detectron2", "onnx"];

fn export(to: &str) -> String {
    format!("export --weights w.safetensors --device cpu --to {to} --out {to} --verify")
}

#[test]
fn each_is_read_back_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder, Architecture::ResNet18, Stem::ImageNet, 1);
    for to in TARGETS {
        let (lines, said) = succeeds(folder, &export(to));
        assert!(
            said.contains("all 100 tensors are equal bit for bit"),
            "{said}"
        );
        assert!(lines.contains(&format!("{to}\"")), "{lines}");
        let why = fails(folder, &export(to), 2);
        assert!(why.contains("exists") && why.contains("--force"), "{why}");
        if ["hf", "onnx"].contains(&to) {
            succeeds(folder, &format!("{} --force", export(to)));
        }
        if to != "onnx" {
            let again = format!(
                "export --weights {to} --device cpu --to torchvision --out {to}.again --verify"
            );
            succeeds(folder, &again);
        }
    }
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name());
    assert_eq!(names.count(), 1 + 6 + 5, "nothing is left behind");
    let hf: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("hf/config.json")).unwrap()).unwrap();
    assert_eq!(
        hf["pretrained_cfg"]["mean"],
        serde_json::json!([0.4, 0.5, 0.6])
    );
    let read = onnx::read(&folder.join("onnx")).unwrap();
    assert_eq!(read.notes["mean"], "0.4,0.5,0.6");
    let read = torchvision::read(&folder.join("hf")).unwrap();
    assert_eq!(
        (&read.notes["std"][..], &read.notes["image_size"][..]),
        ("0.2,0.25,0.3", "224")
    );
}

/// A byte that changes on the disk is found, and named.
#[test]
fn a_damaged_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder, Architecture::Tiny, Stem::Cifar, 1);
    succeeds(folder, &export("pth"));
    let path = folder.join("pth");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let why = fails(
        folder,
        "embed synthetic:2:32 --weights pth --device cpu --out e.npy",
        6,
    );
    assert!(why.contains("data/") && why.contains("checksum"), "{why}");
}

#[test]
fn what_a_target_cannot_hold_is_refused() {
    let cases = [
        (
            Architecture::Tiny,
            Stem::Cifar,
            1,
            &["timm", "hf", "detectron2"][..],
        ),
        (
            Architecture::ResNet18,
            Stem::Cifar,
            1,
            &["hf", "detectron2"],
        ),
        (
            Architecture::Tiny,
            Stem::ImageNet,
            2,
            &["timm", "hf", "detectron2"],
        ),
    ];
    for (arch, stem, width, refused) in cases {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        weights_in(folder, arch, stem, width);
        for to in TARGETS {
            if refused.contains(&to) {
                let why = fails(folder, &export(to), 2);
                assert!(
                    why.contains("cannot be exported to") && why.contains("--to onnx"),
                    "{why}"
                );
                assert!(!folder.join(to).exists());
            } else {
                succeeds(folder, &export(to));
            }
        }
    }
}

/// detectron2's own names, as its `modeling/backbone/resnet.py` makes them: a stem, stages from res2 on,
/// each convolution with its norm inside, a shortcut.
#[test]
fn detectron2s_names_are_its_own() {
    let pairs = [
        ("conv1.weight", "stem.conv1.weight"),
        ("bn1.running_var", "stem.conv1.norm.running_var"),
        ("layer1.0.conv1.weight", "res2.0.conv1.weight"),
        ("layer1.0.bn3.bias", "res2.0.conv3.norm.bias"),
        ("layer2.0.downsample.0.weight", "res3.0.shortcut.weight"),
        (
            "layer2.0.downsample.1.running_mean",
            "res3.0.shortcut.norm.running_mean",
        ),
        ("layer4.2.bn2.weight", "res5.2.conv2.norm.weight"),
    ];
    for (ours, theirs) in pairs {
        assert_eq!(detectron2::from_torchvision(ours).as_deref(), Some(theirs));
    }
    let tensors = drawn(Architecture::ResNet50, Stem::ImageNet, 1, 1);
    assert_eq!(tensors.len(), 53 * 5);
    for (name, _) in tensors {
        let theirs = detectron2::from_torchvision(&name).unwrap();
        assert_eq!(detectron2::to_torchvision(&theirs), Some(name));
    }
    for stranger in [
        "fc.weight",
        "layer1.0",
        "layerx.0.conv1.weight",
        "head.0.weight",
    ] {
        assert_eq!(detectron2::from_torchvision(stranger), None, "{stranger}");
        assert_eq!(detectron2::to_torchvision(stranger), None, "{stranger}");
    }
}

/// As timm publishes some: half precision, the classifier with them, no batch counters; whatever is
/// written beside the numbers.
#[test]
fn a_published_file_is_probed_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_published(&folder.join("published.safetensors"));
    let line = "--weights published.safetensors --device cpu";
    let images = "--train synthetic:40:32 --val synthetic-val:20:32 --image-size 32 --k 5 --json";
    let (result, _) = succeeds(folder, &format!("eval knn {line} {images}"));
    assert!(result.contains("top1"), "{result}");
    succeeds(folder, &format!("embed synthetic:4:32 {line} --out e.npy"));
    let (_, said) = succeeds(folder, &format!("export {line} --to timm --out t --verify"));
    assert!(said.contains("resnet18, ImageNet stem"), "{said}");
}

fn write_published(path: &Path) {
    use safetensors::{Dtype, serialize, tensor::TensorView};
    let tensors = drawn(Architecture::ResNet18, Stem::ImageNet, 1, 1);
    let turned = torchvision::turned(&tensors);
    let mut halves: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, array) in &turned {
        let bytes = array.values.iter();
        let bytes = bytes.flat_map(|&x| f16::from_f32(x).to_le_bytes());
        halves.push((name.clone(), array.shape.dims().to_vec(), bytes.collect()));
    }
    halves.push(("fc.weight".into(), vec![1000, 512], vec![0; 1_024_000]));
    halves.push(("fc.bias".into(), vec![1000], vec![0; 2000]));
    let views = halves.iter().map(|(name, shape, bytes)| {
        (
            name,
            TensorView::new(Dtype::F16, shape.clone(), bytes).unwrap(),
        )
    });
    fs::write(path, serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_folder_is_taken_only_by_force_and_keeps_what_is_not_ours() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights_in(folder, Architecture::ResNet18, Stem::ImageNet, 1);
    fs::create_dir(folder.join("hf")).unwrap();
    fs::write(folder.join("hf/README.md"), "mine").unwrap();
    let why = fails(folder, &export("hf"), 2);
    assert!(why.contains("hf exists"), "{why}");
    assert_eq!(fs::read_dir(folder.join("hf")).unwrap().count(), 1);
    succeeds(folder, &format!("{} --force", export("hf")));
    assert_eq!(
        text(&fs::read(folder.join("hf/README.md")).unwrap()),
        "mine"
    );
    assert_eq!(fs::read_dir(folder.join("hf")).unwrap().count(), 3);
    let file = format!(
        "{} --out w.safetensors --force",
        export("hf").replace("--out hf ", "")
    );
    let why = fails(folder, &file, 2);
    assert!(why.contains("is a file; name a folder"), "{why}");
}
