//! `syncml box add`, `list` and `remove`.

use super::place::{Place, kind, read};
use crate::cards;
use crate::failure::{Exit, Failure, Result};
use crate::output::{self, Table, bytes, moment};
use std::io::{IsTerminal as _, Write as _, stderr, stdin};
use std::path::{Path, PathBuf};
use std::{fs, path};
use syncml::service::book::DeviceIdentity;
use syncml::service::boxes::{Added, Application, BoxId, Mode, Shortcut, media_type, plan};
use syncml::transport::http::now;

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// The box: a folder that only it uses; made if it is not there
    #[arg(value_name = "BOX")]
    dir: PathBuf,
    /// The files; of a folder, all files in it
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The application: contacts, messages, bookmarks, documents, media, programs or another (else by the file's ending)
    #[arg(long, value_name = "NAME")]
    app: Option<Application>,
    /// The type of the data (else by the file's ending)
    #[arg(long = "type", value_name = "MEDIA/TYPE")]
    media_type: Option<String>,
    /// They are of those that `--mode chosen` uploads by itself
    #[arg(long)]
    auto: bool,
    /// Update shortcuts that are there already, without asking
    #[arg(long, conflicts_with = "keep")]
    update: bool,
    /// Leave shortcuts that are there already, without asking
    #[arg(long)]
    keep: bool,
    /// The device that the box is in, for a new box: imei:… (or imeisv:…), imsi:…, number:+…, wlan:… or bluetooth:…
    #[arg(long, value_name = "KIND:ID")]
    device: Option<DeviceIdentity>,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// The box
    #[arg(value_name = "BOX")]
    dir: PathBuf,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// The box
    #[arg(value_name = "BOX")]
    dir: PathBuf,
    /// The files, which may be gone
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Only of this application
    #[arg(long, value_name = "NAME")]
    app: Option<Application>,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a shortcut's path is, as the box has it.
pub(crate) fn known_as(path: &Path) -> Result<String> {
    let whole = fs::canonicalize(path).or_else(|_| path::absolute(path));
    let whole = whole.map_err(|error| Failure::file(path, "found", &error))?;
    let text = whole.to_str().map(str::to_owned);
    text.ok_or_else(|| Failure::new(Exit::File, format!("{} is not plain UTF-8; rename it", path.display())))
}

/// The files that are meant.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).map_err(|error| Failure::file(path, "read", &error))?;
        let hidden = |path: &Path| path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        inside.retain(|path| path.is_file() && !hidden(path));
        inside.sort();
        found.extend(inside);
    }
    Ok(found)
}

/// What was decided of a shortcut that is there already.
struct Asked {
    update: bool,
    /// Nobody was there to ask.
    open: bool,
}

