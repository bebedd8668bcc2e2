//! A PostgreSQL of the tests' own: a cluster in a temporary folder, on a socket in it, that ends with this process.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use syncml::message::Timestamp;
use syncml::store::postgres::{PostgresOptions, PostgresStore};
use syncml::store::{AccountNo, Directory, Keys, Result, Store, Tx, Verdict};

/// PostgreSQL refuses root, so that root starts it as nobody. It ends when whoever holds the other end of the script's
/// input does, however that comes.
const SCRIPT: &str = r#"
encrypt() {
  cd "$dir/data" || return
  printf '%s\n' "listen_addresses = 'localhost'" "ssl = on" >>postgresql.conf
  sed -i '1i hostssl all walled all scram-sha-256\nhostnossl all walled all reject' pg_hba.conf
  for name in server other; do
    as openssl req -x509 -newkey rsa:2048 -nodes -keyout $name.key -out $name.crt -days 30 -subj /CN=localhost \
      -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE && chmod 600 $name.key || return
  done
  cd "$dir"
}
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups -- "$@"; else "$@"; fi; }
cd "$dir" || exit
[ "$(id -u)" != 0 ] || chown nobody "$dir"
as "$bin/initdb" -D "$dir/data" -U syncml -A trust -E UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1 &&
printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$dir'" "fsync = off" "max_connections = 300" \
  "max_locks_per_transaction = 256" "autovacuum = off" "port = $port" >>"$dir/data/postgresql.conf" &&
{ [ "$tls" = 0 ] || encrypt >"$dir/openssl.log" 2>&1; } &&
as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/data/log" start >/dev/null 2>&1 && echo ready || { cat "$dir/initdb.log" >&2; exit 1; }
cat >/dev/null
as "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1
rm -rf "$dir"
"#;

/// The restart of a server whose clients do not expect it.
const RESTART: &str = r#"
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups -- "$@"; else "$@"; fi; }
cd "$dir" && as "$bin/pg_ctl" -D "$dir/data" -w -m "$how" -l "$dir/data/log" restart >/dev/null 2>&1
"#;

/// Empties a database by its indexes, so that who counts walks over tables counts only what the store does.
const EMPTY: &str = r#"SET enable_seqscan = off; SET enable_bitmapscan = off; SET search_path = syncml;
DELETE FROM account; DELETE FROM login; DELETE FROM principal; DELETE FROM principal_verifier; DELETE FROM "grant";
DELETE FROM dirty; DELETE FROM book WHERE account > 0; DELETE FROM item WHERE account > 0;
DELETE FROM revision WHERE account > 0; DELETE FROM restore WHERE account > 0; DELETE FROM match_key WHERE account > 0;
DELETE FROM blob WHERE account > 0; DELETE FROM device WHERE account > 0; DELETE FROM lens WHERE account > 0; DELETE FROM pair WHERE account > 0;
DELETE FROM map WHERE account > 0; DELETE FROM outgoing WHERE account > 0; DELETE FROM staged WHERE account > 0;
DELETE FROM partial WHERE account > 0; DELETE FROM session WHERE account > 0;
DELETE FROM status_queue WHERE account > 0; DELETE FROM errand WHERE account > 0; DELETE FROM words_book WHERE account > 0;
DELETE FROM words WHERE place > 0;
DELETE FROM audit WHERE account >= 0; DELETE FROM keys; INSERT INTO keys VALUES (1, 0)"#;

pub struct Cluster {
    bin: PathBuf,
    dir: PathBuf,
    /// Of its socket, and on loopback if it takes encrypted connections.
    pub port: u16,
    /// Its input is held open.
    script: Child,
    /// Databases that are empty again.
    free: Mutex<Vec<String>>,
}

/// The programs of PostgreSQL, which Debian keeps out of the way.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("pg_ctl").exists() && folder.join("initdb").exists())
}

/// The cluster of this process; none where PostgreSQL is not installed and the environment does not insist.
pub fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(Cluster::start).as_ref();
    if cluster.is_none() {
        println!("skipped: PostgreSQL is not installed");
    }
    cluster
}

