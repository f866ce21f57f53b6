//! NVIDIA's libraries: where they were looked for, and what was found.
use super::Finding;
use crate::device::IMAGES;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

pub fn findings() -> [Finding; 2] {
    [driver_library(), compiler_library()]
}

/// Where the loader looks, and where CUDA and containers put theirs.
const USUAL: [&str; 9] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
    "/usr/local/cuda/lib64",
];

/// What the driver brings: needed on a GPU, by name, when a device is opened.
fn driver_library() -> Finding {
    let folders = loader_folders();
    match find(&["libcuda.so.1", "libcuda.so"], &folders) {
        Some(found) => Finding::ok("libcuda", shown(&found)),
        None => Finding::warn(
            "libcuda",
            format!("not found; tried {}", tried(&folders)),
            "for a GPU install NVIDIA's driver, or name its folder in LD_LIBRARY_PATH; a CPU needs none",
        ),
    }
}

/// NVRTC is for building: what is built holds its kernels.
fn compiler_library() -> Finding {
    let mut folders = python_folders();
    folders.extend(
        ["CUDA_HOME", "CUDA_PATH"]
            .iter()
            .filter_map(|name| Some(PathBuf::from(env::var_os(name)?).join("lib64"))),
    );
    folders.extend(loader_folders());
    let named = env::var_os("SELFSAME_NVRTC").map(PathBuf::from);
    let names = ["libnvrtc.so.12", "libnvrtc.so.13", "libnvrtc.so"];
    let found = named.filter(|path| path.is_file());
    let found = found.or_else(|| find(&names, &folders));
    match (found, IMAGES.is_empty()) {
        (Some(found), _) => Finding::ok("libnvrtc", shown(&found)),
        (None, false) => Finding::ok(
            "libnvrtc",
            "not found, not needed: this build holds its kernels",
        ),
        (None, true) => Finding::warn(
            "libnvrtc",
            format!("not found; tried {}", tried(&folders)),
            "pip install nvidia-cuda-nvrtc-cu12, or name it in SELFSAME_NVRTC, then build again",
        ),
    }
}

/// As the system's loader goes: LD_LIBRARY_PATH, the folders of /etc/ld.so.conf.d, the usual ones.
fn loader_folders() -> Vec<PathBuf> {
    let path = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path)
        .filter(|folder| !folder.as_os_str().is_empty())
        .collect();
    let files = fs::read_dir("/etc/ld.so.conf.d").into_iter().flatten();
    let mut files: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
    files.sort();
    for text in files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
    {
        let lines = text.lines().map(str::trim);
        folders.extend(
            lines
                .filter(|line| line.starts_with('/'))
                .map(PathBuf::from),
        );
    }
    folders.extend(USUAL.iter().map(PathBuf::from));
    let mut once = Vec::new();
    for folder in folders {
        if !once.contains(&folder) {
            once.push(folder);
        }
    }
    once
}

/// Of the active environment, where pip puts NVIDIA's wheels.
fn python_folders() -> Vec<PathBuf> {
    let roots = ["VIRTUAL_ENV", "CONDA_PREFIX"]
        .iter()
        .filter_map(env::var_os);
    let libraries = roots.map(|root| PathBuf::from(root).join("lib"));
    let pythons = libraries.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let wheel = |python: fs::DirEntry| python.path().join("site-packages/nvidia/cuda_nvrtc/lib");
    pythons
        .map(wheel)
        .filter(|folder| folder.is_dir())
        .collect()
}

fn find(names: &[&str], folders: &[PathBuf]) -> Option<PathBuf> {
    let all = folders
        .iter()
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    all.into_iter().find(|path| path.exists())
}

/// With what a link leads to: its name holds the version.
fn shown(path: &Path) -> String {
    match path.canonicalize() {
        Ok(whole) if whole != path => format!("{} ({})", path.display(), whole.display()),
        _ => path.display().to_string(),
    }
}

fn tried(folders: &[PathBuf]) -> String {
    let shown: Vec<String> = folders
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    shown.join(", ")
}
