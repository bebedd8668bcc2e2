//! The one writing connection, and group commit.
//!
//! Steps of different threads run one after another. A step that ends while others wait leaves the transaction open;
//! the next joins it behind a savepoint of its own, and the last of them commits for all, or every
//! [`GROUP_LIMIT`]th. Nobody returns before that commit: not even a step that was rolled back, since what it read may
//! have been written by one before it. One fsync then serves the group.

use super::super::{Result, StoreError, Verdict};
use super::checkpoint::Checkpoints;
use super::failure::OrFailure;
use rusqlite::Connection;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// The most steps that share a commit.
const GROUP_LIMIT: usize = 64;

#[derive(Debug)]
pub(super) struct Writer {
    desk: Mutex<Desk>,
    /// Threads that want the desk and do not have it yet.
    waiting: AtomicUsize,
    /// The thread at the desk, which must not ask for it again.
    at_desk: Mutex<Option<ThreadId>>,
}

#[derive(Debug)]
struct Desk {
    conn: Connection,
    /// The transaction that is open, if one is.
    group: Option<Group>,
    /// Who empties the log; nobody where there is no file.
    checkpoints: Option<Checkpoints>,
    #[cfg(test)]
    commits: usize,
}

#[derive(Debug)]
struct Group {
    outcome: Arc<Outcome>,
    /// Steps that are part of it, the running one included.
    steps: usize,
    /// Whether one of them wants to be committed.
    wanted: bool,
}

/// How the commit of a group went, once it has.
#[derive(Debug, Default)]
struct Outcome {
    result: Mutex<Option<Result<()>>>,
    known: Condvar,
}

impl Writer {
    pub(super) fn new(conn: Connection, checkpoints: Option<Checkpoints>) -> Self {
        Self {
            desk: Mutex::new(Desk {
                conn,
                group: None,
                checkpoints,
                #[cfg(test)]
                commits: 0,
            }),
            waiting: AtomicUsize::new(0),
            at_desk: Mutex::new(None),
        }
    }

    /// Runs one step. When this returns `Ok`, all that `work` did is durable, or gone if it asked for that.
    pub(super) fn step(&self, work: impl FnOnce(&Connection) -> Result<Verdict>) -> Result<()> {
        let mut turn = self.turn()?;
        let answer = turn.run(work);
        let ended = turn.end();
        drop(turn);
        let committed = match ended {
            Ended::Settled(result) => result,
            Ended::Open(outcome) => outcome.wait(),
        };
        answer.and(committed)
    }

    /// Runs something outside any transaction.
    pub(super) fn alone<R>(&self, work: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        let mut turn = self.turn()?;
        turn.desk.settle()?;
        work(&turn.desk.conn)
    }

    fn turn(&self) -> Result<Turn<'_>> {
        let me = thread::current().id();
        if *self.at_desk() == Some(me) {
            return Err(StoreError::Corrupt("a step began another step of the same store".to_owned()));
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // A panic inside a step is cleaned up by `Turn`, so that the desk is in order.
        let desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        *self.at_desk() = Some(me);
        Ok(Turn { writer: self, desk, running: false })
    }

    fn at_desk(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.at_desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread's time at the desk.
struct Turn<'a> {
    writer: &'a Writer,
    desk: MutexGuard<'a, Desk>,
    /// Whether a step's work is under way; still so in `drop` when it panicked.
    running: bool,
}

enum Ended {
    Settled(Result<()>),
    Open(Arc<Outcome>),
}

impl Turn<'_> {
    /// Runs the work within the group's transaction, behind a savepoint if it is not the first.
    fn run(&mut self, work: impl FnOnce(&Connection) -> Result<Verdict>) -> Result<()> {
        self.desk.join()?;
        self.running = true;
        let answer = work(&self.desk.conn);
        self.running = false;
        match answer {
            // Some failures, a full disk for one, undo the whole transaction by themselves.
            Err(error) if self.desk.conn.is_autocommit() => self.desk.abandon(error),
            Ok(Verdict::Commit) => self.desk.keep().or_else(|failure| self.desk.abandon(failure)),
            Ok(Verdict::Rollback) => self.desk.undo().or_else(|failure| self.desk.abandon(failure)),
            Err(error) => self.desk.undo().or_else(|failure| self.desk.abandon(failure)).and(Err(error)),
        }
    }

