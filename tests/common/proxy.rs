//! A proxy between client and server that makes one thing go wrong.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What goes wrong with a message, the first time it comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server never sees it.
    DropRequest,
    /// The server answers, and the client never hears.
    DropReply,
    /// The answer comes after the client has lost patience.
    Delay,
    /// Half of it reaches the server.
    CutRequest,
    /// Half of the answer reaches the client.
    CutReply,
    /// The server sees it twice, and the client hears the second answer.
    Duplicate,
    /// The connection closes while the client is still sending.
    CloseMidBody,
    /// An HTTP status instead of an answer, whenever the message says this; the server does not see it.
    Refuse(u16, &'static str),
}

/// One message as it came by.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
    /// The answers of the server.
    pub replies: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    more: Condvar,
}

pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Stands before `server`; `fault` befalls the `number`th different message, from 1.
    pub fn before(server: SocketAddr, number: usize, fault: Option<Fault>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), Arc::clone(&ours));
                std::thread::spawn(move || connection(stream, server, number, fault, &shared));
            }
        });
        Self { address, shared }
    }

    /// Everything that came by, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many different messages came by.
    pub fn messages(&self) -> usize {
        self.seen().iter().map(|seen| &seen.body).collect::<BTreeSet<_>>().len()
    }
}

/// Whether the fault befalls message `at`.
fn strikes(all: &[Seen], at: usize, number: usize, fault: Fault) -> bool {
    if let Fault::Refuse(_, text) = fault {
        return String::from_utf8_lossy(&all[at].body).contains(text);
    }
    let before: BTreeSet<&[u8]> = all[..at].iter().map(|seen| &*seen.body).collect();
    before.len() + 1 == number && !before.contains(&*all[at].body)
}

fn connection(mut client: TcpStream, server: SocketAddr, number: usize, fault: Option<Fault>, shared: &Shared) {
    while let Some(head) = read_head(&mut client) {
        let length = length(&head);
        // Known before the body is read: which message it is shows only then, so the number of the request must do.
        let mid_body = fault == Some(Fault::CloseMidBody) && shared.seen.lock().unwrap().len() + 1 == number;
        let mut body = vec![0; if mid_body { length / 2 } else { length }];
        if client.read_exact(&mut body).is_err() {
            return;
        }
        let (at, fault) = {
            let mut seen = shared.seen.lock().unwrap();
            seen.push(Seen { head: head.clone(), body: body.clone(), replies: Vec::new() });
            shared.more.notify_all();
            let at = seen.len() - 1;
            (at, fault.filter(|fault| strikes(&seen, at, number, *fault)))
        };
        let forward = || {
            let reply = exchange(server, &head, &body);
            shared.seen.lock().unwrap()[at].replies.push(reply.clone().1);
            reply
        };
        match fault {
            _ if mid_body => return,
            Some(Fault::DropRequest | Fault::CloseMidBody) => return,
            Some(Fault::DropReply) => {
                forward();
                return;
            }
            Some(Fault::Delay) => {
                let (head, body) = forward();
                let seen = shared.seen.lock().unwrap();
                let (seen, _) =
                    shared.more.wait_timeout_while(seen, Duration::from_secs(5), |seen| seen.len() <= at + 1).unwrap();
                drop(seen);
                drop(client.write_all(head.as_bytes()).and_then(|()| client.write_all(&body)));
                return;
            }
            Some(Fault::CutRequest) => {
                let mut server = TcpStream::connect(server).unwrap();
                server.write_all(head.as_bytes()).unwrap();
                server.write_all(&body[..body.len() / 2]).unwrap();
                server.shutdown(Shutdown::Write).unwrap();
                drop(server.read_to_end(&mut Vec::new()));
                return;
            }
            Some(Fault::CutReply) => {
                let (head, body) = forward();
                drop(client.write_all(head.as_bytes()).and_then(|()| client.write_all(&body[..body.len() / 2])));
                return;
            }
            Some(Fault::Refuse(status, _)) => {
                let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
                client.write_all(answer.as_bytes()).unwrap();
            }
            other => {
                if other == Some(Fault::Duplicate) {
                    forward();
                }
                let (head, body) = forward();
                if client.write_all(head.as_bytes()).and_then(|()| client.write_all(&body)).is_err() {
                    return;
                }
            }
        }
    }
}

/// Passes a message on; gives the answer's head and body.
fn exchange(server: SocketAddr, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut server = TcpStream::connect(server).unwrap();
    server.write_all(head.as_bytes()).unwrap();
    server.write_all(body).unwrap();
    let head = read_head(&mut server).expect("an answer of the server");
    let mut body = vec![0; length(&head)];
    server.read_exact(&mut body).unwrap();
    (head, body)
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8(head).unwrap())
}

fn length(head: &str) -> usize {
    let head = head.to_ascii_lowercase();
    let value = head.lines().find_map(|line| line.strip_prefix("content-length:")).expect("a length");
    value.trim().parse().unwrap()
}
