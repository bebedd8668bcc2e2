//! When a message is sent again.

use std::time::Duration;

/// When a message that got no answer is sent again, with the identical bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// How often a message is sent at most, the first time included.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles with each further one.
    pub pause: Duration,
    /// The longest that a pause grows to.
    pub longest: Duration,
    /// The longest wait that a server may ask for (`Retry-After`); when it asks for more, it has failed.
    pub patience: Duration,
}

impl Default for Retry {
    /// 4 attempts, after 0.5, 1 and 2 seconds; a server may ask for up to a minute.
    fn default() -> Self {
        Self {
            attempts: 4,
            pause: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            patience: Duration::from_secs(60),
        }
    }
}

impl Retry {
    /// The pause before the next attempt after `made` attempts have failed, the last with the server's wish to be left
    /// alone for `asked`; `None` when there is to be no further attempt.
    #[must_use]
    pub fn after(&self, made: u32, asked: Option<Duration>) -> Option<Duration> {
        if made >= self.attempts || asked.is_some_and(|asked| asked > self.patience) {
            return None;
        }
        let factor = 1_u32.checked_shl(made.saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = self.pause.saturating_mul(factor).min(self.longest);
        Some(asked.map_or(pause, |asked| asked.max(pause)))
    }
}

/// Reads `Retry-After` as seconds. A date is not read: clocks of old servers are wrong more often than they are needed.
#[cfg(feature = "http")]
pub(super) fn retry_after(header: Option<&str>) -> Option<Duration> {
    header?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let retry = Retry {
            attempts: 6,
            pause: Duration::from_secs(1),
            longest: Duration::from_secs(5),
            patience: Duration::from_secs(60),
        };
        for (made, asked, expected) in [
            (1, None, Some(1)),
            (2, None, Some(2)),
            (3, None, Some(4)),
            (4, None, Some(5)),
            (5, None, Some(5)),
            (6, None, None),
            (7, None, None),
            (1, Some(0), Some(1)),
            (1, Some(30), Some(30)),
            (4, Some(3), Some(5)),
            (1, Some(60), Some(60)),
            (1, Some(61), None),
            (6, Some(1), None),
        ] {
            let pause = retry.after(made, asked.map(Duration::from_secs));
            assert_eq!(pause, expected.map(Duration::from_secs), "{made} made, {asked:?} asked");
        }
        let endless = Retry { attempts: u32::MAX, ..retry };
        assert_eq!(endless.after(1000, None), Some(retry.longest));
        assert_eq!(Retry { attempts: 1, ..retry }.after(1, None), None);
    }

    #[cfg(feature = "http")]
    #[test]
    fn reads_how_long_to_wait() {
        assert_eq!(retry_after(Some(" 7 ")), Some(Duration::from_secs(7)));
        for nothing in [None, Some(""), Some("-1"), Some("Fri, 31 Dec 1999 23:59:59 GMT")] {
            assert_eq!(retry_after(nothing), None, "{nothing:?}");
        }
    }
}
