//! A run's folder: `config.toml`, `changes.jsonl`, `env.json`, `data.json`, `LOCK`, `metrics.jsonl`, `bad_images.jsonl`,
//! `checkpoints/`, `exports/`, `evaluations/`; `report.html`, where one was made.
use crate::{Error, Result, config::Config};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

const CONFIG: &str = "config.toml";
const LOCK: &str = "LOCK";

/// One process's hold on a run's folder.
#[derive(Debug)]
pub struct Run {
    path: PathBuf,
    /// Said to the user: a lock that a dead process left.
    pub warnings: Vec<String>,
}

/// Who writes here. A pid alone may since be another's: the kernel's start time of it tells.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    pid: u32,
    host: String,
    started: u64,
}

/// What the images were, in `data.json`.
#[derive(Debug, Serialize)]
pub struct Images<'a> {
    pub roots: &'a [String],
    pub count: usize,
    pub fingerprint: String,
}

impl Run {
    /// Errors where a folder holds anything: before work starts, not after.
    pub fn check_new(path: &Path) -> Result<()> {
        // What one killed before it wrote its configuration leaves holds nothing.
        const BEGUN: [&str; 3] = [LOCK, ".LOCK", ".config.toml"];
        let holds = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| BEGUN.iter().all(|name| entry.file_name() != *name))
        };
        let occupied = fs::read_dir(path).is_ok_and(|mut entries| entries.any(holds));
        if path.is_file() {
            return Err(Error::Config(format!(
                "{} is a file; --out names a folder",
                path.display()
            )));
        }
        if occupied {
            let way_out = match path.join(CONFIG).exists() {
                true => format!("go on with: selfsame resume {}", path.display()),
                false => "name another folder with --out".into(),
            };
            return Err(Error::Config(format!(
                "{} is not empty\n  {way_out}",
                path.display()
            )));
        }
        Ok(())
    }

    /// A new folder.
    pub fn create(path: &Path, config: &Config) -> Result<Run> {
        Run::check_new(path)?;
        fs::create_dir_all(path).map_err(Error::file(path))?;
        let run = Run::lock(path)?;
        run.write_config(config)?;
        Ok(run)
    }

    /// Where a run's configuration is.
    pub fn config_of(path: &Path) -> PathBuf {
        path.join(CONFIG)
    }

    /// A folder that `create` made.
    pub fn open(path: &Path) -> Result<(Run, Config)> {
        let file = Run::config_of(path);
        if !file.exists() {
            return Err(Error::Config(format!(
                "{} is no run: it holds no {CONFIG}\n  start one with: selfsame train IMAGES --out {0}",
                path.display()
            )));
        }
        let config = Config::read(&file)?;
        Ok((Run::lock(path)?, config))
    }

    fn lock(path: &Path) -> Result<Run> {
        let file = path.join(LOCK);
        let mut warnings = Vec::new();
        let held = fs::read(&file).ok();
        let owner: Option<Owner> = held.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(owner) = owner {
            let Owner { pid, host, .. } = &owner;
            let remote = *host != hostname();
            if remote || owner.is_alive() {
                return Err(Error::Config(format!(
                    "{} is being written by process {pid} on {host}\n  wait for it; if it is gone, remove {}",
                    path.display(),
                    file.display()
                )));
            }
            warnings.push(format!(
                "process {pid} left its lock on {} behind; it is gone, going on",
                path.display()
            ));
        }
        let run = Run {
            path: path.into(),
            warnings,
        };
        let owner = serde_json::to_vec(&Owner::ourselves()).expect("strings and numbers");
        run.write(LOCK, &owner)?;
        Ok(run)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn checkpoints(&self) -> PathBuf {
        Run::checkpoints_of(&self.path)
    }

    /// Of a run that may not be there yet.
    pub fn checkpoints_of(path: &Path) -> PathBuf {
        path.join("checkpoints")
    }

    pub fn write_config(&self, config: &Config) -> Result<()> {
        self.write(CONFIG, config.to_toml().as_bytes())
    }

    /// `data.json` and `env.json`.
    pub fn describe(&self, images: &Images, device: &str) -> Result<()> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let environment = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "device": device,
            "host": hostname(),
            "threads": threads,
            "processor": processor(),
            "features": features(),
            "os": std::env::consts::OS,
            "exif": "applied",
        });
        let pretty = |value| serde_json::to_vec_pretty(value).expect("strings and numbers");
        self.write("env.json", &pretty(&environment))?;
        let images = serde_json::to_value(images).expect("strings and numbers");
        self.write("data.json", &pretty(&images))
    }

    /// Whole or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (file, unfinished) = (self.path.join(name), self.path.join(format!(".{name}")));
        let written = File::create(&unfinished).and_then(|mut new| {
            new.write_all(bytes)?;
            new.sync_all()?;
            fs::rename(&unfinished, &file)
        });
        written.map_err(Error::file(file))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path.join(LOCK));
    }
}

impl Owner {
    fn ourselves() -> Owner {
        let pid = process::id();
        Owner {
            pid,
            host: hostname(),
            started: start_time(pid).unwrap_or(0),
        }
    }

    /// On this host; where there is no /proc, it is taken to be.
    fn is_alive(&self) -> bool {
        if !Path::new("/proc/self/stat").exists() {
            return self.pid != process::id();
        }
        start_time(self.pid) == Some(self.started)
    }
}

/// In the kernel's ticks since it booted: field 22 of `/proc/PID/stat`, counted after the name, which
/// may hold blanks. `None` of a process that is gone, a zombie included: a killed one stays in that state
/// where its parent, a container's first process perhaps, never asks for it.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(started)
}

/// As the kernel names it.
fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':'));
    name.map_or("unknown".into(), |(_, name)| name.trim().into())
}

/// Of this build.
fn features() -> Vec<&'static str> {
    let known = [
        ("emulator", cfg!(feature = "emulator")),
        ("fault", cfg!(feature = "fault")),
        ("turbo", cfg!(feature = "turbo")),
    ];
    let held = known.into_iter().filter(|(_, held)| *held);
    held.map(|(name, _)| name).collect()
}

fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    name.map_or("unknown".into(), |name| name.trim().into())
}
