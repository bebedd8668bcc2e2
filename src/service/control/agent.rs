//! The device's side: what it was told, what it did, what it has to report.

use super::instruction::{Instruction, Refusal, Standing, Task, verify};
use super::key::{DeviceKey, KeyError};
use super::receipt::Receipt;
use crate::message::{StatusCode, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Jobs kept that are done and reported: the newest are shown.
const KEPT: usize = 16;

/// What a device stops and clears. Each is asked again when the program ended before the answer was kept, and must then
/// find that it is done: `number` is the instruction's.
pub trait Applications {
    /// Stops the applications; in a few words, what was stopped.
    ///
    /// # Errors
    /// In a few words, why not.
    fn stop(&mut self, number: i64) -> Result<String, String>;

    /// Clears the data, or puts it aside; in a few words, what was cleared.
    ///
    /// # Errors
    /// In a few words, why not.
    fn clear(&mut self, number: i64, keep: bool) -> Result<String, String>;
}

/// A device's state: kept by its host, which writes it down before it lets anything out that depends on it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    key: String,
    last: i64,
    jobs: Vec<Job>,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("last", &self.last).field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

/// An instruction that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Its number.
    pub number: i64,
    /// What is to be done.
    pub task: Task,
    /// Whether it was forced.
    pub forced: bool,
    /// SHA-256 of the line, by which a repetition is known.
    digest: Vec<u8>,
    /// How far it came.
    pub state: JobState,
    /// What is reported.
    receipt: Option<Receipt>,
}

/// How far a job came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum JobState {
    /// Taken.
    Taken,
    /// Begun: if the program ended here, it is asked for again.
    Begun,
    /// Done, or failed; not reported.
    Ended,
    /// Reported.
    Reported,
}

impl Agent {
    /// A device that was never told anything.
    #[must_use]
    pub fn new(key: &DeviceKey) -> Self {
        Self { key: key.to_text().expose().to_owned(), last: 0, jobs: Vec::new() }
    }

    /// Its key.
    ///
    /// # Errors
    /// [`KeyError`] for a state that somebody else wrote.
    pub fn key(&self) -> Result<DeviceKey, KeyError> {
        DeviceKey::parse(&self.key)
    }

    /// What it was told, by number.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// Takes an instruction that any carrier brought. The same line again, while it was not reported, is the same
    /// instruction and not another. `backed_up` is when all that is on the device was last confirmed.
    ///
    /// # Errors
    /// Why it is refused; nothing has changed then.
    pub fn take(&mut self, text: &str, backed_up: Option<Timestamp>, now: Timestamp) -> Result<i64, Refusal> {
        let key = self.key().map_err(|KeyError| Refusal::Forged)?;
        let digest = Sha256::digest(text.trim().as_bytes()).to_vec();
        let again = |job: &&Job| job.digest == digest && job.state != JobState::Reported;
        if let Some(job) = self.jobs.iter().find(again) {
            return Ok(job.number);
        }
        let standing = Standing { key: &key, last: self.last, backed_up };
        let Instruction { number, task, forced, .. } = verify(&standing, now, text)?;
        self.last = number;
        self.jobs.push(Job { number, task, forced, digest, state: JobState::Taken, receipt: None });
        Ok(number)
    }

    /// Executes what was taken, in order. `keep` writes the state down; what it cannot write is not begun.
    ///
    /// # Errors
    /// What `keep` answers.
    pub fn run<E>(
        &mut self,
        applications: &mut dyn Applications,
        now: Timestamp,
        mut keep: impl FnMut(&Self) -> Result<(), E>,
    ) -> Result<usize, E> {
        let device = self.key().map(|key| key.device_id().to_owned()).unwrap_or_default();
        let mut ran = 0;
        for at in 0..self.jobs.len() {
            if !matches!(self.jobs[at].state, JobState::Taken | JobState::Begun) {
                continue;
            }
            self.jobs[at].state = JobState::Begun;
            keep(self)?;
            let Job { number, task, .. } = self.jobs[at];
            let outcome = match task {
                Task::Stop => applications.stop(number),
                Task::Clear { keep } => applications.clear(number, keep),
            };
            let done = outcome.is_ok();
            let text = outcome.unwrap_or_else(|why| why);
            self.jobs[at].receipt = Some(Receipt { device: device.clone(), number, task, done, text, at: now });
            self.jobs[at].state = JobState::Ended;
            keep(self)?;
            ran += 1;
        }
        Ok(ran)
    }

