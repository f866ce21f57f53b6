//! Compiles `kernels/*.cu` with NVRTC, NVIDIA's run-time compiler; it needs no GPU and no CUDA toolkit.
//!
//! Where it is looked for: `SELFSAME_NVRTC` (a path, or `off`), a CUDA toolkit, the wheel of the active
//! Python; failing those NVIDIA's own wheel, pinned by version and hash, is installed with pip into the
//! target directory. Results are cached by the hash of (sources, target, NVRTC).
use libloading::{Library, Symbol};
use std::{
    env,
    ffi::{CStr, CString, c_char, c_int, c_void},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    ptr::{null, null_mut},
};
use xxhash_rust::xxh3::xxh3_64;

/// The first argument of the process that compiles one share of the files.
pub const WORKER: &str = "--compile-with-nvrtc";
/// (name, what NVRTC is asked for, whether the PTX is kept instead of the cubin)
const TARGETS: [(&str, &str, bool); 3] = [
    ("sm_80", "sm_80", false),
    ("sm_90a", "sm_90a", false),
    ("compute_80", "compute_80", true),
];
const WHEEL: &str = "nvidia-cuda-nvrtc-cu12==12.9.86 \
    --hash=sha256:210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4";
/// Bytes of spilled registers above which a kernel fails the build.
const SPILL_LIMIT: u32 = 64;
/// Remarks of ptxas that mean serialised wgmma: an error in our kernels.
const FORBIDDEN: [&str; 7] = [
    "C7504", "C7508", "C7510", "C7511", "C7514", "C7515", "C7520",
];

pub struct Compiled {
    file: String,
    target: &'static str,
    bf16: bool,
    image: PathBuf,
    log: String,
}

/// Every file for every target and number type.
pub fn compile_all(files: &[PathBuf], headers: &Path, out: &Path) -> Result<Vec<Compiled>, String> {
    let library = find(out)?;
    let cache = out.join("cubins");
    fs::create_dir_all(&cache).map_err(|why| why.to_string())?;
    let shared = header_text(headers) + &library.display().to_string();
    let mut jobs = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).map_err(|why| why.to_string())?;
        for (target, option, ptx) in TARGETS {
            for bf16 in [false, true] {
                let key = xxh3_64(format!("{shared}{text}{option}{ptx}{bf16}").as_bytes());
                let name = file.file_stem().unwrap().to_str().unwrap().to_string();
                let image = cache.join(format!("{name}-{key:016x}"));
                jobs.push((file, target, option, ptx, bf16, name, image));
            }
        }
    }
    let arguments: Vec<String> = jobs
        .iter()
        .filter(|job| !job.6.with_extension("log").exists())
        .flat_map(|(file, _, option, ptx, bf16, _, image)| {
            [
                file.display().to_string(),
                option.to_string(),
                ptx.to_string(),
                bf16.to_string(),
                image.display().to_string(),
            ]
        })
        .collect();
    in_parallel(&library, headers, &arguments)?;
    let mut compiled = Vec::new();
    for (_, target, _, _, bf16, file, image) in jobs {
        let log = fs::read_to_string(image.with_extension("log")).map_err(|why| why.to_string())?;
        compiled.push(Compiled {
            file,
            target,
            bf16,
            image,
            log,
        });
    }
    check(&compiled);
    Ok(compiled)
}

