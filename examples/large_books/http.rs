//! `syncml serve` in a process of its own, and the plainest client of HTTP there is: one connection, one request at a time.

use super::book::StoreKind;
use super::measure::{cpu_of, most_memory, watch_memory};
use super::{Case, Outcome};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) struct Served {
    process: Child,
    address: String,
    begun: (f64, u64),
}

impl Served {
    pub(crate) fn start(program: &Path, case: Case, folder: &Path) -> Outcome<Self> {
        let mut process = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--db", &case.store.url(folder)?])
            .args(["--max-msg-size", &case.message.to_string()])
            .args((case.store == StoreKind::Compressed).then_some("--compress"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}; build it with --features cli", program.display()))?;
        let mut out = BufReader::new(process.stdout.take().ok_or("no pipe")?);
        let mut address = None;
        let mut line = String::new();
        while address.is_none() && out.read_line(&mut line)? > 0 {
            let rest = line.split_once("listening on http://").and_then(|(_, rest)| rest.split_once('/'));
            address = rest.map(|(address, _)| address.to_owned());
        }
        // Nobody reads what it tells of its sessions, which must not stop it.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        let address = address.ok_or("the server did not say where it listens")?;
        Ok(Self { process, address, begun: (0.0, 0) })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/syncml", self.address)
    }

    pub(crate) fn watch(&mut self) {
        self.begun = (cpu_of(self.process.id(), false), watch_memory(&self.process.id().to_string()));
    }

    /// CPU seconds, and the most memory above what there was.
    pub(crate) fn cost(&self) -> (f64, u64) {
        let memory = most_memory(&self.process.id().to_string()).saturating_sub(self.begun.1);
        (cpu_of(self.process.id(), false) - self.begun.0, memory)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let id = self.process.id().to_string();
        // So that it closes its database; what does not end by that is killed.
        let asked = Command::new("kill").args(["-TERM", &id]).status().is_ok_and(|status| status.success());
        if !asked {
            drop(self.process.kill());
        }
        drop(self.process.wait());
    }
}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn to(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(1 << 16, stream) })
    }

    /// The type and the bytes of the answer.
    pub(crate) fn post(&mut self, uri: &str, content_type: &str, body: &[u8]) -> Outcome<(String, Vec<u8>)> {
        let (host, path) = uri
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(|| format!("{uri} is no URL of HTTP"))?;
        let mut request = format!(
            "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if line.split(' ').nth(1) != Some("200") {
            return Err(format!("the server answered {}", line.trim_end()).into());
        }
        let (mut length, mut kind) = (0, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "content-type" => value.trim().clone_into(&mut kind),
                _ => {}
            }
        }
        let mut reply = vec![0; length];
        self.stream.read_exact(&mut reply)?;
        Ok((kind, reply))
    }
}
