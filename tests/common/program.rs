//! The program, spawned, and a server of it over real HTTP on loopback.
// It starts processes and reads files; what fails here fails the test. Each file of tests uses a part of it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used, dead_code)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) fn syncml() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncml"));
    for variable in ["SYNCML_PASSWORD", "SYNCML_DB", "http_proxy", "all_proxy", "ALL_PROXY"] {
        command.env_remove(variable);
    }
    command.env("SYNCML_LOG", "warn");
    command.stdin(Stdio::null());
    command
}

/// Runs to the end; gives exit code, standard output and standard error.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

pub(crate) fn card(name: &str, lines: &str) -> String {
    let (given, family) = name.split_once(' ').unwrap_or((name, ""));
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:{family};{given};;;\r\nFN:{name}\r\n{lines}END:VCARD\r\n")
}

/// A database with the account ada, and a server over it.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) server: Option<Child>,
    pub(crate) url: String,
    /// What the server said after that.
    pub(crate) said: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub(crate) fn new(serve: &[&str]) -> Self {
        let mut world =
            Self { dir: tempfile::tempdir().unwrap(), server: None, url: String::new(), said: Arc::default() };
        world.write("password", &format!("{PASSWORD}\n"));
        let (code, _, err) =
            run(world.with_db(&["account", "add", "ada"]).arg("--password-file").arg(world.path("password")));
        assert_eq!(code, 0, "{err}");
        world.start(serve);
        world
    }

    pub(crate) fn start(&mut self, args: &[&str]) {
        // Devices know a server by its address, so that another process of it gets the same.
        let listen = self.url.split('/').nth(2).unwrap_or("127.0.0.1:0").to_owned();
        let mut command = self.with_db(&["serve", "--listen", &listen]);
        command.args(args);
        self.serve(command);
    }

    /// Starts a server by this command, and waits until it listens.
    pub(crate) fn serve(&mut self, mut command: Command) {
        let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        self.url = line.strip_prefix("listening on ").unwrap().to_owned();
        assert!(self.url.starts_with("http://127.0.0.1:") && self.url.ends_with("/syncml"), "{line}");
        let said = Arc::clone(&self.said);
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| said.lock().unwrap().push(line)));
        self.server = Some(server);
    }

    /// Ends the server, and not gently.
    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.kill());
            drop(server.wait());
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// What a command over the database says for machines.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let (code, out, err) = run(self.with_db(args).arg("--json"));
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        serde_json::from_str(&out).unwrap()
    }

    pub(crate) fn with_db(&self, args: &[&str]) -> Command {
        let mut command = syncml();
        command.args(args).arg("--db").arg(format!("sqlite:{}", self.path("server.db").display()));
        command
    }

    pub(crate) fn sync(&self, dir: &str) -> Command {
        self.sync_to(dir, &self.url)
    }

    pub(crate) fn sync_to(&self, dir: &str, url: &str) -> Command {
        let mut command = syncml();
        command.arg("sync").arg(self.path(dir)).args(["--to", url, "--user", "ada", "--book", "contacts", "--json"]);
        command.arg("--password-file").arg(self.path("password"));
        command
    }

    /// Syncs, expects an exit code, and gives back what the program says for machines.
    pub(crate) fn synced(&self, dir: &str, more: &[&str], expected: i32) -> Value {
        let (code, out, err) = run(self.sync(dir).args(more));
        assert_eq!(code, expected, "{out}\n{err}");
        serde_json::from_str(&out).unwrap()
    }

    /// What both directions of a sync counted: [received, sent] × [added, changed, deleted].
    pub(crate) fn counts(report: &Value) -> [[u64; 3]; 2] {
        let book = &report["report"]["books"][0];
        ["received", "sent"].map(|way| ["added", "changed", "deleted"].map(|what| book[way][what].as_u64().unwrap()))
    }

    /// Names of the cards in a folder.
    pub(crate) fn names(&self, dir: &str) -> BTreeSet<String> {
        let cards = fs::read_dir(self.path(dir)).unwrap().map(|entry| entry.unwrap().path());
        cards.filter(|path| path.extension().is_some_and(|e| e == "vcf")).map(|path| formatted_name(&path)).collect()
    }

    /// Names of the cards at the server.
    pub(crate) fn server_names(&self) -> BTreeSet<String> {
        let (code, out, err) = run(self.with_db(&["list", "--user", "ada", "--json"]).args(["--book", "addressbook"]));
        assert_eq!(code, 0, "{err}");
        let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The program, running on, and what it says for machines: a line an event.
pub(crate) struct Telling {
    pub(crate) child: Child,
    pub(crate) lines: Receiver<Value>,
}

impl Telling {
    /// How long it may keep silent before a test gives up.
    pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { child, lines: receiver }
    }

    pub(crate) fn next(&self) -> Value {
        self.lines.recv_timeout(Self::PATIENCE).expect("the program says what it does")
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn formatted_name(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().find_map(|line| line.strip_prefix("FN:")).unwrap().to_owned()
}

pub(crate) fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// What goes through here to a server and back, as it is on the wire; for good.
pub(crate) fn overhear(server: &str) -> (String, Arc<Mutex<Vec<u8>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (listener, ears) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::clone(&heard));
    let here = listener.local_addr().unwrap().to_string();
    let there = server.split('/').nth(2).unwrap().to_owned();
    let url = server.replace(&there, &here);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&there).unwrap());
            let ways = [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
            for (mut from, mut to) in ways {
                let ears = Arc::clone(&ears);
                thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = from.read(&mut bytes) {
                        ears.lock().unwrap().extend_from_slice(&bytes[..count]);
                        if to.write_all(&bytes[..count]).is_err() {
                            break;
                        }
                    }
                    drop(to.shutdown(Shutdown::Write));
                });
            }
        }
    });
    (url, heard)
}
