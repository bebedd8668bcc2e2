//! `syncml serve`.

use crate::beside::{self, Beside, BesideArgs};
use crate::database::{CompressArgs, DatabaseArgs};
use crate::failure::{Exit, Failure, Result};
use crate::limits::LimitArgs;
use crate::logging::{self, Format};
use crate::output::{self, bytes};
use crate::profiles::{ProfileArgs, TreatmentArgs};
use crate::progress::short;
use crate::purge::{Purge, PurgeArgs};
use crate::secret::server_identity;
use axum::http::HeaderName;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use syncml::auth::Attempts;
use syncml::service::console;
use syncml::service::control::Desk;
use syncml::session::{Host, Report, Server, ServerConfig, ServerIdentity, Speaker};
use syncml::store::Store;
use syncml::transport::http::PATH;
use syncml::transport::http::prometheus::Prometheus;
use syncml::transport::http::server::{Monitor, OnReport, Options, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tracing::info;
use tracing_subscriber::filter::Targets;

/// What the threads that still work may take once all is answered: reports are told then.
const REST: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read settings from this file (TOML), as `syncml config` prints it. What is said here or in the environment counts
    /// before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    db: DatabaseArgs,
    #[command(flatten)]
    compress: CompressArgs,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: String,
    #[command(flatten)]
    beside: BesideArgs,
    /// Where to answer /metrics, /healthz and /readyz, such as 127.0.0.1:9180. Nobody is asked who he is there, so let
    /// nobody else reach it; without this it is off
    #[arg(long, value_name = "ADDR")]
    monitor: Option<String>,
    /// The URL under which devices reach this server, where a proxy is in front of it
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// All that comes came over TLS, as a proxy in front guarantees
    #[arg(long)]
    behind_tls: bool,
    /// The header in which a proxy in front says whose request it is, such as x-forwarded-for; the last name in it counts
    #[arg(long, value_name = "HEADER")]
    address_header: Option<HeaderName>,
    /// Serve the page, too, where people see and edit their books in a browser: below /console. Without TLS (--behind-tls)
    /// it is for this machine alone
    #[arg(long)]
    console: bool,
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..),
        default_value_t = ServerConfig::default().max_msg_size)]
    max_msg_size: u64,
    /// The largest object to take, in bytes; of contacts at most 4000000
    #[arg(long, value_name = "N", default_value_t = ServerConfig::default().max_obj_size)]
    max_obj_size: u64,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    profiles: ProfileArgs,
    #[command(flatten)]
    treatment: TreatmentArgs,
    #[command(flatten)]
    purge: PurgeArgs,
    /// When the server ends (SIGTERM, Ctrl-C): how long the messages in hand may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    grace: u64,
    /// What is logged, to standard error: off, error, warn, info, debug, trace; or more of a part of the program, such as
    /// info,syncml::session=debug. From debug on, names and addresses may be among it; cards and secrets never are
    #[arg(long, value_name = "LEVEL", env = logging::VARIABLE, default_value = "info")]
    log_level: Targets,
    /// How it is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    log_format: Format,
    /// Output for machines: one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    logging::start(&args.log_level, args.log_format);
    let mut config = ServerConfig::default();
    config.public_uri.clone_from(&args.public_url);
    config.allow_basic = args.allow_basic;
    config.refuse_md5 = args.refuse_md5;
    config.require_mac = args.require_mac;
    let own = server_identity(args.server_name.as_deref(), args.server_secret_file.as_deref())?;
    config.max_msg_size = args.max_msg_size;
    config.max_obj_size = args.max_obj_size;
    config.profiles = args.profiles.read()?.treat(args.treatment.read());
    let store = args.db.create_with(&args.compress)?;
    let (json, attempts) = (args.json, Arc::<Attempts>::default());
    let mut options = Options::default();
    args.limits.apply(&mut config, &mut options);
    options.protected = args.behind_tls;
    options.address_header.clone_from(&args.address_header);
    options.grace = Duration::from_secs(args.grace);
    options.on_report = Some(Arc::new(move |report: &Report| tell(report, json)));
    options.beside = args.console.then(|| console::router(store.clone(), attempts.clone(), &options));
    let also = args.beside.open(args.behind_tls, options.grace)?;
    let places = also.places();
    let announce = |address: SocketAddr, watching: Option<SocketAddr>| {
        if let Some(address) = watching {
            info!(%address, "metrics, health and readiness");
        }
        let url = format!("http://{address}{PATH}");
        let page = args.console.then(|| format!("http://{address}/console"));
        if json {
            output::json(&serde_json::json!({ "listening": url, "console": page, "also": places }));
        } else {
            println!("listening on {url}");
            if let Some(page) = page {
                println!("console on {page}");
            }
            places.iter().for_each(|place| println!("also on {place}"));
        }
    };
    let host = Arc::new(Own(own));
    let serving = |config| -> Result<Server> {
        Ok(Server::new(store.clone(), config)?
            .with_host(host.clone())
            .with_attempts(attempts.clone())
            .with_errands(Arc::new(Desk)))
    };
    let letters = args.beside.for_letters(&config).map(serving).transpose()?;
    let job = Job {
        server: serving(config)?,
        options,
        listen: &args.listen,
        monitor: args.monitor.as_deref(),
        purge: args.purge.job(),
        beside: Some((also, letters)),
    };
    job.run(announce, interrupted)
}

