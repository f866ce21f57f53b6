//! What is exported, read by readers that are not ours: NumPy, CPython's own unpickler, the ONNX checker and
//! ONNX Runtime in every run of the tests, PyTorch, torchvision and timm in one that is asked for:
//!
//! ```text
//! cargo test --release --features emulator,fault --test exports -- --ignored --nocapture
//! ```
//!
//! Both install what they need with pip below `target/`, once; where there is no Python, no pip or no
//! network they say that they were skipped. `SELFSAME_READERS=FOLDER` names packages that are installed.
use super::{images_in, selfsame, succeeds, text, weights_in};
use selfsame::nn::{Architecture, Stem};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exports");

/// A folder with these packages for `PYTHONPATH`; `None`, and why, where there can be none.
fn installed(name: &str, packages: &[&str]) -> Option<PathBuf> {
    if let Some(folder) = env::var_os("SELFSAME_READERS") {
        return Some(folder.into());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let whole = folder.join("whole");
    if whole.exists() {
        return Some(folder);
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "-q", "--target"])
        .arg(&folder)
        .args(packages);
    match pip.output() {
        Ok(output) if output.status.success() => {
            fs::write(whole, "").unwrap();
            Some(folder)
        }
        Ok(output) => skipped(&text(&output.stderr)),
        Err(why) => skipped(&why.to_string()),
    }
}

fn skipped(why: &str) -> Option<PathBuf> {
    println!("skipped: Python's packages cannot be installed here: {why}");
    None
}

#[track_caller]
fn python(packages: &Path, script: &str, folder: &Path) {
    let mut python = Command::new("python3");
    python.arg(Path::new(SCRIPTS).join(script)).arg(folder);
    let output = python.env("PYTHONPATH", packages).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    println!("{out}");
}

/// Every format there is of one network, the lines that load each, and our features of some images.
fn exported(folder: &Path, (arch, stem, width): (Architecture, Stem, usize), side: u32) {
    weights_in(folder, arch, stem, width);
    images_in(folder, 3, side);
    let line = format!("--weights w.safetensors --device cpu --image-size {side}");
    succeeds(folder, &format!("embed images {line} --raw --out e.npy"));
    succeeds(
        folder,
        &format!("embed images {line} --dtype float16 --out half.npy"),
    );
    succeeds(
        folder,
        &format!("embed images {line} --raw --append --out e.npy"),
    );
    for to in ["torchvision", "timm", "hf", "pth", "detectron2", "onnx"] {
        let out = match to {
            "torchvision" | "timm" => format!("{to}.safetensors"),
            "hf" => to.into(),
            "onnx" => "w.onnx".into(),
            _ => format!("{to}.pth"),
        };
        let output = selfsame(
            folder,
            &format!("export {line} --to {to} --out {out} --verify"),
        );
        match output.status.code() {
            Some(0) => fs::write(folder.join(format!("{to}.lines")), output.stdout).unwrap(),
            code => assert_eq!(code, Some(2), "{}", text(&output.stderr)), // not for this network
        }
    }
}

const SMALL: (Architecture, Stem, usize) = (Architecture::Tiny, Stem::Cifar, 1);
const LARGE: (Architecture, Stem, usize) = (Architecture::ResNet50, Stem::ImageNet, 1);

#[test]
fn what_is_exported_is_what_others_read() {
    let Some(packages) = installed("readers", &["numpy", "onnx", "onnxruntime"]) else {
        return;
    };
    for (network, side) in [(SMALL, 32), (LARGE, 64)] {
        let folder = tempfile::tempdir().unwrap();
        exported(folder.path(), network, side);
        python(&packages, "light_readers.py", folder.path());
    }
}

#[test]
#[ignore = "installs PyTorch"]
fn the_printed_lines_load_it_in_pytorch() {
    let packages = ["torch", "torchvision", "timm", "numpy", "safetensors"];
    let index = ["--extra-index-url", "https://download.pytorch.org/whl/cpu"];
    let Some(packages) = installed("pytorch", &[&packages[..], &index[..]].concat()) else {
        return;
    };
    let networks = [
        SMALL,
        LARGE,
        (Architecture::Tiny, Stem::ImageNet, 2),
        (Architecture::ResNet18, Stem::Cifar, 1),
        (Architecture::ResNet18, Stem::ImageNet, 1),
        (Architecture::ResNet50, Stem::Cifar, 2),
    ];
    for network in networks {
        let folder = tempfile::tempdir().unwrap();
        let side = if network.1 == Stem::ImageNet { 64 } else { 32 };
        exported(folder.path(), network, side);
        python(&packages, "torch_readers.py", folder.path());
    }
}
