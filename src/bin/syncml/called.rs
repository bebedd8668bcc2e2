//! A notification that asks this device to sync, and whether it does.

use crate::control::carrier;
use crate::database;
use crate::failure::{Exit, Failure, Result};
use crate::secret;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use syncml::message::AlertCode;
use syncml::notify::{KnownServer, Unsigned, accept_notification, parse};
use syncml::session::ClientBook;
use syncml::store::BookNo;

/// Sessions remembered that notifications asked for.
const REMEMBERED: usize = 64;

/// In a folder: the sessions that notifications asked for.
const SEEN: &str = ".syncml.called";

#[derive(Debug, clap::Args)]
pub(crate) struct CalledArgs {
    /// Sync as the notification in this file asks, if its server is the one that was set up; else not at all
    #[arg(long, value_name = "FILE", requires = "notifier_password_file")]
    notification: Option<PathBuf>,
    /// Wait for the notification as a datagram
    #[arg(long, value_name = "ADDR", requires = "notifier_password_file", conflicts_with = "notification")]
    notification_udp: Option<String>,
    /// The identifier of the server whose notifications count
    #[arg(long, value_name = "ID", default_value = "terminal")]
    notifier: String,
    /// Read the password with which that server proves itself from the first line of this file
    #[arg(long, value_name = "FILE")]
    notifier_password_file: Option<PathBuf>,
}

/// What a notification asks for.
pub(crate) struct Called {
    pub(crate) mode: AlertCode,
    pub(crate) session_id: Option<String>,
}

impl CalledArgs {
    /// Takes the notification, if there is to be one. One that is not acted upon is a failure.
    pub(crate) fn take(&self, dir: &Path, to: &str, book: BookNo, remote: &str) -> Result<Option<Called>> {
        let bytes = match (&self.notification, &self.notification_udp) {
            (Some(path), _) => carrier::read(path)?,
            (None, Some(address)) => carrier::receive(address, Duration::from_secs(3_600), |at| {
                crate::output::line(&format!("waiting on {at}"))
            })?,
            (None, None) => return Ok(None),
        };
        let notification = parse("", &bytes).map_err(|error| Failure::new(Exit::Protocol, error.to_string()))?;
        let password = self.notifier_password_file.as_deref().map(secret::first_line).transpose()?;
        let path = dir.join(SEEN);
        let seen: Vec<String> = fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect();
        let nonce = nonce(dir, to)?;
        let books = [ClientBook::new(book, "./book", remote)];
        let known = KnownServer {
            server_id: &self.notifier,
            password: password.as_ref(),
            nonce: &nonce,
            seen: &seen,
            unsigned: Unsigned::Refuse,
            books: &books,
        };
        let refused = |error: &dyn std::fmt::Display| Failure::new(Exit::Refused, format!("the notification: {error}"));
        let accepted = accept_notification(&notification, &known).map_err(|error| refused(&error))?;
        let mode = accepted.books.first().map(|book| book.mode).ok_or_else(|| refused(&"it asks for no book"))?;
        if let Some(id) = &accepted.session_id {
            let newest = seen.iter().skip((seen.len() + 1).saturating_sub(REMEMBERED)).chain([id]);
            let text: String = newest.map(|id| format!("{id}\n")).collect();
            fs::write(&path, text).map_err(|error| Failure::file(&path, "written", &error))?;
        }
        Ok(Some(Called { mode, session_id: accepted.session_id }))
    }
}

/// The nonce that this device gave the server last.
fn nonce(dir: &Path, to: &str) -> Result<Vec<u8>> {
    let state = dir.join(crate::folder::STATE);
    if !state.exists() {
        return Ok(Vec::new());
    }
    let store = database::open(&state)?;
    let mut found = None;
    for (_, account) in store.directory().accounts()? {
        store.look(account, &mut |tx| {
            found = tx.device(to)?.and_then(|row| row.nonce_out).or_else(|| found.take());
            Ok(())
        })?;
    }
    Ok(found.unwrap_or_default())
}
