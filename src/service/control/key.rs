//! The key that a server and one device share, and what is signed with it.

use crate::auth::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

/// How the text of a key begins.
const PREFIX: &str = "syncml-device-key-1";

/// The longest line that is looked at, in bytes.
const MAX_LINE: usize = 4_096;

/// The longest device id, in bytes.
const MAX_ID: usize = 255;

/// The key of one device in one account: 32 octets at random. The server makes it when the device is enrolled, it is carried
/// to the device by hand, and no message ever holds it. `Debug` does not show it.
#[derive(Clone)]
pub struct DeviceKey {
    device_id: String,
    octets: Zeroizing<[u8; 32]>,
}

/// Why a text is no key of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this is no key of a device, as `syncml control enrol` writes it")]
pub struct KeyError;

/// What is signed: each with a key of its own, derived from the device's, so that one is never taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Instruction,
    Receipt,
}

impl Purpose {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Instruction => "syncml-instruction-1",
            Self::Receipt => "syncml-receipt-1",
        }
    }
}

/// A signed line that was read: what it holds, and what its signature covers.
pub(super) struct Line<'a> {
    pub payload: Vec<u8>,
    covered: &'a str,
    mac: Vec<u8>,
    purpose: Purpose,
}

impl DeviceKey {
    /// A key of a device; `random` comes from a good source.
    #[must_use]
    pub fn new(device_id: &str, random: [u8; 32]) -> Self {
        Self { device_id: device_id.to_owned(), octets: Zeroizing::new(random) }
    }

    /// The device's id, as it names itself in its sessions.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// The key as a line of text, to be carried to the device and kept there.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        let [id, octets] = [self.device_id.as_bytes(), &self.octets[..]].map(|part| URL_SAFE_NO_PAD.encode(part));
        Secret::new(format!("{PREFIX}.{id}.{octets}"))
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`KeyError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.trim().split('.');
        let (prefix, id, octets, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
        let decode = |part: Option<&str>| URL_SAFE_NO_PAD.decode(part.ok_or(KeyError)?).map_err(|_| KeyError);
        if prefix != Some(PREFIX) || rest.is_some() || text.len() > MAX_LINE {
            return Err(KeyError);
        }
        let device_id = String::from_utf8(decode(id)?).map_err(|_| KeyError)?;
        let octets = Zeroizing::new(decode(octets)?);
        let octets = <[u8; 32]>::try_from(&octets[..]).map_err(|_| KeyError)?;
        if device_id.is_empty() || device_id.len() > MAX_ID {
            return Err(KeyError);
        }
        Ok(Self::new(&device_id, octets))
    }

    /// A signed line: the purpose, what it holds, and the signature, joined by dots.
    pub(super) fn seal(&self, purpose: Purpose, payload: &[u8]) -> String {
        let mut line = format!("{}.{}", purpose.prefix(), URL_SAFE_NO_PAD.encode(payload));
        let mac = self.mac(purpose, &line).finalize().into_bytes();
        line.push('.');
        line.push_str(&URL_SAFE_NO_PAD.encode(mac));
        line
    }

    /// Whether a line was signed with this key; compared in constant time.
    pub(super) fn made(&self, line: &Line<'_>) -> bool {
        self.mac(line.purpose, line.covered).verify_slice(&line.mac).is_ok()
    }

    fn mac(&self, purpose: Purpose, covered: &str) -> Hmac<Sha256> {
        // The device's id is part of the derivation: a key that was copied into the state of another device signs nothing
        // for that.
        let mut derived = hmac(&self.octets[..]);
        derived.update(b"syncml control ");
        derived.update(purpose.prefix().as_bytes());
        derived.update(&(self.device_id.len() as u64).to_be_bytes());
        derived.update(self.device_id.as_bytes());
        let derived = Zeroizing::new(<[u8; 32]>::from(derived.finalize().into_bytes()));
        let mut mac = hmac(&derived[..]);
        mac.update(covered.as_bytes());
        mac
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"))
}

impl PartialEq for DeviceKey {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.device_id == other.device_id && bool::from(self.octets.ct_eq(&*other.octets))
    }
}

impl Eq for DeviceKey {}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceKey").field("device_id", &self.device_id).finish_non_exhaustive()
    }
}

impl<'a> Line<'a> {
    /// Takes a line apart; nothing of it is proven. `None` for what is no such line.
    pub(super) fn read(purpose: Purpose, text: &'a str) -> Option<Self> {
        let text = text.trim();
        if text.len() > MAX_LINE {
            return None;
        }
        let (covered, mac) = text.rsplit_once('.')?;
        let payload = covered.strip_prefix(purpose.prefix())?.strip_prefix('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        Some(Self { payload: decode(payload)?, covered, mac: decode(mac)?, purpose })
    }
}
