//! Turns `kernels/*.cu` into what the crate embeds: (a) a Rust struct for every parameter struct, (b) with
//! NVRTC, cubins and PTX for every architecture and number type, (c) with feature `emulator`, the same
//! files compiled for the host. Without NVRTC or without a C++ compiler it warns, says what is left
//! out, and builds the rest.
#[path = "src/device/build/host.rs"]
mod host;
#[path = "src/device/build/nvrtc.rs"]
mod nvrtc;
#[path = "src/device/build/structs.rs"]
mod structs;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    // NVRTC compiles one file at a time, so several are compiled by several processes: this one again.
    let arguments: Vec<String> = env::args().collect();
    if arguments.get(1).is_some_and(|word| word == nvrtc::WORKER) {
        return nvrtc::worker(&arguments[2..]);
    }
    for watched in [
        "kernels",
        "src/device/build",
        "src/device/conformance",
        "src/device/emulator",
        "build.rs",
    ] {
        println!("cargo:rerun-if-changed={watched}");
    }
    println!("cargo:rerun-if-env-changed=SELFSAME_NVRTC");
    println!("cargo:rustc-check-cfg=cfg(emulated_kernels)");

    name_commit();

    let out = PathBuf::from(env::var("OUT_DIR").unwrap());
    let emulated = env::var_os("CARGO_FEATURE_EMULATOR").is_some();
    let mut kernels = files("kernels");
    if emulated {
        // For the GPU and the host: what the two make of each instruction is compared.
        kernels.extend(files("src/device/conformance"));
    }
    let mut parsed: Vec<structs::File> = kernels.iter().map(|path| structs::parse(path)).collect();
    if emulated {
        parsed.extend(
            files("src/device/emulator")
                .iter()
                .map(|path| structs::parse(path)),
        );
    }

    let host_built = emulated && build_for_host(&parsed, &out);
    if host_built {
        println!("cargo:rustc-cfg=emulated_kernels");
    }
    fs::write(out.join("kernels.rs"), structs::rust(&parsed, host_built)).unwrap();

    let images = nvrtc::compile_all(&kernels, Path::new("kernels"), &out)
        .unwrap_or_else(|why| {
            println!("cargo:warning=CUDA kernels are left out of this build: {why}");
            println!("cargo:warning=everything else works; `--device cuda` needs them (README, Prerequisites)");
            Vec::new()
        });
    fs::write(out.join("images.rs"), nvrtc::rust(&images)).unwrap();
}

/// For `selfsame doctor`: the commit that was checked out. Not in builds for tests, as everything would be
/// compiled again after each commit; nor of a checkout that this package is merely somewhere in.
fn name_commit() {
    let tests = ["CARGO_FEATURE_EMULATOR", "CARGO_FEATURE_FAULT"];
    if tests.iter().any(|feature| env::var_os(feature).is_some()) {
        return;
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_string())
    };
    let here = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let root = git(&["rev-parse", "--show-toplevel"]).map(PathBuf::from);
    if root.is_none() || root != here.and_then(|here| here.canonicalize().ok()) {
        return;
    }
    // Each commit adds a line there.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    let log = log.filter(|log| Path::new(log).exists());
    if let (Some(log), Some(commit)) = (log, git(&["rev-parse", "--short=12", "HEAD"])) {
        println!("cargo:rerun-if-changed={log}");
        println!("cargo:rustc-env=SELFSAME_COMMIT={commit}");
    }
}

fn build_for_host(parsed: &[structs::File], out: &Path) -> bool {
    let files: Vec<host::HostFile> = parsed
        .iter()
        .map(|file| host::HostFile {
            path: file.path.clone(),
            checks: structs::checks(file),
        })
        .collect();
    let built = host::compile(&files, Path::new("kernels"), out);
    if let Err(why) = &built {
        println!(
            "cargo:warning=the emulator is left out of this build, its tests will be skipped: {why}"
        );
    }
    built.is_ok()
}

/// The `.cu` files of a folder, in order of their names.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{folder}: {why}"));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cu"))
        .collect();
    files.sort();
    files
}
