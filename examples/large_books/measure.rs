//! Clocks and memory.

use rustix::time::{ClockId, clock_gettime};
use std::fs;

/// What a sync took: seconds, bytes, numbers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    /// CPU of the server, of the database behind it, and of the client: of the whole processes, each its own.
    pub(crate) server: f64,
    pub(crate) database: f64,
    pub(crate) client: f64,
    pub(crate) wall: f64,
    pub(crate) up: u64,
    pub(crate) down: u64,
    /// The same bytes packed, where that was asked for.
    pub(crate) up_packed: u64,
    pub(crate) down_packed: u64,
    pub(crate) messages: u64,
    /// Transactions.
    pub(crate) server_steps: u64,
    pub(crate) client_steps: u64,
    /// The most memory, in bytes, above what the process had before.
    pub(crate) server_peak: u64,
    pub(crate) client_peak: u64,
    /// Bytes of the server's database afterwards, where it is a file.
    pub(crate) file: u64,
    /// Cards added or replaced at the server, and at the client.
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Cost {
    /// One of so many equal syncs, of which these are the sums; peaks are no sums.
    pub(crate) fn shared_by(mut self, syncs: u32) -> Self {
        for sum in [&mut self.server, &mut self.database, &mut self.client, &mut self.wall] {
            *sum /= f64::from(syncs);
        }
        for sum in [
            &mut self.up,
            &mut self.down,
            &mut self.up_packed,
            &mut self.down_packed,
            &mut self.messages,
            &mut self.server_steps,
            &mut self.client_steps,
        ] {
            *sum /= u64::from(syncs);
        }
        self
    }
}

/// CPU seconds of this process, all of its threads.
pub(crate) fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU seconds that another process has used so far; with `children`, in steps of 10 ms and with those of its children, whether
/// they still run or not (Linux; elsewhere it is 0).
pub(crate) fn cpu_of(process: u32, children: bool) -> f64 {
    const TICKS: f64 = 100.0;
    // After the name in parentheses: state, parent, …; the 12th to the 15th are user and system time, own and of the dead children.
    let times = |process: &str| -> Option<(u32, [u64; 4])> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let at = |index: usize| fields.get(index).and_then(|field| field.parse().ok());
        Some((at(1)? as u32, [at(11)?, at(12)?, at(13)?, at(14)?]))
    };
    let Some((_, own)) = times(&process.to_string()) else { return 0.0 };
    if !children {
        return ((own[0] + own[1]) as f64 / TICKS).max(cpu_of_threads(process));
    }
    let mut ticks: u64 = own.iter().sum();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some((parent, of)) = entry.file_name().to_str().and_then(times)
            && parent == process
        {
            ticks += of.iter().sum::<u64>();
        }
    }
    ticks as f64 / TICKS
}

/// Of the threads that it has now, to the nanosecond.
fn cpu_of_threads(process: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        let stat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e9
}

/// Lets the most memory of a process begin anew (Linux); what it has now, in bytes.
pub(crate) fn watch_memory(process: &str) -> u64 {
    // 5 sets the high-water mark back to what is there now.
    drop(fs::write(format!("/proc/{process}/clear_refs"), "5"));
    most_memory(process)
}

/// The most memory of a process since then, in bytes.
pub(crate) fn most_memory(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) << 10
}
