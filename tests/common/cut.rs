//! A proxy between a node and PostgreSQL that breaks one of their exchanges, and counts them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What befalls an exchange: a batch of messages up to the one that asks for an answer, and that answer.
pub enum Cut {
    /// PostgreSQL never sees it.
    Before,
    /// It is done, and the node never hears.
    After,
    /// It is done, the node never hears, and nobody answers any more until [`Cutter::open`].
    Gone,
    /// It is on its way when the connection breaks: done or not.
    Midway,
    /// The node's connection breaks, and PostgreSQL gets it only when this is done.
    Late(Box<dyn FnOnce() + Send>),
    /// PostgreSQL never sees it, and this is done before the node hears.
    Instead(Box<dyn FnOnce() + Send>),
    /// Before it PostgreSQL is told this.
    Behind(&'static str),
}

/// Which one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Any,
    Commit,
    Rollback,
}

#[derive(Default)]
struct Shared {
    /// How many of the kind are still to come, that one included.
    plan: Mutex<Option<(Which, usize, Cut)>>,
    statements: AtomicUsize,
    waits: AtomicUsize,
    closed: AtomicBool,
}

pub struct Cutter {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Cutter {
    /// Stands before the server whose socket that is.
    pub fn before(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        thread::spawn(move || {
            for node in listener.incoming() {
                // A server that is down: the node's connection closes.
                let (Ok(node), Ok(server)) = (node, UnixStream::connect(&socket)) else { continue };
                if ours.closed.load(Ordering::SeqCst) {
                    continue;
                }
                node.set_nodelay(true).unwrap();
                let shared = Arc::clone(&ours);
                thread::spawn(move || drop(Link::new(node, server, shared).run()));
            }
        });
        Self { port, shared }
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://syncml@127.0.0.1:{}/{database}", self.port)
    }

    /// The `number`th exchange from now on, from 1.
    pub fn cut(&self, number: usize, cut: Cut) {
        *self.shared.plan.lock().unwrap() = Some((Which::Any, number, cut));
    }

    /// The next COMMIT.
    pub fn cut_commit(&self, cut: Cut) {
        *self.shared.plan.lock().unwrap() = Some((Which::Commit, 1, cut));
    }

    /// The next ROLLBACK that goes by itself, as at the end of a look.
    pub fn cut_rollback(&self, cut: Cut) {
        *self.shared.plan.lock().unwrap() = Some((Which::Rollback, 1, cut));
    }

    /// Whether it has happened; forgets it else.
    pub fn was_cut(&self) -> bool {
        self.shared.plan.lock().unwrap().take().is_none()
    }

    /// The server answers again.
    pub fn open(&self) {
        self.shared.closed.store(false, Ordering::SeqCst);
    }

    /// How many batches there were that ask for an answer, and how often a node that had sent some waited for theirs.
    pub fn counts(&self) -> (usize, usize) {
        (self.shared.statements.load(Ordering::SeqCst), self.shared.waits.load(Ordering::SeqCst))
    }
}

/// One connection.
struct Link {
    node: TcpStream,
    server: UnixStream,
    shared: Arc<Shared>,
}

impl Link {
    fn new(node: TcpStream, server: UnixStream, shared: Arc<Shared>) -> Self {
        Self { node, server, shared }
    }

