//! Compiles kernels for the host with the C++ compiler, once for each number type, and links them into
//! the crate. An object is kept under the hash of all that went into it, so that a touched `.cu` file
//! costs one compilation for each type, and a touched header all of them.
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};
use xxhash_rust::xxh3::xxh3_64;

/// A kernel file, and C++ that fails to compile where its structs are not laid out as in Rust.
pub struct HostFile {
    pub path: PathBuf,
    pub checks: String,
}

/// Compilers run at once.
const PROCESSES: usize = 2;

/// The symbols' prefix and what the header wants to hear, for each number type.
const REALS: [(&str, &str); 2] = [("f32", ""), ("bf16", "#define REAL_BF16\n")];

/// What kernels and the runtime share besides; C++, not CUDA.
const HOOKS: &str = "src/device/emulator/hooks.cpp";

const FLAGS: [&str; 15] = [
    "-std=c++17",
    "-O2",
    "-g1", // lines, for reports
    "-fPIC",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-strict-aliasing", // kernels read float as float4
    "-fwrapv",
    "-fno-math-errno",
    "-ffp-contract=off",
    "-fno-threadsafe-statics",
    "-fstack-clash-protection", // a large frame must touch the guard below a fiber's stack
    "-ftls-model=initial-exec",
    "-Wno-psabi",
    "-Wno-unknown-pragmas", // `#pragma unroll`
];

/// A call before every load and store, and another where C++ has no defined answer. The program is not
/// linked to a sanitizer: the calls are ours (src/device/emulator/hooks.cpp).
const CHECKING_FLAGS: [&str; 5] = [
    "-fsanitize=thread",
    "-fno-tree-sra", // a struct of 16 bytes is loaded at once, as on the device, not number by number
    "--param=tsan-instrument-func-entry-exit=0",
    "-fsanitize=alignment,shift,bounds,integer-divide-by-zero,float-cast-overflow",
    "-fno-sanitize-recover",
];

/// Compiles `files`, which include headers of `include_dir`, and tells cargo to link the result. The
/// error says what to install.
pub fn compile(files: &[HostFile], include_dir: &Path, out_dir: &Path) -> Result<(), String> {
    println!("cargo:rerun-if-env-changed=SELFSAME_EMULATOR");
    let compiler = Compiler::find()?;
    let folder = out_dir.join("emulated");
    fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let headers = read_headers(include_dir)?;
    let mut units = vec![Unit::of_hooks(&compiler)?];
    for file in files {
        for real in REALS {
            units.push(Unit::of_kernels(&compiler, file, real)?);
        }
    }
    for unit in &mut units {
        let Unit {
            name,
            source,
            included,
            flags,
            ..
        } = &unit;
        let all = format!("{:?}{flags:?}{headers}{source}{included}", compiler.path);
        unit.object = folder.join(format!("{name}-{:016x}.o", xxh3_64(all.as_bytes())));
    }
    compile_missing(&compiler, &units, include_dir);
    remove_outdated(&folder, &units)?;
    cc::Build::new()
        .cpp_link_stdlib(None) // kernels use nothing of it
        .cargo_warnings(false)
        .objects(units.iter().map(|unit| &unit.object))
        .try_compile("emulated_kernels")
        .map_err(|why| format!("the kernels' objects do not make a library: {why}"))
}

struct Compiler {
    path: PathBuf,
    /// Whether kernels are built to be checked: not with `SELFSAME_EMULATOR=plain`, and with g++ only,
    /// as others spell the flags differently.
    checks: bool,
}

impl Compiler {
    /// The compiler that `CXX` or the system names, if it can be run.
    fn find() -> Result<Compiler, String> {
        let hint = "install g++ (Debian: apt install g++), or set CXX";
        let tool = cc::Build::new()
            .cpp(true)
            .cargo_warnings(false)
            .try_get_compiler();
        let tool = tool.map_err(|why| format!("no C++ compiler ({why}); {hint}"))?;
        let path = tool.path().to_path_buf();
        let wanted = env::var("SELFSAME_EMULATOR").as_deref() != Ok("plain");
        match Command::new(&path).arg("--version").output() {
            Ok(output) if output.status.success() => Ok(Compiler {
                path,
                checks: wanted && tool.is_like_gnu(),
            }),
            _ => Err(format!(
                "no C++ compiler: `{}` does not run; {hint}",
                path.display()
            )),
        }
    }
}