fn ask(args: &AddArgs, old: &Shortcut, new: &Shortcut) -> Asked {
    let silent = |update| Asked { update, open: false };
    if args.update || args.keep {
        return silent(args.update);
    }
    if args.json || !stdin().is_terminal() {
        return Asked { update: false, open: true };
    }
    eprint!("{} is in the box ({}; now {}). Update it? [y/N] ", old.path, bytes(old.size), bytes(new.size));
    drop(stderr().flush());
    let mut answer = String::new();
    let read = stdin().read_line(&mut answer).is_ok();
    silent(read && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// Adds all that can be added; says what cannot.
pub(crate) fn add(args: &AddArgs) -> Result<()> {
    let files = files(&args.paths)?;
    let mut place = Place::create(&args.dir, args.device.as_ref())?;
    let (mut shown, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        let done = add_one(args, &mut place, &file);
        let (path, application, done) = match done {
            Ok(done) => done,
            Err(failure) => {
                problems.push(format!("{}: {failure}", file.display()));
                continue;
            }
        };
        let (added, open) = done;
        if open {
            problems.push(format!("{path} is in the box already; say --update or --keep"));
        }
        if args.json {
            shown.push(serde_json::json!({
                "path": path, "application": application, "done": added, "undecided": open,
            }));
        } else if !open {
            let word = match added {
                Added::Folder => "added, with a folder",
                Added::Shortcut => "added",
                Added::Updated => "updated",
                Added::Kept => "left as it was",
            };
            println!("{application}: {path} {word}");
        }
    }
    place.save()?;
    finish(args.json, serde_json::json!({ "items": shown }), &problems)
}

/// Says what went wrong, if anything did, and ends with the exit code for it.
pub(crate) fn finish(json: bool, mut told: serde_json::Value, problems: &[String]) -> Result<()> {
    if json {
        told["ok"] = problems.is_empty().into();
        told["problems"] = problems.into();
        output::json(&told);
    } else {
        problems.iter().for_each(|problem| eprintln!("syncml: {problem}"));
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::told(Exit::Problems)) }
}

type AddedOne = (String, Application, (Added, bool));

fn add_one(args: &AddArgs, place: &mut Place, file: &Path) -> Result<AddedOne> {
    let path = known_as(file)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let application = args.app.clone().unwrap_or_else(|| Application::of_file(&name));
    let unusable = |reason: String| Failure::new(Exit::File, reason);
    let content = read(&path).map_err(unusable)?.ok_or_else(|| unusable("there is no such file".to_owned()))?;
    if application.is_contacts() {
        cards::check(kind(&application)?, &content).map_err(unusable)?;
    }
    let of_type = args.media_type.as_deref().unwrap_or_else(|| media_type(&name));
    let shortcut = Shortcut::new(path.clone(), of_type, content.len() as u64).chosen(args.auto);
    let mut open = false;
    let added = place.contents.add(&application, shortcut, &mut |old, new| {
        let asked = ask(args, old, new);
        open = asked.open;
        asked.update
    })?;
    Ok((path, application, (added, open)))
}

pub(crate) fn list(args: &ListArgs) -> Result<()> {
    let place = Place::open(&args.dir)?;
    let (contents, device, now) = (&place.contents, place.device()?, now());
    let plan = plan(contents, now);
    let mode = contents.schedule.mode;
    if args.json {
        let folders = contents.folders.iter().map(|(application, folder)| {
            let shortcuts = folder.shortcuts.values().map(|it| {
                serde_json::json!({
                    "path": it.path, "name": it.name, "type": it.media_type, "size": it.size, "auto": it.chosen,
                    "uploaded": it.upload.done.map(moment), "failures": it.upload.failures,
                })
            });
            serde_json::json!({
                "application": application, "book": BoxId::new(&device, application).title(),
                "shortcuts": shortcuts.collect::<Vec<_>>(), "left": folder.left.len(),
            })
        });
        output::json(&serde_json::json!({
            "device": contents.device, "mode": mode, "every": contents.schedule.every, "due": plan.due,
            "folders": folders.collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    let mut table = Table::new(&["application", "path", "type", "size", "auto", "uploaded"]);
    for (application, it) in contents.shortcuts() {
        let auto = match mode {
            Mode::All => "all",
            _ if it.chosen => "yes",
            _ => "no",
        };
        let uploaded = it.upload.done.map_or_else(|| "-".to_owned(), moment);
        let cells = [it.path.clone(), it.media_type.clone(), bytes(it.size), auto.to_owned(), uploaded];
        table.row(std::iter::once(application.to_string()).chain(cells));
    }
    table.print();
    println!("{} due now", plan.due.len());
    Ok(())
}

/// Takes out all or, if one is not there, nothing.
pub(crate) fn remove(args: &RemoveArgs) -> Result<()> {
    let mut place = Place::open(&args.dir)?;
    let mut removed = 0;
    for path in &args.paths {
        removed += place.contents.remove(args.app.as_ref(), &known_as(path)?)?;
    }
    place.save()?;
    if args.json {
        output::json(&serde_json::json!({ "ok": true, "removed": removed }));
    } else {
        println!("{removed} shortcuts removed; the files and their backups stay");
    }
    Ok(())
}
