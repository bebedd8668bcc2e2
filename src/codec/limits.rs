//! How much of everything a message may have.

use super::error::{At, DecodeError, Limit};

/// Bounds on what is read, checked before anything is allocated for it. The defaults are for a server on the open
/// network: roomy for every device that was ever sold, and an attacker's message costs at most some tens of megabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message. Default 4 MiB. It also bounds what a WBXML string table may expand to.
    pub max_message: usize,
    /// Elements open at one time. Default 32; the protocol needs 15, containers within containers take the rest.
    pub max_depth: usize,
    /// Elements in a message, whatever they are, those of device information included. Default 100,000.
    pub max_elements: usize,
    /// Bytes of one text, one item's data included. Default 4 MiB.
    pub max_text: usize,
    /// Bytes of a WBXML string table. Default 64 KiB.
    pub max_string_table: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: 4 << 20,
            max_depth: 32,
            max_elements: 100_000,
            max_text: 4 << 20,
            max_string_table: 64 << 10,
        }
    }
}

impl Limits {
    pub(super) const fn check_message(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        if bytes.len() > self.max_message {
            return Err(DecodeError::Limit {
                limit: Limit::Message,
                max: self.max_message,
                at: At { element: "message", offset: 0 },
            });
        }
        Ok(())
    }
}