/// One call of the compiler.
struct Unit {
    name: String,
    /// The file that the compiler is given.
    source: String,
    /// The text of what `source` includes, besides headers.
    included: String,
    flags: Vec<&'static str>,
    object: PathBuf,
}

impl Unit {
    fn of_hooks(compiler: &Compiler) -> Result<Unit, String> {
        let mut flags = FLAGS.to_vec();
        flags.extend(compiler.checks.then_some("-DEMULATED_CHECKED"));
        Ok(Unit {
            name: "hooks".into(),
            source: read(Path::new(HOOKS))?,
            included: String::new(),
            flags,
            object: PathBuf::new(),
        })
    }

    /// The kernels stand in a namespace of their own: an inline function that says `real` is another
    /// function in the other build, and the linker must not take one for both.
    fn of_kernels(
        compiler: &Compiler,
        file: &HostFile,
        (real, define): (&str, &str),
    ) -> Result<Unit, String> {
        let included = read(&file.path)?;
        let path = fs::canonicalize(&file.path).map_err(|why| why.to_string())?;
        let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{stem}_{real}");
        let (path, checks) = (path.display(), &file.checks);
        let source = format!(
            "{define}#include \"emulated.cuh\"\nnamespace {name}_kernels {{\n#include \"{path}\"\n{checks}}}\n"
        );
        let mut flags = FLAGS.to_vec();
        if compiler.checks {
            flags.extend(CHECKING_FLAGS);
        }
        Ok(Unit {
            name,
            source,
            included,
            flags,
            object: PathBuf::new(),
        })
    }

    fn compile(&self, compiler: &Compiler, include_dir: &Path) -> Result<(), String> {
        let source = self.object.with_extension("cpp");
        // Renamed when whole: an interrupted build leaves no half object under a good name.
        let partial = self.object.with_extension("partial");
        fs::write(&source, &self.source).map_err(|why| format!("{}: {why}", source.display()))?;
        let output = Command::new(&compiler.path)
            .args(&self.flags)
            .arg("-I")
            .arg(include_dir)
            .arg("-c")
            .arg(&source)
            .arg("-o")
            .arg(&partial)
            .output()
            .map_err(|why| format!("{}: {why}", compiler.path.display()))?;
        if !output.status.success() {
            let log = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "{} does not compile for the host:\n{log}",
                self.name
            ));
        }
        fs::rename(&partial, &self.object).map_err(|why| why.to_string())
    }
}

/// A kernel that does not compile ends the build: it is our mistake, not a lack of this machine's.
fn compile_missing(compiler: &Compiler, units: &[Unit], include_dir: &Path) {
    let missing: Vec<&Unit> = units.iter().filter(|unit| !unit.object.exists()).collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(unit) = missing.get(next.fetch_add(1, Relaxed)) {
            if let Err(why) = unit.compile(compiler, include_dir) {
                failures.lock().unwrap().push(why);
            }
        }
    };
    thread::scope(|scope| (0..PROCESSES).for_each(|_| drop(scope.spawn(work))));
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn remove_outdated(folder: &Path, units: &[Unit]) -> Result<(), String> {
    for entry in fs::read_dir(folder)
        .map_err(|why| why.to_string())?
        .flatten()
    {
        let object = entry.path().with_extension("o");
        if !units.iter().any(|unit| unit.object == object) {
            fs::remove_file(entry.path()).map_err(|why| why.to_string())?;
        }
    }
    Ok(())
}

/// All headers in one text: any of them may be included by any kernel.
fn read_headers(folder: &Path) -> Result<String, String> {
    let entries = fs::read_dir(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "cuh"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))
}
