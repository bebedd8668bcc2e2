//! `syncml box history`, `purge` and `undo`: what was uploaded, and what was here before restores (missions C5 and C6).

use super::place::{Place, digest, read, write};
use super::restore::kept_line;
use super::shortcuts::finish;
use crate::failure::{Exit, Failure, Result};
use crate::output::{self, Table, moment};
use std::fs;
use std::path::{Path, PathBuf};
use syncml::service::boxes::{Retention, Undo, expired, undo as decide};
use syncml::transport::http::now;

#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// The box
    #[arg(value_name = "BOX")]
    dir: PathBuf,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("keep").required(true).multiple(true))]
pub(crate) struct PurgeArgs {
    /// The box
    #[arg(value_name = "BOX")]
    dir: PathBuf,
    /// Keep what is not older than so many days
    #[arg(long, value_name = "N", group = "keep")]
    keep_days: Option<u32>,
    /// Keep the last so many, of uploads and of restores
    #[arg(long, value_name = "N", group = "keep")]
    keep_last: Option<u32>,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UndoArgs {
    /// The box
    #[arg(value_name = "BOX")]
    dir: PathBuf,
    /// The number of the restore, as `syncml box history` shows it
    id: u64,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn history(args: &HistoryArgs) -> Result<()> {
    let place = Place::open(&args.dir)?;
    let contents = &place.contents;
    if args.json {
        let runs = contents.runs.iter().map(|run| {
            serde_json::json!({
                "at": moment(run.at), "application": run.application, "added": run.added, "changed": run.changed,
                "skipped": run.skipped, "error": run.error,
            })
        });
        let kept = contents.kept.iter().map(|kept| {
            let files: Vec<_> = kept.items.iter().map(|item| &item.path).collect();
            serde_json::json!({
                "id": kept.id, "at": moment(kept.at), "application": kept.application, "files": files,
            })
        });
        output::json(&serde_json::json!({
            "uploads": runs.collect::<Vec<_>>(), "kept": kept.collect::<Vec<_>>(), "retention": contents.retention,
        }));
        return Ok(());
    }
    let mut table = Table::new(&["uploaded", "application", "added", "updated", "skipped", "error"]);
    for run in &contents.runs {
        let counts = [run.added, run.changed, run.skipped].map(|count| count.to_string());
        let start = [moment(run.at), run.application.to_string()];
        table.row(start.into_iter().chain(counts).chain([run.error.clone().unwrap_or_default()]));
    }
    table.print();
    contents.kept.iter().for_each(|kept| println!("{}", kept_line(kept)));
    Ok(())
}

/// Removes what need not be kept; gives back how many restores and uploads that were.
fn remove(place: &mut Place, keep: Retention) -> Result<(usize, usize)> {
    let gone = expired(&place.contents, keep, now());
    if gone.kept.is_empty() && gone.runs == 0 {
        return Ok((0, 0));
    }
    place.contents.runs.drain(..gone.runs);
    place.forget(&gone.kept)?;
    Ok((gone.kept.len(), gone.runs))
}

/// What `syncml box run --keep-days` asked for.
pub(crate) fn purge_as_agreed(place: &mut Place) -> Result<()> {
    let keep = place.contents.retention;
    remove(place, keep).map(drop)
}

pub(crate) fn purge(args: &PurgeArgs) -> Result<()> {
    let mut place = Place::open(&args.dir)?;
    let (kept, runs) = remove(&mut place, Retention { days: args.keep_days, last: args.keep_last })?;
    if args.json {
        output::json(&serde_json::json!({ "ok": true, "restores": kept, "uploads": runs }));
    } else {
        println!("forgotten: {runs} uploads, and what was here before {kept} restores");
    }
    Ok(())
}

/// Puts back what was there before a restore. What somebody changed since stays.
pub(crate) fn undo(args: &UndoArgs) -> Result<()> {
    let mut place = Place::open(&args.dir)?;
    let kept = place.contents.kept.iter().find(|kept| kept.id == args.id).cloned();
    let kept = kept.ok_or_else(|| Failure::usage(format!("there is no restore {} to undo", args.id)))?;
    let folder = place.kept(kept.id);
    let (mut done, mut problems) = (Vec::new(), Vec::new());
    for item in &kept.items {
        let path = Path::new(&item.path);
        let here = match read(&item.path) {
            Ok(here) => here.map(|content| digest(&content)),
            Err(reason) => {
                problems.push(format!("{}: {reason}", item.path));
                continue;
            }
        };
        let acted = match (decide(item, here.as_deref()), &item.before) {
            (Undo::Write, Some(name)) => {
                let before = folder.join(name);
                let content = fs::read(&before).map_err(|error| Failure::file(&before, "read", &error))?;
                if digest(&content) != *name {
                    return Err(Failure::new(Exit::File, format!("{} is damaged", before.display())));
                }
                write(path, &content)
            }
            (Undo::Remove, _) => fs::remove_file(path),
            (Undo::Changed, _) => {
                problems.push(format!("{} was changed since, and stays", item.path));
                continue;
            }
            _ => continue,
        };
        match acted {
            Ok(()) => done.push(item.path.clone()),
            Err(error) => problems.push(format!("{} cannot be written: {error}", item.path)),
        }
    }
    // What was kept goes only once there is nothing of it to put back.
    if problems.is_empty() {
        place.forget(&[kept.id])?;
    }
    if !args.json {
        done.iter().for_each(|path| println!("as before: {path}"));
    }
    finish(args.json, serde_json::json!({ "undone": done }), &problems)
}