fn header_text(folder: &Path) -> String {
    let mut headers: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    headers.retain(|path| path.extension().is_some_and(|e| e == "cuh"));
    headers.sort();
    headers
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

/// Two processes, or as many as there are cores: threads of one do not speed NVRTC up.
fn in_parallel(library: &Path, headers: &Path, arguments: &[String]) -> Result<(), String> {
    let jobs: Vec<&[String]> = arguments.chunks(5).collect();
    let processes = std::thread::available_parallelism()
        .map_or(2, |n| n.get())
        .min(jobs.len());
    let mut children: Vec<Child> = Vec::new();
    for worker in 0..processes {
        let share = jobs
            .iter()
            .skip(worker)
            .step_by(processes)
            .flat_map(|job| job.iter());
        let mut command = Command::new(env::current_exe().map_err(|why| why.to_string())?);
        command
            .arg(WORKER)
            .arg(library)
            .arg(headers)
            .args(share)
            .stderr(Stdio::piped());
        children.push(command.spawn().map_err(|why| why.to_string())?);
    }
    for child in children {
        let output = child.wait_with_output().map_err(|why| why.to_string())?;
        // A kernel that does not compile is our mistake, not the machine's: it fails the build.
        assert!(
            output.status.success(),
            "\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// What ptxas reported must stay inside our limits.
fn check(compiled: &[Compiled]) {
    for unit in compiled {
        let forbidden = FORBIDDEN.iter().find(|remark| unit.log.contains(**remark));
        assert!(
            forbidden.is_none(),
            "{} for {}: ptxas says {forbidden:?}:\n{}",
            unit.file,
            unit.target,
            unit.log
        );
        for usage in usages(unit) {
            let spills = usage.stores.max(usage.loads);
            assert!(
                spills <= SPILL_LIMIT,
                "{} for {}: {spills} bytes spilled",
                usage.kernel,
                unit.target
            );
        }
    }
}

struct Usage {
    kernel: String,
    registers: u32,
    stores: u32,
    loads: u32,
    shared: u32,
}

/// Reads ptxas's `-v` report: "Compiling entry function 'k'", "8 bytes spill stores", "Used 40 registers".
fn usages(unit: &Compiled) -> Vec<Usage> {
    let mut found: Vec<Usage> = Vec::new();
    for line in unit.log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let kernel = rest.split('\'').next().unwrap().to_string();
            found.push(Usage {
                kernel,
                registers: 0,
                stores: 0,
                loads: 0,
                shared: 0,
            });
        }
        let Some(last) = found.last_mut() else {
            continue;
        };
        last.registers = number_before(line, " registers").unwrap_or(last.registers);
        last.stores = number_before(line, " bytes spill stores").unwrap_or(last.stores);
        last.loads = number_before(line, " bytes spill loads").unwrap_or(last.loads);
        last.shared = number_before(line, " bytes smem").unwrap_or(last.shared);
    }
    found
}

fn number_before(line: &str, words: &str) -> Option<u32> {
    line[..line.find(words)?]
        .rsplit([' ', ','])
        .next()?
        .parse()
        .ok()
}

/// The Rust text that embeds the images and the table of what each kernel uses.
pub fn rust(compiled: &[Compiled]) -> String {
    let mut text = String::from("pub static IMAGES: &[Image] = &[\n");
    for unit in compiled {
        let real = if unit.bf16 { "Bf16" } else { "F32" };
        writeln!(
            text,
            "    Image {{ file: {:?}, target: {:?}, real: Real::{real}, bytes: include_bytes!({:?}) }},",
            unit.file, unit.target, unit.image
        ).unwrap();
    }
    text.push_str("];\npub static USAGE: &[Usage] = &[\n");
    for unit in compiled {
        let real = if unit.bf16 { "Bf16" } else { "F32" };
        for usage in usages(unit) {
            writeln!(
                text,
                "    Usage {{ kernel: {:?}, target: {:?}, real: Real::{real}, registers: {}, spill_stores: {}, spill_loads: {}, shared: {} }},",
                usage.kernel, unit.target, usage.registers, usage.stores, usage.loads, usage.shared
            ).unwrap();
        }
    }
    text + "];\n"
}

/// The NVRTC library to use.
fn find(out: &Path) -> Result<PathBuf, String> {
    match env::var("SELFSAME_NVRTC").as_deref() {
        Ok("off") => return Err("SELFSAME_NVRTC=off".into()),
        Ok(path) if Path::new(path).exists() => return Ok(path.into()),
        Ok(path) => return Err(format!("SELFSAME_NVRTC={path}: no such file")),
        Err(_) => {}
    }
    let fetched = out.ancestors().nth(4).unwrap_or(out).join("selfsame-nvrtc");
    let toolkits = [
        env::var("CUDA_HOME").ok(),
        env::var("CUDA_PATH").ok(),
        Some("/usr/local/cuda".into()),
    ];
    let mut folders: Vec<PathBuf> = toolkits
        .into_iter()
        .flatten()
        .map(|t| Path::new(&t).join("lib64"))
        .collect();
    if let Some(environment) = env::var_os("VIRTUAL_ENV").or(env::var_os("CONDA_PREFIX")) {
        let pythons = fs::read_dir(Path::new(&environment).join("lib"))
            .into_iter()
            .flatten()
            .flatten();
        folders.extend(pythons.map(|p| p.path().join("site-packages/nvidia/cuda_nvrtc/lib")));
    }
    folders.push(fetched.join("nvidia/cuda_nvrtc/lib"));
    if let Some(found) = folders.iter().find_map(|folder| library_in(folder)) {
        return Ok(found);
    }
    fetch(&fetched)?;
    library_in(&fetched.join("nvidia/cuda_nvrtc/lib"))
        .ok_or_else(|| "the fetched wheel holds no libnvrtc".into())
}

/// NVRTC 12: its builtins are found beside it (those of 13 are not).
fn library_in(folder: &Path) -> Option<PathBuf> {
    let path = folder.join("libnvrtc.so.12");
    path.exists().then_some(path)
}

fn fetch(into: &Path) -> Result<(), String> {
    fs::create_dir_all(into).map_err(|why| why.to_string())?;
    let requirements = into.join("requirements.txt");
    fs::write(&requirements, WHEEL).map_err(|why| why.to_string())?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--upgrade",
        "--target",
    ]);
    pip.arg(into).arg("-r").arg(&requirements);
    let hint =
        "install python3 with pip, or a CUDA toolkit, or set SELFSAME_NVRTC to a libnvrtc.so.12";
    let output = pip.output().map_err(|why| {
        format!("NVRTC was not found and python3 could not be run ({why}); {hint}")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    let why = why.lines().last().unwrap_or("").to_string();
    Err(format!(
        "NVRTC was not found and pip could not fetch it ({why}); {hint}"
    ))
}

/// The process started by `in_parallel`: compiles its share, five arguments a file.
pub fn worker(arguments: &[String]) {
    let library = unsafe { Library::new(&arguments[0]) }
        .unwrap_or_else(|why| panic!("{}: {why}", arguments[0]));
    for job in arguments[2..].chunks(5) {
        let [file, option, ptx, bf16, image] = job else {
            panic!("five arguments a file")
        };
        let (bytes, log) = unsafe {
            compile(
                &library,
                &arguments[1],
                file,
                option,
                ptx == "true",
                bf16 == "true",
            )
        }
        .unwrap_or_else(|log| panic!("{file} for {option}:\n{log}"));
        fs::write(image, bytes).unwrap();
        fs::write(Path::new(image).with_extension("log"), log).unwrap(); // last: it says the image is whole
    }
}

type Program = *mut c_void;
type Text = *const c_char;
type Create =
    unsafe extern "C" fn(*mut Program, Text, Text, c_int, *const Text, *const Text) -> c_int;
type Build = unsafe extern "C" fn(Program, c_int, *const Text) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Read = unsafe extern "C" fn(Program, *mut c_char) -> c_int;

/// One file through NVRTC: the image and the compiler's log.
unsafe fn compile(
    nvrtc: &Library,
    headers: &str,
    file: &str,
    arch: &str,
    ptx: bool,
    bf16: bool,
) -> Result<(Vec<u8>, String), String> {
    let text = fs::read_to_string(file).map_err(|why| why.to_string())?;
    let (text, name) = (CString::new(text).unwrap(), CString::new(file).unwrap());
    let options = options(headers, arch, ptx, bf16);
    let pointers: Vec<*const c_char> = options.iter().map(|o| o.as_ptr()).collect();
    unsafe {
        let create: Symbol<Create> = nvrtc.get(b"nvrtcCreateProgram").unwrap();
        let build: Symbol<Build> = nvrtc.get(b"nvrtcCompileProgram").unwrap();
        let (mut program, none) = (null_mut(), null());
        let made = create(&mut program, text.as_ptr(), name.as_ptr(), 0, none, none);
        assert_eq!(made, 0);
        let failed = build(program, pointers.len() as c_int, pointers.as_ptr()) != 0;
        let log = read(
            nvrtc,
            program,
            b"nvrtcGetProgramLogSize",
            b"nvrtcGetProgramLog",
        );
        let log = CStr::from_bytes_until_nul(&log)
            .map_or(String::new(), |l| l.to_string_lossy().into_owned());
        if failed {
            return Err(log);
        }
        let bytes = if ptx {
            read(nvrtc, program, b"nvrtcGetPTXSize", b"nvrtcGetPTX")
        } else {
            read(nvrtc, program, b"nvrtcGetCUBINSize", b"nvrtcGetCUBIN")
        };
        Ok((bytes, log))
    }
}

fn options(headers: &str, arch: &str, ptx: bool, bf16: bool) -> Vec<CString> {
    let mut options = vec![
        format!("--gpu-architecture={arch}"),
        "--std=c++17".into(),
        format!("-I{headers}"),
    ];
    options.extend(bf16.then(|| "-DREAL_BF16".into()));
    options.extend((!ptx).then(|| "--ptxas-options=-v".into()));
    options
        .into_iter()
        .map(|o| CString::new(o).unwrap())
        .collect()
}

unsafe fn read(nvrtc: &Library, program: Program, size: &[u8], get: &[u8]) -> Vec<u8> {
    unsafe {
        let (size, get): (Symbol<Size>, Symbol<Read>) =
            (nvrtc.get(size).unwrap(), nvrtc.get(get).unwrap());
        let mut bytes = 0;
        assert_eq!(size(program, &mut bytes), 0);
        let mut data = vec![0u8; bytes];
        assert_eq!(get(program, data.as_mut_ptr().cast()), 0);
        data
    }
}
