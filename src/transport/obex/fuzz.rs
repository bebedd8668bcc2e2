//! What must hold whatever comes over the wire: `kit::fuzz` for this room.

use super::client::{ClientMachine, ClientState, Heard};
use super::framer::Framer;
use super::object::Object;
use super::packet::{Code, Packet};
use super::server::{ServerMachine, Turn};
use crate::kit::fuzz::Target;

/// This way in.
pub const TARGET: Target = Target { name: "obex", run: obex };

/// The largest object here, in bytes.
const LIMIT: usize = 4_096;

/// A stream of packets, to a server and to a client; the first byte says how it is cut into pieces.
///
/// Any split gives the same packets, packets that are read are written the same, a server answers every request with one
/// packet that a client can read, no larger than was agreed on, and nobody takes more than the limit.
pub fn obex(bytes: &[u8]) {
    let (piece, stream) = bytes.split_first().map_or((1, bytes), |(first, rest)| (usize::from(*first) + 1, rest));
    let packets = cut(stream, stream.len().max(1));
    assert_eq!(packets, cut(stream, piece), "any split gives the same packets");
    packets.iter().for_each(|packet| reads_the_same(packet));
    serve(&packets);
    speak(&packets);
}

/// The packets of a stream that comes in pieces of that size, up to the first that is none.
fn cut(stream: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let (mut framer, mut packets) = (Framer::new(LIMIT as u16), Vec::new());
    for mut part in stream.chunks(piece) {
        while !part.is_empty() {
            let Ok((used, packet)) = framer.take(part) else { return packets };
            packets.extend(packet);
            part = &part[used..];
        }
    }
    packets
}

fn reads_the_same(bytes: &[u8]) {
    for packet in
        [Packet::request(bytes), Packet::response(bytes, false), Packet::response(bytes, true)].into_iter().flatten()
    {
        if packet.code == Code::SET_PATH {
            continue;
        }
        // What is written may be longer (a Type without its NUL) than a packet can be.
        let Ok(written) = packet.to_bytes() else { continue };
        let again = match packet.max {
            Some(_) => Packet::response(&written, true),
            None => Packet::response(&written, false),
        };
        let again = again.unwrap_or_else(|error| panic!("written and read again: {error}"));
        assert_eq!(again, packet);
    }
}

fn serve(packets: &[Vec<u8>]) {
    let mut machine = ServerMachine::new(LIMIT as u16, LIMIT, 7);
    for packet in packets {
        let Ok(turn) = machine.received(packet) else { return };
        let said = match turn {
            Turn::Say(said) | Turn::Close(said) => said,
            Turn::Ask(object) => {
                assert!(object.body.len() <= LIMIT, "nobody takes more than the limit");
                let said = machine.answered(Ok(object)).unwrap_or_else(|error| panic!("it was asked: {error}"));
                assert!(machine.answered(Err(500)).is_err(), "it is asked once");
                said
            }
        };
        let connecting = packet[0] == Code::CONNECT.0;
        assert!(connecting || said.len() <= usize::from(machine.peer().max), "no larger than was agreed on");
        assert!(Packet::response(&said, connecting).is_ok_and(|said| said.code.is_final()));
    }
}

fn speak(packets: &[Vec<u8>]) {
    let mut machine = ClientMachine::new(LIMIT as u16, LIMIT);
    let mut put = false;
    for packet in packets {
        let begun = match machine.state() {
            ClientState::Closed => machine.connect(),
            ClientState::Ready if put => machine.get("application/vnd.syncml+wbxml"),
            ClientState::Ready => {
                let content_type = "application/vnd.syncml+wbxml".to_owned();
                machine.put(Object { content_type, mac: None, body: vec![1; 700] })
            }
            _ => Ok(Vec::new()),
        };
        put = !put;
        assert!(begun.is_ok_and(|bytes| bytes.len() <= usize::from(machine.peer_max())), "it fits");
        match machine.received(packet) {
            Err(_) => return,
            Ok(Heard::Got(object)) => assert!(object.body.len() <= LIMIT, "nobody takes more than the limit"),
            Ok(Heard::Send(bytes)) => {
                assert!(bytes.len() <= usize::from(machine.peer_max()), "no larger than agreed on")
            }
            Ok(_) => {}
        }
    }
}
