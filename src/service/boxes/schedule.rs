//! What is to be uploaded next, and when (mission C4).
//!
//! The host drives this: it asks [`plan`], uploads what is due, writes into each shortcut's [`Upload`](super::Upload) what
//! became of it, and asks again – at the moment that it was told, or after any change of the box.

use super::{Application, CloudBox, Shortcut};
use crate::message::Timestamp;
use serde::{Deserialize, Serialize};

/// What goes up by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The shortcuts that were chosen for it, again and again.
    Chosen,
    /// All shortcuts, again and again.
    All,
    /// Nothing: somebody says each time which.
    #[default]
    Manual,
}

/// What goes up by itself, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// What.
    pub mode: Mode,
    /// Seconds from one upload of an item to the next.
    pub every: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { mode: Mode::Manual, every: 24 * 60 * 60 }
    }
}

/// Seconds after a first failure; each further one doubles them, up to the time between uploads.
const RETRY: i64 = 60;

/// An item that is to be uploaded now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Due {
    /// Of which application.
    pub application: Application,
    /// Where it is.
    pub path: String,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is to be uploaded, application by application.
    pub due: Vec<Due>,
    /// When to ask again, if nothing changes before; `None` if nothing ever goes up by itself.
    pub again: Option<Timestamp>,
}

/// What of a box is to be uploaded at this moment, and when it is to be asked again.
#[must_use]
pub fn plan(of: &CloudBox, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    for (application, shortcut) in of.shortcuts() {
        let Some(at) = next(of.schedule, shortcut, now) else { continue };
        let again = if at <= now {
            plan.due.push(Due { application: application.clone(), path: shortcut.path.clone() });
            now.plus_seconds(i64::from(of.schedule.every.max(1)))
        } else {
            at
        };
        plan.again = Some(plan.again.map_or(again, |before| before.min(again)));
    }
    plan
}

/// When an item is to be uploaded; `None` if it does not go up by itself.
fn next(schedule: Schedule, shortcut: &Shortcut, now: Timestamp) -> Option<Timestamp> {
    match schedule.mode {
        Mode::All => {}
        Mode::Chosen if shortcut.chosen => {}
        Mode::Chosen | Mode::Manual => return None,
    }
    // A clock that was set back would keep everything waiting.
    let Some(tried) = shortcut.upload.tried.filter(|tried| *tried <= now) else { return Some(now) };
    let every = i64::from(schedule.every.max(1));
    let wait = match shortcut.upload.failures {
        0 => every,
        failures => every.min(RETRY << (failures - 1).min(20)),
    };
    Some(tried.plus_seconds(wait))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::boxes::Upload;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn at(seconds: i64) -> Timestamp {
        NOW.plus_seconds(seconds)
    }

    /// `mode | chosen | tried, seconds ago | failures → due, and in how many seconds to ask again`, uploads being an hour apart.
    #[test]
    fn what_is_due_when() {
        use Mode::{All, Chosen, Manual};
        for (mode, chosen, tried, failures, due, again) in [
            (Manual, true, None, 0, false, None),
            (Manual, false, Some(9_999), 1, false, None),
            (Chosen, false, None, 0, false, None),
            (Chosen, true, None, 0, true, Some(3_600)),
            (Chosen, true, Some(10), 0, false, Some(3_590)),
            (Chosen, true, Some(3_599), 0, false, Some(1)),
            (Chosen, true, Some(3_600), 0, true, Some(3_600)),
            (All, false, None, 0, true, Some(3_600)),
            (All, false, Some(10), 0, false, Some(3_590)),
            (All, false, Some(10), 1, false, Some(50)),
            (All, false, Some(60), 1, true, Some(3_600)),
            (All, false, Some(60), 2, false, Some(60)),
            (All, false, Some(60), 3, false, Some(180)),
            (All, false, Some(60), 7, false, Some(3_540)),
            (All, false, Some(60), u32::MAX, false, Some(3_540)),
            (All, false, Some(-5), 0, true, Some(3_600)),
        ] {
            let mut it = CloudBox::new(&"imei:490154203237518".parse().unwrap());
            it.schedule = Schedule { mode, every: 3_600 };
            let shortcut = Shortcut::new("/a", "", 1).chosen(chosen);
            let upload = Upload { tried: tried.map(|ago: i64| at(-ago)), failures, ..Upload::default() };
            let folder = it.folders.entry(Application::contacts()).or_default();
            folder.shortcuts.insert("/a".into(), Shortcut { upload, ..shortcut });
            let plan = plan(&it, NOW);
            assert_eq!(
                (plan.due.len() == 1, plan.again),
                (due, again.map(at)),
                "{mode:?} {chosen} {tried:?} {failures}"
            );
        }
    }

    #[test]
    fn the_first_of_several_says_when() {
        let mut it = CloudBox::new(&"imei:490154203237518".parse().unwrap());
        it.schedule = Schedule { mode: Mode::All, every: 100 };
        assert_eq!(plan(&it, NOW), Plan::default(), "an empty box");
        for (application, path, ago) in [("media", "/m", 40), ("contacts", "/c", 100), ("media", "/n", 90)] {
            let folder = it.folders.entry(application.parse().unwrap()).or_default();
            let upload = Upload { tried: Some(at(-ago)), ..Upload::default() };
            folder.shortcuts.insert(path.into(), Shortcut { upload, ..Shortcut::new(path, "", 1) });
        }
        let due = Due { application: Application::contacts(), path: "/c".into() };
        assert_eq!(plan(&it, NOW), Plan { due: vec![due], again: Some(at(10)) });
        it.schedule.every = 0;
        assert_eq!(plan(&it, NOW).again, Some(at(1)), "never without a pause");
    }
}
