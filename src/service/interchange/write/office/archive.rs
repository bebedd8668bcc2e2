//! Writing the archive that a document is, part by part, as a stream.

use crate::service::interchange::error::{InterchangeError, Result};
use std::io::{self, Write};
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

/// An archive that is being written. What is written goes into the part that was begun last.
pub(super) struct Archive<W: Write>(ZipWriter<StreamWriter<W>>);

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Self {
        Self(ZipWriter::new_stream(out))
    }

    /// Begins a part. Its date is the first that archives have, so that equal contacts are equal files.
    pub(super) fn begin(&mut self, name: &str) -> Result<()> {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        self.0.start_file(name, options).map_err(failed)
    }

    pub(super) fn part(&mut self, name: &str, text: &str) -> Result<()> {
        self.begin(name)?;
        self.put(text)
    }

    /// A part that is not packed.
    pub(super) fn plain(&mut self, name: &str, text: &str) -> Result<()> {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        self.0.start_file(name, options).map_err(failed)?;
        self.put(text)
    }

    pub(super) fn put(&mut self, text: &str) -> Result<()> {
        Ok(self.0.write_all(text.as_bytes())?)
    }

    pub(super) fn finish(self) -> Result<W> {
        Ok(self.0.finish().map_err(failed)?.into_inner())
    }
}

fn failed(error: ZipError) -> InterchangeError {
    match error {
        ZipError::Io(error) => InterchangeError::Io(error),
        other => InterchangeError::Io(io::Error::other(other)),
    }
}