/// One identity towards all devices, or none.
struct Own(Option<ServerIdentity>);

impl Host for Own {
    fn identity(&self, _: &Speaker<'_>) -> Option<ServerIdentity> {
        self.0.clone()
    }
}

/// What is served, and where.
struct Job<'a> {
    server: Server,
    options: Options,
    listen: &'a str,
    monitor: Option<&'a str>,
    purge: Option<Purge>,
    /// What is listened to beside HTTP, and who answers letters.
    beside: Option<(Beside, Option<Server>)>,
}

impl Job<'_> {
    /// Serves until what `shutdown` gives completes; `ready` learns the addresses.
    fn run<F>(self, ready: impl FnOnce(SocketAddr, Option<SocketAddr>), shutdown: impl FnOnce() -> F) -> Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = Runtime::new().map_err(|error| Failure::new(Exit::Problems, format!("no threads: {error}")))?;
        let result = runtime.block_on(self.serve(ready, shutdown));
        // What still works on something then has had its time.
        runtime.shutdown_timeout(REST);
        result
    }

    async fn serve<F>(
        self,
        ready: impl FnOnce(SocketAddr, Option<SocketAddr>),
        shutdown: impl FnOnce() -> F,
    ) -> Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let numbers = Arc::new(Prometheus::new());
        let server = match self.monitor {
            Some(_) => Arc::new(self.server.with_metrics(numbers.clone())),
            None => Arc::new(self.server),
        };
        let (listener, address) = bind(self.listen).await?;
        let mut watching = None;
        if let Some(address) = self.monitor {
            let (listener, address) = bind(address).await?;
            watching = Some(address);
            let monitor = Monitor::new(server.clone(), numbers, self.options.drain.clone());
            tokio::spawn(monitor.serve(listener));
        }
        if let Some(purge) = self.purge {
            tokio::spawn(purge.regularly(server.store().clone(), self.options.drain.clone()));
        }
        // Before anybody is told that the server stands, so that no signal is lost.
        let shutdown = shutdown();
        let running = self.beside.map(|(also, letters)| {
            let reception = |server| beside::reception(server, self.options.on_report.clone());
            also.start(&reception(server.clone()), letters.map(|letters| reception(Arc::new(letters))))
        });
        let stop = running.as_ref().map(beside::Running::stopper);
        let shutdown = async move {
            shutdown.await;
            if let Some(stop) = stop {
                // It may wait for a connection that wakes a listener.
                drop(tokio::task::spawn_blocking(stop));
            }
        };
        ready(address, watching);
        let served = serve(listener, server, self.options, shutdown).await;
        if let Some(running) = running {
            drop(tokio::task::spawn_blocking(|| running.join()).await);
        }
        served.map_err(|error| Failure::new(Exit::Problems, format!("the listener failed: {error}")))
    }
}

async fn bind(address: &str) -> Result<(TcpListener, SocketAddr)> {
    let cannot = |error| Failure::usage(format!("cannot listen on {address:?}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    Ok((listener, address))
}

/// A server in a thread of this process; it ends when this is dropped.
pub(crate) struct InProcess {
    url: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<Result<()>>>,
}

impl InProcess {
    pub(crate) fn start(store: Arc<dyn Store>, config: ServerConfig) -> Result<Self> {
        Self::start_at(store, config, "127.0.0.1:0", None)
    }

    /// At an address; `on_report` is told of every session that ended.
    pub(crate) fn start_at(
        store: Arc<dyn Store>,
        config: ServerConfig,
        listen: &str,
        on_report: Option<Arc<OnReport>>,
    ) -> Result<Self> {
        let listen = listen.to_owned();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let ready: Sender<SocketAddr> = ready;
            let announce = move |address, _| ready.send(address).unwrap_or_default();
            let server = Server::new(store, config)?;
            let mut options = Options::default();
            options.on_report = on_report;
            let job = Job { server, options, listen: &listen, monitor: None, purge: None, beside: None };
            job.run(announce, || async { drop(stopped.await) })
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
