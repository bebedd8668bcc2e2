//! The program on PostgreSQL: several nodes behind a balancer, any of which may be killed at any moment, and how it is used.
#![cfg(all(feature = "cli", unix))]
// It starts processes, opens sockets and waits; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/cluster.rs"]
mod cluster;
mod common;

use cluster::Cluster;
use common::{Device, card};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use syncml::auth::{Secret, Verifier};
use syncml::session::{Client, Credentials, Outgoing, Report};
use syncml::store::{BookNo, Guid, Store};
use syncml::transport::http::client::{Answer, Event, HttpClient, Options, RunError, Watch, run};
use syncml::transport::http::now;

const NODES: usize = 3;
const ACCOUNTS: usize = 4;
const CLIENTS: usize = 20;
const PASSWORD: &str = "correct horse";

fn syncml() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncml"));
    for variable in ["SYNCML_PASSWORD", "SYNCML_DB", "PGPASSWORD", "PGPASSFILE", "http_proxy", "all_proxy", "ALL_PROXY"]
    {
        command.env_remove(variable);
    }
    command.env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

/// Starts a node; where it listens.
fn serve(database: &str) -> (Child, SocketAddr) {
    let mut command = syncml();
    command.args(["serve", "--listen", "127.0.0.1:0", "--db", database]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().expect("a node that starts").unwrap();
    let address = line.strip_prefix("listening on http://").unwrap().split('/').next().unwrap().parse().unwrap();
    thread::spawn(move || lines.for_each(drop));
    (child, address)
}

/// Nodes of one database.
struct Nodes {
    database: String,
    nodes: Vec<Mutex<(Child, SocketAddr)>>,
}

impl Nodes {
    fn start(database: &str) -> Self {
        let nodes = (0..NODES).map(|_| Mutex::new(serve(database))).collect();
        Self { database: database.to_owned(), nodes }
    }

    fn address(&self, number: usize) -> SocketAddr {
        self.nodes[number].lock().unwrap().1
    }

    /// Without a word, as from a power cut; and up again.
    fn kill(&self, number: usize, pause: Duration) {
        {
            let mut node = self.nodes[number].lock().unwrap();
            node.0.kill().unwrap();
            node.0.wait().unwrap();
        }
        thread::sleep(pause);
        loop {
            // While PostgreSQL restarts, a node cannot start.
            let started = std::panic::catch_unwind(|| serve(&self.database));
            if let Ok(started) = started {
                *self.nodes[number].lock().unwrap() = started;
                return;
            }
        }
    }
}

/// Kills the nodes when it goes; the balancer holds them for ever.
struct Running(Arc<Nodes>);

impl Drop for Running {
    fn drop(&mut self) {
        for node in &self.0.nodes {
            let mut node = node.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            drop(node.0.kill());
            drop(node.0.wait());
        }
    }
}

/// Hands every request to the next node, whatever session it is of, and answers 502 where that does not answer.
fn balance(nodes: Arc<Nodes>, answered: Arc<Vec<AtomicUsize>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let turn = Arc::new(AtomicUsize::new(0));
        for client in listener.incoming() {
            let (mut client, turn) = (client.unwrap(), Arc::clone(&turn));
            let (nodes, answered) = (Arc::clone(&nodes), Arc::clone(&answered));
            thread::spawn(move || {
                while let Some(request) = message(&mut client) {
                    let number = turn.fetch_add(1, Ordering::SeqCst) % NODES;
                    let reply = exchange(nodes.address(number), &request);
                    if reply.is_some() {
                        answered[number].fetch_add(1, Ordering::SeqCst);
                    }
                    let none = || b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n".to_vec();
                    if client.write_all(&reply.unwrap_or_else(none)).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn exchange(node: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let mut node = TcpStream::connect(node).ok()?;
    node.set_nodelay(true).ok()?;
    node.write_all(request).ok()?;
    message(&mut node)
}

/// An HTTP message with a length.
fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            if bytes.len() == end + 4 + length.map_or(0, |length| length.trim().parse::<usize>().unwrap()) {
                return Some(bytes);
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

/// Counts how often a message was sent again.
struct Retries<'a> {
    count: &'a AtomicUsize,
    /// Whether the session has begun: its first message was answered.
    begun: bool,
}

impl Watch for Retries<'_> {
    fn sending(&mut self, _: u32, _: &Outgoing) {}
    fn received(&mut self, _: u32, _: &Answer, _: &Report) {
        self.begun = true;
    }
    fn event(&mut self, event: &Event<'_>) {
        if matches!(event, Event::Waiting { .. }) {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A device, and what it made itself: nobody else touches that.
struct Owner {
    number: usize,
    device: Device,
    own: BTreeMap<usize, (Guid, String)>,
    made: usize,
}

impl Owner {
    fn new(number: usize, server: SocketAddr) -> Self {
        let mut device = Device::new(&format!("device-{number}"));
        device.config.server_uri = format!("http://{server}/syncml");
        device.config.credentials =
            Credentials::Md5 { user: account(number), password: Secret::new(PASSWORD.to_owned()) };
        device.config.max_msg_size = 6_000;
        Self { number, device, own: BTreeMap::new(), made: 0 }
    }

    fn content(&self, number: usize, version: usize) -> String {
        card(&format!("D{:02}N{number:04}V{version:03}", self.number), &format!("+49{:03}{number:07}", self.number))
    }

    /// Three new contacts, an edit of one and the removal of another.
    fn change(&mut self, round: usize) {
        for _ in 0..3 {
            let content = self.content(self.made, 0);
            self.own.insert(self.made, (self.device.put(&content), content));
            self.made += 1;
        }
        let numbers: Vec<usize> = self.own.keys().copied().collect();
        let edited = numbers[round * 7 % numbers.len()];
        let content = self.content(edited, round + 1);
        let (guid, held) = self.own.get_mut(&edited).unwrap();
        self.device.edit(*guid, &content);
        *held = content;
        if round % 3 == 2 {
            let gone = numbers[round * 5 % numbers.len()];
            let (guid, _) = self.own.remove(&gone).unwrap();
            self.device.delete(guid);
        }
    }

    /// Syncs until it ended well. That may take retries, but no second session, except where the first message had no
    /// answer: a client begins anew then, as its credential may be used up.
    fn sync(&self, retries: &AtomicUsize) {
        let mut options = Options::default();
        options.retry.attempts = 200;
        options.retry.pause = Duration::from_millis(50);
        options.retry.longest = Duration::from_millis(400);
        options.gzip = false;
        let http = HttpClient::new(options).unwrap();
        let device = &self.device;
        loop {
            let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now()).unwrap();
            let mut watch = Retries { count: retries, begun: false };
            match run(&mut client, &http, &mut watch) {
                Ok(()) => {}
                Err(RunError::Transport(_)) if !watch.begun => {
                    retries.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(50));
                    continue;
                }
                Err(error) => panic!("{}: {error}", self.number),
            }
            let report = client.report();
            assert!(report.books.iter().all(|book| book.clean && book.hold.is_none()), "{}: {report:?}", self.number);
            return;
        }
    }
}

fn account(client: usize) -> String {
    format!("account-{}", client % ACCOUNTS)
}

/// Nodes are killed one after another, PostgreSQL crashes once, and nobody but the clients' retries shows it.
///
/// Catalogue: X8, X1, X6
#[test]
fn any_node_may_be_killed_at_any_moment() {
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.database();
    let store = database.open();
    for number in 0..ACCOUNTS {
        store.directory().put_login(&account(number), &Verifier::Password(Secret::new(PASSWORD.to_owned()))).unwrap();
    }
    let full = std::env::var("SYNCML_TEST_FULL").is_ok_and(|full| full == "1");
    let lasting = Duration::from_secs(if full { 60 } else { 10 });
    let nodes = Arc::new(Nodes::start(&cluster.url(&database.name)));
    let _running = Running(Arc::clone(&nodes));
    let answered: Arc<Vec<AtomicUsize>> = Arc::new((0..NODES).map(|_| AtomicUsize::new(0)).collect());
    let server = balance(Arc::clone(&nodes), Arc::clone(&answered));
    let mut owners: Vec<Owner> = (0..CLIENTS).map(|number| Owner::new(number, server)).collect();
    let (retries, sessions, killed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (nodes, over, killed, cluster) = (&nodes, &over, &killed, &cluster);
        scope.spawn(move || {
            let begun = Instant::now();
            let mut restarted = false;
            while begun.elapsed() < lasting {
                thread::sleep(Duration::from_millis(1_700));
                nodes.kill(killed.fetch_add(1, Ordering::SeqCst) % NODES, Duration::from_millis(300));
                if !restarted && begun.elapsed() > lasting / 2 {
                    cluster.restart("immediate");
                    restarted = true;
                }
            }
            over.store(true, Ordering::SeqCst);
        });
        for owner in &mut owners {
            let (retries, sessions) = (&retries, &sessions);
            scope.spawn(move || {
                let mut round = 0;
                while !over.load(Ordering::SeqCst) {
                    owner.change(round);
                    owner.sync(retries);
                    sessions.fetch_add(1, Ordering::SeqCst);
                    round += 1;
                }
            });
        }
    });
    for _ in 0..2 {
        owners.iter().for_each(|owner| owner.sync(&retries));
    }
    let count = |number: &AtomicUsize| number.load(Ordering::SeqCst);
    println!(
        "{} sessions, {} nodes killed, {} retries, answers by node {:?}",
        count(&sessions),
        count(&killed),
        count(&retries),
        answered.iter().map(count).collect::<Vec<_>>()
    );
    assert!(count(&killed) >= 3 && count(&retries) > 0, "nothing went wrong");
    assert!(count(&sessions) >= CLIENTS && answered.iter().all(|number| count(number) > 0));
    for number in 0..ACCOUNTS {
        let of_account: Vec<&Owner> = owners.iter().filter(|owner| owner.number % ACCOUNTS == number).collect();
        let made = of_account.iter().flat_map(|owner| owner.own.values());
        let mut expected: Vec<String> = made.map(|(_, content)| content.replace("\r\n", "\n")).collect();
        expected.sort();
        let account = store.directory().account(&account(number)).unwrap().unwrap();
        assert_eq!(common::cards(&store, account, BookNo::CONTACTS), expected, "at the server");
        for owner in of_account {
            assert_eq!(owner.device.cards(), expected, "at device {}", owner.number);
        }
    }
}

/// Runs to the end; gives exit code and all that was said.
fn say(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), said)
}

#[test]
fn the_program_keeps_books_in_postgresql() {
    let Some(cluster) = cluster::cluster() else { return };
    let database = cluster.database();
    let url = cluster.url(&database.name);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("password"), PASSWORD).unwrap();
    let (code, said) =
        say(syncml().args(["account", "add", "ada", "--db", &url, "--password-file", &path("password")]));
    assert_eq!(code, 0, "{said}");
    let (mut node, address) = serve(&url);
    let to = format!("http://{address}/syncml");
    for (dir, name) in [("one", "Anna Ek"), ("two", "Bo Ek"), ("one", "Anna Ek")] {
        fs::create_dir_all(path(dir)).unwrap();
        let content = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:{name};;;;\r\nFN:{name}\r\nEND:VCARD\r\n");
        fs::write(folder.path().join(dir).join(format!("{dir}.vcf")), content).unwrap();
        let mut sync = syncml();
        sync.args(["sync", &path(dir), "--to", &to, "--user", "ada", "--password-file", &path("password")]);
        let (code, said) = say(&mut sync);
        assert_eq!(code, 0, "{said}");
    }
    node.kill().unwrap();
    node.wait().unwrap();
    for dir in ["one", "two"] {
        let cards = fs::read_dir(path(dir)).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(cards.filter(|path| path.extension().is_some_and(|kind| kind == "vcf")).count(), 2, "{dir}");
    }
    let (code, said) = say(syncml().args(["list", "--user", "ada", "--db", &url]));
    assert!(code == 0 && said.contains("Anna Ek") && said.contains("Bo Ek"), "{said}");
    let (code, said) = say(syncml().args(["device", "list", "--db", &url]));
    assert_eq!(code, 0, "{said}");
}

/// The database's password comes from the environment or a file that nobody else can read, never from arguments, and is
/// never shown.
#[test]
fn the_program_keeps_the_databases_password_to_itself() {
    use std::os::unix::fs::PermissionsExt;
    let Some(cluster) = Cluster::start_encrypted() else { return };
    let database = cluster.database();
    cluster.sql("postgres", "CREATE ROLE walled LOGIN SUPERUSER PASSWORD 'open sesame'");
    let (port, roots) = (cluster.port, cluster.file("data/server.crt"));
    let place = format!("localhost:{port}/{}?sslmode=verify-full&sslrootcert={roots}", database.name);
    let url = format!("postgres://walled@{place}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pgpass");
    fs::write(&file, format!("other:*:*:*:wrong\nlocalhost:{port}:*:walled:open sesame\n")).unwrap();
    let list = |url: &str, change: &dyn Fn(&mut Command)| {
        let mut command = syncml();
        command.args(["account", "list", "--db", url]);
        change(&mut command);
        let (code, said) = say(&mut command);
        assert!(!said.contains("sesame") && !said.contains("barley"), "{said}");
        (code, said)
    };
    let mode = |mode: u32| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(
        list(&url, &|command| {
            command.env("PGPASSWORD", "open sesame");
        })
        .0,
        0
    );
    let (code, said) = list(&url, &|command| {
        command.env("PGPASSWORD", "open barley");
    });
    assert!(code == 6 && said.contains("28P01"), "{code} {said}");
    mode(0o600);
    assert_eq!(
        list(&url, &|command| {
            command.env("PGPASSFILE", &file);
        })
        .0,
        0
    );
    mode(0o644);
    let (code, said) = list(&url, &|command| {
        command.env("PGPASSFILE", &file);
    });
    assert_ne!(code, 0, "others can read the file: {said}");
    let (code, said) = list(&format!("postgres://walled:open%20sesame@{place}"), &|_| {});
    assert!(code == 2 && said.contains("PGPASSWORD"), "{said}");
    let (code, said) = list(&format!("postgres://walled@{place}&passfile=/a"), &|_| {});
    assert!(code == 2 && said.contains("not supported"), "{said}");
    // Without encryption the password is not even tried: this server wants both.
    let (code, _) = list(&url.replace("verify-full", "disable"), &|command| {
        command.env("PGPASSWORD", "open sesame");
    });
    assert_ne!(code, 0);
}
