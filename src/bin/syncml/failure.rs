//! What can go wrong, and with which exit code.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use syncml::session::ClientError;
use syncml::store::StoreError;
use syncml::store::history::HistoryError;
use syncml::store::replica::ReplicaError;
use syncml::transport::http::client::HttpError;
use syncml::transport::{RunError, TransportError};

/// The table shown by `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  all went well
    1  it ended with problems, which were reported: items refused, cards skipped, a sync that has to continue
    2  the command line is wrong
    3  the server cannot be reached in the given time, or does not speak SyncML there
    4  the server refused the credentials
    5  there is no such book
    6  a database is damaged, busy, full, missing or of a newer release
    7  a file or folder cannot be read or written
    8  the server's answer cannot be understood, or it ended the session
    9  stopped, because cards would go that nobody said may go
   10  data overflow: what is to be restored does not fit, and nothing was written
  130  interrupted; what was done so far stays done, and the next sync continues

Secrets are read from files, the environment variable SYNCML_PASSWORD or a prompt, never from arguments.";

/// What a command gives back.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The kinds of failure, numbered as the program exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Problems = 1,
    Usage = 2,
    Unreachable = 3,
    Refused = 4,
    UnknownBook = 5,
    Database = 6,
    File = 7,
    Protocol = 8,
    MassDelete = 9,
    Overflow = 10,
    Interrupted = 130,
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    text: String,
    /// Whether what happened was already reported in full.
    told: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), told: false }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    /// A failure whose report is already on the screen.
    pub(crate) const fn told(exit: Exit) -> Self {
        Self { exit, text: String::new(), told: true }
    }

    /// A file or folder that cannot be used.
    pub(crate) fn file(path: &Path, what: &str, error: &io::Error) -> Self {
        Self::new(Exit::File, format!("{} cannot be {what}: {error}", path.display()))
    }

    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }

    /// Says what went wrong: a sentence for people, and on request an object for machines.
    pub(crate) fn tell(&self, json: bool) {
        if self.told {
            return;
        }
        eprintln!("syncml: {}", self.text);
        if json {
            println!("{}", serde_json::json!({ "ok": false, "exit": self.exit as u8, "error": self.text }));
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(_) => Self::usage(error.to_string()),
            _ => Self::new(Exit::Database, error.to_string()),
        }
    }
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Store(error) => error.into(),
            _ => Self::usage(error.to_string()),
        }
    }
}

impl From<ReplicaError> for Failure {
    fn from(error: ReplicaError) -> Self {
        match error {
            ReplicaError::Store(error) => error.into(),
            ReplicaError::MassDelete { .. } => Self::new(
                Exit::MassDelete,
                format!("{error}. If they shall be deleted on the server too, say --allow-mass-delete"),
            ),
            _ => Self::new(Exit::File, error.to_string()),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match error {
            ClientError::Refused(_) => Exit::Refused,
            ClientError::UnknownBook { .. } => Exit::UnknownBook,
            ClientError::Filter(_) => Exit::Usage,
            ClientError::Store(error) => return error.into(),
            _ => Exit::Protocol,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        let exit = match error {
            HttpError::Invalid(_) => Exit::Usage,
            HttpError::Cancelled => Exit::Interrupted,
            _ => Exit::Unreachable,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        let exit = match error {
            TransportError::Http(error) => return error.into(),
            TransportError::Invalid(_) => Exit::Usage,
            TransportError::File { .. } => Exit::File,
            TransportError::Cancelled => Exit::Interrupted,
            _ => Exit::Unreachable,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Transport(error) => error.into(),
            RunError::Client(error) => error.into(),
            _ => Self::new(Exit::Interrupted, error.to_string()),
        }
    }
}
