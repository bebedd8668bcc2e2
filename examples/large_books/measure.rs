//! Clocks and memory.

use rustix::time::{ClockId, clock_gettime};
use std::time::Instant;

/// What a sync took: seconds, bytes, numbers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    /// CPU of the server, and of the client.
    pub(crate) server: f64,
    pub(crate) client: f64,
    pub(crate) wall: f64,
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) messages: u64,
    /// Transactions.
    pub(crate) server_steps: u64,
    pub(crate) client_steps: u64,
    /// The most memory, in bytes, above what was there before; of both sides, and of their stores.
    pub(crate) peak: u64,
    /// Cards added to the server and to the client, and replaced at the server.
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// CPU seconds of this thread.
pub(crate) fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Runs something, and adds the CPU that it took.
pub(crate) fn timed<T>(sum: &mut f64, work: impl FnOnce() -> T) -> T {
    let before = cpu();
    let result = work();
    *sum += cpu() - before;
    result
}

/// Watches the most memory of the process from now on (Linux; elsewhere it is 0).
pub(crate) struct Peak {
    before: u64,
    pub(crate) begun: Instant,
}

impl Peak {
    pub(crate) fn watch() -> Self {
        // 5 sets the high-water mark back to what is there now.
        drop(std::fs::write("/proc/self/clear_refs", "5"));
        Self { before: high_water(), begun: Instant::now() }
    }

    pub(crate) fn above(&self) -> u64 {
        high_water().saturating_sub(self.before)
    }
}

fn high_water() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) << 10
}
