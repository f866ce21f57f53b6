//! Whether the disk has room for a run's checkpoints: known before the first step, not at the first save.
use super::checkpoint;
use crate::{Error, Result};
use rustix::fs::statvfs;
use std::{io, path::Path};

/// For `keep` checkpoints of `bytes` each below `folder`, which need not exist yet, and for the one that is
/// written before the oldest is forgotten. A warning where they do not all fit, an error where none does.
pub fn check(folder: &Path, bytes: u64, keep: usize) -> Result<Option<String>> {
    let there = folder.ancestors().find(|path| path.exists());
    let there = there.filter(|path| !path.as_os_str().is_empty());
    let disk = statvfs(there.unwrap_or(Path::new("."))).map_err(|e| Error::File {
        path: folder.into(),
        source: e.into(),
    })?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let held = checkpoint::list(folder)?.len();
    judge(folder, bytes, keep, held, free)
}

/// Of which `held` are there already.
fn judge(folder: &Path, bytes: u64, keep: usize, held: usize, free: u64) -> Result<Option<String>> {
    let more = (keep as u64)
        .saturating_add(1)
        .saturating_sub(held as u64)
        .max(1);
    let wanted = bytes.saturating_mul(more);
    let mega = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    if free < bytes {
        let why = format!(
            "a checkpoint takes {}, and the disk has {} left; make room, or write elsewhere with --out",
            mega(bytes),
            mega(free)
        );
        return Err(Error::File {
            path: folder.into(),
            source: io::Error::new(io::ErrorKind::StorageFull, why),
        });
    }
    Ok((free < wanted).then(|| {
        format!(
            "[checkpoint]: the disk has {} left, and {more} more checkpoints of {} ({keep} kept, one being written) take {}\n  make room, or keep fewer: --keep 1; training goes on without those that do not fit",
            mega(free),
            mega(bytes),
            mega(wanted)
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_judged_by_what_is_kept_and_held() {
        let judge = |keep, held, free| judge(Path::new("c"), 10_000_000, keep, held, free);
        assert_eq!(judge(3, 0, 40_000_000).unwrap(), None);
        let few = judge(3, 0, 39_999_999).unwrap().unwrap();
        assert!(
            few.contains("40.0 MB left, and 4 more checkpoints of 10.0 MB"),
            "{few}"
        );
        assert_eq!(judge(3, 3, 10_000_000).unwrap(), None);
        assert_eq!(
            judge(1, 3, 10_000_000).unwrap(),
            None,
            "older than are kept"
        );
        let none = judge(3, 3, 9_999_999).unwrap_err();
        assert_eq!(none.exit_code(), 6);
        assert!(none.to_string().contains("make room"), "{none}");
    }

    #[test]
    fn the_disk_of_a_folder_yet_to_be_made_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b/checkpoints");
        assert_eq!(check(&below, 1, 1).unwrap(), None);
        assert!(
            check(&below, 1, usize::MAX)
                .unwrap()
                .is_some_and(|w| w.contains("keep fewer"))
        );
        assert_eq!(check(&below, u64::MAX, 1).unwrap_err().exit_code(), 6);
        assert_eq!(check(Path::new("relative/c"), 1, 1).unwrap(), None);
    }
}
