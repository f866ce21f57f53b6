//! How much memory there is, as Linux says it.
use std::fs;

/// In bytes.
pub struct Memory {
    pub total: u64,
    pub free: u64,
    /// What the container may use, where that is less than all.
    pub limit: Option<u64>,
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
        })
    }

    pub fn usable(&self) -> u64 {
        self.free.min(self.limit.unwrap_or(self.free))
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
