//! The two sides: what each does in its process, until the driver closes their pipe.

use super::book::{Book, PASSWORD, StoreKind};
use super::cards::Cards;
use super::link::{self, Frame};
use super::measure::{cpu, most_memory, watch_memory};
use super::{Case, Outcome, encoding};
use std::path::PathBuf;
use syncml::auth::{Secret, token_parameter};
use syncml::contact::lens::Dimension;
use syncml::message::{AlertCode, Timestamp};
use syncml::session::{Client, ClientBook, ClientConfig, Credentials, Request, Server, ServerConfig};
use syncml::store::BookNo;

struct Words(Vec<String>, Vec<u8>);

impl Words {
    fn new(words: &[&str]) -> Self {
        Self(words.iter().map(|&word| word.to_owned()).collect(), Vec::new())
    }
}

/// What both can do.
struct Common {
    book: Book,
    /// CPU, memory and transactions when the watching began.
    begun: (f64, u64, u64),
}

impl Common {
    fn answer(&mut self, frame: &Frame) -> Outcome<Words> {
        match frame.word(0)? {
            "hello" => {}
            "fill" => self.book.fill(frame.number(1)? as usize..frame.number(2)? as usize)?,
            "edit" => {
                let changed = self.book.edit_every(frame.number(1)? as usize)?;
                return Ok(Words::new(&["ok", &changed.to_string()]));
            }
            "watch" => self.begun = (cpu(), watch_memory("self"), self.book.store.steps()),
            "cost" => {
                let (cpu, memory, steps) = (
                    cpu() - self.begun.0,
                    most_memory("self").saturating_sub(self.begun.1),
                    self.book.store.steps() - self.begun.2,
                );
                return Ok(Words::new(&["ok", &cpu.to_string(), &memory.to_string(), &steps.to_string()]));
            }
            other => return Err(format!("this side cannot {other}").into()),
        }
        Ok(Words::new(&["ok"]))
    }
}

/// Runs one of the sides: `ROLE STORE ENCODING CARDS MESSAGE FOLDER USER`.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Outcome<()> {
    let mut next = || arguments.next().ok_or("an argument is missing");
    let role = next()?;
    let store = StoreKind::named(&next()?)?;
    let encoding = encoding(&next()?)?;
    let cards = Cards::named(&next()?).ok_or("there are no such cards")?;
    let case = Case { store, encoding, cards, message: next()?.parse()?, size: 0 };
    let (folder, user) = (PathBuf::from(next()?), next()?);
    let kind = if role == "client" { store.of_device() } else { store };
    let local = if role == "client" { "local" } else { &user };
    let mut common = Common { book: Book::open(kind, case, &folder, local)?, begun: (0.0, 0, 0) };
    let mut server = None;
    let mut client = None;
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    while let Some(frame) = link::read(&mut input)? {
        let answer = match frame.word(0)? {
            "answer" => {
                if server.is_none() {
                    let mut config = ServerConfig::default();
                    config.max_msg_size = case.message;
                    // No side waits here, which a device does that has sent too much lately.
                    config.device_rate.burst = 0;
                    server = Some(Server::new(common.book.store.clone(), config)?);
                }
                server.as_ref().ok_or_else(|| "no server".into()).and_then(|server| answer(server, &frame))
            }
            "begin" => begin(&common.book, case, &user, &frame).and_then(|begun| outgoing(client.insert(begun))),
            "received" => client.as_mut().ok_or_else(|| "nothing was begun".into()).and_then(|client| {
                client.received(frame.word(1)?, &frame.body, now(&frame, 2)?)?;
                outgoing(client)
            }),
            _ => common.answer(&frame),
        };
        let Words(words, body) =
            answer.unwrap_or_else(|error| Words(vec!["failed".to_owned()], error.to_string().into_bytes()));
        link::write(&mut output, &words.iter().map(String::as_str).collect::<Vec<_>>(), &body)?;
    }
    Ok(())
}

fn now(frame: &Frame, index: usize) -> Outcome<Timestamp> {
    Ok(Timestamp(frame.word(index)?.parse()?))
}

/// `answer TYPE URI NOW`.
fn answer(server: &Server, frame: &Frame) -> Outcome<Words> {
    let request = Request {
        content_type: frame.word(1)?,
        body: &frame.body,
        token: frame.word(2)?.split_once('?').and_then(|(_, query)| token_parameter(query)),
        mac: None,
        protected: true,
        loopback: true,
        address: None,
        now: now(frame, 3)?,
    };
    let reply = server.answer(&request).map_err(|refusal| refusal.to_string())?;
    Ok(Words(vec!["reply".to_owned(), reply.content_type.to_owned()], reply.body))
}

/// `begin DEVICE MODE URI NOW PROPERTIES`: those that the device says to hold, or none, and it says to hold all that this crate
/// knows.
fn begin(book: &Book, case: Case, user: &str, frame: &Frame) -> Outcome<Client> {
    let credentials = Credentials::Md5 { user: user.to_owned(), password: Secret::new(PASSWORD.to_owned()) };
    let mode = AlertCode(frame.word(2)?.parse()?);
    let one = |property: &str| Dimension { property: property.to_owned(), types: Vec::new(), count: 0, length: 0 };
    let dimensions = frame.word(5)?.split(',').filter(|property| !property.is_empty()).map(one).collect();
    let contacts = ClientBook { mode, dimensions, ..ClientBook::new(BookNo::CONTACTS, "./contacts", "contacts") };
    let config = ClientConfig {
        encoding: case.encoding,
        max_msg_size: case.message,
        ..ClientConfig::new(frame.word(3)?, frame.word(1)?, credentials, vec![contacts])
    };
    Ok(Client::begin(book.store.clone(), book.account, config, now(frame, 4)?)?)
}

/// The next message, `post TYPE URI`, or how it ended: `report ADDED CHANGED`, of the server, and how many were either here.
fn outgoing(client: &Client) -> Outcome<Words> {
    if let Some(out) = client.outgoing() {
        return Ok(Words(vec!["post".to_owned(), out.content_type.to_owned(), out.uri.clone()], out.body));
    }
    let report = client.report();
    let [book] = &report.books[..] else { return Err("the session was about one book".into()) };
    if !report.clean {
        return Err(format!("the sync did not end well: {report:?}").into());
    }
    let here = book.received.added + book.received.changed;
    let numbers = [book.sent.added, book.sent.changed, here].map(|number| number.to_string());
    Ok(Words::new(&["report", &numbers[0], &numbers[1], &numbers[2]]))
}