    /// Leaves the transaction to those who wait, or commits it.
    fn end(&mut self) -> Ended {
        let others = self.writer.waiting.load(Ordering::SeqCst) > 0;
        match &self.desk.group {
            Some(group) if others && group.wanted && group.steps < GROUP_LIMIT => {
                Ended::Open(Arc::clone(&group.outcome))
            }
            _ => Ended::Settled(self.desk.settle()),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.running {
            // The work panicked: its step leaves nothing, the others of the group are not harmed.
            let undone = self.desk.undo();
            if undone.or_else(|failure| self.desk.abandon(failure)).is_ok() {
                // A failed commit reaches those of the group; this thread has its panic.
                let _ = self.end();
            }
        }
        *self.writer.at_desk() = None;
    }
}

impl Desk {
    fn execute(&self, sql: &str) -> Result<()> {
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute([])).or_failure().map(drop)
    }

    fn join(&mut self) -> Result<()> {
        if let Some(group) = &mut self.group {
            group.steps += 1;
            return self.execute("SAVEPOINT step").or_else(|failure| self.abandon(failure));
        }
        self.execute("BEGIN IMMEDIATE")?;
        self.group = Some(Group { outcome: Arc::default(), steps: 1, wanted: false });
        Ok(())
    }

    fn keep(&mut self) -> Result<()> {
        let Some(group) = &mut self.group else { return Ok(()) };
        group.wanted = true;
        if group.steps > 1 { self.execute("RELEASE step") } else { Ok(()) }
    }

    fn undo(&mut self) -> Result<()> {
        match &self.group {
            Some(group) if group.steps > 1 => {
                self.execute("ROLLBACK TO step")?;
                self.execute("RELEASE step")
            }
            Some(_) => {
                self.group = None;
                self.execute("ROLLBACK")
            }
            None => Ok(()),
        }
    }

    /// Commits the open transaction and tells those who wait for it.
    fn settle(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let result = self.execute(if group.wanted { "COMMIT" } else { "ROLLBACK" });
        if result.is_err() {
            self.roll_back();
        }
        #[cfg(test)]
        {
            self.commits += usize::from(group.wanted);
        }
        group.outcome.tell(result.clone());
        if group.wanted
            && let Some(checkpoints) = &self.checkpoints
        {
            checkpoints.committed(&self.conn);
        }
        result
    }

    /// The transaction cannot go on: all of its steps fail. Some failures (a full disk) undo it by themselves.
    fn abandon(&mut self, failure: StoreError) -> Result<()> {
        self.roll_back();
        if let Some(group) = self.group.take() {
            group.outcome.tell(Err(failure.clone()));
        }
        Err(failure)
    }

    fn roll_back(&self) {
        if !self.conn.is_autocommit() {
            // If even this fails the connection is broken, and the next BEGIN says so.
            let _ = self.execute("ROLLBACK");
        }
    }
}

impl Outcome {
    fn tell(&self, result: Result<()>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.known.notify_all();
    }

