//! `syncml decode` and `syncml encode`: messages for reading.

use crate::failure::{Exit, Failure, Result};
use crate::item::read;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use syncml::codec::{self, Encoding, Limits};
use syncml::message::Version;
use syncml::notify::{self, Notification, ReceivedSan};

#[derive(Debug, clap::Args)]
pub(crate) struct DecodeArgs {
    /// The message; - is standard input
    file: PathBuf,
    /// Where to write it, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EncodeArgs {
    /// The message; - is standard input
    file: PathBuf,
    /// Where to write it, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn decode(args: &DecodeArgs) -> Result<()> {
    let bytes = read(&args.file)?;
    if let Ok(Notification::San(received)) = notify::parse("", &bytes) {
        return write(args.output.as_deref(), describe(&received).as_bytes());
    }
    let xml = transcode(&args.file, &bytes, Encoding::Xml)?;
    let text = indent(&xml).unwrap_or_else(|| String::from_utf8_lossy(&xml).into_owned());
    write(args.output.as_deref(), text.as_bytes())
}

/// A notification, a line for each thing it says.
fn describe(received: &ReceivedSan) -> String {
    let san = &received.san;
    let shown = |text: &str| text.chars().filter(|char| !char.is_control()).collect::<String>();
    let mut text = format!(
        "notification of DS 1.2, {}\nserver: {}\nsession: {:X}\nuser: {:?}\ninitiator: {:?}\n",
        if received.is_signed() { "signed" } else { "not signed" },
        shown(&san.server_id),
        san.session_id,
        san.ui,
        san.initiator,
    );
    for sync in &san.syncs {
        let name = sync.code.name().unwrap_or("unknown");
        let (code, content_type, uri) = (sync.code, sync.content_type, shown(&sync.server_uri));
        text += &format!("sync: {code} {name}, content type {content_type:#x}, {uri:?}\n");
    }
    match &received.fault {
        Some(fault) => text += &format!("the rest cannot be read, so all books are meant: {fault}\n"),
        None if san.syncs.is_empty() => text += "sync: all books\n",
        None => {}
    }
    if !san.vendor.is_empty() {
        text += &format!("vendor: {} bytes\n", san.vendor.len());
    }
    text
}

pub(crate) fn encode(args: &EncodeArgs) -> Result<()> {
    write(args.output.as_deref(), &transcode(&args.file, &read(&args.file)?, Encoding::Wbxml)?)
}

/// Reads a message, or device information that stands alone, in either encoding, and writes it in one.
fn transcode(path: &Path, bytes: &[u8], to: Encoding) -> Result<Vec<u8>> {
    let cannot = |reason: String| Failure::new(Exit::File, format!("{}: {reason}", path.display()));
    let from = Encoding::sniff(bytes).ok_or_else(|| cannot("this is neither XML nor WBXML".to_owned()))?;
    let limits = Limits::default();
    let written = match codec::decode(bytes, from, &limits) {
        Ok(message) => codec::encode(&message, to),
        Err(error) => match codec::decode_devinf(bytes, &limits) {
            Ok(devinf) => codec::encode_devinf(&devinf, devinf.version().unwrap_or(Version::V12), to),
            Err(_) => return Err(cannot(error.to_string())),
        },
    };
    written.map_err(|error| cannot(format!("it cannot be written: {error}")))
}

pub(crate) fn write(path: Option<&Path>, bytes: &[u8]) -> Result<()> {
    match path {
        Some(path) => fs::write(path, bytes).map_err(|error| Failure::file(path, "written", &error)),
        None => match io::stdout().lock().write_all(bytes) {
            // Whoever read it has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| Failure::file(Path::new("standard output"), "written", &error)),
        },
    }
}

/// Gives each element a line, and each element with elements in it a block; texts stay as they are.
fn indent(xml: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(xml).ok()?;
    let mut reader = Reader::from_str(text);
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    // Whether the last thing written was a start tag, so that an end tag may follow on the same line.
    let mut open = false;
    let mut in_text = false;
    let mut last = 0;
    loop {
        let event = reader.read_event().ok()?;
        let end = usize::try_from(reader.buffer_position()).ok()?;
        let raw = text.get(last..end)?;
        last = end;
        match event {
            Event::Eof => break,
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                if in_text || open || !raw.trim().is_empty() {
                    out += raw;
                    in_text = true;
                }
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                if !open && !in_text {
                    line(&mut out, depth);
                }
                out += raw;
                (open, in_text) = (false, false);
            }
            Event::Start(_) => {
                line(&mut out, depth);
                out += raw;
                depth += 1;
                (open, in_text) = (true, false);
            }
            _ => {
                line(&mut out, depth);
                out += raw;
                (open, in_text) = (false, false);
            }
        }
    }
    out.push('\n');
    Some(out)
}

fn line(out: &mut String, depth: usize) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::indent;

    #[test]
    fn gives_elements_lines_and_leaves_texts() {
        let xml = "<?xml version=\"1.0\"?><A><B>x &amp; y</B><C/><D></D><E><![CDATA[ <z> \r\n]]></E></A>";
        let expected = "<?xml version=\"1.0\"?>\n<A>\n  <B>x &amp; y</B>\n  <C/>\n  <D></D>\n  \
            <E><![CDATA[ <z> \r\n]]></E>\n</A>\n";
        assert_eq!(indent(xml.as_bytes()).unwrap(), expected);
    }
}
