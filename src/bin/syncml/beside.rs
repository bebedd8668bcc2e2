//! What `syncml serve` listens to beside HTTP.

use crate::failure::{Failure, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use syncml::session::ServerConfig;
use syncml::transport::dropbox::{self, Folder, Keep};
use syncml::transport::{Cancel, ListenOptions, Listener, Reception, Stop, obex, tcp};

/// A day, in seconds.
const DAY: i64 = 86_400;

#[derive(Debug, clap::Args)]
pub(crate) struct BesideArgs {
    /// Listen here, too, for framed messages over a plain socket (tcp://); nothing is encrypted there
    #[arg(long, value_name = "ADDR")]
    tcp: Option<String>,
    /// Listen here, too, for OBEX over a plain socket (obex://)
    #[arg(long, value_name = "ADDR")]
    obex: Option<String>,
    /// Answer letters in this folder, too (dropbox:); who can read and write there is up to its owner
    #[arg(long, value_name = "DIR")]
    dropbox: Option<PathBuf>,
    /// How many days a session may take there, and wait for its next letter
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
    dropbox_days: u32,
}

/// What is listened to, before it is.
pub(crate) struct Beside {
    listeners: Vec<(&'static str, Listener, Serve)>,
    folder: Option<Folder>,
    protected: bool,
}

type Serve = fn(Listener, Reception);

/// What is listened to.
pub(crate) struct Running {
    stops: Vec<Stop>,
    letters: Cancel,
    threads: Vec<JoinHandle<()>>,
}

impl BesideArgs {
    /// Takes the addresses and the folder.
    pub(crate) fn open(&self, protected: bool, grace: Duration) -> Result<Beside> {
        let mut options = ListenOptions::default();
        (options.protected, options.grace) = (protected, grace);
        let mut listeners = Vec::new();
        for (scheme, address, serve) in [("tcp", &self.tcp, tcp::serve as Serve), ("obex", &self.obex, obex::serve)] {
            let Some(address) = address else { continue };
            let listener = Listener::bind(address.as_str(), options.clone())
                .map_err(|error| Failure::usage(format!("cannot listen on {address:?}: {error}")))?;
            listeners.push((scheme, listener, serve));
        }
        let folder = self
            .dropbox
            .as_ref()
            .map(|path| Folder::open(path).map_err(|error| Failure::file(path, "used as a drop box", &error)));
        Ok(Beside { listeners, folder: folder.transpose()?, protected })
    }

    /// The configuration of who answers letters, if anybody does: sessions take days there.
    pub(crate) fn for_letters(&self, config: &ServerConfig) -> Option<ServerConfig> {
        self.dropbox.as_ref()?;
        let mut config = config.clone();
        config.session_seconds = i64::from(self.dropbox_days) * DAY;
        config.session_limit_seconds = config.session_limit_seconds.max(config.session_seconds);
        Some(config)
    }
}

impl Beside {
    /// Where, as addresses.
    pub(crate) fn places(&self) -> Vec<String> {
        let sockets = self.listeners.iter().map(|(scheme, listener, _)| format!("{scheme}://{}", listener.address()));
        let folder = self.folder.as_ref().map(|folder| format!("dropbox:{}", folder.root().display()));
        sockets.chain(folder).collect()
    }

    /// Begins; each on a thread of its own. `letters` answers those of the folder.
    pub(crate) fn start(self, reception: &Reception, letters: Option<Reception>) -> Running {
        let mut running = Running { stops: Vec::new(), letters: Cancel::new(), threads: Vec::new() };
        for (_, listener, serve) in self.listeners {
            running.stops.push(listener.stopper());
            let reception = reception.clone();
            running.threads.push(thread::spawn(move || serve(listener, reception)));
        }
        if let (Some(folder), Some(letters)) = (self.folder, letters) {
            let (stop, mut keep) = (running.letters.clone(), Keep::default());
            keep.protected = self.protected;
            running.threads.push(thread::spawn(move || dropbox::serve(&folder, &letters, &keep, &stop)));
        }
        running
    }
}

impl Running {
    /// What ends all of them: what is in hand is answered.
    pub(crate) fn stopper(&self) -> impl FnOnce() + Send + 'static {
        let (stops, letters) = (self.stops.clone(), self.letters.clone());
        move || {
            letters.suspend();
            stops.iter().for_each(Stop::stop);
        }
    }

    /// Waits until all have ended.
    pub(crate) fn join(self) {
        for thread in self.threads {
            drop(thread.join());
        }
    }
}

/// Who answers, beside HTTP.
pub(crate) fn reception(
    server: Arc<syncml::session::Server>,
    on_report: Option<Arc<syncml::transport::OnReport>>,
) -> Reception {
    let mut reception = Reception::new(server);
    reception.on_report = on_report;
    reception
}
