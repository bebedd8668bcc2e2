//! The device's side.

use super::carrier;
use super::station::{Contents, Station, real, resume as go_on, write_private};
use crate::failure::{Exit, Failure, Result};
use crate::job::visit as look_in;
use crate::link::LinkArgs;
use crate::output;
use crate::progress::Progress;
use crate::secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use syncml::service::control::{Agent, DeviceKey};
use syncml::transport::http::now;

#[derive(Debug, clap::Args)]
pub(crate) struct JoinArgs {
    /// The file to make: the device's, for `--control` of the commands that sync
    file: PathBuf,
    /// The key that `syncml control enrol` wrote
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// A folder that an order clears; may be given several times
    #[arg(long, value_name = "DIR")]
    clear: Vec<PathBuf>,
    /// A folder or box that an order stops; may be given several times. What is cleared is stopped, too
    #[arg(long, value_name = "DIR")]
    stop: Vec<PathBuf>,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VisitArgs {
    #[command(flatten)]
    link: LinkArgs,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TakeArgs {
    /// The device's file
    file: PathBuf,
    /// Take the order from this file
    #[arg(long, value_name = "FILE", conflicts_with = "udp", required_unless_present = "udp")]
    from: Option<PathBuf>,
    /// Wait for a datagram with the order
    #[arg(long, value_name = "ADDR")]
    udp: Option<String>,
    /// How long to wait for it, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    wait: u64,
    /// Write what is to be carried back to the server into this file
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The device's file
    file: PathBuf,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    /// The device's file
    file: PathBuf,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn join(args: &JoinArgs) -> Result<()> {
    let key = DeviceKey::parse(secret::first_line(&args.key_file)?.expose());
    let key = key.map_err(|error| Failure::usage(format!("{}: {error}", args.key_file.display())))?;
    if let Some(dir) = args.clear.iter().chain(&args.stop).find(|dir| !dir.is_dir()) {
        return Err(Failure::new(Exit::File, format!("there is no folder {}", dir.display())));
    }
    let clear: Vec<PathBuf> = args.clear.iter().map(|dir| real(dir)).collect();
    let mut stop = clear.clone();
    stop.extend(args.stop.iter().map(|dir| real(dir)));
    stop.sort();
    stop.dedup();
    Station::create(&args.file, Contents { agent: Agent::new(&key), clear, stop, confirmed: BTreeMap::new() })?;
    if args.json {
        output::json(&serde_json::json!({ "ok": true, "device": key.device_id() }));
    } else {
        println!("{} takes orders now; say --control {} when you sync", key.device_id(), args.file.display());
    }
    Ok(())
}

pub(crate) fn visit(args: &VisitArgs) -> Result<()> {
    let link = args.link.open()?;
    let station = link.control.clone().ok_or_else(|| Failure::usage("say --control FILE: the device's file"))?;
    let mut progress = Progress::new(args.json, args.link.trace()?);
    look_in(&link, &mut progress)?;
    progress.end();
    show_contents(&station, args.json);
    Ok(())
}

pub(crate) fn take(args: &TakeArgs) -> Result<()> {
    let station = Station::open(&args.file)?;
    let bytes = match (&args.from, &args.udp) {
        (Some(path), _) => carrier::read(path)?,
        (None, Some(address)) => carrier::receive(address, Duration::from_secs(args.wait), |at| {
            if args.json {
                output::json(&serde_json::json!({ "listening": at }));
            } else {
                println!("listening on {at}");
            }
        })?,
        (None, None) => return Err(Failure::usage("say --from or --udp")),
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut refused = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        refused = refused.or(station.take(line, None, now())?.err());
    }
    station.execute(now())?;
    if let Some(path) = &args.receipt {
        let lines: String = station.contents().agent.receipts().iter().map(|line| format!("{line}\n")).collect();
        write_private(path, lines.as_bytes())?;
    }
    show_contents(&station, args.json);
    match refused {
        Some(_) if args.json => Err(Failure::told(Exit::Refused)),
        Some(refusal) => Err(Failure::new(Exit::Refused, format!("the order was not taken: {refusal}"))),
        None => Ok(()),
    }
}

pub(crate) fn show(args: &ShowArgs) -> Result<()> {
    show_contents(&*Station::open(&args.file)?, args.json);
    Ok(())
}

pub(crate) fn resume(args: &ResumeArgs) -> Result<()> {
    let station = Station::open(&args.file)?;
    let resumed = go_on(&station.contents().stop)?;
    if args.json {
        output::json(&serde_json::json!({ "ok": true, "resumed": resumed }));
    } else {
        println!("{resumed} go on");
    }
    Ok(())
}

/// Says what was ordered; never the key.
fn show_contents(station: &Station, json: bool) {
    let contents = station.contents();
    let jobs: Vec<_> = contents
        .agent
        .jobs()
        .iter()
        .map(|job| serde_json::json!({ "order": job.number, "task": job.task, "forced": job.forced, "state": job.state }))
        .collect();
    if json {
        output::json(&serde_json::json!({ "ok": true, "orders": jobs, "refused": station.refusals() }));
        return;
    }
    for job in contents.agent.jobs() {
        println!("order {}: {}, {:?}", job.number, job.task.name(), job.state);
    }
    station.refusals().iter().for_each(|refusal| eprintln!("an order was not taken: {refusal}"));
}
