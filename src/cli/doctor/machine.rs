//! Versions, processor, memory, disk, driver: from what the system says of itself.
use super::Finding;
use crate::cli::{disk::free_space, format::bytes, memory::Memory};
use std::{
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

const GIB: u64 = 1 << 30;

pub fn findings(out: &Path) -> Vec<Finding> {
    let mut findings = vec![
        version(),
        processor(),
        cores(),
        memory(),
        shared_memory(),
        open_files(),
    ];
    findings.extend([space(out), flush(out), driver()]);
    findings
}

fn version() -> Finding {
    let features = [
        ("emulator", cfg!(feature = "emulator")),
        ("fault", cfg!(feature = "fault")),
        ("turbo", cfg!(feature = "turbo")),
    ];
    let built = features.iter().filter(|(_, on)| *on).map(|(name, _)| *name);
    let features = match built.collect::<Vec<_>>() {
        none if none.is_empty() => "no optional features".into(),
        some => format!("features {}", some.join(", ")),
    };
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let version = env!("CARGO_PKG_VERSION");
    let commit = match option_env!("SELFSAME_COMMIT") {
        Some(commit) => format!("commit {commit}"),
        None => "commit not known".into(),
    };
    Finding::ok(
        "version",
        format!("selfsame {version} for {os} {arch}, {commit}, {features}"),
    )
}

fn processor() -> Finding {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim())
    };
    let flags: Vec<&str> = field("flags").unwrap_or("").split_whitespace().collect();
    let known = ["avx2", "fma", "avx512f", "amx_tile"];
    let held: Vec<&str> = known
        .into_iter()
        .filter(|flag| flags.contains(flag))
        .collect();
    let model = field("model name").unwrap_or("unknown model");
    let found = format!("{model}, {}", held.join(" "));
    if cfg!(target_arch = "x86_64") && !flags.is_empty() && !held.contains(&"avx2") {
        let advice = "without AVX2 training on this CPU is several times slower; use a GPU or another machine";
        return Finding::warn("processor", found, advice);
    }
    Finding::ok("processor", found)
}

/// Those that work is spread over: what affinity and the cgroup leave of the machine's.
fn cores() -> Finding {
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let said = |text: Option<&str>| match text.map(str::trim) {
        None | Some("") => "not said".to_string(),
        Some(text) => text.to_string(),
    };
    let quota = quota().map_or("no limit".into(), |cores| format!("{cores:.1}"));
    let found = format!(
        "{usable}; online {}, affinity {}, cgroup {quota}",
        said(Some(&online)),
        said(allowed)
    );
    match usable {
        1 => Finding::warn(
            "cores",
            found,
            "one core decodes the images and trains: allow more (taskset, --cpus, --cpus-per-task)",
        ),
        _ => Finding::ok("cores", found),
    }
}

/// Cores' worth of time that the cgroup allows.
fn quota() -> Option<f64> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| *n > 0.0);
    if let Some(text) = read("/sys/fs/cgroup/cpu.max") {
        let (quota, period) = text.split_once(' ')?;
        return Some(number(quota)? / number(period)?);
    }
    let quota = read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")?;
    let period = read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")?;
    Some(number(&quota)? / number(&period)?)
}

/// What is free, and what the container may use.
fn memory() -> Finding {
    let Some(memory) = Memory::read() else {
        return Finding::ok("memory", "");
    };
    let of_limit = memory
        .limit
        .map_or(String::new(), |n| format!(", limited to {}", bytes(n)));
    let (free, total) = (bytes(memory.free), bytes(memory.total));
    let found = format!("{free} free of {total}{of_limit}");
    if memory.usable() < 4 * GIB {
        let advice =
            "below 4 GB only small images and batches fit; close other programs or raise the limit";
        return Finding::warn("memory", found, advice);
    }
    Finding::ok("memory", found)
}

fn shared_memory() -> Finding {
    match free_space(Path::new("/dev/shm")) {
        Some(free) => Finding::ok(
            "shared memory",
            format!("{} free in /dev/shm (not needed)", bytes(free)),
        ),
        None => Finding::ok("shared memory", ""),
    }
}

fn open_files() -> Finding {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line
        .and_then(|line| line.split_whitespace().next())
        .unwrap_or("");
    match soft.parse::<u64>() {
        Ok(n) if n < 256 => Finding::warn("open files", soft, "allow more: ulimit -n 1024"),
        _ => Finding::ok("open files", soft),
    }
}

fn space(out: &Path) -> Finding {
    let Some(free) = free_space(out) else {
        return Finding::ok("disk", "");
    };
    let found = format!("{} free at {}", bytes(free), out.display());
    if free < 5 * GIB {
        return Finding::warn(
            "disk",
            found,
            "three checkpoints of a ResNet-50 take 1 GB; make room, or lower output.keep",
        );
    }
    Finding::ok("disk", found)
}

/// How long a small file takes to reach the disk: a checkpoint waits for it.
fn flush(out: &Path) -> Finding {
    let timed = || -> std::io::Result<Duration> {
        let mut file = tempfile::NamedTempFile::new_in(out)?;
        file.write_all(&[0; 1 << 16])?;
        let start = Instant::now();
        file.as_file().sync_all()?;
        Ok(start.elapsed())
    };
    let place = out.display();
    match timed() {
        Err(why) => Finding::warn(
            "flush",
            format!("{place}: {why}"),
            "name a folder that can be written with --out",
        ),
        Ok(time) => {
            let found = format!(
                "64 kB to the disk in {:.1} ms at {place}",
                1e3 * time.as_secs_f64()
            );
            match time.as_millis() {
                ..500 => Finding::ok("flush", found),
                _ => Finding::warn(
                    "flush",
                    found,
                    "this disk is slow or shared; write runs to a local one",
                ),
            }
        }
    }
}

/// Where none is loaded, the self-test says what to do.
fn driver() -> Finding {
    let version = fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let line = version.lines().next().unwrap_or("");
    Finding::ok(
        "NVIDIA driver",
        line.trim_start_matches("NVRM version:").trim(),
    )
}
