//! `syncml box restore`: what the backup has and the device has not (mission C5).
//!
//! All of an application's backup is fetched into memory first, as by a device that has nothing: what the box and the server
//! agreed on is not touched. Then it is decided what is written; then what is there is kept; and only then files are written.

use super::place::{Place, digest, kind, read, write};
use super::shortcuts::finish;
use super::upload::{Way, WayArgs};
use crate::failure::{Exit, Failure, Result};
use crate::folder::safe_name;
use crate::job::Own;
use crate::output::{bytes, moment};
use crate::progress::Progress;
use crate::route::Route;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncml::message::AlertCode;
use syncml::service::book::DeviceIdentity;
use syncml::service::boxes::{
    Application, BoxId, CloudItem, Finder, Folder, Kept, KeptItem, MAX_ITEM, Restored, Shortcut, add_to, media_type,
};
use syncml::store::large::Reader;
use syncml::store::memory::MemoryStore;
use syncml::store::{AccountNo, BookNo, Guid, Revision, Store};
use syncml::transport::http::now;
use uuid::Uuid;

/// Items per step.
const PAGE: usize = 100;
/// The most that is taken of one application's backup, in bytes.
const MOST: usize = 512 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The box
    #[arg(value_name = "BOX")]
    dir: PathBuf,
    /// Only of these applications
    #[arg(long, value_name = "NAME")]
    app: Vec<Application>,
    /// Take the backup of another device: a lost one, for a new one
    #[arg(long, value_name = "KIND:ID")]
    from: Option<DeviceIdentity>,
    /// Where what has no place on this device goes, in a folder for each application; shortcuts to it are added. Without this
    /// it is left out
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) way: WayArgs,
}

/// A file that is to be written.
struct Write {
    path: String,
    content: Vec<u8>,
    before: Option<Vec<u8>>,
    word: &'static str,
    /// A shortcut to it that the box has not.
    shortcut: Option<Shortcut>,
}

/// What a restore of an application comes to.
#[derive(Default)]
struct Planned {
    writes: Vec<Write>,
    same: usize,
    /// What stays as it is here, though the backup says something else: file and fields.
    stay: Vec<(String, Vec<String>)>,
    /// Names of items that have no place.
    nowhere: Vec<String>,
    problems: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut place = Place::open(&args.dir)?;
    let way = args.way.open()?;
    let device = args.from.clone().map_or_else(|| place.device(), Ok)?;
    let applications: Vec<Application> = match &args.app[..] {
        [] => place.contents.folders.keys().cloned().collect(),
        named => named.to_vec(),
    };
    if applications.is_empty() {
        return Err(Failure::usage("the box is empty; say by --app what to restore"));
    }
    let mut progress = Progress::new(args.way.json, args.way.link.trace()?);
    let (mut shown, mut problems) = (Vec::new(), Vec::new());
    for application in applications {
        let id = BoxId::new(&device, &application);
        let items = fetch(&place, &way, &application, &id, &mut progress);
        progress.end();
        let items = match items {
            // A folder that was never uploaded has no backup; who asks for it by name is told.
            Err(failure) if failure.exit() == Exit::UnknownBook && args.app.is_empty() => continue,
            other => other?,
        };
        let count = items.len();
        let planned = decide(&place, &application, items, args.into.as_deref())?;
        let (same, stay) = (planned.same, planned.stay.clone());
        let stay_json: Vec<_> =
            stay.iter().map(|(path, fields)| serde_json::json!({ "path": path, "fields": fields })).collect();
        if !planned.nowhere.is_empty() {
            let some = planned.nowhere.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let left = planned.nowhere.len();
            problems.push(format!("{application}: {left} items have no place here ({some}); say --into DIR"));
        }
        problems.extend(planned.problems.iter().map(|problem| format!("{application}: {problem}")));
        let (kept, written) = carry_out(&mut place, &application, planned, &mut problems)?;
        if !args.way.json {
            println!("{application}: {count} in the backup, {same} the same, {} written", written.len());
            written.iter().for_each(|(path, word)| println!("  {word}: {path}"));
            stay.iter().for_each(|(path, fields)| println!("  {} stays here: {path}", fields.join(", ")));
            if let Some(kept) = kept {
                println!("  what was there before is kept: syncml box undo {} {kept}", args.dir.display());
            }
        }
        shown.push(serde_json::json!({
            "application": application, "book": id.title(), "items": count, "same": same, "stay": stay_json,
            "written": written.iter().map(|(path, word)| serde_json::json!({ "path": path, "what": word }))
                .collect::<Vec<_>>(),
            "kept": kept,
        }));
    }
    finish(args.way.json, serde_json::json!({ "restored": shown }), &problems)
}

