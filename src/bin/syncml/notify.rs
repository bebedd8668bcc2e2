//! `syncml notify`: what asks a device to sync, written or pushed.

use crate::books;
use crate::control::carrier;
use crate::database::{self, DatabaseArgs};
use crate::failure::{Exit, Failure, Result};
use crate::progress::interrupted;
use crate::{secret, wire};
use clap::ValueEnum;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use syncml::codec::Encoding;
use syncml::message::{AlertCode, Version};
use syncml::notify::{Form, Initiator, Invitation, Invited, UiMode};
use syncml::store::{BookNo, DeviceRow};
use syncml::transport::Transport as _;
use syncml::transport::obex::{ObexOptions, ObexTransport, Object};
use uuid::Uuid;

/// How long a device that is pushed to may take for each step.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The device's id, as `syncml device list` shows it
    device: String,
    #[command(flatten)]
    db: DatabaseArgs,
    /// The account
    #[arg(long, value_name = "NAME")]
    user: String,
    /// A book to sync; may be given several times (else all that the device syncs)
    #[arg(long, value_name = "NAME")]
    book: Vec<String>,
    /// The sync wanted
    #[arg(long, value_enum, default_value_t = Mode::TwoWay)]
    mode: Mode,
    /// How the device should treat its user
    #[arg(long, value_enum, default_value_t = Ui::Unspecified)]
    ui: Ui,
    /// Write the binary notification of DS 1.2 (else whatever the device understands)
    #[arg(long, conflicts_with = "alert")]
    san: bool,
    /// Write a message of SyncML 1.1
    #[arg(long)]
    alert: bool,
    /// With --alert: how the message is written
    #[arg(long, value_enum, default_value_t = Written::Wbxml)]
    encoding: Written,
    #[command(flatten)]
    sender: SenderArgs,
    /// The session to be held (else a random one): another one each time, or the device takes it for a repetition
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    session: Option<u16>,
    /// Where to write it; - is standard output
    #[arg(short, long, value_name = "FILE", required_unless_present = "push")]
    out: Option<PathBuf>,
    /// Push it to the device: obex://HOST:PORT (OBEX PUT) or udp://HOST:PORT (one datagram)
    #[arg(long, value_name = "URL")]
    push: Option<Push>,
}

/// In whose name devices are notified.
#[derive(Debug, clap::Args)]
pub(crate) struct SenderArgs {
    /// The server's identifier, as it is set up in the device
    #[arg(long, value_name = "ID", default_value = "syncml")]
    server_id: String,
    /// The server's address, which a message carries
    #[arg(long, value_name = "URL", default_value = "/syncml")]
    server_uri: String,
    /// Sign with the password in the first line of this file, with which the server proves itself to the device
    #[arg(long, value_name = "FILE")]
    server_password_file: Option<PathBuf>,
}

/// Where a device takes notifications.
#[derive(Clone, Debug)]
pub(crate) enum Push {
    Obex(String),
    Udp(String),
}

impl FromStr for Push {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once("://") {
            Some(("obex", place)) if !place.is_empty() => Ok(Self::Obex(text.to_owned())),
            Some(("udp", place)) if !place.is_empty() => Ok(Self::Udp(place.to_owned())),
            _ => Err("it is obex://HOST:PORT or udp://HOST:PORT".to_owned()),
        }
    }
}

impl Push {
    pub(crate) fn send(&self, content_type: &str, body: &[u8]) -> Result<()> {
        match self {
            Self::Udp(address) => carrier::send(address, body),
            Self::Obex(uri) => {
                let mut options = ObexOptions::default();
                options.timeout = PATIENCE;
                options.connect_timeout = PATIENCE;
                options.cancel = interrupted();
                let object = Object { content_type: content_type.to_owned(), mac: None, body: body.to_vec() };
                let mut obex = ObexTransport::tcp(uri, options)?;
                obex.push(object)?;
                obex.close();
                Ok(())
            }
        }
    }
}

