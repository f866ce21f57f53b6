//! Checkpoints: `checkpoints/step-00001234/{state.safetensors, meta.json}`, written so that at any
//! moment, and after any crash, the newest folder of that name is whole.
//!
//! A folder is written under another name, its files and itself are brought to the disk, and only then
//! is it renamed. `meta.json` holds the size and xxh3 of the state, and its own xxh3. What does not
//! verify is not used: the one before is, with a warning.
use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};
use xxhash_rust::xxh3::xxh3_64;

const FORMAT: u32 = 1;
const STATE: &str = "state.safetensors";
const META: &str = "meta.json";
const LATEST: &str = "LATEST";
const UNFINISHED: &str = ".unfinished-";

/// What a checkpoint says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub format: u32,
    pub version: String,
    /// Steps done.
    pub step: u64,
    /// `Config::hash` and `Dataset::fingerprint`, in hexadecimal.
    pub config: String,
    pub dataset: String,
    pub images: u64,
    /// Bad images met, one met in each of two epochs twice.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bad: u64,
    pub state_bytes: u64,
    pub state_xxh3: String,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    meta: Meta,
    xxh3: String,
}

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    pub shape: Vec<usize>,
    pub numbers: Numbers,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    F32(Vec<f32>),
    U32(Vec<u32>),
    U8(Vec<u8>),
}

/// By name, sorted.
pub type State = BTreeMap<String, Saved>;

/// What is saved beside the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub step: u64,
    pub config: u64,
    pub dataset: u64,
    pub images: u64,
    pub bad: u64,
}

/// Writes a checkpoint below `folder`, and then forgets all but the newest `keep`. On any error what
/// was there before is still there.
pub fn write(folder: &Path, stamp: &Stamp, state: &State, keep: usize) -> Result<PathBuf> {
    fs::create_dir_all(folder).map_err(Error::file(folder))?;
    let name = format!("step-{:08}", stamp.step);
    let unfinished = folder.join(format!("{UNFINISHED}{name}"));
    let finished = folder.join(&name);
    if read(&finished).is_ok() {
        return Ok(finished); // a run resumed and stopped at once: a step's state is what it is
    }
    sweep(folder)?;
    let written = write_files(&unfinished, stamp, state).and_then(|()| {
        if finished.exists() {
            remove(&finished)?;
        }
        fs::rename(&unfinished, &finished).map_err(Error::file(&finished))?;
        sync(folder)
    });
    if let Err(error) = written {
        let _ = fs::remove_dir_all(&unfinished); // room for the next try
        return Err(error);
    }
    point_to(folder, &name)?;
    for (_, old) in list(folder)?.into_iter().skip(keep) {
        remove(&old)?;
    }
    Ok(finished)
}

fn write_files(folder: &Path, stamp: &Stamp, state: &State) -> Result<()> {
    fs::create_dir(folder).map_err(Error::file(folder))?;
    let bytes = serialize(state);
    #[cfg(feature = "fault")]
    crate::fault::checkpoint().map_err(Error::file(folder.join(STATE)))?;
    write_file(&folder.join(STATE), &bytes)?;
    let meta = Meta {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        step: stamp.step,
        config: hex(stamp.config),
        dataset: hex(stamp.dataset),
        images: stamp.images,
        bad: stamp.bad,
        state_bytes: bytes.len() as u64,
        state_xxh3: hex(xxh3_64(&bytes)),
    };
    let xxh3 = seal(&meta);
    let sealed = serde_json::to_vec_pretty(&Sealed { meta, xxh3 });
    write_file(&folder.join(META), &sealed.expect("strings and numbers"))?;
    sync(folder)
}

/// The newest checkpoint below `folder` that verifies, and a warning for each newer one that does not.
pub fn newest(folder: &Path) -> Result<(Meta, State, Vec<String>)> {
    let found = list(folder)?;
    let mut warnings: Vec<String> = missing(folder, &found).into_iter().collect();
    for (_, path) in found {
        match read(&path) {
            Ok((meta, state)) => {
                for warning in &mut warnings {
                    *warning = format!("{warning}; using step-{:08}", meta.step);
                }
                return Ok((meta, state, warnings));
            }
            Err(Error::Checkpoint { path, why }) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                warnings.push(format!("{name} is damaged ({why})"));
            }
            Err(other) => return Err(other),
        }
    }
    let why = match warnings.len() {
        0 => "no checkpoint was written here\n  start the run again with another --out".into(),
        _ => format!("no checkpoint is usable\n  {}", warnings.join("\n  ")),
    };
    Err(Error::Checkpoint {
        path: folder.into(),
        why,
    })
}

/// Whether no checkpoint was ever written whole: there is none, and nothing says that there was.
pub fn never_written(folder: &Path) -> Result<bool> {
    Ok(list(folder)?.is_empty() && !folder.join(LATEST).exists())
}

