//! An answer outside of any session: a refusal, or one that does nothing.

use super::Asked;
use crate::codec::{EncodeError, Limits, decode};
use crate::message::{AlertCode, Chal, Command, Header, Location, StatusCode, Version};
use crate::session::outbox::{Extra, Outbox};
use crate::session::turn::refuse_all;

/// Bound of such an answer to a peer that states no MaxMsgSize, in bytes.
const MAX_SIZE: u64 = 20_000;

/// The header's Status with its challenge, and the same code for every command that could be read (§5.3): as many as
/// fit, the header's first (I8).
pub(super) fn write(
    asked: &Asked<'_>,
    limits: &Limits,
    code: StatusCode,
    chal: Option<Chal<'static>>,
    says: Option<&'static str>,
) -> Result<Vec<u8>, EncodeError> {
    let mut outbox = begin(asked)?;
    let request = asked.header;
    let says = says.map(|text| Extra::Text(text.to_owned()));
    let msg_ref = request.msg_id.to_string();
    outbox.header_status(&msg_ref, &request.target.uri, &request.source.uri, code, chal, says.as_ref())?;
    if let Ok(message) = decode(asked.request.body, asked.encoding, limits)
        && !request.no_resp
    {
        for queued in refuse_all(&message.body, &msg_ref, code) {
            outbox.status(queued)?;
        }
    }
    Ok(outbox.finish(true))
}

/// 101 for the header and for an Alert 221 (§3.11).
pub(super) fn busy(asked: &Asked<'_>, limits: &Limits) -> Result<Vec<u8>, EncodeError> {
    let (mut outbox, request, code) = (begin(asked)?, asked.header, StatusCode::IN_PROGRESS);
    let msg_ref = request.msg_id.to_string();
    outbox.header_status(&msg_ref, &request.target.uri, &request.source.uri, code, None, None)?;
    if let Ok(message) = decode(asked.request.body, asked.encoding, limits) {
        let waits =
            |command: &&Command<'_>| matches!(command, Command::Alert(alert) if alert.code == Some(AlertCode::RESULT));
        for command in message.body.iter().filter(waits) {
            for queued in refuse_all(std::slice::from_ref(command), &msg_ref, code) {
                outbox.status(queued)?;
            }
        }
    }
    Ok(outbox.finish(false))
}

/// Begins such an answer, with its header.
pub(super) fn begin(asked: &Asked<'_>) -> Result<Outbox, EncodeError> {
    let request = asked.header;
    let version = request.version().unwrap_or(Version::V12);
    let header = Header::new(
        version,
        request.session_id.clone(),
        request.msg_id,
        Location { uri: request.source.uri.clone(), name: request.source.name.clone() },
        Location::new(request.target.uri.clone()),
    );
    let size = request.meta.as_ref().and_then(|meta| meta.max_msg_size).unwrap_or(MAX_SIZE);
    Outbox::new(&header, asked.encoding, version, Some(size))
}
