//! Decoding and encoding of 1,000 Adds of 600-byte cards, beside memcpy and bare quick-xml events of the same bytes.
//!
//! `cargo bench --no-default-features --bench codec`. After criterion's report a table gives the ratios, measured in
//! interleaved rounds: on a busy machine only those mean something. With `-- --ratios` it comes alone.
//!
//! There are two memcpy: one whose bytes stay in the processor's second cache from round to round, which is the strict
//! measure, and one whose destination is memory not used lately, as for a message that is written once and sent.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock and its arguments")]

use criterion::{Criterion, Throughput};
use quick_xml::Reader;
use quick_xml::events::Event;
use std::hint::black_box;
use std::time::{Duration, Instant};
use syncml::codec::{DataStyle, Encoder, Encoding, Limits, Options, decode};
use syncml::message::{
    Change, CmdId, Command, Data, Header, Item, Location, Message, Meta, MsgId, Op, SessionId, Sync, Version,
};

const ADDS: u32 = 1_000;

fn main() {
    let ratios_only = std::env::args().any(|argument| argument == "--ratios");
    let is_test = std::env::args().any(|argument| argument == "--test");
    // As in a long-lived process: the allocator keeps a few megabytes instead of giving them back each time.
    drop(black_box(vec![1_u8; 24 << 20]));
    let inputs = Inputs::new();
    if !ratios_only {
        let mut criterion = Criterion::default().configure_from_args();
        inputs.report(&mut criterion);
        criterion.final_summary();
    }
    if !is_test {
        inputs.ratios();
    }
}

/// A card of 600 bytes, of which five have to be escaped in XML.
fn card(number: u32) -> String {
    let mut card = format!(
        "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8:Müller{number:04};Zoë & Zoé;;Dr.;\r\nFN;CHARSET=UTF-8:Dr. Zoë Müller{number:04}\r\n\
         ORG:Smith & Sons <Export>;R&D\r\nTITLE:Engineer\r\nTEL;CELL;VOICE:+4917012{number:05}\r\nTEL;WORK;VOICE:+493012{number:05}\r\n\
         TEL;HOME;FAX:+498912{number:05}\r\nEMAIL;INTERNET:zoe.mueller{number:04}@example.com\r\nADR;WORK:;;Hauptstrasse {number};Berlin;;10115;Germany\r\n\
         URL:http://www.example.com/people/{number:04}\r\nBDAY:19700101\r\nNOTE:"
    );
    let end = "\r\nREV:20240101T000000Z\r\nEND:VCARD\r\n";
    while card.len() + end.len() < 600 {
        card.push(['l', 'o', 'r', 'e', 'm', ' '][card.len() % 6]);
    }
    card.push_str(end);
    card
}

fn message(cards: &[String]) -> Message<'_> {
    let commands = cards.iter().zip(3_u32..).map(|(card, id)| {
        let item = Item {
            source: Some(Location::new(id.to_string())),
            data: Some(Data::text(card.as_str())),
            ..Item::default()
        };
        Command::Change(Change {
            meta: Some(Meta::of_type("text/x-vcard")),
            ..Change::new(Op::Add, CmdId::from(id), item)
        })
    });
    let sync = Sync {
        cmd_id: CmdId::from(2),
        no_resp: false,
        cred: None,
        target: Some(Location::new("card")),
        source: Some(Location::new("./contacts")),
        meta: None,
        number_of_changes: Some(ADDS.into()),
        commands: commands.collect(),
    };
    let (target, source) = (Location::new("http://server.example/sync"), Location::new("IMEI:490154203237518"));
    Message {
        header: Header::new(Version::V12, SessionId::from("1"), MsgId(2), target, source),
        body: vec![Command::Sync(sync)],
        last: true,
    }
}

fn encode(message: &Message<'_>, encoding: Encoding, style: DataStyle) -> Vec<u8> {
    let options = Options::default().with_style(style);
    let mut encoder = Encoder::new(encoding, Version::V12, &message.header, options).expect("encoder");
    for command in &message.body {
        encoder.command(command).expect("command");
    }
    encoder.finish(message.last)
}

fn events(bytes: &[u8]) {
    let mut reader = Reader::from_reader(bytes);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Eof => return,
            event => drop(black_box(event)),
        }
    }
}

fn typed(bytes: &[u8], encoding: Encoding) {
    drop(black_box(decode(bytes, encoding, &Limits::default()).expect("message")));
}

struct Inputs {
    cards: Vec<String>,
    cdata: Vec<u8>,
    /// As peers write it: references for markup, line ends as they are.
    escaped: Vec<u8>,
    /// As we write it: carriage returns as references too.
    escaped_returns: Vec<u8>,
    wbxml: Vec<u8>,
}

impl Inputs {
    fn new() -> Self {
        let cards: Vec<String> = (0..ADDS).map(card).collect();
        let message = message(&cards);
        let escaped_returns = encode(&message, Encoding::Xml, DataStyle::Escaped);
        let text = String::from_utf8(escaped_returns.clone()).expect("UTF-8");
        Self {
            cdata: encode(&message, Encoding::Xml, DataStyle::Cdata),
            escaped: text.replace("&#13;", "\r").into_bytes(),
            escaped_returns,
            wbxml: encode(&message, Encoding::Wbxml, DataStyle::Cdata),
            cards,
        }
    }