/// Of one that `LATEST` names, and that is newer than all that were `found`.
fn missing(folder: &Path, found: &[(u64, PathBuf)]) -> Option<String> {
    let latest = fs::read_to_string(folder.join(LATEST)).ok()?;
    let step: u64 = latest.trim().strip_prefix("step-")?.parse().ok()?;
    let newest = found.first().map(|(step, _)| *step);
    (newest < Some(step)).then(|| format!("{} is missing", latest.trim()))
}

/// One checkpoint, verified.
pub fn read(path: &Path) -> Result<(Meta, State)> {
    let damaged = |why: String| Error::Checkpoint {
        path: path.into(),
        why,
    };
    let open = |name: &str| fs::read(path.join(name)).map_err(|e| damaged(format!("{name}: {e}")));
    let sealed: Sealed = serde_json::from_slice(&open(META)?)
        .map_err(|e| damaged(format!("{META}: not readable: {e}")))?;
    let meta = sealed.meta;
    if meta.format != FORMAT {
        return Err(damaged(format!(
            "{META}: format {}, this version reads format {FORMAT}",
            meta.format
        )));
    }
    if seal(&meta) != sealed.xxh3 {
        return Err(damaged(format!("{META}: checksum")));
    }
    let bytes = open(STATE)?;
    if bytes.len() as u64 != meta.state_bytes {
        return Err(damaged(format!(
            "{STATE}: {} bytes of {}",
            bytes.len(),
            meta.state_bytes
        )));
    }
    if hex(xxh3_64(&bytes)) != meta.state_xxh3 {
        return Err(damaged(format!("{STATE}: checksum")));
    }
    let state = deserialize(&bytes).map_err(|why| damaged(format!("{STATE}: {why}")))?;
    Ok((meta, state))
}

/// (step, folder), the newest first. Reads alone: another process may be writing here.
pub fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(found);
    };
    for entry in entries {
        let path = entry.map_err(Error::file(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(Ok(step)) = name.strip_prefix("step-").map(str::parse) {
            found.push((step, path));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// A folder, or whatever bears the name of one.
fn remove(path: &Path) -> Result<()> {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    removed.map_err(Error::file(path))
}

/// What a crash left half-written is removed, by the one process that writes here.
fn sweep(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(UNFINISHED) && path.is_dir() {
            remove(&path)?;
        }
    }
    Ok(())
}

/// `LATEST` is for people and scripts; we look at the folders, and at it to know of one that is gone.
fn point_to(folder: &Path, name: &str) -> Result<()> {
    let unfinished = folder.join(format!("{UNFINISHED}{LATEST}"));
    write_file(&unfinished, format!("{name}\n").as_bytes())?;
    let latest = folder.join(LATEST);
    fs::rename(&unfinished, &latest).map_err(Error::file(&latest))?;
    sync(folder)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::file(path))?;
    file.write_all(bytes).map_err(Error::file(path))?;
    file.sync_all().map_err(Error::file(path))
}

/// Brings a folder's own entries to the disk.
fn sync(folder: &Path) -> Result<()> {
    let opened = File::open(folder).map_err(Error::file(folder))?;
    opened.sync_all().map_err(Error::file(folder))
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

/// Versions before this one did not count them: their seal is of the rest.
fn is_zero(bad: &u64) -> bool {
    *bad == 0
}

fn seal(meta: &Meta) -> String {
    hex(xxh3_64(
        &serde_json::to_vec(meta).expect("strings and numbers"),
    ))
}

fn serialize(state: &State) -> Vec<u8> {
    let views = state.iter().map(|(name, saved)| {
        let (dtype, bytes) = match &saved.numbers {
            Numbers::F32(numbers) => (Dtype::F32, bytemuck::cast_slice(numbers)),
            Numbers::U32(numbers) => (Dtype::U32, bytemuck::cast_slice(numbers)),
            Numbers::U8(numbers) => (Dtype::U8, &numbers[..]),
        };
        let view = TensorView::new(dtype, saved.shape.clone(), bytes);
        (name, view.expect("as many numbers as the shape says"))
    });
    safetensors::serialize(views, None).expect("names and numbers can be written")
}

fn deserialize(bytes: &[u8]) -> Result<State, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let saved = |(name, view): (String, TensorView)| {
        let numbers = match view.dtype() {
            Dtype::F32 => Numbers::F32(bytemuck::pod_collect_to_vec(view.data())),
            Dtype::U32 => Numbers::U32(bytemuck::pod_collect_to_vec(view.data())),
            Dtype::U8 => Numbers::U8(view.data().to_vec()),
            other => return Err(format!("{name} is {other:?}")),
        };
        let shape = view.shape().to_vec();
        Ok((name, Saved { shape, numbers }))
    };
    tensors.tensors().into_iter().map(saved).collect()
}