    fn wait(&self) -> Result<()> {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(result) = &*result {
                return result.clone();
            }
            result = self.known.wait(result).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    type Work<'a> = dyn Fn(&Connection) -> Result<Verdict> + Sync + 'a;

    fn writer() -> Writer {
        let conn = Connection::open_in_memory().unwrap();
        let schema = "PRAGMA foreign_keys = ON; CREATE TABLE parent (id INTEGER PRIMARY KEY);
                      CREATE TABLE row (id INTEGER PRIMARY KEY,
                                        parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)";
        conn.execute_batch(schema).unwrap();
        Writer::new(conn, None)
    }

    fn insert(conn: &Connection, id: usize) -> Result<Verdict> {
        conn.execute("INSERT INTO row (id) VALUES (?1)", [id as i64]).or_failure()?;
        Ok(Verdict::Commit)
    }

    fn rows(writer: &Writer) -> Vec<i64> {
        let read = |conn: &Connection| {
            let mut select = conn.prepare("SELECT id FROM row ORDER BY id").or_failure()?;
            select.query_map([], |row| row.get(0)).and_then(Iterator::collect).or_failure()
        };
        writer.alone(read).unwrap()
    }

    /// Runs row 0 and then these works as one group: they all wait while row 0 is written. Answers what each returned
    /// (`None` for a panic) and how many commits it took; nobody may return before the last has begun.
    fn group(writer: &Writer, works: &[&Work<'_>]) -> (Vec<Option<Result<()>>>, usize) {
        let (begun, returned) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let last = (works.len() + 1).min(GROUP_LIMIT);
        let run = |work: &Work<'_>| {
            let step = || {
                writer.step(|conn| {
                    if begun.fetch_add(1, Ordering::SeqCst) < last {
                        assert_eq!(returned.load(Ordering::SeqCst), 0, "a step returned before its commit");
                    }
                    work(conn)
                })
            };
            let answer = catch_unwind(AssertUnwindSafe(step)).ok();
            if answer.is_some() {
                returned.fetch_add(1, Ordering::SeqCst);
            }
            answer
        };
        let answers = thread::scope(|scope| {
            let first = scope.spawn(|| {
                run(&|conn| {
                    while writer.waiting.load(Ordering::SeqCst) < works.len() {
                        thread::yield_now();
                    }
                    insert(conn, 0)
                })
            });
            while begun.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            let others = works.iter().map(|work| scope.spawn(|| run(work))).collect::<Vec<_>>();
            let all = std::iter::once(first).chain(others);
            all.map(|handle| handle.join().unwrap()).collect()
        });
        (answers, writer.desk.lock().unwrap_or_else(PoisonError::into_inner).commits)
    }

    fn ok(answers: &[Option<Result<()>>]) -> Vec<bool> {
        answers.iter().map(|answer| matches!(answer, Some(Ok(())))).collect()
    }

    #[test]
    fn waiting_steps_share_a_commit() {
        let writer = writer();
        let (answers, commits) = group(&writer, &[&|conn| insert(conn, 1), &|conn| insert(conn, 2)]);
        assert_eq!((ok(&answers), commits), (vec![true; 3], 1));
        assert_eq!(rows(&writer), [0, 1, 2]);
    }

    #[test]
    fn a_group_has_a_limit() {
        let writer = writer();
        let works = (1..GROUP_LIMIT + 5).map(|id| move |conn: &Connection| insert(conn, id)).collect::<Vec<_>>();
        let works = works.iter().map(|work| work as &Work<'_>).collect::<Vec<_>>();
        let (answers, commits) = group(&writer, &works);
        assert_eq!(ok(&answers), vec![true; GROUP_LIMIT + 5]);
        assert!(commits >= 2);
        assert_eq!(rows(&writer).len(), GROUP_LIMIT + 5);
    }

    #[test]
    fn a_step_that_fails_harms_no_other_of_its_group() {
        let writer = writer();
        let failed = |conn: &Connection| {
            insert(conn, 1)?;
            Err(StoreError::NotFound("on purpose".to_owned()))
        };
        let undone = |conn: &Connection| insert(conn, 2).map(|_| Verdict::Rollback);
        let panicked = |conn: &Connection| insert(conn, 3).map(|_| panic!("on purpose"));
        let (answers, commits) = group(&writer, &[&failed, &undone, &panicked, &|conn| insert(conn, 4)]);
        assert_eq!((ok(&answers), commits), (vec![true, false, true, false, true], 1));
        assert!(matches!(&answers[1], Some(Err(StoreError::NotFound(text))) if text == "on purpose"));
        assert_eq!(rows(&writer), [0, 4]);
    }

    #[test]
    fn a_failed_commit_fails_all_of_its_group() {
        let writer = writer();
        let orphan = |conn: &Connection| {
            conn.execute("INSERT INTO row VALUES (1, 99)", []).or_failure()?;
            Ok(Verdict::Commit)
        };
        let undone = |conn: &Connection| insert(conn, 2).map(|_| Verdict::Rollback);
        let (answers, _) = group(&writer, &[&orphan, &undone]);
        assert_eq!(ok(&answers), [false; 3]);
        assert_eq!(rows(&writer), [0; 0]);
        writer.step(|conn| insert(conn, 5)).unwrap();
        assert_eq!(rows(&writer), [5]);
    }

    #[test]
    fn a_transaction_that_undid_itself_fails_all_so_far() {
        let writer = writer();
        let full = |conn: &Connection| {
            conn.execute_batch("ROLLBACK").or_failure()?;
            Err(StoreError::Full("on purpose".to_owned()))
        };
        let (answers, _) = group(&writer, &[&full]);
        assert!(answers.iter().all(|answer| matches!(answer, Some(Err(StoreError::Full(_))))));
        assert_eq!(rows(&writer), [0; 0]);
        writer.step(|conn| insert(conn, 5)).unwrap();
        assert_eq!(rows(&writer), [5]);
    }

    #[test]
    fn a_first_step_leaves_nothing_either() {
        let writer = writer();
        writer.step(|conn| insert(conn, 1).map(|_| Verdict::Rollback)).unwrap();
        writer.step(|conn| insert(conn, 1).and(Err(StoreError::Full(String::new())))).unwrap_err();
        let panicked = || writer.step(|conn| insert(conn, 1).map(|_| panic!("on purpose")));
        catch_unwind(AssertUnwindSafe(panicked)).unwrap_err();
        assert_eq!(rows(&writer), [0; 0]);
        writer.step(|conn| insert(conn, 1)).unwrap();
        assert_eq!(rows(&writer), [1]);
    }

    #[test]
    fn a_step_within_a_step_is_refused() {
        let writer = writer();
        writer
            .step(|conn| {
                let within = writer.step(|conn| insert(conn, 2));
                assert!(matches!(within, Err(StoreError::Corrupt(_))));
                insert(conn, 1)
            })
            .unwrap();
        assert_eq!(rows(&writer), [1]);
    }
}
