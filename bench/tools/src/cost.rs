//! What the candidate's processes cost, by the kernel's books.

use std::fs;

/// CPU time so far.
#[derive(Debug, Default, Clone, Copy)]
pub struct Cpu {
    /// Nanoseconds on a core, of all threads.
    pub nanos: u64,
    /// Ticks (10 ms) in user space, sampled.
    pub user_ticks: u64,
    /// Ticks in the kernel, sampled.
    pub system_ticks: u64,
}

impl Cpu {
    /// Of these processes.
    pub fn of(processes: &[u32]) -> Self {
        let mut sum = Self::default();
        for process in processes {
            for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
                let schedule = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                sum.nanos += schedule.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0);
            }
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            // The name before it may hold anything.
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            sum.user_ticks += field(11);
            sum.system_ticks += field(12);
        }
        sum
    }
}

/// Makes the peaks of memory begin again.
pub fn reset_peaks(processes: &[u32]) {
    for process in processes {
        let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
    }
}

/// The sum over some processes of a line of their status, in KiB: `VmRSS:` or `VmHWM:`.
pub fn memory_kib(processes: &[u32], line: &str) -> u64 {
    let of_one = |process: &u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let found = status.lines().find_map(|text| text.strip_prefix(line));
        found.map_or(0, |rest| crate::http::number(rest.trim().as_bytes()))
    };
    processes.iter().map(of_one).sum()
}

/// Ticks of all cores: busy, and all.
pub fn machine_ticks() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let numbers: Vec<u64> =
        stat.lines().next().unwrap_or_default().split_whitespace().filter_map(|text| text.parse().ok()).collect();
    let all: u64 = numbers.iter().take(8).sum();
    // Idle and waiting for a disk.
    let idle: u64 = numbers.iter().skip(3).take(2).sum();
    (all - idle, all)
}