    fn run(mut self) -> io::Result<()> {
        // What a connection begins with has no kind.
        let mut length = [0; 4];
        self.node.read_exact(&mut length)?;
        let mut start = vec![0; u32::from_be_bytes(length) as usize - 4];
        self.node.read_exact(&mut start)?;
        if start == [4, 210, 22, 47] {
            // It asks for encryption; this proxy reads along.
            return self.node.write_all(b"N");
        }
        self.server.write_all(&length)?;
        self.server.write_all(&start)?;
        self.answer(true)?;
        loop {
            let mut batch = Vec::new();
            let mut text = String::new();
            loop {
                let Ok((kind, message)) = read(&mut self.node) else {
                    self.close();
                    return Ok(());
                };
                batch.extend_from_slice(&message);
                text += &String::from_utf8_lossy(&message[5..]);
                match kind {
                    b'X' => {
                        drop(self.server.write_all(&batch));
                        self.close();
                        return Ok(());
                    }
                    b'S' | b'Q' => break,
                    _ => {}
                }
            }
            self.shared.statements.fetch_add(1, Ordering::SeqCst);
            let which = if batch.starts_with(b"Q\0\0\0\x0dROLLBACK") {
                Which::Rollback
            } else if text.contains("; COMMIT") {
                Which::Commit
            } else {
                Which::Any
            };
            // What goes out together is written at once. The end of a look is not waited for.
            if which != Which::Rollback && !self.sent_more()? {
                self.shared.waits.fetch_add(1, Ordering::SeqCst);
            }
            match self.due(which) {
                None => {
                    self.server.write_all(&batch)?;
                    if self.answer(true).is_err() {
                        self.close();
                        return Ok(());
                    }
                }
                Some(Cut::Before) => {
                    self.close();
                    return Ok(());
                }
                Some(cut @ (Cut::After | Cut::Gone)) => {
                    self.shared.closed.store(matches!(cut, Cut::Gone), Ordering::SeqCst);
                    self.server.write_all(&batch)?;
                    drop(self.answer(false));
                    self.close();
                    return Ok(());
                }
                Some(Cut::Midway) => {
                    self.server.write_all(&batch)?;
                    self.close();
                    return Ok(());
                }
                Some(Cut::Late(when)) => {
                    self.node.shutdown(Shutdown::Both)?;
                    when();
                    self.server.write_all(&batch)?;
                    drop(self.answer(false));
                    self.close();
                    return Ok(());
                }
                Some(Cut::Instead(what)) => {
                    what();
                    self.close();
                    return Ok(());
                }
                Some(Cut::Behind(sql)) => {
                    let mut query = vec![b'Q'];
                    query.extend_from_slice(&(sql.len() as u32 + 5).to_be_bytes());
                    query.extend_from_slice(sql.as_bytes());
                    query.push(0);
                    self.server.write_all(&query)?;
                    self.answer(false)?;
                    self.server.write_all(&batch)?;
                    self.answer(true)?;
                }
            }
        }
    }

    /// Whether the node has sent more already.
    fn sent_more(&self) -> io::Result<bool> {
        self.node.set_nonblocking(true)?;
        let more = self.node.peek(&mut [0]).is_ok_and(|bytes| bytes > 0);
        self.node.set_nonblocking(false)?;
        Ok(more)
    }

    /// What befalls this exchange.
    fn due(&self, which: Which) -> Option<Cut> {
        let mut plan = self.shared.plan.lock().unwrap();
        let (wanted, left, _) = plan.as_mut()?;
        if *wanted != Which::Any && *wanted != which {
            return None;
        }
        *left -= 1;
        if *left > 0 {
            return None;
        }
        plan.take().map(|(.., cut)| cut)
    }

    /// Reads the server's answer to the end, and passes it on or not.
    fn answer(&mut self, pass: bool) -> io::Result<()> {
        loop {
            let (kind, message) = read(&mut self.server)?;
            if pass {
                self.node.write_all(&message)?;
            }
            if kind == b'Z' {
                return Ok(());
            }
        }
    }

    fn close(&self) {
        drop(self.node.shutdown(Shutdown::Both));
        drop(self.server.shutdown(Shutdown::Both));
    }
}

/// A message, and its kind.
fn read(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut message = vec![0; 5];
    stream.read_exact(&mut message)?;
    let length = u32::from_be_bytes([message[1], message[2], message[3], message[4]]) as usize;
    message.resize(1 + length, 0);
    stream.read_exact(&mut message[5..])?;
    Ok((message[0], message))
}
