//! Where one packet ends and the next begins, however the bytes come.

use super::packet::{ObexError, PREFIX};

/// Cuts a stream into packets. What a packet announces is checked before it is kept.
#[derive(Clone, Debug)]
pub struct Framer {
    bytes: Vec<u8>,
    limit: u16,
}

impl Framer {
    /// For packets of up to `limit` bytes.
    #[must_use]
    pub const fn new(limit: u16) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// How many bytes of the packet that comes are certainly missing: to be read without reading beyond it.
    ///
    /// # Errors
    /// [`ObexError::Size`] when it announces too many, or too few.
    pub fn missing(&self) -> Result<usize, ObexError> {
        let [_, high, low, ..] = *self.bytes else { return Ok(PREFIX - self.bytes.len()) };
        let size = usize::from(u16::from_be_bytes([high, low]));
        let limit = usize::from(self.limit);
        if size < PREFIX || size > limit {
            return Err(ObexError::Size { size, limit });
        }
        Ok(size.saturating_sub(self.bytes.len()))
    }

    /// Takes what came; gives a packet when it is whole, and how much of what came was its.
    ///
    /// # Errors
    /// [`ObexError::Size`]: where the next packet begins is not known then.
    pub fn take(&mut self, came: &[u8]) -> Result<(usize, Option<Vec<u8>>), ObexError> {
        let mut used = 0;
        loop {
            let missing = self.missing()?;
            if missing == 0 {
                return Ok((used, Some(std::mem::take(&mut self.bytes))));
            }
            let part = &came[used..came.len().min(used + missing)];
            if part.is_empty() {
                return Ok((used, None));
            }
            self.bytes.extend_from_slice(part);
            used += part.len();
        }
    }

    /// Whether nothing of a packet has come.
    #[must_use]
    pub const fn is_between(&self) -> bool {
        self.bytes.is_empty()
    }
}
