//! How commands that sync reach a server, and prove who they are.

use crate::control::Station;
use crate::failure::{Failure, Result};
use crate::network::{self, NetworkArgs};
use crate::progress;
use crate::secret::{self, PasswordArgs, server_identity};
use crate::trace::Trace;
use clap::ValueEnum;
use std::path::PathBuf;
use std::sync::Arc;
use syncml::codec::Encoding;
use syncml::message::Version;
use syncml::session::{Credentials, ServerIdentity};
use syncml::transport::http::client;

#[derive(Debug, clap::Args)]
pub(crate) struct LinkArgs {
    /// The server's address: http://, https://, tcp:// or obex:// with host and port, or dropbox:FOLDER
    #[arg(long, value_name = "URL")]
    to: String,
    /// Another address of the same server, to go on at when that one fails; may be said again
    #[arg(long = "or", value_name = "URL")]
    others: Vec<String>,
    /// The account
    #[arg(long, value_name = "NAME")]
    user: String,
    #[command(flatten)]
    password: PasswordArgs,
    /// How messages are written
    #[arg(long, value_enum, default_value_t = Written::Xml)]
    encoding: Written,
    /// The protocol's version
    #[arg(long, value_enum, default_value_t = Proto::V12)]
    proto: Proto,
    /// How to log in: with a password (md5, mac, basic) or a platform's device id and shared secret (device)
    #[arg(long, value_enum, default_value_t = Auth::Md5)]
    auth: Auth,
    /// With --auth device: read the shared secret from the first line of this file
    #[arg(long, value_name = "FILE", required_if_eq("auth", "device"))]
    secret_file: Option<PathBuf>,
    /// The name under which the server has to prove itself; goes with --server-secret-file
    #[arg(long, value_name = "NAME", requires = "server_secret_file")]
    server_name: Option<String>,
    /// Read the server's secret, agreed with it, from the first line of this file
    #[arg(long, value_name = "FILE", requires = "server_name")]
    server_secret_file: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    /// The largest message to take, in bytes
    #[arg(long, value_name = "N", default_value_t = 150_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    max_msg_size: u64,
    /// Take orders of this device's owner: the file that `syncml control join` made
    #[arg(long, value_name = "FILE")]
    control: Option<PathBuf>,
    /// Write every message to a file in this folder (they hold cards and digests of credentials)
    #[arg(long, value_name = "DIR")]
    trace: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Written {
    Xml,
    Wbxml,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Proto {
    #[value(name = "1.0")]
    V10,
    #[value(name = "1.1")]
    V11,
    #[value(name = "1.2")]
    V12,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Auth {
    Md5,
    Mac,
    Basic,
    Device,
}

/// The same, with all that was to be read.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) to: String,
    /// Other addresses of the same server.
    pub(crate) others: Vec<String>,
    pub(crate) encoding: Encoding,
    pub(crate) version: Version,
    pub(crate) credentials: Credentials,
    /// Who takes orders of the device's owner.
    pub(crate) control: Option<Arc<Station>>,
    pub(crate) server: Option<ServerIdentity>,
    pub(crate) http: client::Options,
}

impl LinkArgs {
    pub(crate) fn open(&self) -> Result<Link> {
        let mut http = self.network.options(&self.to, progress::interrupted())?;
        http.max_msg_size = self.max_msg_size;
        let link = Link {
            to: self.to.clone(),
            others: self.others.clone(),
            encoding: match self.encoding {
                Written::Xml => Encoding::Xml,
                Written::Wbxml => Encoding::Wbxml,
            },
            version: match self.proto {
                Proto::V10 => Version::V10,
                Proto::V11 => Version::V11,
                Proto::V12 => Version::V12,
            },
            credentials: self.credentials()?,
            control: self.control.as_deref().map(Station::open).transpose()?,
            server: server_identity(self.server_name.as_deref(), self.server_secret_file.as_deref())?,
            http,
        };
        if matches!(self.auth, Auth::Basic | Auth::Device) {
            std::iter::once(&self.to).chain(&self.others).for_each(|uri| network::warn_in_the_open(uri));
        }
        Ok(link)
    }

    /// Where messages are to be written, if they are.
    pub(crate) fn trace(&self) -> Result<Option<Trace>> {
        self.trace.as_deref().map(Trace::into).transpose()
    }

    fn credentials(&self) -> Result<Credentials> {
        let user = || self.user.clone();
        Ok(match self.auth {
            Auth::Md5 => Credentials::Md5 { user: user(), password: self.password.read()? },
            Auth::Mac => Credentials::Mac { user: user(), password: self.password.read()? },
            Auth::Basic => Credentials::Basic { user: user(), password: self.password.read()? },
            Auth::Device => match &self.secret_file {
                Some(path) => Credentials::Device { account: user(), secret: secret::first_line(path)? },
                None => return Err(Failure::usage("--auth device needs --secret-file")),
            },
        })
    }
}
