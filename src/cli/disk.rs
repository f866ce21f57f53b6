//! How much room a disk has.
use std::{path::Path, process::Command};

/// Where `path` is or will be, in bytes: by `df`, which knows quotas and mounts. `None` where it does not
/// say.
pub fn free_space(path: &Path) -> Option<u64> {
    let whole = std::path::absolute(path).ok()?;
    let there = whole.ancestors().find(|place| place.exists())?;
    let output = Command::new("df").arg("-Pk").arg(there).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let kilobytes: u64 = text
        .lines()
        .nth(1)?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()?;
    Some(kilobytes * 1024)
}