impl Cluster {
    /// Another one, for who restarts it.
    pub fn start() -> Option<Self> {
        Self::start_with(5432, false)
    }

    /// One that takes encrypted connections on loopback, with a certificate of its own.
    pub fn start_encrypted() -> Option<Self> {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Self::start_with(port, true)
    }

    fn start_with(port: u16, encrypted: bool) -> Option<Self> {
        let Some(bin) = programs() else {
            assert!(std::env::var_os("SYNCML_TEST_REQUIRE_POSTGRES").is_none(), "PostgreSQL is not installed");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("syncml-pg").tempdir().unwrap().keep();
        let mut script = Command::new("sh");
        script.args(["-c", SCRIPT]).env("bin", &bin).env("dir", &dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        script.env("port", port.to_string()).env("tls", if encrypted { "1" } else { "0" });
        let mut script = script.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "the cluster did not start");
        let cluster = Self { bin, dir, port, script, free: Mutex::default() };
        cluster.sql("postgres", "CREATE DATABASE template");
        drop(cluster.open("template"));
        Some(cluster)
    }

    pub fn restart(&self, how: &str) {
        let mut script = Command::new("sh");
        script.args(["-c", RESTART]).env("bin", &self.bin).env("dir", &self.dir).env("how", how);
        assert!(script.status().unwrap().success());
    }

    /// What a statement answers.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "syncml", "-d", database, "-c", sql]);
        psql.arg("-h").arg(&self.dir).args(["-p", &self.port.to_string()]);
        let done = psql.output().unwrap();
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://syncml@/{database}?host={}&port={}", self.dir.display(), self.port)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join(format!(".s.PGSQL.{}", self.port))
    }

    /// A file of its folder.
    pub fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    pub fn open(&self, database: &str) -> PostgresStore {
        PostgresStore::open(&self.url(database), PostgresOptions::default()).unwrap()
    }

    /// An empty database.
    pub fn database(&self) -> Database<'_> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if let Some(name) = self.free.lock().unwrap().pop() {
            return Database { cluster: self, name };
        }
        let name = format!("t{}", COUNT.fetch_add(1, Ordering::SeqCst));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template"));
        Database { cluster: self, name }
    }

    /// An empty database, as any number of nodes have it.
    pub fn nodes(&self, count: usize) -> Nodes<'_> {
        let database = self.database();
        let nodes = (0..count).map(|_| Arc::new(database.open())).collect();
        Nodes { nodes, next: AtomicUsize::new(0), database }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        drop(self.script.wait());
    }
}

/// A database that is emptied for another test when this goes.
pub struct Database<'c> {
    cluster: &'c Cluster,
    pub name: String,
}

impl Database<'_> {
    pub fn open(&self) -> PostgresStore {
        self.cluster.open(&self.name)
    }

    pub fn sql(&self, sql: &str) -> String {
        self.cluster.sql(&self.name, sql)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.sql(EMPTY);
            self.cluster.free.lock().unwrap().push(std::mem::take(&mut self.name));
        }
    }
}

/// Nodes of one database, asked in turn: any of them takes the next step.
pub struct Nodes<'c> {
    nodes: Vec<Arc<PostgresStore>>,
    next: AtomicUsize,
    pub database: Database<'c>,
}

impl Nodes<'_> {
    /// One of them.
    pub fn node(&self, number: usize) -> Arc<PostgresStore> {
        Arc::clone(&self.nodes[number])
    }

    fn next(&self) -> &PostgresStore {
        &self.nodes[self.next.fetch_add(1, Ordering::SeqCst) % self.nodes.len()]
    }
}

impl Store for Nodes<'_> {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        self.next().step(account, work)
    }

    fn look(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        self.next().look(account, work)
    }

    fn directory(&self) -> &dyn Directory {
        self.next().directory()
    }

    fn keys(&self) -> Result<Keys> {
        self.next().keys()
    }

    fn rotate_keys(&self, since: Timestamp) -> Result<Keys> {
        self.next().rotate_keys(since)
    }
}
