//! A socket that is not waited for longer than it is worth.

use super::cancel::Cancel;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long it takes at most until a wish to stop is noticed.
const LOOK: Duration = Duration::from_millis(40);

/// A socket with a time until which all has to be done.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    until: Instant,
    cancel: Option<Cancel>,
}

impl Line {
    /// Until so long from now.
    pub(super) fn new(stream: TcpStream, patience: Duration, cancel: Option<Cancel>) -> Self {
        Self { stream, until: after(patience), cancel }
    }

    /// From now on, until so long from now.
    pub(super) fn wait_for(&mut self, patience: Duration) {
        self.until = after(patience);
    }

    /// How long the next call may wait; less than what is left, where somebody may want to stop it.
    fn slice(&self) -> io::Result<Duration> {
        if self.is_cancelled() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "stopped"));
        }
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(if self.cancel.is_some() { left.min(LOOK) } else { left })
    }

    /// Says that nothing more comes from here.
    pub(super) fn half_close(&self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(Cancel::is_cancelled)
    }

    fn patiently<T>(
        &self,
        set: fn(&TcpStream, Option<Duration>) -> io::Result<()>,
        mut call: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            set(&self.stream, Some(self.slice()?))?;
            match call(&self.stream) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                other => return other,
            }
        }
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patiently(TcpStream::set_read_timeout, |mut stream| stream.read(buffer))
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(TcpStream::set_write_timeout, |mut stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// So long from now; what is longer than a clock can tell is a year.
fn after(patience: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let now = Instant::now();
    now + patience.min(YEAR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn nobody_is_waited_for_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 1];
        let line = |patience, cancel| Line::new(stream.try_clone().unwrap(), patience, cancel);
        let error = line(Duration::from_millis(20), None).read(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let cancel = Cancel::new();
        let mut endless = line(Duration::MAX, Some(cancel.clone()));
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(60));
            cancel.cancel();
        });
        assert_eq!(endless.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        thread.join().unwrap();
        let mut peer = listener.accept().unwrap().0;
        peer.write_all(b"x").unwrap();
        assert_eq!(line(Duration::from_secs(20), None).read(&mut buffer).unwrap(), 1);
    }
}
