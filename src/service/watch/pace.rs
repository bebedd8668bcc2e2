//! When to look and to back up, as a function of the times that are handed in.

use std::time::Duration;

/// How patient a watcher is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// How long nothing must have changed any more before it is looked at.
    pub quiet: Duration,
    /// How long it is waited for that at most.
    pub longest: Duration,
    /// The first pause after a backup failed; each next one is twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Timing {
    /// 300 ms of quiet within 3 s; pauses of 1, 2, 4 … seconds, of 5 minutes at most.
    fn default() -> Self {
        let quiet = Duration::from_millis(300);
        Self {
            quiet,
            longest: quiet * 10,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(5 * 60),
        }
    }
}

impl Timing {
    /// These times, with another quiet, which is waited for ten times as long at most.
    #[must_use]
    pub const fn quiet(self, quiet: Duration) -> Self {
        Self { quiet, longest: quiet.saturating_mul(10), ..self }
    }

    /// The pause after so many failures in a row.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_pause.saturating_mul(factor).min(self.longest_pause)
    }
}

/// Where the watcher of a book stands. Times are what has passed since a moment of the host's choice, by a clock that only goes
/// forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Nothing is to be done.
    #[default]
    Quiet,
    /// Something seems to have changed, and may go on to.
    Settling {
        /// When it was first noticed.
        first: Duration,
        /// When it was last noticed.
        last: Duration,
    },
    /// A backup failed, and is tried again. What changes meanwhile goes with it.
    Waiting {
        /// Failures in a row.
        failures: u32,
        /// When it is tried again.
        until: Duration,
    },
}

impl Pace {
    /// Something seems to have changed.
    #[must_use]
    pub const fn noticed(self, now: Duration) -> Self {
        match self {
            Self::Quiet => Self::Settling { first: now, last: now },
            Self::Settling { first, .. } => Self::Settling { first, last: now },
            Self::Waiting { .. } => self,
        }
    }

    /// When it is to be looked at; `None` while there is nothing.
    #[must_use]
    pub fn due(self, timing: &Timing) -> Option<Duration> {
        match self {
            Self::Quiet => None,
            Self::Settling { first, last } => {
                Some(last.saturating_add(timing.quiet).min(first.saturating_add(timing.longest)))
            }
            Self::Waiting { until, .. } => Some(until),
        }
    }

    /// A backup failed in a way that time may heal.
    #[must_use]
    pub fn failed(self, now: Duration, timing: &Timing) -> Self {
        let failures = match self {
            Self::Waiting { failures, .. } => failures.saturating_add(1),
            Self::Quiet | Self::Settling { .. } => 1,
        };
        Self::Waiting { failures, until: now.saturating_add(timing.pause(failures)) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, Timing};
    use std::time::Duration;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn waits_for_quiet_but_not_for_ever() {
        let timing = Timing::default().quiet(ms(300));
        for (noticed, due) in [
            (&[][..], None),
            (&[1000], Some(1300)),
            (&[1000, 1200], Some(1500)),
            (&[1000, 1200, 1499], Some(1799)),
            // Somebody writes all the time.
            (&[0, 290, 580, 870, 1160, 1450, 1740, 2030, 2320, 2610, 2900], Some(3000)),
            (&[0, 2999], Some(3000)),
        ] {
            let pace = noticed.iter().fold(Pace::Quiet, |pace, at| pace.noticed(ms(*at)));
            assert_eq!(pace.due(&timing), due.map(ms), "{noticed:?}");
        }
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let timing = Timing::default();
        let mut pace = Pace::Quiet.noticed(ms(0));
        for (failure, seconds) in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].into_iter().enumerate() {
            pace = pace.failed(ms(10), &timing);
            let until = ms(10 + seconds * 1000);
            assert_eq!(pace, Pace::Waiting { failures: failure as u32 + 1, until });
            assert_eq!(pace.noticed(ms(11)).due(&timing), Some(until), "what changes meanwhile does not hurry it");
        }
        assert_eq!(timing.pause(u32::MAX), timing.longest_pause);
        assert_eq!(Pace::Quiet.failed(ms(0), &timing).due(&timing), Some(ms(1000)), "and begin anew after a success");
    }
}
