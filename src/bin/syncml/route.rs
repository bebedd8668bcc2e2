//! The ways to a server: what its address names, and others that may be tried.

use crate::failure::{Failure, Result};
use crate::link::Link;
use std::sync::Arc;
use syncml::session::Client;
use syncml::transport::dropbox::{DropOptions, DropTransport, Folder};
use syncml::transport::http::client::{HttpClient, HttpTransport};
use syncml::transport::obex::{ObexOptions, ObexTransport};
use syncml::transport::tcp::{TcpOptions, TcpTransport};
use syncml::transport::{Choice, Conduct, RunError, Transport, Watch, run};

/// How a drop box is called on the command line.
const DROPBOX: &str = "dropbox:";

/// What carries a session.
pub(crate) struct Route {
    transport: Box<dyn Transport>,
    conduct: Conduct,
}

impl Route {
    /// By the link's address; by others of the same server where it has some.
    pub(crate) fn open(link: &Link) -> Result<Self> {
        let first = transport(link, &link.to)?;
        let transport = match &link.others[..] {
            [] => first,
            others => {
                let others = others.iter().map(|uri| transport(link, uri)).collect::<Result<Vec<_>>>()?;
                Box::new(Choice::new(std::iter::once(first).chain(others).collect()))
            }
        };
        Ok(Self { transport, conduct: link.http.conduct() })
    }

    /// Drives a session to its end.
    pub(crate) fn run(&mut self, session: &mut Client, watch: &mut dyn Watch) -> std::result::Result<(), RunError> {
        run(session, self.transport.as_mut(), &self.conduct, watch)
    }
}

fn transport(link: &Link, uri: &str) -> Result<Box<dyn Transport>> {
    let http = &link.http;
    let scheme = uri.split(':').next().unwrap_or_default().to_ascii_lowercase();
    Ok(match scheme.as_str() {
        "tcp" => {
            let mut options = TcpOptions::default();
            (options.connect_timeout, options.timeout) = (http.connect_timeout, http.timeout);
            (options.max_msg_size, options.cancel) = (http.max_msg_size, http.cancel.clone());
            Box::new(TcpTransport::new(uri, options)?)
        }
        "obex" => {
            let mut options = ObexOptions::default();
            (options.connect_timeout, options.timeout) = (http.connect_timeout, http.timeout);
            (options.max_msg_size, options.cancel) = (http.max_msg_size, http.cancel.clone());
            Box::new(ObexTransport::tcp(uri, options)?)
        }
        "dropbox" => {
            let mut options = DropOptions::default();
            // An answer takes as long as its carrier does: only the whole has an end.
            options.timeout = http.deadline.unwrap_or(options.timeout);
            (options.max_msg_size, options.cancel) = (http.max_msg_size, http.cancel.clone());
            let path = std::path::Path::new(&uri[DROPBOX.len()..]);
            if path.as_os_str().is_empty() {
                return Err(Failure::usage(format!("{uri:?} names no folder: say {DROPBOX}FOLDER")));
            }
            let folder = Folder::existing(path).map_err(|error| Failure::file(path, "used as a drop box", &error))?;
            Box::new(DropTransport::new(Arc::new(folder), uri, options))
        }
        _ => {
            // Each has a home of its own: where the server wants the session to go on is the business of one of them.
            Box::new(HttpTransport::to(HttpClient::new(http.clone())?, (uri != link.to).then(|| uri.to_owned())))
        }
    })
}
