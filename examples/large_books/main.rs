//! What whole syncs cost, per contact, as books grow: `cargo run --release --example large_books -- [OPTIONS]`.
//!
//! ```text
//! --sizes 1000,10000       contacts in a book
//! --stores memory,sqlite   of both sides; `compressed` is the server's SQLite with that option; `postgres` is the server's alone, in the database SYNCML_BENCH_POSTGRES names;
//!                          SYNCML_BENCH_POSTMASTER is the id of its first process, whose children's CPU is counted
//! --encodings wbxml,xml
//! --message 150000         the largest message that either side takes, in bytes
//! --photos                 two cards in a hundred have one of 8 KB
//! --notes                  each card has a note of its own
//! --only first,change      scenarios whose names have one of these in them
//! --packed                 also count the bytes of each message packed by gzip
//! --http PROGRAM           the server is `PROGRAM serve` (target/release/syncml), spoken to over HTTP
//! --devices 1000           instead of all this: sessions without changes in a second of so many devices; goes with --http
//! --csv FILE --svg FILE    the same as a table for machines, and as a plot
//! ```
//!
//! Client and server are processes of their own, so that CPU and memory of each are told apart, whatever threads it has;
//! the driver hands on their messages. Beside them, in the same run, stands the limit: the same bytes copied, read as bare
//! XML events, and the same rows inserted in transactions of the same size.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a program: arguments, clocks, files and sockets

mod book;
mod cards;
mod http;
mod limits;
mod link;
mod measure;
mod plot;
mod sessions;
mod sides;
mod world;

use book::StoreKind;
use cards::Cards;
use measure::Cost;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use syncml::codec::Encoding;
use syncml::message::AlertCode;
use world::World;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Syncs without changes of which the mean is taken.
const REPEATED: u32 = 50;

/// What a device says to hold that is given new software: first little, then what is in the cards.
const FEW: &str = "N,FN,TEL";
const ALL: &str = "N,FN,ORG,TITLE,TEL,EMAIL,ADR,NOTE,PHOTO";

struct Options {
    sizes: Vec<usize>,
    stores: Vec<StoreKind>,
    encodings: Vec<Encoding>,
    cards: Cards,
    message: u64,
    only: Vec<String>,
    how: How,
    devices: Option<usize>,
    csv: Option<PathBuf>,
    svg: Option<PathBuf>,
}

/// How syncs are played.
struct How {
    /// The server's program, where it is spoken to over HTTP.
    program: Option<PathBuf>,
    packed: bool,
    postgres: PostgresPid,
}

/// The first process of a PostgreSQL, whose CPU counts.
#[derive(Clone, Copy)]
struct PostgresPid(Option<u32>);

impl PostgresPid {
    fn cpu(self) -> f64 {
        self.0.map_or(0.0, |process| measure::cpu_of(process, true))
    }
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Outcome<Self> {
        let postmaster = std::env::var("SYNCML_BENCH_POSTMASTER").ok().map(|id| id.parse()).transpose()?;
        let mut options = Self {
            sizes: vec![1_000, 10_000],
            stores: vec![StoreKind::Memory, StoreKind::Sqlite],
            encodings: vec![Encoding::Wbxml, Encoding::Xml],
            cards: Cards::Plain,
            message: 150_000,
            only: Vec::new(),
            how: How { program: None, packed: false, postgres: PostgresPid(postmaster) },
            devices: None,
            csv: None,
            svg: None,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--sizes" => options.sizes = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "--stores" => options.stores = value()?.split(',').map(StoreKind::named).collect::<Outcome<_>>()?,
                "--encodings" => options.encodings = value()?.split(',').map(encoding).collect::<Outcome<_>>()?,
                "--photos" => options.cards = Cards::Photos,
                "--notes" => options.cards = Cards::Notes,
                "--message" => options.message = value()?.parse()?,
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--packed" => options.how.packed = true,
                "--http" => options.how.program = Some(value()?.into()),
                "--devices" => options.devices = Some(value()?.parse()?),
                "--csv" => options.csv = Some(value()?.into()),
                "--svg" => options.svg = Some(value()?.into()),
                other => return Err(format!("there is no option {other}; see the top of this example").into()),
            }
        }
        Ok(options)
    }

    fn wants(&self, scenario: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| scenario.contains(part.as_str()))
    }
}

fn encoding(name: &str) -> Outcome<Encoding> {
    match name {
        "xml" => Ok(Encoding::Xml),
        "wbxml" => Ok(Encoding::Wbxml),
        other => Err(format!("there is no encoding {other}; say xml or wbxml").into()),
    }
}

/// A name that was not used before, in a database either that stays.
fn unique(what: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{what}-{}", now.as_nanos())
}

/// One line of the result.
struct Line {
    case: Case,
    scenario: &'static str,
    cost: Cost,
}

/// What a run of all scenarios is about.
#[derive(Clone, Copy, PartialEq)]
struct Case {
    store: StoreKind,
    encoding: Encoding,
    cards: Cards,
    message: u64,
    size: usize,
}

impl Case {
    fn encoding_name(self) -> &'static str {
        if self.encoding == Encoding::Xml { "xml" } else { "wbxml" }
    }
}

const HEAD: &str = "store,encoding,cards,size,scenario,server_us,database_us,client_us,wall_us,server_ms,client_ms,bytes_up,\
                    bytes_down,packed_up,packed_down,messages,server_steps,client_steps,server_peak_mib,client_peak_mib,\
                    file_bytes";

