//! What is kept of the past (mission C6).

use super::CloudBox;
use crate::message::Timestamp;
use serde::{Deserialize, Serialize};

/// How much of its past a box keeps: what uploads it remembers, and what was on the device before restores. What is named in
/// both ways is kept if either keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// What is not older than so many days.
    pub days: Option<u32>,
    /// The last so many, of uploads and of restores.
    pub last: Option<u32>,
}

/// What may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// The restores before which the device's data need not be kept any more.
    pub kept: Vec<u64>,
    /// How many uploads, the oldest, need not be remembered any more.
    pub runs: usize,
}

/// What a box need not keep any more. Without a limit everything is kept.
#[must_use]
pub fn expired(of: &CloudBox, keep: Retention, now: Timestamp) -> Expired {
    let Retention { days, last } = keep;
    if days.is_none() && last.is_none() {
        return Expired::default();
    }
    let since = days.map(|days| now.plus_seconds(-i64::from(days) * 86_400));
    let goes = |index: usize, count: usize, at: Timestamp| {
        let young = since.is_some_and(|since| at >= since);
        let among = last.is_some_and(|last| count - index <= last as usize);
        !young && !among
    };
    let kept = of.kept.iter().enumerate().filter(|(index, it)| goes(*index, of.kept.len(), it.at));
    let runs = of.runs.iter().enumerate().take_while(|(index, run)| goes(*index, of.runs.len(), run.at));
    Expired { kept: kept.map(|(_, it)| it.id).collect(), runs: runs.count() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::boxes::{Application, Kept, Run};

    #[test]
    fn what_is_kept() {
        let mut it = CloudBox::new(&"imei:490154203237518".parse().unwrap());
        let now = Timestamp(0).plus_seconds(100 * 86_400);
        for ago in [30, 20, 10, 0] {
            let at = now.plus_seconds(-ago * 86_400);
            let id = it.next_kept();
            it.kept.push(Kept::new(id, at, Application::contacts()));
            it.remember(Run::new(at, Application::contacts()));
        }
        for (days, last, kept, runs) in [
            (None, None, vec![], 0),
            (Some(10), None, vec![1, 2], 2),
            (Some(9), None, vec![1, 2, 3], 3),
            (Some(365), None, vec![], 0),
            (None, Some(1), vec![1, 2, 3], 3),
            (None, Some(0), vec![1, 2, 3, 4], 4),
            (Some(0), Some(3), vec![1], 1),
            (Some(25), Some(1), vec![1], 1),
        ] {
            let found = expired(&it, Retention { days, last }, now);
            assert_eq!(found, Expired { kept, runs }, "{days:?} {last:?}");
        }
    }
}
