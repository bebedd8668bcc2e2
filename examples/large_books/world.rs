//! A server with an account of its own, its devices, and a sync between them.

use super::http::{Connection, Served};
use super::link::{Frame, Side};
use super::measure::Cost;
use super::{Case, How, Outcome, book::StoreKind, unique};
use flate2::{Compression, write::GzEncoder};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;
use syncml::message::AlertCode;

const NOW: i64 = 1_700_000_000_000;
/// The server's, whatever port its process has: devices know it by this.
const URI: &str = "http://sync.example.com/syncml";
/// Bytes of requests that are kept to measure the limit.
const SAMPLE: usize = 32 << 20;

pub(crate) struct World<'a> {
    case: Case,
    how: &'a How,
    folder: PathBuf,
    user: String,
    /// Its process, while it is not asked to answer over HTTP.
    server: Option<Side>,
    now: i64,
}

/// A device and its book.
pub(crate) struct Phone {
    case: Case,
    folder: PathBuf,
    user: String,
    name: &'static str,
    /// The properties that it says to hold, with commas between; without any, all.
    pub(crate) holds: &'static str,
    side: Option<Side>,
}

/// Who answers in a sync.
enum Answerer<'a> {
    Engine(&'a mut Side),
    Http(Served, Connection),
}

impl Answerer<'_> {
    fn watch(&mut self) -> Outcome<()> {
        match self {
            Self::Engine(side) => side.ask(&["watch"], b"").map(drop),
            Self::Http(served, _) => {
                served.watch();
                Ok(())
            }
        }
    }

    /// CPU, memory, transactions.
    fn cost(&mut self) -> Outcome<(f64, u64, u64)> {
        match self {
            Self::Engine(side) => cost_of(side),
            Self::Http(served, _) => {
                let (cpu, memory) = served.cost();
                Ok((cpu, memory, 0))
            }
        }
    }

    fn answer(&mut self, post: &Frame, now: i64) -> Outcome<(String, Vec<u8>)> {
        let (content_type, uri) = (post.word(1)?, post.word(2)?);
        match self {
            Self::Engine(side) => {
                let reply = side.ask(&["answer", content_type, uri, &now.to_string()], &post.body)?;
                Ok((reply.word(1)?.to_owned(), reply.body))
            }
            Self::Http(_, connection) => connection.post(uri, content_type, &post.body),
        }
    }
}

fn cost_of(side: &mut Side) -> Outcome<(f64, u64, u64)> {
    let cost = side.ask(&["cost"], b"")?;
    Ok((cost.float(1)?, cost.number(2)?, cost.number(3)?))
}

/// A side whose process is a new one, so that nothing of what was before is in its memory; a store in memory must stay.
fn anew<'a>(side: &'a mut Option<Side>, role: &str, case: Case, folder: &Path, user: &str) -> Outcome<&'a mut Side> {
    if case.store != StoreKind::Memory {
        side.take();
    }
    if side.is_none() {
        *side = Some(Side::start(role, case, folder, user)?);
    }
    side.as_mut().ok_or_else(|| "it was just started".into())
}

impl<'a> World<'a> {
    pub(crate) fn new(case: Case, how: &'a How, folder: &Path) -> Outcome<Self> {
        let folder = tempfile::tempdir_in(folder)?.keep();
        Ok(Self { case, how, folder, user: unique("user"), server: None, now: NOW })
    }

    pub(crate) fn fill(&mut self, numbers: Range<usize>) -> Outcome<()> {
        let server = anew(&mut self.server, "server", self.case, &self.folder, &self.user)?;
        server.ask(&["fill", &numbers.start.to_string(), &numbers.end.to_string()], b"").map(drop)
    }

    pub(crate) fn phone(&self, name: &'static str) -> Outcome<Phone> {
        let folder = tempfile::tempdir_in(&self.folder)?.keep();
        Ok(Phone { case: self.case, folder, user: self.user.clone(), name, holds: "", side: None })
    }

    pub(crate) fn sync(&mut self, phone: &mut Phone, mode: AlertCode) -> Outcome<Cost> {
        self.play(phone, mode, 1, &mut Vec::new(), 0)
    }

    /// A sync of which some of the client's messages are kept.
    pub(crate) fn sync_keeping(&mut self, phone: &mut Phone, sample: &mut Vec<Vec<u8>>) -> Outcome<Cost> {
        self.play(phone, AlertCode::TWO_WAY, 1, sample, SAMPLE)
    }