    /// The receipts that are to be carried to the server.
    #[must_use]
    pub fn receipts(&self) -> Vec<String> {
        let Ok(key) = self.key() else { return Vec::new() };
        let ended = self.jobs.iter().filter(|job| job.state == JobState::Ended);
        ended.filter_map(|job| Some(job.receipt.as_ref()?.sign(&key))).collect()
    }

    /// Notes what the server answered to one: it has it, or will never take it. `true` if that changed anything.
    pub fn reported(&mut self, line: &str, code: StatusCode) -> bool {
        let Ok(key) = self.key() else { return false };
        let settled = code.is_success() || matches!(code, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN);
        let receipt = Receipt::verify(&key, line).filter(|_| settled);
        let Some(receipt) = receipt else { return false };
        let of = |job: &&mut Job| job.number == receipt.number && job.state == JobState::Ended;
        let Some(job) = self.jobs.iter_mut().find(of) else { return false };
        job.state = JobState::Reported;
        let reported = self.jobs.iter().filter(|job| job.state == JobState::Reported).count();
        let mut surplus = reported.saturating_sub(KEPT);
        self.jobs.retain(|job| {
            let drop = job.state == JobState::Reported && surplus > 0;
            surplus -= usize::from(drop);
            !drop
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::instruction::sign;
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn key() -> DeviceKey {
        DeviceKey::new("phone", [7; 32])
    }

    fn line(number: i64, task: Task) -> String {
        let instruction = Instruction {
            device: "phone".to_owned(),
            number,
            after: number - 1,
            task,
            forced: false,
            backed_up_since: Timestamp(0),
            issued: NOW,
            expires: Timestamp(2_000_000),
        };
        sign(&key(), &instruction)
    }

    /// Counts what is done, and fails to clear when told so.
    #[derive(Default)]
    struct Counting {
        stopped: Vec<i64>,
        cleared: Vec<i64>,
        refuses: bool,
    }

    impl Applications for Counting {
        fn stop(&mut self, number: i64) -> Result<String, String> {
            self.stopped.push(number);
            Ok("2 stopped".to_owned())
        }

        fn clear(&mut self, number: i64, _: bool) -> Result<String, String> {
            self.cleared.push(number);
            if self.refuses { Err("a folder is in use".to_owned()) } else { Ok("1 cleared".to_owned()) }
        }
    }

    fn never(_: &Agent) -> Result<(), ()> {
        Ok(())
    }

    #[test]
    fn what_is_taken_is_executed_once_in_order_and_reported_until_it_is_heard() {
        let mut agent = Agent::new(&key());
        let (stop, clear) = (line(1, Task::Stop), line(2, Task::Clear { keep: false }));
        assert_eq!(agent.take(&clear, Some(NOW), NOW), Err(Refusal::OutOfOrder));
        assert_eq!(agent.take(&stop, None, NOW), Err(Refusal::NotBackedUp));
        assert_eq!(agent.take(&stop, Some(NOW), NOW), Ok(1));
        assert_eq!(agent.take(&clear, Some(NOW), NOW), Ok(2));
        assert_eq!(agent.take(&stop, Some(NOW), NOW), Ok(1), "the same again is the same");
        let mut host = Counting { refuses: true, ..Counting::default() };
        assert_eq!(agent.run(&mut host, NOW, never), Ok(2));
        assert_eq!(agent.run(&mut host, NOW, never), Ok(0));
        assert_eq!((host.stopped, host.cleared), (vec![1], vec![2]));
        let lines = agent.receipts();
        let receipts: Vec<_> = lines.iter().map(|line| Receipt::verify(&key(), line).unwrap()).collect();
        let said: Vec<_> = receipts.iter().map(|receipt| (receipt.number, receipt.done, &*receipt.text)).collect();
        assert_eq!(said, [(1, true, "2 stopped"), (2, false, "a folder is in use")]);
        assert!(!agent.reported(&lines[0], StatusCode::UNSUPPORTED_FEATURE));
        assert!(agent.reported(&lines[0], StatusCode::OK));
        assert!(!agent.reported(&lines[0], StatusCode::OK));
        assert_eq!(agent.receipts(), lines[1..]);
        assert_eq!(agent.take(&stop, Some(NOW), NOW), Err(Refusal::Replayed));
    }

    /// The program ends at each write of its state: what was kept is gone on from.
    #[test]
    fn a_crash_executes_nothing_twice_that_was_kept_as_done() {
        for crash in 0..4 {
            let mut kept = Agent::new(&key());
            kept.take(&line(1, Task::Stop), Some(NOW), NOW).unwrap();
            kept.take(&line(2, Task::Clear { keep: true }), Some(NOW), NOW).unwrap();
            let mut host = Counting::default();
            let (mut writes, mut running, mut disk) = (0, kept.clone(), kept);
            let first = running.run(&mut host, NOW, |agent| {
                writes += 1;
                if writes > crash {
                    return Err(());
                }
                disk = agent.clone();
                Ok(())
            });
            assert_eq!(first, Err(()), "after {crash} writes");
            disk.run(&mut host, NOW, never).unwrap();
            // Only what was begun and not kept as ended is asked for again, under its number.
            let expected = match crash {
                1 => (vec![1, 1], vec![2]),
                3 => (vec![1], vec![2, 2]),
                _ => (vec![1], vec![2]),
            };
            assert_eq!((host.stopped, host.cleared), expected, "after {crash} writes");
            assert_eq!(disk.receipts().len(), 2);
        }
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut agent = Agent::new(&key());
        agent.take(&line(1, Task::Stop), Some(NOW), NOW).unwrap();
        let before = agent.clone();
        let late = Timestamp(2_000_000);
        let forged = line(2, Task::Stop).replace("syncml-instruction", "syncml-receipt");
        for (text, backed_up, now, why) in [
            ("", Some(NOW), NOW, Refusal::Unreadable),
            (&*forged, Some(NOW), NOW, Refusal::Unreadable),
            (&*line(2, Task::Stop), Some(late), late, Refusal::Expired),
            (&*line(2, Task::Stop), None, NOW, Refusal::NotBackedUp),
            (&*line(3, Task::Stop), Some(NOW), NOW, Refusal::OutOfOrder),
        ] {
            assert_eq!(agent.take(text, backed_up, now), Err(why));
            assert_eq!(agent, before, "{why}");
        }
        let mut strange = Agent { key: "somebody else's".to_owned(), ..before };
        assert_eq!(strange.take(&line(2, Task::Stop), Some(NOW), NOW), Err(Refusal::Forged));
        assert_eq!(strange.receipts(), Vec::<String>::new());
        assert_eq!(format!("{agent:?}").matches("syncml-device-key").count(), 0, "the key is not shown");
    }

    #[test]
    fn old_jobs_are_forgotten_but_none_that_is_not_reported() {
        let mut agent = Agent::new(&key());
        for number in 1..=20 {
            agent.take(&line(number, Task::Stop), Some(NOW), NOW).unwrap();
        }
        agent.run(&mut Counting::default(), NOW, never).unwrap();
        let lines = agent.receipts();
        assert_eq!(lines.len(), 20);
        for line in &lines[1..] {
            assert!(agent.reported(line, StatusCode::OK));
        }
        let numbers: Vec<_> = agent.jobs().iter().map(|job| job.number).collect();
        assert_eq!(numbers, [1].into_iter().chain(5..=20).collect::<Vec<i64>>());
        assert_eq!(agent.receipts(), lines[..1]);
        // Of another device, or not of this one's key.
        let other = DeviceKey::new("phone", [8; 32]);
        let receipt = Receipt::verify(&key(), &lines[0]).unwrap();
        assert!(!agent.reported(&receipt.sign(&other), StatusCode::OK));
    }

    #[test]
    fn a_state_is_read_back_as_it_was() {
        let mut agent = Agent::new(&key());
        agent.take(&line(1, Task::Clear { keep: true }), Some(NOW), NOW).unwrap();
        agent.run(&mut Counting::default(), NOW, never).unwrap();
        let text = serde_json::to_string(&agent).unwrap();
        assert_eq!(serde_json::from_str::<Agent>(&text).unwrap(), agent);
    }
}
