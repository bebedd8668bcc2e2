//! What whole syncs cost, per contact, as books grow: `cargo run --release --example large_books -- [OPTIONS]`.
//!
//! ```text
//! --sizes 1000,10000       contacts in a book
//! --stores memory,sqlite   of both sides; `postgres` is the server's alone, in the database SYNCML_BENCH_POSTGRES names
//! --encodings wbxml,xml
//! --photos                 two cards in a hundred have one of 8 KB
//! --csv FILE --svg FILE    the same as a table for machines, and as a plot
//! ```
//!
//! Client and server run in one thread by turns, so that the thread's CPU time says what each of them takes: files,
//! transactions and encodings are real, the network is not there. Beside them, in the same run, stands the limit: the same
//! bytes copied, read as bare XML events, and inserted as bare rows in transactions of the same size.

#![allow(clippy::disallowed_methods)] // a program: it reads its arguments, clocks and files

mod cards;
mod limits;
mod measure;
mod plot;
mod sides;

use measure::Cost;
use sides::{Phone, StoreKind, World};
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use syncml::codec::Encoding;
use syncml::message::AlertCode;

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Options {
    sizes: Vec<usize>,
    stores: Vec<StoreKind>,
    encodings: Vec<Encoding>,
    photos: bool,
    csv: Option<PathBuf>,
    svg: Option<PathBuf>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut options = Self {
            sizes: vec![1_000, 10_000],
            stores: vec![StoreKind::Memory, StoreKind::Sqlite],
            encodings: vec![Encoding::Wbxml, Encoding::Xml],
            photos: false,
            csv: None,
            svg: None,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--sizes" => options.sizes = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "--stores" => options.stores = value()?.split(',').map(StoreKind::named).collect::<Outcome<_>>()?,
                "--encodings" => options.encodings = value()?.split(',').map(encoding).collect::<Outcome<_>>()?,
                "--photos" => options.photos = true,
                "--csv" => options.csv = Some(value()?.into()),
                "--svg" => options.svg = Some(value()?.into()),
                other => return Err(format!("there is no option {other}; see the top of this example").into()),
            }
        }
        Ok(options)
    }
}

fn encoding(name: &str) -> Outcome<Encoding> {
    match name {
        "xml" => Ok(Encoding::Xml),
        "wbxml" => Ok(Encoding::Wbxml),
        other => Err(format!("there is no encoding {other}; say xml or wbxml").into()),
    }
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
    photos: bool,
    size: usize,
}

const HEAD: &str = "store,encoding,photos,size,scenario,server_us,client_us,wall_us,bytes_up,bytes_down,messages,\
                    server_steps,client_steps,peak_mib";

impl Line {
    /// Its values, those that grow with the book per contact.
    fn csv(&self) -> String {
        let (case, cost) = (self.case, &self.cost);
        let each = |total: f64| total / case.size as f64;
        format!(
            "{},{},{},{},{},{:.2},{:.2},{:.2},{:.1},{:.1},{},{},{},{:.1}",
            case.store.name(),
            if case.encoding == Encoding::Xml { "xml" } else { "wbxml" },
            case.photos,
            case.size,
            self.scenario,
            each(cost.server * 1e6),
            each(cost.client * 1e6),
            each(cost.wall * 1e6),
            each(cost.up as f64),
            each(cost.down as f64),
            cost.messages,
            cost.server_steps,
            cost.client_steps,
            cost.peak as f64 / f64::from(1 << 20),
        )
    }
}

fn main() -> Outcome<()> {
    let options = Options::read(std::env::args().skip(1))?;
    // Beside the build, not in /tmp, which may be memory.
    let folder = tempfile::tempdir_in(option_env!("CARGO_TARGET_TMPDIR").unwrap_or("target"))?;
    let mut lines = Vec::new();
    println!("{}", HEAD.replace(',', "\t"));
    for &store in &options.stores {
        for &encoding in &options.encodings {
            for &size in &options.sizes {
                let case = Case { store, encoding, photos: options.photos, size };
                run(case, folder.path(), &mut |scenario, cost| {
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

/// All scenarios of a case, each told as it is done.
fn run(case: Case, folder: &Path, tell: &mut dyn FnMut(&'static str, Cost)) -> Outcome<()> {
    let folder = tempfile::tempdir_in(folder)?;
    let n = case.size;
    let mut world = World::new(case, folder.path())?;
    let phone = Phone::new(case, folder.path(), "phone")?;
    phone.fill(0..n)?;
    let mut sample = Vec::new();
    let first = world.sync_keeping(&phone, AlertCode::TWO_WAY, &mut sample)?;
    assert_eq!(first.received, n as u64, "all of the phone's cards arrived");
    let limit = limits::of(case, &sample, first.messages, folder.path())?;
    tell("first sync into empty", first);
    tell("limit of that", limit);
    tell("no change", world.sync(&phone, AlertCode::TWO_WAY)?);
    let changed = phone.edit_every(100)?;
    let cost = world.sync(&phone, AlertCode::TWO_WAY)?;
    assert_eq!(cost.received, changed as u64);
    tell("1 % changed", cost);
    tell("slow again", world.sync(&phone, AlertCode::SLOW)?);
    let fresh = Phone::new(case, folder.path(), "fresh")?;
    let cost = world.sync(&fresh, AlertCode::REFRESH_FROM_SERVER)?;
    assert_eq!(cost.sent, n as u64, "all of the server's cards arrived");
    tell("restore to empty", cost);

    let mut world = World::new(case, folder.path())?;
    world.fill(0..n)?;
    let phone = Phone::new(case, folder.path(), "other")?;
    phone.fill(n / 2..n / 2 + n)?;
    let cost = world.sync(&phone, AlertCode::TWO_WAY)?;
    assert_eq!((cost.received, cost.sent), ((n / 2) as u64, (n / 2) as u64), "half of them were new to each side");
    tell("first sync, half the same", cost);
    Ok(())
}
