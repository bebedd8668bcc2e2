//! A customer system: objects with versions, over HTTP and JSON, on loopback.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a program of its own: sockets and threads

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The largest body that is taken, in bytes.
const MOST: usize = 1 << 20;

/// By id the version and the object, which is none any more if it was removed.
#[derive(Default)]
struct Objects {
    now: u64,
    all: BTreeMap<String, (u64, Option<Value>)>,
}

#[derive(Clone)]
pub(crate) struct System {
    objects: Arc<Mutex<Objects>>,
    address: SocketAddr,
}

pub(crate) fn start() -> io::Result<System> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let system = System { objects: Arc::default(), address: listener.local_addr()? };
    let serving = system.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let system = serving.clone();
            thread::spawn(move || system.serve(&stream));
        }
    });
    Ok(system)
}

impl Objects {
    fn put(&mut self, id: String, object: Option<Value>) -> Value {
        self.now += 1;
        let said = json!({ "id": id, "version": self.now });
        self.all.insert(id, (self.now, object));
        said
    }
}

impl System {
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Somebody at the system adds an object.
    pub(crate) fn add(&self, object: &str) {
        drop(self.answer("POST", "/contacts", None, object));
    }

    /// Somebody at the system sets a field.
    pub(crate) fn set(&self, id: &str, field: &str, value: &str) {
        let mut objects = self.objects();
        if let (Some((_, Some(object))), Ok(value)) =
            (objects.all.get(id).cloned(), serde_json::from_str::<Value>(value))
        {
            let mut object = object;
            object[field] = value;
            objects.put(id.to_owned(), Some(object));
        }
    }

    /// All objects, a line each.
    pub(crate) fn shown(&self) -> String {
        let objects = self.objects();
        objects.all.iter().filter_map(|(id, (_, object))| Some(format!("{id} {}\n", object.as_ref()?))).collect()
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut from = BufReader::new(stream);
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if from.by_ref().take(8_192).read_line(&mut line).ok()? == 0 {
                    return None;
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push(line.trim().to_owned());
            }
            let header = |name: &str| {
                let lines = head.iter().filter_map(|line| line.split_once(": "));
                lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
            };
            let length: usize = header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length.min(MOST)];
            from.read_exact(&mut body).ok()?;
            let mut words = head.first()?.split(' ');
            let (method, path) = (words.next()?, words.next()?);
            let version = header("if-match").and_then(|it| it.parse().ok());
            let (status, said) = self.answer(method, path, version, &String::from_utf8_lossy(&body));
            let said = said.to_string();
            let head = format!(
                "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                said.len()
            );
            let mut to = stream;
            to.write_all((head + &said).as_bytes()).ok()?;
        }
    }

    fn answer(&self, method: &str, path: &str, version: Option<u64>, body: &str) -> (u16, Value) {
        let mut objects = self.objects();
        let id = path.strip_prefix("/contacts/");
        let found = id.and_then(|id| objects.all.get(id)).cloned();
        match (method, id, found) {
            ("GET", None, _) if path.starts_with("/changes?since=") => {
                let since: u64 = path.rsplit('=').next().and_then(|it| it.parse().ok()).unwrap_or(0);
                let changed = objects.all.iter().filter(|(_, (version, _))| *version > since);
                let changed: BTreeMap<&String, Option<u64>> =
                    changed.map(|(id, (version, object))| (id, object.as_ref().map(|_| *version))).collect();
                (200, json!({ "now": objects.now, "changes": changed }))
            }
            ("POST", None, _) => match serde_json::from_str(body) {
                Ok(object) => {
                    let id = (objects.all.len() + 1).to_string();
                    (201, objects.put(id, Some(object)))
                }
                Err(_) => (400, Value::Null),
            },
            (_, Some(_), None | Some((_, None))) => (404, Value::Null),
            ("GET", Some(_), Some((_, Some(object)))) => (200, object),
            (_, Some(_), Some((now, _))) if version.is_some_and(|version| version != now) => (412, Value::Null),
            ("PUT", Some(id), _) => match serde_json::from_str(body) {
                Ok(object) => (200, objects.put(id.to_owned(), Some(object))),
                Err(_) => (400, Value::Null),
            },
            ("DELETE", Some(id), _) => (200, objects.put(id.to_owned(), None)),
            _ => (404, Value::Null),
        }
    }
}
