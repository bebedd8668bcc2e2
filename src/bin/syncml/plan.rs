//! `syncml match`: what a first sync of a book with some cards would do, and why.

use crate::books::{self, BookKind};
use crate::cards;
use crate::failure::{Exit, Failure, Result};
use crate::history::place::{Place, PlaceArgs};
use crate::import;
use crate::output::{self, Table};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use syncml::session::{BookPlan, plan};
use syncml::store::{AccountNo, Guid, Store, StoreError};
use syncml::sync::{Planned, Side, Suspicion};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// What the other side has: files, and folders of files; a file may hold many cards
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

/// An item of the other side, with where it is from.
struct Theirs {
    file: String,
    content: Vec<u8>,
}

impl AsRef<[u8]> for Theirs {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Place { store, account, book } = args.place.open()?;
    let (theirs, skipped) = read(book, &args.paths)?;
    let planned = plan(store.as_ref(), account, book.book, &theirs)?;
    let shown =
        Shown { book, planned: &planned, theirs: &theirs, names: names(store.as_ref(), account, book, &planned)? };
    if args.place.json {
        shown.json(&skipped);
    } else {
        shown.print();
    }
    for (file, reason) in &skipped {
        eprintln!("skipped {file}: {reason}");
    }
    if skipped.is_empty() { Ok(()) } else { Err(Failure::told(Exit::Problems)) }
}

/// A file that was left out, and why.
type Skipped = (String, String);

fn read(book: &BookKind, paths: &[PathBuf]) -> Result<(Vec<Theirs>, Vec<Skipped>)> {
    let (mut theirs, mut skipped) = (Vec::new(), Vec::new());
    for path in import::files(book, paths)? {
        let file = path.display().to_string();
        let content = match cards::load(book, &path) {
            Ok(content) => content,
            Err(reason) => {
                skipped.push((file, reason));
                continue;
            }
        };
        let (items, reason) = cards::split(book, &content);
        skipped.extend(reason.map(|reason| (file.clone(), reason)));
        theirs.extend(items.into_iter().map(|item| Theirs { file: file.clone(), content: Cow::into_owned(item) }));
    }
    Ok((theirs, skipped))
}

/// What the items are called that the plan speaks of.
fn names(
    store: &dyn Store,
    account: AccountNo,
    book: &BookKind,
    planned: &BookPlan,
) -> std::result::Result<HashMap<Guid, String>, StoreError> {
    let plan = &planned.plan;
    let of_pair = plan.there.iter().filter_map(|there| match there {
        Planned::Matched(_) | Planned::Added(None) => None,
        Planned::Merged(at, _) | Planned::Added(Some((at, _))) => Some(*at),
    });
    let odd = plan.suspicious.iter().filter_map(|suspicion| match suspicion {
        Suspicion::Doubles(Side::Here, items) => items.first().copied(),
        Suspicion::Faceless(Side::Here, at) => Some(*at),
        _ => None,
    });
    let mut guids: Vec<Guid> = of_pair.chain(odd).map(|at| planned.guids[at]).collect();
    guids.sort_unstable();
    guids.dedup();
    books::names(store, account, book, &guids)
}

struct Shown<'a> {
    book: &'a BookKind,
    planned: &'a BookPlan,
    theirs: &'a [Theirs],
    names: HashMap<Guid, String>,
}

impl Shown<'_> {
    fn name_there(&self, at: usize) -> String {
        self.book.label(&self.theirs[at].content).unwrap_or_else(|| books::NO_NAME.to_owned())
    }

    fn name_here(&self, at: usize) -> String {
        self.names.get(&self.planned.guids[at]).cloned().unwrap_or_else(|| books::NO_NAME.to_owned())
    }

    /// What would be done with an item, with which one here, and why.
    fn verdict(planned: Planned) -> (&'static str, Option<usize>, String) {
        match planned {
            Planned::Matched(at) => ("matched", Some(at), "same meaning".to_owned()),
            Planned::Merged(at, why) => ("merged", Some(at), why.to_string()),
            Planned::Added(None) => ("added", None, "nothing in common".to_owned()),
            Planned::Added(Some((at, near))) if near.double => ("double", Some(at), near.why.to_string()),
            Planned::Added(Some((at, near))) => ("added", Some(at), near.why.to_string()),
        }
    }

    fn print(&self) {
        let plan = &self.planned.plan;
        let mut table = Table::new(&["would be", "name", "guid", "name here", "why"]);
        let mut any = false;
        for (at, planned) in plan.there.iter().enumerate().filter(|(_, there)| !matches!(there, Planned::Matched(_))) {
            let (verdict, twin, why) = Self::verdict(*planned);
            let guid = twin.map(|twin| self.planned.guids[twin].to_string()).unwrap_or_default();
            let here = twin.map(|twin| self.name_here(twin)).unwrap_or_default();
            let verdict = if verdict == "double" { "added, perhaps a double" } else { verdict };
            table.row([verdict.to_owned(), self.name_there(at), guid, here, why]);
            any = true;
        }
        if any {
            table.print();
        }
        let counts = plan.counts();
        println!(
            "{} are the same, {} would be merged, {} added here ({} perhaps doubles), {} sent",
            counts.matched, counts.merged, counts.added, counts.doubles, counts.sent
        );
        for suspicion in &plan.suspicious {
            let name = match suspicion {
                Suspicion::Doubles(side, items) => items.first().map(|at| (*side, *at)),
                Suspicion::Faceless(side, at) => Some((*side, *at)),
                _ => None,
            };
            let name = name.map(|(side, at)| match side {
                Side::Here => format!(": {} (guid {})", self.name_here(at), self.planned.guids[at]),
                Side::There => format!(": {} ({})", self.name_there(at), self.theirs[at].file),
            });
            println!("look: {suspicion}{}", name.unwrap_or_default());
        }
    }

    fn json(&self, skipped: &[Skipped]) {
        let plan = &self.planned.plan;
        let cards: Vec<_> = plan
            .there
            .iter()
            .enumerate()
            .map(|(at, planned)| {
                let (verdict, twin, why) = Self::verdict(*planned);
                serde_json::json!({
                    "file": self.theirs[at].file,
                    "name": self.book.label(&self.theirs[at].content),
                    "verdict": verdict,
                    "guid": twin.map(|twin| self.planned.guids[twin]),
                    "why": why,
                })
            })
            .collect();
        output::json(&serde_json::json!({
            "ok": skipped.is_empty(),
            "counts": plan.counts(),
            "cards": cards,
            "sent": plan.sent.iter().map(|at| self.planned.guids[*at]).collect::<Vec<_>>(),
            "suspicious": plan.suspicious.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "skipped": skipped.iter().map(|(file, reason)| serde_json::json!({ "file": file, "reason": reason }))
                .collect::<Vec<_>>(),
        }));
    }
}