    /// One of so many syncs that follow one another; what the first costs once for all of them does not count.
    pub(crate) fn syncs(&mut self, phone: &mut Phone, syncs: u32) -> Outcome<Cost> {
        self.play(phone, AlertCode::TWO_WAY, syncs, &mut Vec::new(), 0)
    }

    fn play(
        &mut self,
        phone: &mut Phone,
        mode: AlertCode,
        syncs: u32,
        sample: &mut Vec<Vec<u8>>,
        keep: usize,
    ) -> Outcome<Cost> {
        let mut answerer = match &self.how.program {
            None => Answerer::Engine(anew(&mut self.server, "server", self.case, &self.folder, &self.user)?),
            Some(program) => {
                // Makes the account, and lets go of the database.
                anew(&mut self.server, "server", self.case, &self.folder, &self.user)?;
                self.server.take();
                let served = Served::start(program, self.case, &self.folder)?;
                let connection = Connection::to(served.address())?;
                Answerer::Http(served, connection)
            }
        };
        phone.anew()?;
        let mut unseen = Cost::default();
        if syncs > 1 {
            self.now += 60_000;
            one(&mut answerer, phone, mode, self.now, self.how, &mut unseen, &mut Vec::new(), 0)?;
        }
        answerer.watch()?;
        phone.side()?.ask(&["watch"], b"")?;
        let (begun, database) = (Instant::now(), self.how.postgres.cpu());
        let mut cost = Cost::default();
        for _ in 0..syncs {
            self.now += 60_000;
            one(&mut answerer, phone, mode, self.now, self.how, &mut cost, sample, keep)?;
        }
        cost.wall = begun.elapsed().as_secs_f64();
        (cost.server, cost.server_peak, cost.server_steps) = answerer.cost()?;
        (cost.client, cost.client_peak, cost.client_steps) = cost_of(phone.side()?)?;
        drop(answerer);
        // Its connection's process ends with it, and is counted then.
        cost.database = self.how.postgres.cpu() - database;
        if self.case.store.is_file() {
            self.server.take();
            cost.file = std::fs::metadata(self.folder.join("books.db"))?.len();
        }
        Ok(cost.shared_by(syncs))
    }
}

#[allow(clippy::too_many_arguments)] // one sync, and where what it took is added up
fn one(
    answerer: &mut Answerer<'_>,
    phone: &mut Phone,
    mode: AlertCode,
    now: i64,
    how: &How,
    cost: &mut Cost,
    sample: &mut Vec<Vec<u8>>,
    keep: usize,
) -> Outcome<()> {
    let (name, holds, at) = (phone.name, phone.holds, now.to_string());
    let side = phone.side()?;
    let mut frame = side.ask(&["begin", name, &mode.0.to_string(), URI, &at, holds], b"")?;
    let mut kept = 0;
    while frame.word(0)? == "post" {
        let (content_type, reply) = answerer.answer(&frame, now)?;
        cost.messages += 1;
        cost.up += frame.body.len() as u64;
        cost.down += reply.len() as u64;
        if how.packed {
            cost.up_packed += packed(&frame.body)?;
            cost.down_packed += packed(&reply)?;
        }
        if kept < keep {
            kept += frame.body.len();
            sample.push(std::mem::take(&mut frame.body));
        }
        frame = side.ask(&["received", &content_type, &at], &reply)?;
    }
    cost.received = frame.number(1)? + frame.number(2)?;
    cost.sent = frame.number(3)?;
    Ok(())
}

fn packed(bytes: &[u8]) -> Outcome<u64> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes)?;
    Ok(packer.finish()?.len() as u64)
}

impl Phone {
    fn anew(&mut self) -> Outcome<&mut Side> {
        anew(&mut self.side, "client", self.case, &self.folder, &self.user)
    }

    fn side(&mut self) -> Outcome<&mut Side> {
        self.side.as_mut().ok_or_else(|| "the device has not begun".into())
    }

    pub(crate) fn fill(&mut self, numbers: Range<usize>) -> Outcome<()> {
        self.anew()?.ask(&["fill", &numbers.start.to_string(), &numbers.end.to_string()], b"").map(drop)
    }

    /// Changes every so many cards; how many that were.
    pub(crate) fn edit_every(&mut self, distance: usize) -> Outcome<u64> {
        self.anew()?.ask(&["edit", &distance.to_string()], b"")?.number(1)
    }
}
