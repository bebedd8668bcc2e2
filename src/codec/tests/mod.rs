//! What is read generously and written strictly. The laws that hold for all messages are in `tests/codec_laws.rs`.

mod binary;
mod devinf;
mod lenient;
mod strict;

use super::{Encoding, Limits, decode};
use crate::message::{Command, Data, Item, Message};

const HEADER: &str = "<SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto><SessionID>1</SessionID>\
                      <MsgID>1</MsgID><Target><LocURI>s</LocURI></Target><Source><LocURI>d</LocURI></Source></SyncHdr>";

/// A message with that body.
fn with_body(body: &str) -> String {
    format!("<SyncML>{HEADER}<SyncBody>{body}</SyncBody></SyncML>")
}

fn read(xml: &str) -> Message<'_> {
    decode(xml.as_bytes(), Encoding::Xml, &Limits::default()).unwrap_or_else(|error| panic!("{error}\n{xml}"))
}

/// The first item of the first command.
fn first_item<'m, 'a>(message: &'m Message<'a>) -> &'m Item<'a> {
    match &message.body[0] {
        Command::Put(put) => &put.items[0],
        Command::Status(status) => &status.items[0],
        Command::Results(results) => &results.items[0],
        Command::Change(change) => &change.items[0],
        Command::Alert(alert) => &alert.items[0],
        other => panic!("{other:?}"),
    }
}

fn first_data<'m, 'a>(message: &'m Message<'a>) -> &'m Data<'a> {
    first_item(message).data.as_ref().expect("data")
}
