//! The next lower version, when the server does not speak ours (§1.4).
//!
//! What is spoken with a server is remembered in the row of the server, as its profile: the one field about a peer that is
//! free on this side. It is forgotten with the row, and after a while: the server may be a newer one then. A version that
//! the host wants lower still is obeyed.

use super::{Client, ClientError};
use crate::message::{Data, Status, Timestamp, Version};
use crate::session::state::State;
use crate::store::DeviceRow;
use crate::sync::Role;

/// How a remembered version begins in [`DeviceRow::profile`].
const MARK: &str = "speaks ";

/// How long it is remembered, in seconds, when the server said so by a Status (505, 513), and when it was guessed from an
/// HTTP status, which may have had another cause.
const TOLD_SECONDS: i64 = 30 * 86_400;
const GUESSED_SECONDS: i64 = 86_400;

impl Client {
    /// Takes an HTTP status that came instead of an answer. Old servers give one to a version that they do not know; the
    /// session then begins again with the next lower one, and [`outgoing`](Self::outgoing) has its first message. Gives
    /// whether it does; if not, the session is to be ended as with any failed post.
    ///
    /// # Errors
    /// The store's own failure.
    pub fn unanswered(&mut self, http_status: u16, now: Timestamp) -> Result<bool, ClientError> {
        match http_status {
            400 | 501 | 505 => self.fall_back_for(GUESSED_SECONDS, &[], now),
            _ => Ok(false),
        }
    }

    /// Begins again with the highest version below ours that the server named, or the next lower one if it named none.
    pub(super) fn fall_back(&mut self, named: &[Version], now: Timestamp) -> Result<bool, ClientError> {
        self.fall_back_for(TOLD_SECONDS, named, now)
    }

    fn fall_back_for(&mut self, seconds: i64, named: &[Version], now: Timestamp) -> Result<bool, ClientError> {
        let spoken = self.state.version;
        let lower = Version::ALL.into_iter().rev().filter(|version| is_below(*version, spoken));
        let next = lower.into_iter().find(|version| named.is_empty() || named.contains(version));
        // Whoever answered a message of this session speaks its version.
        let Some(next) = next.filter(|_| self.msg_id == 1) else { return Ok(false) };
        self.lowered_until = Some(now.plus_seconds(seconds));
        self.begin_again(next, now)?;
        Ok(true)
    }

    /// Begins a new session in place of this one.
    pub(super) fn begin_again(&mut self, version: Version, now: Timestamp) -> Result<(), ClientError> {
        let peer = (self.config.server_uri.clone(), None);
        let (messages, bytes_in, bytes_out) = (self.state.messages, self.state.bytes_in, self.state.bytes_out);
        let state = State::new(Role::Client, version, peer, self.config.device_id.clone());
        self.state = State { messages, bytes_in, bytes_out, ..state };
        self.tries = 0;
        self.start(now)
    }
}

/// The versions that a 513 or 505 names.
pub(super) fn named(status: &Status<'_>) -> Vec<Version> {
    let mut found = Vec::new();
    for item in &status.items {
        let Some(Data::Bytes(data)) = &item.data else { continue };
        let text = String::from_utf8_lossy(data);
        found.extend(text.split([',', ';', ' ']).filter_map(|name| {
            let name = name.trim();
            Version::from_proto(name).or_else(|| Version::from_dtd(name))
        }));
    }
    found
}

/// The version to begin with: the wanted one, or a lower one that the server is known to need.
pub(super) fn first(device: &DeviceRow, wanted: Version, now: Timestamp) -> Version {
    let known = device.profile.as_deref().and_then(|profile| profile.strip_prefix(MARK)?.split_once(' '));
    let known = known.filter(|(_, until)| until.parse().is_ok_and(|until| now.0 < until));
    let known = known.and_then(|(version, _)| Version::from_dtd(version));
    known.filter(|known| is_below(*known, wanted)).unwrap_or(wanted)
}

/// Remembers the version that was answered: a lower one when it was found out just now, until then; the wanted one always.
pub(super) fn remember(device: &mut DeviceRow, wanted: Version, spoken: Version, until: Option<Timestamp>) {
    match until {
        Some(until) if is_below(spoken, wanted) => {
            device.profile = Some(format!("{MARK}{} {}", spoken.dtd(), until.0));
        }
        _ if spoken == wanted => device.profile = None,
        _ => {}
    }
}

fn is_below(one: Version, other: Version) -> bool {
    one.dtd() < other.dtd()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Item, StatusCode};

    #[test]
    fn a_version_is_remembered_downwards_and_for_a_while() {
        let mut device = DeviceRow::new("http://h/", Timestamp(0));
        let until = Some(Timestamp(9));
        remember(&mut device, Version::V11, Version::V11, until);
        assert_eq!((device.profile.as_deref(), first(&device, Version::V12, Timestamp(1))), (None, Version::V12));
        remember(&mut device, Version::V12, Version::V11, until);
        assert_eq!(first(&device, Version::V12, Timestamp(8)), Version::V11);
        assert_eq!(first(&device, Version::V10, Timestamp(8)), Version::V10, "the host's word");
        // A session that began so is no news of it.
        remember(&mut device, Version::V12, Version::V11, None);
        assert_eq!(first(&device, Version::V12, Timestamp(9)), Version::V12, "it is tried again");
        remember(&mut device, Version::V12, Version::V12, None);
        assert_eq!(device.profile, None);
        for unknown in ["speaks 3.0 9", "speaks 1.1", "speaks 1.1 soon"] {
            device.profile = Some(unknown.to_owned());
            assert_eq!(first(&device, Version::V12, Timestamp(1)), Version::V12);
        }
    }

    #[test]
    fn reads_named_versions() {
        for (text, expected) in [
            ("SyncML/1.1,SyncML/1.0", vec![Version::V11, Version::V10]),
            ("1.1", vec![Version::V11]),
            ("SyncML/2.0 , 1.0", vec![Version::V10]),
            ("anything", vec![]),
        ] {
            let data = Some(Data::Bytes(text.as_bytes().to_vec().into()));
            let item = Item { data, ..Item::default() };
            let status = Status {
                cmd_id: "1".into(),
                msg_ref: "1".into(),
                cmd_ref: "0".into(),
                cmd: "SyncHdr".into(),
                target_refs: Vec::new(),
                source_refs: Vec::new(),
                cred: None,
                chal: None,
                code: StatusCode::PROTOCOL_NOT_SUPPORTED,
                items: vec![item],
            };
            assert_eq!(named(&status), expected, "{text}");
        }
    }
}
