//! Carriers of orders and notifications other than a session: files and datagrams (mission R6).

use crate::failure::{Exit, Failure, Result};
use std::fs;
use std::io::Read as _;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

/// The longest that is taken, in bytes.
const MAX: usize = 8 * 1024;

/// Where to send something.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct ToArgs {
    /// Write it to this file; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<std::path::PathBuf>,
    /// Send it as one datagram
    #[arg(long, value_name = "ADDR")]
    pub(crate) udp: Option<String>,
}

impl ToArgs {
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<()> {
        if let Some(path) = &self.out {
            crate::wire::write((path.as_os_str() != "-").then_some(path), bytes)?;
        }
        self.udp.as_deref().map_or(Ok(()), |address| send(address, bytes))
    }

    pub(crate) fn to_screen(&self) -> bool {
        self.out.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }
}

pub(crate) fn send(address: &str, bytes: &[u8]) -> Result<()> {
    let cannot = |error: std::io::Error| {
        Failure::new(Exit::Unreachable, format!("no datagram can be sent to {address:?}: {error}"))
    };
    let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any).map_err(cannot)?;
    socket.send_to(bytes, address).map(drop).map_err(cannot)
}

/// What is in a small file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).and_then(|file| file.take(MAX as u64 + 1).read_to_end(&mut bytes));
    file.map_err(|error| Failure::file(path, "read", &error))?;
    if bytes.len() > MAX {
        return Err(Failure::new(Exit::File, format!("{} has more than {MAX} bytes", path.display())));
    }
    Ok(bytes)
}

/// Waits for one datagram. `ready` learns where.
pub(crate) fn receive(address: &str, wait: Duration, ready: impl FnOnce(&str)) -> Result<Vec<u8>> {
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot listen on {address:?}: {error}"));
    let socket = UdpSocket::bind(address).map_err(cannot)?;
    socket.set_read_timeout(Some(wait)).map_err(cannot)?;
    ready(&socket.local_addr().map_err(cannot)?.to_string());
    let mut buffer = vec![0; MAX];
    let size = socket.recv(&mut buffer).map_err(|_| Failure::new(Exit::Unreachable, "no datagram came in time"))?;
    buffer.truncate(size);
    Ok(buffer)
}