/// All of an application's backup.
fn fetch(
    place: &Place,
    way: &Way,
    application: &Application,
    id: &BoxId,
    progress: &mut Progress,
) -> Result<Vec<Vec<u8>>> {
    let kind = kind(application)?;
    let seed = [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(seed.try_into().unwrap_or([0; 32])));
    // One that has nothing, beside the one that uploads.
    let device_id = format!("{}/box", place.device()?.device_id());
    let own = Own::of(store.as_ref(), Some(&device_id))?;
    let remote = id.address();
    let job = way.job(place, application, (&remote, &device_id), AlertCode::REFRESH_FROM_SERVER)?;
    progress.say(&format!("fetching {application}"));
    let mut route = Route::open(&job.link)?;
    let mut session = job.begin(&store, &own)?;
    route.run(&mut session, progress)?;
    let report = session.report();
    if !report.clean || report.books.iter().any(|book| book.received.refused > 0) {
        let why = report.problems.first().cloned().unwrap_or_else(|| "the backup did not come as a whole".to_owned());
        return Err(Failure::new(Exit::Protocol, format!("{why}; nothing was written")));
    }
    contents(store.as_ref(), own.account, kind.book)
}

fn contents(store: &dyn Store, account: AccountNo, book: BookNo) -> Result<Vec<Vec<u8>>> {
    let (mut found, mut after, mut size) = (Vec::new(), Revision(0), 0);
    loop {
        let mut page: Vec<(Guid, Option<Vec<u8>>)> = Vec::new();
        let mut last = None;
        store.look(account, &mut |tx| {
            let rows = match tx.book(book)? {
                Some(row) => tx.changes(book, after, row.head, PAGE)?,
                None => Vec::new(),
            };
            last = rows.last().map(|item| item.revision);
            let live = rows.into_iter().filter(|item| !item.deleted);
            // Of large ones only the beginning is here.
            page = live.map(|item| (item.guid, item.blob.is_none().then(|| item.content.into_owned()))).collect();
            Ok(())
        })?;
        let Some(last) = last else { return Ok(found) };
        after = last;
        for (guid, content) in page {
            let content = match content {
                Some(content) => content,
                None => {
                    let mut content = Vec::new();
                    if let Some(reader) = Reader::open(store, account, book, guid)? {
                        let read = reader.take(MAX_ITEM * 2).read_to_end(&mut content);
                        read.map_err(|error| Failure::new(Exit::Database, error.to_string()))?;
                    }
                    content
                }
            };
            size += content.len();
            if size > MOST {
                let text = format!("the backup is larger than {}; restore at another place", bytes(MOST as u64));
                return Err(Failure::new(Exit::Overflow, text));
            }
            found.push(content);
        }
    }
}

/// Says what is to be written; reads, and writes nothing.
fn decide(place: &Place, application: &Application, items: Vec<Vec<u8>>, into: Option<&Path>) -> Result<Planned> {
    let nothing = Folder::default();
    let folder = place.contents.folders.get(application).unwrap_or(&nothing);
    let finder = Finder::new(application, folder, &mut |path| read(path).ok().flatten());
    let mut planned = Planned::default();
    let mut readable = Vec::new();
    for content in &items {
        match CloudItem::read(application, content) {
            Some(item) => readable.push(item),
            None => planned.problems.push("an item of the backup cannot be read and was left out".to_owned()),
        }
    }
    let places = finder.place(&readable);
    let mut taken: BTreeSet<String> = places.iter().flatten().cloned().collect();
    for (item, found) in readable.iter().zip(places) {
        let Some(path) = found else {
            elsewhere(application, item, into, &mut taken, &mut planned)?;
            continue;
        };
        let here = match read(&path) {
            Ok(here) => here,
            Err(reason) => {
                planned.problems.push(format!("{path}: {reason}; it was left as it is"));
                continue;
            }
        };
        let of_type = |path: &str| Shortcut::new(path, item_type(item, path), item.data().len() as u64);
        let shortcut = (!folder.shortcuts.contains_key(&path)).then(|| of_type(&path));
        match add_to(here.as_deref(), item) {
            Restored::Same => planned.same += 1,
            Restored::Stays { stay } => planned.stay.push((path, stay)),
            Restored::New(content) => {
                planned.writes.push(Write { path, content, before: None, word: "back", shortcut });
            }
            Restored::Merged { content, stay } => {
                if !stay.is_empty() {
                    planned.stay.push((path.clone(), stay));
                }
                planned.writes.push(Write { path, content, before: here, word: "added to", shortcut: None });
            }
            Restored::Beside(content) => match beside(&path, &content, &taken) {
                None => planned.same += 1,
                Some(path) => {
                    taken.insert(path.clone());
                    planned.writes.push(Write { path, content, before: None, word: "beside", shortcut: None });
                }
            },
        }
    }
    Ok(planned)
}

fn item_type(item: &CloudItem, path: &str) -> String {
    match item {
        CloudItem::File(file) if !file.media_type.is_empty() => file.media_type.clone(),
        _ => media_type(path).to_owned(),
    }
}