    fn report(&self, criterion: &mut Criterion) {
        for (name, bytes, encoding) in [
            ("xml-cdata", &self.cdata, Encoding::Xml),
            ("xml-escaped", &self.escaped, Encoding::Xml),
            ("wbxml", &self.wbxml, Encoding::Wbxml),
        ] {
            let mut group = criterion.benchmark_group(format!("decode/{name}"));
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function("memcpy", |bencher| bencher.iter(|| black_box(bytes).clone()));
            if encoding == Encoding::Xml {
                group.bench_function("quick-xml events", |bencher| bencher.iter(|| events(black_box(bytes))));
            }
            group.bench_function("typed", |bencher| bencher.iter(|| typed(black_box(bytes), encoding)));
            group.finish();
        }
        let message = message(&self.cards);
        for (name, encoding, style) in [
            ("xml-cdata", Encoding::Xml, DataStyle::Cdata),
            ("xml-escaped", Encoding::Xml, DataStyle::Escaped),
            ("wbxml", Encoding::Wbxml, DataStyle::Cdata),
        ] {
            let bytes = encode(&message, encoding, style);
            let mut group = criterion.benchmark_group(format!("encode/{name}"));
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function("memcpy", |bencher| bencher.iter(|| black_box(&bytes).clone()));
            group.bench_function("typed", |bencher| bencher.iter(|| encode(black_box(&message), encoding, style)));
            group.finish();
        }
    }

    fn ratios(&self) {
        let message = message(&self.cards);
        println!("\n1,000 Adds of 600 bytes; the median of 60 interleaved rounds\n");
        println!(
            "| what | bytes | memcpy µs | memcpy to memory µs | events µs | typed µs | typed / events | target | memcpy / typed | to memory / typed | target |"
        );
        println!("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |");
        for (name, bytes, events_target) in [
            ("decode XML, CDATA", &self.cdata, "≤ 1.3"),
            ("decode XML, escaped", &self.escaped, "≤ 1.7"),
            ("decode XML, escaped returns", &self.escaped_returns, "≤ 1.7"),
        ] {
            let mut memory = Memory::new(bytes.len());
            let times = rounds([
                &mut || drop(black_box(bytes.clone())),
                &mut || memory.copy(bytes),
                &mut || events(bytes),
                &mut || typed(bytes, Encoding::Xml),
            ]);
            row(name, bytes.len(), times, events_target, "");
        }
        let mut memory = Memory::new(self.wbxml.len());
        let [copy, far, full] =
            rounds([&mut || drop(black_box(self.wbxml.clone())), &mut || memory.copy(&self.wbxml), &mut || {
                typed(&self.wbxml, Encoding::Wbxml)
            }]);
        row("decode WBXML", self.wbxml.len(), [copy, far, Duration::ZERO, full], "", "≥ 0.167");
        for (name, encoding, style) in [
            ("encode XML, CDATA", Encoding::Xml, DataStyle::Cdata),
            ("encode XML, escaped", Encoding::Xml, DataStyle::Escaped),
            ("encode WBXML", Encoding::Wbxml, DataStyle::Cdata),
        ] {
            let bytes = encode(&message, encoding, style);
            let mut memory = Memory::new(bytes.len());
            let [copy, far, full] =
                rounds([&mut || drop(black_box(bytes.clone())), &mut || memory.copy(&bytes), &mut || {
                    drop(black_box(encode(&message, encoding, style)))
                }]);
            row(name, bytes.len(), [copy, far, Duration::ZERO, full], "", "≥ 0.167");
        }
    }
}

/// So many destinations that none of them is in a cache when its turn comes.
struct Memory {
    pages: Vec<Vec<u8>>,
    next: usize,
}

impl Memory {
    fn new(size: usize) -> Self {
        Self { pages: vec![vec![1; size]; 128], next: 0 }
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.next = (self.next + 1) % self.pages.len();
        self.pages[self.next].copy_from_slice(black_box(bytes));
        black_box(&self.pages[self.next]);
    }
}

fn row(name: &str, size: usize, times: [Duration; 4], events_target: &str, target: &str) {
    let [copy, far, events, full] = times.map(|time| time.as_secs_f64() * 1e6);
    let (bare, ratio) =
        if events > 0.0 { (format!("{events:.0}"), format!("{:.2}", full / events)) } else { Default::default() };
    println!(
        "| {name} | {size} | {copy:.0} | {far:.0} | {bare} | {full:.0} | {ratio} | {events_target} | {:.3} | {:.3} | {target} |",
        copy / full,
        far / full
    );
}

/// The median time of each, taken in turns.
fn rounds<const N: usize>(mut work: [&mut dyn FnMut(); N]) -> [Duration; N] {
    const ROUNDS: usize = 60;
    let mut times = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (work, times) in work.iter_mut().zip(&mut times) {
            let start = Instant::now();
            work();
            times.push(start.elapsed());
        }
    }
    times.map(|mut times: Vec<Duration>| {
        times.sort_unstable();
        times[ROUNDS / 2]
    })
}
