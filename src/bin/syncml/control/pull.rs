//! `syncml control pull`: a control terminal takes a device's cards straight from it (mission R4). The terminal is the server,
//! for one session; the device is alerted by package 0 and decides itself whether it knows this terminal.

use super::carrier::ToArgs;
use crate::books;
use crate::database;
use crate::failure::{Exit, Failure, Result};
use crate::folder::Folder;
use crate::output;
use crate::secret::{self, PasswordArgs};
use crate::serve::InProcess;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use syncml::auth::{Secret, Verifier};
use syncml::message::AlertCode;
use syncml::notify::{Form, Initiator, Invitation, UiMode};
use syncml::session::{Report, ServerConfig};
use syncml::store::replica::{ReplicaOptions, collect, deliver};
use syncml::store::{AccountNo, BookNo, DeviceRow, Store, Verdict};
use syncml::transport::http::now;
use uuid::Uuid;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder for the copy; what it agreed on with the device is kept in it, in a hidden file
    dir: PathBuf,
    /// The device's id
    #[arg(long, value_name = "ID")]
    device: String,
    /// The name with which the device logs in here
    #[arg(long, value_name = "NAME")]
    user: String,
    #[command(flatten)]
    password: PasswordArgs,
    /// The book: contacts, calendar, tasks, notes, bookmarks or files
    #[arg(long, default_value = "contacts")]
    book: String,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
    /// This terminal's identifier, as it is set up in the device
    #[arg(long, value_name = "ID", default_value = "terminal")]
    server_id: String,
    /// Sign the notification with the password in the first line of this file, with which this terminal proves itself
    #[arg(long, value_name = "FILE")]
    server_password_file: PathBuf,
    #[command(flatten)]
    notification: ToArgs,
    /// How long to wait for the device, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    wait: u64,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

/// The hidden database beside the copy.
const STATE: &str = ".syncml.pull.db";

pub(crate) fn run(args: &Args) -> Result<()> {
    let kind = books::named(&args.book)?;
    let (password, proof) = (args.password.read()?, secret::first_line(&args.server_password_file)?);
    let mut folder = Folder::open(&args.dir, kind)?;
    let store = database::open(&args.dir.join(STATE))?;
    let account = store.directory().put_login(&args.user, &Verifier::Password(password))?;
    let device = called(args, store.as_ref(), account)?;
    let options = ReplicaOptions::default();
    // What the terminal's user changed in the copy is an edit here; the device is only heard.
    collect(store.as_ref(), account, kind.book, &mut folder, &options, now())?;
    let (tell, reports) = mpsc::channel::<Report>();
    let tell = Mutex::new(tell);
    let on_report = move |report: &Report| {
        drop(tell.lock().unwrap_or_else(PoisonError::into_inner).send(report.clone()));
    };
    // The device that is called is known, and no other is taken, whatever it knows.
    let mut config = ServerConfig::default();
    config.max_devices = 1;
    let server = InProcess::start_at(Arc::clone(&store), config, &args.listen, Some(Arc::new(on_report)))?;
    if args.json {
        output::json(&serde_json::json!({ "listening": server.url() }));
    } else if !args.notification.to_screen() {
        println!("listening on {}", server.url());
    }
    args.notification.send(&notification(args, &device, kind.book, server.url(), &proof)?)?;
    let report = reports.recv_timeout(Duration::from_secs(args.wait)).map_err(|_| {
        Failure::new(Exit::Unreachable, format!("{} did not come within {} seconds", args.device, args.wait))
    })?;
    drop(server);
    let delivered = deliver(store.as_ref(), account, kind.book, &mut folder, &options, now())?;
    if args.json {
        output::json(&serde_json::json!({ "ok": report.clean, "report": report, "delivered": delivered }));
    } else {
        let (added, changed, deleted) = (delivered.added, delivered.changed, delivered.deleted);
        println!("{}: {added} added, {changed} changed, {deleted} deleted", args.dir.display());
    }
    if report.clean { Ok(()) } else { Err(Failure::told(Exit::Problems)) }
}

/// The device that is called. A folder is the copy of one.
fn called(args: &Args, store: &dyn Store, account: AccountNo) -> Result<DeviceRow> {
    let mut called = Err(String::new());
    store.step(account, &mut |tx| {
        called = match tx.devices()?.into_iter().find(|row| !row.is_local()) {
            Some(row) if row.device_id == args.device => Ok(row),
            Some(row) => Err(row.device_id),
            None => {
                let mut row = DeviceRow::new(&args.device, now());
                row.device = tx.put_device(&row)?;
                Ok(row)
            }
        };
        Ok(Verdict::Commit)
    })?;
    called
        .map_err(|other| Failure::usage(format!("{} is the copy of {other}: take another folder", args.dir.display())))
}

fn notification(args: &Args, device: &DeviceRow, book: BookNo, url: &str, proof: &Secret) -> Result<Vec<u8>> {
    let random = Uuid::new_v4();
    let invitation = Invitation {
        server_id: &args.server_id,
        server_uri: url,
        password: Some(proof),
        code: AlertCode::ONE_WAY_FROM_CLIENT_BY_SERVER,
        ui: UiMode::Informative,
        initiator: Initiator::User,
        session_id: u16::from_be_bytes([random.as_bytes()[0], random.as_bytes()[1]]).max(1),
        books: &[book],
    };
    let invited = invitation.write(device, Form::of(device));
    Ok(invited.map_err(|error| Failure::usage(error.to_string()))?.body)
}
