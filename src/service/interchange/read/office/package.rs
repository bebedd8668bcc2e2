//! The archive that an office document is: its parts, as text or as streams, never more of them than the limits allow.

use crate::service::interchange::error::{InterchangeError, Limits, Result};
use crate::service::interchange::read::Format;
use flate2::Crc;
use flate2::read::DeflateDecoder;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

/// What an archive begins with.
const ARCHIVE: &[u8] = b"PK\x03\x04";
/// What documents of Office before 2007 begin with, and those locked with a password.
const COMPOUND: &[u8] = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";

/// The most parts of a document. A workbook has a few for each sheet.
const MOST_PARTS: usize = 10_000;
/// The most of a file that is its index of parts: what it takes in memory is a few times that.
const MOST_INDEX: u64 = 8 << 20;

/// Whether bytes are the beginning of an archive.
///
/// # Errors
/// Those of an old or locked document, which nothing here can read.
pub(in crate::service::interchange::read) fn is_package(head: &[u8]) -> Result<bool> {
    if head.starts_with(COMPOUND) {
        return Err(unusable(
            "it is a document of Office before 2007 (.xls, .doc), or locked with a password; \
             save it as .xlsx or .docx without one",
        ));
    }
    Ok(head.starts_with(ARCHIVE))
}

pub(super) fn unusable(what: impl Into<String>) -> InterchangeError {
    InterchangeError::Unusable(what.into())
}

/// A document whose parts can be read.
pub(in crate::service::interchange::read) struct Package<R> {
    archive: ZipArchive<R>,
    pub(super) limits: Limits,
}

impl<R: Read + Seek> Package<R> {
    pub(in crate::service::interchange::read) fn open(mut from: R, limits: Limits) -> Result<Self> {
        let size = from.seek(SeekFrom::End(0))?;
        from.rewind()?;
        let archive = ZipArchive::new(from).map_err(damaged)?;
        let index = size.saturating_sub(archive.central_directory_start());
        if archive.len() > MOST_PARTS || index > MOST_INDEX {
            return Err(unusable(format!("the document has more than {MOST_PARTS} parts")));
        }
        Ok(Self { archive, limits })
    }

    /// What kind of document it is; `None` if it is another archive.
    pub(in crate::service::interchange::read) fn format(&mut self) -> Result<Option<Format>> {
        if self.has("mimetype") {
            let kind = self.text("mimetype")?;
            return Ok(kind.contains("opendocument.spreadsheet").then_some(Format::Ods));
        }
        Ok(match () {
            () if self.has("xl/workbook.xml") => Some(Format::Xlsx),
            () if self.has("word/document.xml") => Some(Format::Docx),
            () => None,
        })
    }

    /// The names of all parts.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        self.archive.file_names().map(|name| Ok(name.map_err(damaged)?.into_owned())).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.archive.index_for_name(name).is_some()
    }

    fn part(&mut self, name: &str) -> Result<ZipFile<'_, R>> {
        match self.archive.by_name(name) {
            Ok(part) => Ok(part),
            Err(ZipError::FileNotFound) => Err(unusable(format!("the document has no part {}", shown(name)))),
            Err(error) => Err(damaged(error)),
        }
    }

    /// The text of a part, as a whole.
    pub(super) fn text(&mut self, name: &str) -> Result<String> {
        let most = self.limits.whole;
        let mut bytes = Vec::new();
        let part = self.part(name)?;
        part.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| broken(name, &error))?;
        if bytes.len() > most {
            return Err(unusable(format!("part {} of the document has more than {most} bytes", shown(name))));
        }
        String::from_utf8(bytes).map_err(|_| unusable(format!("part {} is not UTF-8", shown(name))))
    }

    /// A part as a stream, which is all that is left of the document.
    pub(super) fn stream(mut self, name: &str) -> Result<BufReader<Part<R>>> {
        let (start, packed, method, crc) = {
            let part = self.part(name)?;
            let start = part.data_start().ok_or_else(|| unusable("the document is damaged"))?;
            (start, part.compressed_size(), part.compression(), part.crc32())
        };
        let mut from = self.archive.into_inner();
        from.seek(SeekFrom::Start(start))?;
        let packed = from.take(packed);
        let bytes = match method {
            zip::CompressionMethod::Stored => Bytes::Stored(packed),
            zip::CompressionMethod::Deflated => Bytes::Deflated(DeflateDecoder::new(packed)),
            _ => return Err(unusable(format!("part {} is packed in a way that is not known", shown(name)))),
        };
        let most = self.limits.unpacked;
        Ok(BufReader::with_capacity(64 << 10, Part { bytes, crc: Crc::new(), wanted: crc, left: most, most }))
    }
}

enum Bytes<R> {
    Stored(io::Take<R>),
    Deflated(DeflateDecoder<io::Take<R>>),
}

/// A part that is being read: unpacked, counted, and compared with its sum at the end.
pub(super) struct Part<R> {
    bytes: Bytes<R>,
    crc: Crc,
    wanted: u32,
    left: u64,
    most: u64,
}

impl<R: Read> Read for Part<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = match &mut self.bytes {
            Bytes::Stored(from) => from.read(into)?,
            Bytes::Deflated(from) => from.read(into)?,
        };
        if size == 0 && !into.is_empty() && self.crc.sum() != self.wanted {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its sum is not what was written"));
        }
        self.crc.update(&into[..size]);
        self.left = self.left.checked_sub(size as u64).ok_or_else(|| {
            let what = format!("it has more than {} bytes when unpacked", self.most);
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        Ok(size)
    }
}

/// A name within the document, as far as it is one.
fn shown(name: &str) -> String {
    name.chars().filter(|char| char.is_ascii_graphic()).take(60).collect()
}

fn broken(name: &str, error: &io::Error) -> InterchangeError {
    unusable(format!("part {} of the document cannot be unpacked: {error}", shown(name)))
}

fn damaged(error: ZipError) -> InterchangeError {
    match error {
        ZipError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => InterchangeError::Io(error),
        ZipError::UnsupportedArchive(what) => unusable(format!("the document cannot be read: {what}")),
        _ => unusable("it is no document, or a damaged one: its index of parts cannot be read"),
    }
}