impl SenderArgs {
    /// A two-way sync of a book, asked for in whatever form the device understands.
    pub(crate) fn ask(&self, device: &DeviceRow, book: BookNo) -> Result<Invited> {
        let password = self.server_password_file.as_deref().map(secret::first_line).transpose()?;
        let invitation = Invitation {
            server_id: &self.server_id,
            server_uri: &self.server_uri,
            password: password.as_ref(),
            code: AlertCode::TWO_WAY_BY_SERVER,
            ui: UiMode::Background,
            initiator: Initiator::Server,
            session_id: session(),
            books: &[book],
        };
        invitation.write(device, Form::of(device)).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
    }
}

fn session() -> u16 {
    u16::from_be_bytes([Uuid::new_v4().as_bytes()[0], Uuid::new_v4().as_bytes()[0]]).max(1)
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// Changes of both sides.
    TwoWay,
    /// The device's changes only.
    OneWayFromClient,
    /// The server's book becomes the device's.
    RefreshFromClient,
    /// The server's changes only.
    OneWayFromServer,
    /// The device's book becomes the server's.
    RefreshFromServer,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ui {
    Unspecified,
    Background,
    Informative,
    Interactive,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Written {
    Xml,
    Wbxml,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut wanted =
        args.book.iter().map(|name| books::named(name).map(|kind| kind.book)).collect::<Result<Vec<_>>>()?;
    let store = args.db.open()?;
    let account = database::account(store.as_ref(), &args.user)?;
    let mut found = None;
    let mut synced = Vec::new();
    store.look(account, &mut |tx| {
        (found, synced) = (tx.device(&args.device)?, Vec::new());
        for book in tx.books()?.into_iter().map(|row| row.book) {
            if let Some(device) = &found
                && tx.pair(device.device, book)?.is_some()
            {
                synced.push(book);
            }
        }
        Ok(())
    })?;
    let device = found.ok_or_else(|| {
        let (device, user) = (&args.device, &args.user);
        Failure::usage(format!(
            "no device {device:?} has synced with {user}; `syncml device list` shows those that did"
        ))
    })?;
    let form = match (args.san, args.alert) {
        (true, _) => Form::San,
        (_, true) => match Form::of(&device) {
            Form::Alert(version, _) => Form::Alert(version, args.encoding.into()),
            Form::San => Form::Alert(Version::V11, args.encoding.into()),
        },
        _ => Form::of(&device),
    };
    if wanted.is_empty() {
        wanted = synced;
    }
    let password = args.sender.server_password_file.as_deref().map(secret::first_line).transpose()?;
    let invitation = Invitation {
        server_id: &args.sender.server_id,
        server_uri: &args.sender.server_uri,
        password: password.as_ref(),
        code: match args.mode {
            Mode::TwoWay => AlertCode::TWO_WAY_BY_SERVER,
            Mode::OneWayFromClient => AlertCode::ONE_WAY_FROM_CLIENT_BY_SERVER,
            Mode::RefreshFromClient => AlertCode::REFRESH_FROM_CLIENT_BY_SERVER,
            Mode::OneWayFromServer => AlertCode::ONE_WAY_FROM_SERVER_BY_SERVER,
            Mode::RefreshFromServer => AlertCode::REFRESH_FROM_SERVER_BY_SERVER,
        },
        ui: match args.ui {
            Ui::Unspecified => UiMode::Unspecified,
            Ui::Background => UiMode::Background,
            Ui::Informative => UiMode::Informative,
            Ui::Interactive => UiMode::Interactive,
        },
        initiator: Initiator::Server,
        session_id: args.session.unwrap_or_else(session),
        books: &wanted,
    };
    let invited = invitation.write(&device, form).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let to_screen = args.out.as_ref().is_some_and(|out| out.as_os_str() == "-");
    if let Some(out) = &args.out {
        wire::write((!to_screen).then_some(out.as_path()), &invited.body)?;
    }
    if let Some(push) = &args.push {
        push.send(invited.content_type, &invited.body)?;
    }
    if !to_screen {
        println!("{} bytes of {}, session {:X}", invited.body.len(), invited.content_type, invitation.session_id);
    }
    Ok(())
}

impl From<Written> for Encoding {
    fn from(written: Written) -> Self {
        match written {
            Written::Xml => Self::Xml,
            Written::Wbxml => Self::Wbxml,
        }
    }
}