/// Plans an item that has no place on this device. Where its path says it was is never believed: only its name is.
fn elsewhere(
    application: &Application,
    item: &CloudItem,
    into: Option<&Path>,
    taken: &mut BTreeSet<String>,
    planned: &mut Planned,
) -> Result<()> {
    let name = item.name();
    let Some(into) = into else {
        planned.nowhere.push(name.chars().filter(|c| !c.is_control()).collect());
        return Ok(());
    };
    let safe = safe_name(&name, "item");
    let safe = if application.is_contacts() { format!("{safe}.vcf") } else { safe };
    let into = std::path::absolute(into).map_err(|error| Failure::file(into, "found", &error))?;
    let whole = into.join(application.as_str()).join(safe);
    let text = whole.to_str().ok_or_else(|| Failure::usage("--into is not plain UTF-8"))?;
    let free = |path: &str| !taken.contains(path) && read(path).is_ok_and(|here| here.is_none());
    // The same file of an earlier restore is this one.
    let there = read(text).ok().flatten().is_some_and(|here| here == item.data());
    if there && !taken.contains(text) {
        planned.same += 1;
        return Ok(());
    }
    let path = numbered(text, "", free);
    taken.insert(path.clone());
    let shortcut = Some(Shortcut::new(path.clone(), item_type(item, &path), item.data().len() as u64));
    planned.writes.push(Write { path, content: item.data().to_vec(), before: None, word: "new", shortcut });
    Ok(())
}

/// A free name beside a file; `None` if the same content is beside it already.
fn beside(path: &str, content: &[u8], taken: &BTreeSet<String>) -> Option<String> {
    let mut same = false;
    let free = |path: &str| match read(path) {
        Ok(None) => !taken.contains(path),
        Ok(Some(here)) => {
            same |= here == content;
            same
        }
        Err(_) => false,
    };
    let found = numbered(path, " (backup)", free);
    (!same).then_some(found)
}

/// The first free of `a.txt`, `a (2).txt`, …, or of `a (backup).txt`, `a (backup 2).txt`, ….
fn numbered(path: &str, mark: &str, mut free: impl FnMut(&str) -> bool) -> String {
    let start = path.rfind(['/', '\\']).map_or(0, |at| at + 1);
    let dot = path[start..].rfind('.').filter(|at| *at > 0).map_or(path.len(), |at| start + at);
    let (stem, ending) = path.split_at(dot);
    let mut number = 1_u64;
    loop {
        let name = match (number, mark.strip_suffix(')')) {
            (1, _) => format!("{stem}{mark}{ending}"),
            (_, Some(open)) => format!("{stem}{open} {number}){ending}"),
            (_, None) => format!("{stem} ({number}){ending}"),
        };
        if free(&name) {
            return name;
        }
        number += 1;
    }
}

type Written = Vec<(String, &'static str)>;

/// Keeps what is there, then writes. Gives back under what number it is kept, and what was written.
fn carry_out(
    place: &mut Place,
    application: &Application,
    planned: Planned,
    problems: &mut Vec<String>,
) -> Result<(Option<u64>, Written)> {
    if planned.writes.is_empty() {
        return Ok((None, Vec::new()));
    }
    let id = place.contents.next_kept();
    let mut kept = Kept::new(id, now(), application.clone());
    let folder = place.kept(id);
    fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, "made", &error))?;
    for Write { path, content, before, .. } in &planned.writes {
        let before_digest = before.as_ref().map(|before| digest(before));
        if let (Some(name), Some(before)) = (&before_digest, before) {
            let file = folder.join(name);
            write(&file, before).map_err(|error| Failure::file(&file, "written", &error))?;
        }
        kept.items.push(KeptItem { path: path.clone(), before: before_digest, after: digest(content) });
    }
    place.contents.kept.push(kept);
    place.save()?;
    let mut written = Vec::new();
    for Write { path, content, before, word, shortcut } in planned.writes {
        if read(&path).ok().flatten() != before {
            problems.push(format!("{application}: {path} was changed meanwhile and was left as it is"));
            continue;
        }
        let target = Path::new(&path);
        let made = target.parent().map_or(Ok(()), fs::create_dir_all);
        if let Err(error) = made.and_then(|()| write(target, &content)) {
            problems.push(format!("{application}: {path} cannot be written: {error}"));
            continue;
        }
        if let Some(shortcut) = shortcut {
            match place.contents.add(application, shortcut, &mut |_, _| false) {
                Ok(_) => {}
                Err(error) => problems.push(format!("{application}: {path} has no shortcut: {error}")),
            }
        }
        written.push((path, word));
    }
    place.save()?;
    Ok((Some(id), written))
}

/// What a restore kept, for people.
pub(super) fn kept_line(kept: &Kept) -> String {
    format!("{} {}: before a restore of {} ({} files)", kept.id, moment(kept.at), kept.application, kept.items.len())
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn names_are_numbered_before_their_ending() {
        for (path, mark, used, expected) in [
            ("/a/b.txt", "", 0, "/a/b.txt"),
            ("/a/b.txt", "", 1, "/a/b (2).txt"),
            ("/a.d/b", "", 1, "/a.d/b (2)"),
            ("/a/.b", " (backup)", 0, "/a/.b (backup)"),
            ("/a/b.txt", " (backup)", 0, "/a/b (backup).txt"),
            ("/a/b.txt", " (backup)", 2, "/a/b (backup 3).txt"),
        ] {
            let mut tried = 0;
            let found = numbered(path, mark, |_| {
                tried += 1;
                tried > used
            });
            assert_eq!(found, expected);
        }
    }
}
