//! How the driver speaks with its two sides: processes of their own, so that CPU and memory of each are its own. A frame is a
//! line of words, the last of them the number of bytes that follow it.

use super::{Case, Outcome};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) struct Frame {
    pub(crate) words: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    pub(crate) fn word(&self, index: usize) -> Outcome<&str> {
        self.words.get(index).map(String::as_str).ok_or_else(|| format!("no word {index} in {:?}", self.words).into())
    }

    pub(crate) fn number(&self, index: usize) -> Outcome<u64> {
        Ok(self.word(index)?.parse()?)
    }

    pub(crate) fn float(&self, index: usize) -> Outcome<f64> {
        Ok(self.word(index)?.parse()?)
    }
}

pub(crate) fn write(out: &mut impl Write, words: &[&str], body: &[u8]) -> Outcome<()> {
    for word in words {
        write!(out, "{word}\t")?;
    }
    writeln!(out, "{}", body.len())?;
    out.write_all(body)?;
    Ok(out.flush()?)
}

/// The next frame; none where the other end is gone.
pub(crate) fn read(from: &mut impl BufRead) -> Outcome<Option<Frame>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words: Vec<String> = line.trim_end_matches('\n').split('\t').map(str::to_owned).collect();
    let mut body = vec![0; words.pop().unwrap_or_default().parse()?];
    from.read_exact(&mut body)?;
    Ok(Some(Frame { words, body }))
}

/// One of the two sides. Its process ends with this.
pub(crate) struct Side {
    process: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Side {
    pub(crate) fn start(role: &str, case: Case, folder: &Path, user: &str) -> Outcome<Self> {
        let folder = folder.to_str().ok_or("the folder's name is no text")?;
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--as", role, case.store.name(), case.encoding_name(), case.cards.name()])
            .args([&case.message.to_string(), folder, user])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = process.stdin.take();
        let from = BufReader::new(process.stdout.take().ok_or("no pipe")?);
        let mut side = Self { process, to, from };
        side.ask(&["hello"], b"")?;
        Ok(side)
    }

    /// One question, one answer.
    pub(crate) fn ask(&mut self, words: &[&str], body: &[u8]) -> Outcome<Frame> {
        write(self.to.as_mut().ok_or("this side has ended")?, words, body)?;
        let answer = read(&mut self.from)?.ok_or("a side ended by itself")?;
        match answer.word(0)? {
            "failed" => Err(String::from_utf8_lossy(&answer.body).into_owned().into()),
            _ => Ok(answer),
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        drop(self.to.take());
        drop(self.process.wait());
    }
}
