//! What is logged and counted of whole conversations, and that nothing of it is personal.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, SERVER_URI, World};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use syncml::auth::{Secret, Verifier};
use syncml::codec::Encoding;
use syncml::session::metrics::{Counter, Histogram, Metrics};
use syncml::session::{Busy, Credentials, Server};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Writes down all that is said, up to a level.
#[derive(Clone)]
struct Log {
    level: Level,
    said: Arc<Mutex<Said>>,
}

#[derive(Default)]
struct Said {
    text: String,
    /// Names of spans, by their number.
    spans: Vec<&'static str>,
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("syncml") && *metadata.level() <= self.level
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let said = &mut *self.said.lock().unwrap();
        said.text += span.metadata().name();
        span.record(&mut Line(&mut said.text));
        said.text.push('\n');
        said.spans.push(span.metadata().name());
        Id::from_u64(said.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let said = &mut *self.said.lock().unwrap();
        said.text += said.spans[usize::try_from(span.into_u64()).unwrap() - 1];
        values.record(&mut Line(&mut said.text));
        said.text.push('\n');
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let said = &mut *self.said.lock().unwrap();
        write!(said.text, "{}", event.metadata().level()).unwrap();
        event.record(&mut Line(&mut said.text));
        said.text.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// One test at a time: whether anybody listens at a place is remembered for all threads, and another's that does not listen
/// may get there first.
static ALONE: Mutex<()> = Mutex::new(());

/// What is said while something is done.
fn listening<R>(level: Level, work: impl FnOnce() -> R) -> (String, R) {
    let log = Log { level, said: Arc::default() };
    let done = tracing::subscriber::with_default(log.clone(), work);
    let text = std::mem::take(&mut log.said.lock().unwrap().text);
    (text, done)
}

const PASSWORD: &str = "Heidelbeerkuchen 1913";
const XML: &str = "application/vnd.syncml+xml";

/// Keeps all numbers; its clock goes a second at a time.
#[derive(Default)]
struct Numbers {
    counters: Mutex<BTreeMap<String, u64>>,
    observed: Mutex<BTreeMap<String, Vec<f64>>>,
    seconds: Mutex<u64>,
}

fn key(name: &str, labels: &[&str]) -> String {
    let name = name.trim_start_matches("syncml_").trim_end_matches("_total");
    [&[name], labels].concat().join(" ")
}

impl Metrics for Numbers {
    fn count(&self, counter: Counter, labels: &[&str], by: u64) {
        assert_eq!(labels.len(), counter.family().labels.len(), "{counter:?}");
        assert!(by > 0, "{counter:?} {labels:?}");
        *self.counters.lock().unwrap().entry(key(counter.family().name, labels)).or_default() += by;
    }

    fn observe(&self, histogram: Histogram, labels: &[&str], value: f64) {
        assert_eq!(labels.len(), histogram.family().labels.len(), "{histogram:?}");
        self.observed.lock().unwrap().entry(key(histogram.family().name, labels)).or_default().push(value);
    }

    fn clock(&self) -> Option<Duration> {
        let mut seconds = self.seconds.lock().unwrap();
        *seconds += 1;
        Some(Duration::from_secs(*seconds))
    }
}

impl Numbers {
    fn of(&self, key: &str) -> u64 {
        self.counters.lock().unwrap().get(key).copied().unwrap_or(0)
    }
}

fn watched() -> (World, Arc<Numbers>, MutexGuard<'static, ()>) {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let World { server, account, now, wire, judged } = World::new();
    let verifier = Verifier::Password(Secret::new(PASSWORD.to_owned()));
    server.store().directory().put_login("alice", &verifier).unwrap();
    let numbers = Arc::new(Numbers::default());
    let server: Server = server.with_metrics(numbers.clone());
    (World { server, account, now, wire, judged }, numbers, alone)
}

fn device(name: &str) -> Device {
    let mut device = Device::new(name);
    device.config.credentials =
        Credentials::Md5 { user: "alice".to_owned(), password: Secret::new(PASSWORD.to_owned()) };
    device
}

fn card(name: &str, number: &str) -> String {
    let (given, family) = name.split_once(' ').unwrap();
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:{family};{given};;;\r\nFN:{name}\r\nTEL:{number}\r\nEND:VCARD\r\n")
}

/// Values that nobody else would write.
const NAMES: [&str; 6] = ["Zacharias", "Quittenbaum", "Philomena", "Oxenfoord", "Xanthippe", "Waldvogel"];
const NUMBERS: [&str; 3] = ["+4915550001", "+4915550002", "+4915550003"];

/// First syncs, edits on both sides, a conflict, a reply that is lost, a wrong password, guesses, garbage and a busy server.
fn conversation(world: &mut World) {
    let (one, two) = (device("IMEI:490154203237518"), device("other-device-77"));
    let first = one.put(&card("Zacharias Quittenbaum", NUMBERS[0]));
    one.put(&card("Philomena Oxenfoord", NUMBERS[1]));
    world.sync(&one).unwrap();
    world.sync(&two).unwrap();
    one.edit(first, &card("Zacharias Quittenbaum", NUMBERS[2]));
    world.put(&card("Xanthippe Waldvogel", NUMBERS[2]));
    world.sync(&two).unwrap();
    let report = world.sync(&one).unwrap();
    assert!(report.clean, "{report:?}");
    one.edit(first, &card("Zacharias Oxenfoord", NUMBERS[2]));
    two.edit(two.find("Quittenbaum"), &card("Zacharias Waldvogel", NUMBERS[2]));
    world.sync(&two).unwrap();
    world.sync(&one).unwrap();

    // The same bytes again.
    world.tick();
    let mut client =
        syncml::session::Client::begin(two.store.clone(), two.account, two.config.clone(), world.now).unwrap();
    let out = client.outgoing().unwrap();
    let reply = world.post(&out).unwrap();
    client.received(reply.content_type, &reply.body, world.now).unwrap();
    let out = client.outgoing().unwrap();
    assert_eq!(world.post(&out).unwrap().body, world.post(&out).unwrap().body);

    let mut wrong = Device::new("guesser-4711");
    for guess in 0..14 {
        let password = Secret::new(format!("no such passphrase {guess}"));
        wrong.config.credentials = Credentials::Basic { user: "alice".to_owned(), password };
        world.sync(&wrong).unwrap_err();
    }
    wrong.config.credentials =
        Credentials::Basic { user: "mallory-nobody".to_owned(), password: Secret::new(PASSWORD.to_owned()) };
    world.sync(&wrong).unwrap_err();
    for body in [&b"<SyncML><Zacharias/>"[..], b"", b"\xff\xfe Quittenbaum"] {
        world.server.answer(&world.request(SERVER_URI, XML, body)).unwrap_err();
    }
    world.server.answer(&world.request(SERVER_URI, "text/Waldvogel", b"")).unwrap_err();
    world.server.set_busy(Busy::Everything);
    let busy = syncml::session::Client::begin(two.store.clone(), two.account, two.config.clone(), world.now).unwrap();
    world.post(&busy.outgoing().unwrap()).unwrap();
    world.server.set_busy(Busy::No);
}

/// Everything of a conversation that is somebody's: what cards and people are called, what opens an account.
fn secrets(world: &World) -> Vec<String> {
    let mut secrets: Vec<String> = [PASSWORD, "no such passphrase"].map(str::to_owned).to_vec();
    for exchange in &world.wire {
        for bytes in [&exchange.request, &exchange.reply] {
            let text = String::from_utf8_lossy(bytes);
            for (open, close) in [("?s=", "<"), ("<NextNonce xmlns=\"syncml:metinf\">", "<"), ("<NextNonce>", "<")] {
                let parts = text.split(open).skip(1).filter_map(|rest| rest.split(close).next());
                secrets.extend(parts.map(str::to_owned));
            }
            let cred = text.split("<Cred>").nth(1).and_then(|rest| rest.split("<Data>").nth(1)?.split('<').next());
            secrets.extend(cred.map(str::to_owned));
        }
    }
    assert!(secrets.len() > 6, "credentials, tokens and nonces: {secrets:?}");
    secrets
}

fn has_none(text: &str, what: impl IntoIterator<Item = impl AsRef<str>>) {
    for what in what {
        assert!(!what.as_ref().is_empty() && !text.contains(what.as_ref()), "{} is in\n{text}", what.as_ref());
    }
}

#[test]
fn nothing_personal_is_logged() {
    let (mut world, _, _alone) = watched();
    let (text, ()) = listening(Level::INFO, || conversation(&mut world));
    for said in [
        "session session=2\n",
        "session account=1\n",
        "session device=1\n",
        "message msg=1",
        "message books=contacts",
        "INFO message=session begun",
        "INFO message=session ended outcome=\"clean\"",
        "message=slow sync book=\"contacts\" reason=\"asked\"",
        "message=the same request came again",
        "message=not let in code=401 reason=\"wrong\"",
        "WARN message=not let in: its name failed too often, and nobody looked code=401 reason=\"slowed\"",
        "WARN message=too many failures",
        "message=not to be read",
        "message=no SyncML media type",
        "message=too much to do",
        "message=conflicts decided book=\"contacts\" conflicts=1",
    ] {
        assert!(text.contains(said), "{said:?} is not in\n{text}");
    }
    has_none(&text, secrets(&world));
    has_none(&text, NAMES);
    has_none(&text, NUMBERS);
    has_none(&text, ["alice", "mallory", "IMEI", "490154", "other-device", "guesser", "127.0.0.1", "example"]);
    has_none(&text, ["DEBUG", "TRACE"]);
}

#[test]
fn nothing_secret_is_logged_at_any_level() {
    let (mut world, _, _alone) = watched();
    let (text, ()) = listening(Level::TRACE, || conversation(&mut world));
    assert!(text.contains("DEBUG message=answered outcome=\"done\""), "{text}");
    has_none(&text, secrets(&world));
    has_none(&text, NAMES);
    has_none(&text, NUMBERS);
}

#[test]
fn a_conversation_is_counted() {
    let (mut world, numbers, _alone) = watched();
    conversation(&mut world);
    for (key, times) in [
        // Three of each device, and the one that is left open; the last is busy.
        ("sessions_begun", 7),
        ("sessions_ended clean", 6),
        ("sessions_ended problems", 0),
        // Each meets what the other did to one card.
        ("conflicts", 2),
        ("commands Replace 207", 2),
        // This client knows by itself that it never synced.
        ("slow_syncs asked", 2),
        ("slow_syncs first-sync", 0),
        ("items in added", 2),
        ("items out added", 4),
        ("items in changed", 1),
        ("replies_resent", 1),
        ("messages again", 1),
        ("busy", 1),
        ("messages busy", 1),
        ("messages unreadable", 4),
        // Guesses with pauses that grow, and a name that nobody has.
        ("auth_failures wrong", 12),
        ("auth_failures slowed", 3),
        ("auth_failures missing", 2),
        ("commands Add 201", 2),
        ("commands Replace 200", 1),
    ] {
        assert_eq!(numbers.of(key), times, "{key}: {:#?}", numbers.counters.lock().unwrap());
    }
    let of = |prefix: &str| -> u64 {
        let counters = numbers.counters.lock().unwrap();
        counters.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(_, times)| times).sum()
    };
    let observed = numbers.observed.lock().unwrap();
    assert_eq!(of("messages "), observed["message_bytes in"].len() as u64);
    assert_eq!(of("messages ") - of("messages unreadable"), observed["message_bytes out"].len() as u64);
    assert!(observed["step_seconds"].iter().all(|seconds| *seconds == 1.0), "by the clock that was given");
    assert!(observed["step_seconds"].len() as u64 >= of("messages done"));
}

#[test]
fn what_is_held_back_is_told() {
    let (mut world, numbers, _alone) = watched();
    let device = device("phone");
    let guids: Vec<_> = (0..40).map(|n| device.put(&card(&format!("Ada Doe{n}"), &format!("+49301{n:04}")))).collect();
    world.sync(&device).unwrap();
    for guid in guids {
        device.delete(guid);
    }
    let (text, report) = listening(Level::INFO, || world.sync(&device));
    report.unwrap();
    assert!(
        text.contains("WARN message=held back until somebody decides book=\"contacts\" reason=\"deletes\""),
        "{text}"
    );
    assert_eq!(numbers.of("holds deletes"), 1);
    has_none(&text, ["Ada", "Doe", "4930"]);
}

#[test]
fn debug_output_shows_no_cards_and_no_secrets() {
    let (mut world, _, _alone) = watched();
    let device = device("IMEI:490154203237518");
    device.put(&card("Zacharias Quittenbaum", NUMBERS[0]));
    world.tick();
    let mut shown = String::new();
    let mut client =
        syncml::session::Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    while let Some(out) = client.outgoing() {
        let request = world.request(&out.uri, out.content_type, &out.body);
        let reply = world.server.answer(&request).unwrap();
        write!(shown, "{out:?}{request:?}{reply:?}{client:?}{:?}", client.report()).unwrap();
        world.wire.push(common::Exchange {
            uri: out.uri.clone(),
            content_type: out.content_type.to_owned(),
            request: out.body.clone(),
            reply: reply.body.clone(),
        });
        for bytes in [&out.body, &reply.body] {
            let message = syncml::codec::decode(bytes, Encoding::Xml, &Default::default()).unwrap();
            write!(shown, "{message:?}").unwrap();
        }
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    write!(shown, "{:?}{:?}", world.server, device.config.credentials).unwrap();
    has_none(&shown, [PASSWORD, NAMES[0], NAMES[1], NUMBERS[0], "alice", "490154"]);
    has_none(&shown, secrets(&world));
    let tokens = world.wire.iter().filter_map(|exchange| common::token_of(&exchange.uri));
    has_none(&shown, tokens);
}
