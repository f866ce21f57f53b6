//! How much memory there is, as Linux says it.
use std::fs;

/// In bytes.
pub struct Memory {
    pub total: u64,
    pub free: u64,
    /// What the container may use, where that is less than all.
    pub limit: Option<u64>,
    /// Of the limit, what is in use and cannot be taken back; 0 where the system does not say.
    used: u64,
}

impl Memory {
    /// `None` where the system does not say.
    pub fn read() -> Option<Memory> {
        let info = fs::read_to_string("/proc/meminfo").ok()?;
        let kilobytes = |name: &str| -> Option<u64> {
            let line = info.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        let total = 1024 * kilobytes("MemTotal:")?;
        Some(Memory {
            total,
            free: 1024 * kilobytes("MemAvailable:")?,
            limit: cgroup_limit().filter(|&limit| limit < total),
            used: cgroup_used().unwrap_or(0),
        })
    }

    pub fn usable(&self) -> u64 {
        let left = self.limit.map(|limit| limit.saturating_sub(self.used));
        self.free.min(left.unwrap_or(self.free))
    }
}

fn cgroup_limit() -> Option<u64> {
    let places = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let read = |place| fs::read_to_string(place).ok()?.trim().parse().ok();
    places.into_iter().find_map(read)
}

/// Files that were read and can be read again are in use, but can be taken back.
fn cgroup_used() -> Option<u64> {
    let places = [
        (
            "/sys/fs/cgroup/memory.current",
            "/sys/fs/cgroup/memory.stat",
        ),
        (
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
            "/sys/fs/cgroup/memory/memory.stat",
        ),
    ];
    places.into_iter().find_map(|(used, stat)| {
        let used: u64 = fs::read_to_string(used).ok()?.trim().parse().ok()?;
        let stat = fs::read_to_string(stat).unwrap_or_default();
        let line = |line: &str| line.strip_prefix("inactive_file ")?.trim().parse().ok();
        let files: u64 = stat.lines().find_map(line).unwrap_or(0);
        Some(used.saturating_sub(files))
    })
}