impl Line {
    /// Its values: microseconds and bytes for each contact of the book, milliseconds of the whole sync.
    fn csv(&self) -> String {
        let (case, cost) = (self.case, &self.cost);
        let each = |total: f64| total / case.size as f64;
        let (micros, bytes) = (|seconds: f64| each(seconds * 1e6), |total: u64| each(total as f64));
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        format!(
            "{},{},{},{},{},{:.2},{:.2},{:.2},{:.2},{:.3},{:.3},{:.1},{:.1},{:.1},{:.1},{},{},{},{:.1},{:.1},{:.0}",
            case.store.name(),
            case.encoding_name(),
            case.cards.name(),
            case.size,
            self.scenario,
            micros(cost.server),
            micros(cost.database),
            micros(cost.client),
            micros(cost.wall),
            cost.server * 1e3,
            cost.client * 1e3,
            bytes(cost.up),
            bytes(cost.down),
            bytes(cost.up_packed),
            bytes(cost.down_packed),
            cost.messages,
            cost.server_steps,
            cost.client_steps,
            mib(cost.server_peak),
            mib(cost.client_peak),
            bytes(cost.file),
        )
    }
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|argument| argument == "--as").is_some() {
        return sides::run(arguments);
    }
    let options = Options::read(arguments)?;
    // Beside the build, not in /tmp, which may be memory.
    let folder = tempfile::tempdir_in(option_env!("CARGO_TARGET_TMPDIR").unwrap_or("target"))?;
    if let Some(devices) = options.devices {
        return many(&options, devices, folder.path());
    }
    let mut lines = Vec::new();
    println!("{}", HEAD.replace(',', "\t"));
    for &store in &options.stores {
        for &encoding in &options.encodings {
            for &size in &options.sizes {
                let case = Case { store, encoding, cards: options.cards, message: options.message, size };
                run(case, &options, folder.path(), &mut |scenario, cost| {
                    let line = Line { case, scenario, cost };
                    println!("{}", line.csv().replace(',', "\t"));
                    lines.push(line);
                })?;
            }
        }
    }
    if let Some(file) = options.csv {
        let mut text = format!("{HEAD}\n");
        for line in &lines {
            writeln!(text, "{}", line.csv())?;
        }
        std::fs::write(file, text)?;
    }
    if let Some(file) = options.svg {
        std::fs::write(file, plot::svg(&lines))?;
    }
    Ok(())
}

/// Sessions of many devices.
fn many(options: &Options, devices: usize, folder: &Path) -> Outcome<()> {
    let program = options.how.program.as_ref().ok_or("--devices goes with --http")?;
    println!("store\tencoding\tdevices\tsessions_per_second\tserver_us\tdatabase_us\tdevices_us");
    for &store in &options.stores {
        for &encoding in &options.encodings {
            let case = Case { store, encoding, cards: Cards::Plain, message: options.message, size: 0 };
            let folder = tempfile::tempdir_in(folder)?;
            let rate = sessions::run(case, devices, 5, program, folder.path(), options.how.postgres)?;
            println!(
                "{}\t{}\t{devices}\t{:.0}\t{:.0}\t{:.0}\t{:.0}",
                store.name(),
                case.encoding_name(),
                rate.per_second,
                rate.server * 1e6,
                rate.database * 1e6,
                rate.devices * 1e6,
            );
        }
    }
    Ok(())
}

/// All scenarios of a case, each told as it is done.
fn run(case: Case, options: &Options, folder: &Path, tell: &mut dyn FnMut(&'static str, Cost)) -> Outcome<()> {
    let folder = tempfile::tempdir_in(folder)?;
    let n = case.size;
    let mut world = World::new(case, &options.how, folder.path())?;
    let mut phone = world.phone("phone")?;
    phone.fill(0..n)?;
    let mut sample = Vec::new();
    let first = world.sync_keeping(&mut phone, &mut sample)?;
    assert_eq!(first.received, n as u64, "all of the phone's cards arrived");
    tell("first sync into empty", first);
    if options.wants("limit") && case.store != StoreKind::Memory {
        limits::of(case, &sample, &first, folder.path(), tell)?;
    }
    drop(sample);
    if options.wants("no change") {
        tell("no change", world.syncs(&mut phone, REPEATED)?);
    }
    if options.wants("1 % changed") {
        let changed = phone.edit_every(100)?;
        let cost = world.sync(&mut phone, AlertCode::TWO_WAY)?;
        assert_eq!(cost.received, changed);
        tell("1 % changed", cost);
    }
    if options.wants("slow again") {
        tell("slow again", world.sync(&mut phone, AlertCode::SLOW)?);
    }
    if options.wants("restore to empty") {
        let mut fresh = world.phone("fresh")?;
        let cost = world.sync(&mut fresh, AlertCode::REFRESH_FROM_SERVER)?;
        assert_eq!(cost.sent, n as u64, "all of the server's cards arrived");
        tell("restore to empty", cost);
    }
    if options.wants("sent again after a change of lens") {
        let mut narrow = world.phone("narrow")?;
        narrow.holds = FEW;
        world.sync(&mut narrow, AlertCode::REFRESH_FROM_SERVER)?;
        narrow.holds = ALL;
        let cost = world.sync(&mut narrow, AlertCode::TWO_WAY)?;
        assert_eq!(cost.sent, n as u64, "what it holds now was sent again");
        tell("sent again after a change of lens", cost);
    }
    if options.wants("half-overlapping first sync") {
        let mut world = World::new(case, &options.how, folder.path())?;
        world.fill(0..n)?;
        let mut phone = world.phone("other")?;
        phone.fill(n / 2..n / 2 + n)?;
        let cost = world.sync(&mut phone, AlertCode::TWO_WAY)?;
        let half = (n / 2) as u64;
        assert_eq!(cost.sent, half, "half of the server's were new to the phone");
        tell("half-overlapping first sync", cost);
    }
    Ok(())
}
