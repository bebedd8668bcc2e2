//! `syncml poll`: has anything changed at the server?

use crate::database;
use crate::failure::{Failure, Result};
use crate::folder::STATE;
use crate::network::{self, NetworkArgs};
use crate::output::{self, Table};
use crate::progress;
use crate::secret::{self, PasswordArgs, server_identity};
use clap::ValueEnum;
use std::path::PathBuf;
use syncml::codec::Encoding;
use syncml::message::Version;
use syncml::session::{Credentials, Patience, Poll, PollConfig};
use syncml::transport::http::client::{self, HttpClient};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder that is kept in step, whose device id is asked for
    #[arg(required_unless_present = "device_id")]
    dir: Option<PathBuf>,
    /// The server's address
    #[arg(long, value_name = "URL")]
    to: String,
    /// The account
    #[arg(long, value_name = "NAME", required_unless_present = "all", default_value = "", hide_default_value = true)]
    user: String,
    /// All accounts that a platform was granted; needs --auth device
    #[arg(long, conflicts_with = "user")]
    all: bool,
    /// The device id under which the books are synced
    #[arg(long, value_name = "ID", conflicts_with = "dir")]
    device_id: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
    /// How to log in: with a password (md5, mac, basic) or a platform's device id and shared secret (device)
    #[arg(long, value_enum, default_value_t = Auth::Md5)]
    auth: Auth,
    /// With --auth device: read the shared secret from the first line of this file
    #[arg(long, value_name = "FILE", required_if_eq("auth", "device"))]
    secret_file: Option<PathBuf>,
    /// The name under which the server has to prove itself; goes with --server-secret-file and --auth mac
    #[arg(long, value_name = "NAME", requires = "server_secret_file")]
    server_name: Option<String>,
    /// Read the server's secret, agreed with it, from the first line of this file
    #[arg(long, value_name = "FILE", requires = "server_name")]
    server_secret_file: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Auth {
    Md5,
    Mac,
    Basic,
    Device,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.all && args.auth != Auth::Device {
        return Err(Failure::usage("--all is for platforms: use --auth device and --secret-file"));
    }
    let user = args.user.clone();
    let credentials = match (args.auth, &args.secret_file) {
        (Auth::Md5, _) => Credentials::Md5 { user, password: args.password.read()? },
        (Auth::Mac, _) => Credentials::Mac { user, password: args.password.read()? },
        (Auth::Basic, _) => Credentials::Basic { user, password: args.password.read()? },
        (Auth::Device, Some(path)) => Credentials::Device { account: user, secret: secret::first_line(path)? },
        (Auth::Device, None) => return Err(Failure::usage("--auth device needs --secret-file")),
    };
    if matches!(args.auth, Auth::Basic | Auth::Device) {
        network::warn_in_the_open(&args.to);
    }
    let options = args.network.options(&args.to, progress::interrupted())?;
    let mut poll = Poll::new(PollConfig {
        server_uri: args.to.clone(),
        device_id: device_id(args)?,
        credentials,
        server: server_identity(args.server_name.as_deref(), args.server_secret_file.as_deref())?,
        patience: Patience::default(),
        all: args.all,
        nonce: None,
        encoding: Encoding::Xml,
        version: Version::V12,
        max_msg_size: options.max_msg_size,
    })?;
    let http = HttpClient::new(options)?;
    client::ask(&mut poll, &http)?;
    if args.json {
        let changed = poll.news().iter().any(|news| news.changed);
        output::json(&serde_json::json!({ "ok": true, "changed": changed, "books": poll.news() }));
        return Ok(());
    }
    let mut table = Table::new(if args.all { &["account", "book"] } else { &["book", "news"] });
    for news in poll.news() {
        let (book, news_of) = (news.book.clone(), if news.changed { "yes" } else { "no" }.to_owned());
        table.row(match &news.account {
            Some(account) => [account.clone(), book],
            None => [book, news_of],
        });
    }
    table.print();
    Ok(())
}

/// The id given, or that of the folder, which its database keeps.
fn device_id(args: &Args) -> Result<String> {
    let Some(dir) = &args.dir else { return Ok(args.device_id.clone().unwrap_or_default()) };
    let path = dir.join(STATE);
    let never = || Failure::usage(format!("{} was never synced; `syncml sync` does it", dir.display()));
    if !path.exists() {
        return Err(never());
    }
    let names = database::open(&path)?.directory().accounts()?;
    names.into_iter().next().map(|(name, _)| name).ok_or_else(never)
}
