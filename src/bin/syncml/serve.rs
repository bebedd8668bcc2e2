//! `syncml serve`.

use crate::database::DatabaseArgs;
use crate::failure::{Exit, Failure, Result};
use crate::output::{self, bytes};
use crate::profiles::{ProfileArgs, TreatmentArgs};
use crate::progress::short;
use crate::secret::server_identity;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use syncml::session::{Host, Report, Server, ServerConfig, ServerIdentity, Speaker};
use syncml::store::{Store, StoreError};
use syncml::transport::http::PATH;
use syncml::transport::http::server::{Options, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    db: DatabaseArgs,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Accept basic and static credentials from this machine although HTTP does not protect them
    #[arg(long)]
    allow_basic: bool,
    /// Refuse MD5 credentials
    #[arg(long)]
    refuse_md5: bool,
    /// Accept MAC credentials only, which prove every message whole
    #[arg(long)]
    require_mac: bool,
    /// The name under which this server proves itself to devices that ask; goes with --server-secret-file
    #[arg(long, value_name = "NAME", requires = "server_secret_file")]
    server_name: Option<String>,
    /// Read the secret with which it does from the first line of this file. It is the same for all devices: who knows it
    /// can be this server to the others
    #[arg(long, value_name = "FILE", requires = "server_name")]
    server_secret_file: Option<PathBuf>,
    /// The largest message to take, in bytes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..))]
    max_msg_size: Option<u64>,
    /// The largest object to take, in bytes; of contacts at most 4000000
    #[arg(long, value_name = "N")]
    max_obj_size: Option<u64>,
    #[command(flatten)]
    profiles: ProfileArgs,
    #[command(flatten)]
    treatment: TreatmentArgs,
    /// Output for machines: one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut config = ServerConfig::default();
    config.allow_basic = args.allow_basic;
    config.refuse_md5 = args.refuse_md5;
    config.require_mac = args.require_mac;
    let own = server_identity(args.server_name.as_deref(), args.server_secret_file.as_deref())?;
    config.max_msg_size = args.max_msg_size.unwrap_or(config.max_msg_size);
    config.max_obj_size = args.max_obj_size.unwrap_or(config.max_obj_size);
    config.profiles = args.profiles.read()?.treat(args.treatment.read());
    let store = args.db.create()?;
    let json = args.json;
    let mut options = Options::default();
    options.on_report = Some(Arc::new(move |report: &Report| tell(report, json)));
    options.on_failure = Some(Arc::new(|why: &StoreError| output::warn(&why.to_string())));
    let announce = |address: SocketAddr| {
        let url = format!("http://{address}{PATH}");
        if json {
            output::json(&serde_json::json!({ "listening": url }));
        } else {
            println!("listening on {url}");
        }
    };
    let server = Server::new(store, config)?.with_host(Arc::new(Own(own)));
    listen(server, options, &args.listen, announce, interrupted)
}

/// One identity towards all devices, or none.
struct Own(Option<ServerIdentity>);

impl Host for Own {
    fn identity(&self, _: &Speaker<'_>) -> Option<ServerIdentity> {
        self.0.clone()
    }
}

/// Serves until what `shutdown` gives completes; `ready` learns the address.
fn listen<F>(
    server: Server,
    options: Options,
    address: &str,
    ready: impl FnOnce(SocketAddr),
    shutdown: impl FnOnce() -> F,
) -> Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let server = Arc::new(server);
    let runtime = Runtime::new().map_err(|error| Failure::new(Exit::Problems, format!("no threads: {error}")))?;
    runtime.block_on(async {
        let cannot = |error| Failure::usage(format!("cannot listen on {address:?}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        // Before anybody is told that the server stands, so that no signal is lost.
        let shutdown = shutdown();
        ready(listener.local_addr().map_err(cannot)?);
        serve(listener, server, options, shutdown)
            .await
            .map_err(|error| Failure::new(Exit::Problems, format!("the listener failed: {error}")))
    })
}

/// A server in a thread of this process; it ends when this is dropped.
pub(crate) struct InProcess {
    url: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<Result<()>>>,
}

impl InProcess {
    pub(crate) fn start(store: Arc<dyn Store>, config: ServerConfig) -> Result<Self> {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let ready: Sender<SocketAddr> = ready;
            let announce = move |address| ready.send(address).unwrap_or_default();
            listen(Server::new(store, config)?, Options::default(), "127.0.0.1:0", announce, || async {
                drop(stopped.await)
            })
        });
        match address.recv() {
            Ok(address) => Ok(Self { url: format!("http://{address}{PATH}"), stop: Some(stop), thread: Some(thread) }),
            Err(_) => match thread.join() {
                Ok(Err(failure)) => Err(failure),
                _ => Err(Failure::new(Exit::Problems, "the server did not start")),
            },
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Nobody may read along any more: then the server goes on all the same.
fn tell(report: &Report, json: bool) {
    if json {
        return output::line(&serde_json::json!({ "session": report }).to_string());
    }
    for book in &report.books {
        let ended = if book.clean { "" } else { ", ended early" };
        output::line(&format!(
            "session: {} {}, received {}, sent {}{ended}",
            book.book,
            book.mode,
            short(&book.received),
            short(&book.sent)
        ));
    }
    for book in report.books.iter().filter(|book| book.elsewhere > 0) {
        let (count, name) = (book.elsewhere, &book.book);
        output::line(&format!("notice: {count} of {name} came by another way before; is there a second path?"));
    }
    for (book, hold) in report.books.iter().filter_map(|book| Some((&book.book, book.hold.as_ref()?))) {
        let why = hold.reason.sentence();
        let (items, snapshot) = (hold.items, hold.snapshot);
        output::line(&format!("held: {items} of {book}, snapshot {snapshot}: {why}. Say `syncml held`"));
    }
    output::line(&format!("session: {} in, {} out", bytes(report.bytes_received), bytes(report.bytes_sent)));
    if !report.profile.is_empty() {
        output::line(&format!("session: profile {}", report.profile.join(", ")));
    }
    for problem in &report.problems {
        output::line(&format!("problem: {problem}"));
    }
}

/// Completes on Ctrl-C or SIGTERM; both are caught from this call on.
#[cfg(unix)]
fn interrupted() -> impl Future<Output = ()> + Send + 'static {
    use tokio::signal::unix::{SignalKind, signal};
    let caught = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        match caught {
            [Ok(mut interrupt), Ok(mut terminate)] => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            // Without handlers a signal ends the program at once, which costs nothing that was acknowledged.
            _ => std::future::pending().await,
        }
    }
}

/// Completes on Ctrl-C.
#[cfg(not(unix))]
fn interrupted() -> impl Future<Output = ()> + Send + 'static {
    async { drop(tokio::signal::ctrl_c().await) }
}
