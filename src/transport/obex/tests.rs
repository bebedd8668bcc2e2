//! Packets byte for byte, the machines against each other, and any split of their bytes.

use super::*;
use proptest::prelude::*;

fn object(size: usize) -> Object {
    let body = (0..size).map(|at| (at % 251) as u8).collect();
    Object { content_type: "application/vnd.syncml+wbxml".to_owned(), mac: None, body }
}

#[test]
fn packets_have_a_layout() {
    let connect = Packet::connect(Code::CONNECT, 1_024, vec![Header::Target(TARGET.to_vec())]);
    let bytes = connect.to_bytes().unwrap();
    assert_eq!(bytes, *b"\x80\0\x15\x10\0\x04\0\x46\0\x0eSYNCML-SYNC");
    assert_eq!(Packet::request(&bytes).unwrap(), connect);
    let headers = vec![
        Header::ConnectionId(1),
        Header::Name("é".to_owned()),
        Header::Type("a/b".to_owned()),
        Header::Length(258),
        Header::EndOfBody(b"x".to_vec()),
        Header::Other(0x97, vec![1]),
        Header::Name(String::new()),
    ];
    let put = Packet::new(Code::PUT_FINAL, headers);
    let bytes = put.to_bytes().unwrap();
    assert_eq!(
        bytes,
        *b"\x82\0\x24\xcb\0\0\0\x01\x01\0\x07\0\xe9\0\0\x42\0\x07a/b\0\xc3\0\0\x01\x02\x49\0\x04x\x97\x01\x01\0\x03"
    );
    assert_eq!(Packet::request(&bytes).unwrap(), put);
    // A folder's name comes behind two fields.
    let set_path = Packet::request(b"\x85\0\x0a\x02\0\xcb\0\0\0\x01").unwrap();
    assert_eq!(set_path.headers, [Header::ConnectionId(1)]);
    // Some refuse a CONNECT without its fields.
    assert_eq!(Packet::response(b"\xc3\0\x03", true).unwrap().code, Code::FORBIDDEN);
}

#[test]
fn what_is_no_packet_is_refused() {
    for (bytes, error) in [
        (&b"\x80\0\x05\x10\0"[..], ObexError::Cut("its fields")),
        (b"\x82\0\x04\x48", ObexError::Cut("a header's length")),
        (b"\x82\0\x06\x48\0\x02", ObexError::Header),
        (b"\x82\0\x06\x48\0\x05", ObexError::Cut("a header")),
        (b"\x82\0\x05\xcb\0", ObexError::Cut("a header")),
        (b"\x82\0\x07\x01\0\x04a", ObexError::Text),
        (b"\x82\0\x08\x01\0\x05\xd8\0", ObexError::Text),
        (b"", ObexError::Cut("its code")),
        (b"\x82", ObexError::Cut("its length")),
    ] {
        assert_eq!(Packet::request(bytes), Err(error), "{}", bytes.escape_ascii());
    }
    let mut framer = Framer::new(1_000);
    assert_eq!(framer.take(b"\x82\xff\xff"), Err(ObexError::Size { size: 65_535, limit: 1_000 }));
    assert_eq!(Framer::new(1_000).take(b"\x82\0\x02"), Err(ObexError::Size { size: 2, limit: 1_000 }));
}

#[test]
fn codes_say_what_statuses_say() {
    for (status, code) in [
        (200, Code::SUCCESS),
        (400, Code::BAD_REQUEST),
        (408, Code::REQUEST_TIMEOUT),
        (413, Code::TOO_LARGE),
        (415, Code::UNSUPPORTED_TYPE),
        (500, Code::INTERNAL_ERROR),
        (503, Code::UNAVAILABLE),
    ] {
        assert_eq!((Code::from_http(status), code.to_http()), (code, status));
    }
    assert_eq!((Code::from_http(302).to_http(), Code(0xE0).to_http()), (400, 500));
}

/// A client and a server, and what the host answers.
struct Pair {
    client: ClientMachine,
    server: ServerMachine,
    answer: Answered,
    /// Sizes of packets that went there and back.
    sizes: Vec<(usize, usize)>,
    asked: Vec<Object>,
}

impl Pair {
    fn new(client: u16, server: u16) -> Self {
        let (client, server) = (ClientMachine::new(client, 10_000), ServerMachine::new(server, 10_000, 7));
        Self { client, server, answer: Ok(object(3_000)), sizes: Vec::new(), asked: Vec::new() }
    }

    fn connected(client: u16, server: u16) -> Self {
        let mut pair = Self::new(client, server);
        let first = pair.client.connect();
        assert_eq!(pair.talk(first), Ok(Heard::Connected));
        pair
    }

    /// What the server says to a packet.
    fn say(&mut self, bytes: &[u8]) -> Vec<u8> {
        match self.server.received(bytes).unwrap() {
            Turn::Say(said) | Turn::Close(said) => said,
            Turn::Ask(object) => {
                self.asked.push(object);
                self.server.answered(self.answer.clone()).unwrap()
            }
        }
    }

    /// One step of an operation.
    fn step(&mut self, bytes: &[u8]) -> Result<Heard, ObexError> {
        let said = self.say(bytes);
        self.sizes.push((bytes.len(), said.len()));
        self.client.received(&said)
    }

    /// An operation to its end.
    fn talk(&mut self, first: Result<Vec<u8>, ObexError>) -> Result<Heard, ObexError> {
        let mut bytes = first?;
        loop {
            match self.step(&bytes)? {
                Heard::Send(next) => bytes = next,
                other => return Ok(other),
            }
        }
    }

    fn put(&mut self, object: Object) -> Result<Heard, ObexError> {
        let first = self.client.put(object);
        self.talk(first)
    }

    fn get(&mut self) -> Result<Heard, ObexError> {
        let first = self.client.get("application/vnd.syncml+wbxml");
        self.talk(first)
    }
}

#[test]
fn objects_go_in_packets_that_both_take() {
    for (client, server) in [(255, 255), (255, 2_000), (1_024, 300), (MAX_PACKET, MAX_PACKET), (0, 0)] {
        for size in [0, 1, 200, 255, 5_000] {
            let mut pair = Pair::connected(client, server);
            pair.sizes.clear();
            pair.answer = Ok(Object { mac: Some("algorithm=MD5".to_owned()), ..object(size + 7) });
            assert_eq!(pair.put(object(size)), Ok(Heard::Put));
            assert_eq!(pair.asked, [object(size)]);
            let answer = pair.answer.clone().unwrap();
            assert_eq!(pair.get(), Ok(Heard::Got(answer.clone())));
            assert_eq!(pair.get(), Ok(Heard::Got(answer)), "until the next message comes");
            let (client, server) = (usize::from(client.max(255)), usize::from(server.max(255)));
            assert!(pair.sizes.iter().all(|(there, back)| *there <= server && *back <= client), "{:?}", pair.sizes);
            let bye = pair.client.disconnect();
            assert_eq!(pair.talk(bye), Ok(Heard::Disconnected));
            assert!(matches!(pair.server.state(), ServerState::Closed));
        }
    }
}

#[test]
fn refusals_leave_the_connection() {
    let mut pair = Pair::connected(255, 255);
    assert_eq!(pair.get(), Ok(Heard::Refused(Code::NOT_FOUND)), "there is no answer yet");
    for (status, code) in [(415, Code::UNSUPPORTED_TYPE), (503, Code::UNAVAILABLE), (200, Code::INTERNAL_ERROR)] {
        pair.answer = Err(status);
        assert_eq!(pair.put(object(10)), Ok(Heard::Refused(code)));
    }
    assert_eq!(pair.put(object(10_001)), Ok(Heard::Refused(Code::TOO_LARGE)), "it announced that");
    pair.answer = Ok(object(10));
    assert_eq!(pair.put(object(10_000)), Ok(Heard::Put));
    // One that grows beyond it unannounced.
    let id = || Header::ConnectionId(7);
    let body = Packet::new(Code::PUT, vec![id(), Header::Body(vec![0; 6_000])]).to_bytes().unwrap();
    assert_eq!(pair.say(&body)[0], Code::CONTINUE.0);
    assert_eq!(pair.say(&body)[0], Code::TOO_LARGE.0);
    assert!(matches!(pair.server.state(), ServerState::Idle));
}

/// Every request in every state has one response, and none gets stuck.
#[test]
fn a_server_answers_whatever_comes() {
    let packet = |code, headers: &[Header]| Packet::new(code, headers.to_vec()).to_bytes().unwrap();
    let (mine, other) = ([Header::ConnectionId(7)], [Header::ConnectionId(8)]);
    let connect =
        |target: &[u8]| Packet::connect(Code::CONNECT, 255, vec![Header::Target(target.to_vec())]).to_bytes().unwrap();
    let mut pair = Pair::new(255, 255);
    for (request, code) in [
        (packet(Code::PUT_FINAL, &[]), Code::FORBIDDEN),
        (packet(Code::GET_FINAL, &[]), Code::FORBIDDEN),
        (packet(Code::ABORT, &[]), Code::SUCCESS),
        (packet(Code::PUT, &[]), Code::FORBIDDEN),
        (connect(b"SYNCML-DM"), Code::NOT_FOUND),
        (packet(Code::GET_FINAL, &[]), Code::FORBIDDEN),
        (connect(TARGET), Code::SUCCESS),
        (packet(Code::PUT, &other), Code::UNAVAILABLE),
        (packet(Code::SET_PATH, &[]), Code::BAD_REQUEST),
        (packet(Code(0x87), &mine), Code::NOT_IMPLEMENTED),
        (vec![0x82, 0, 4, 0x48], Code::BAD_REQUEST),
        (packet(Code::GET, &mine), Code::CONTINUE),
        (packet(Code::PUT, &mine), Code::CONTINUE),
        (packet(Code::GET_FINAL, &mine), Code::NOT_FOUND),
        (packet(Code::PUT_FINAL, &[]), Code::SUCCESS),
        (packet(Code::GET_FINAL, &mine), Code::CONTINUE),
        (packet(Code::PUT_FINAL, &mine), Code::SUCCESS),
        (packet(Code::DISCONNECT, &mine), Code::SUCCESS),
        (packet(Code::PUT, &mine), Code::FORBIDDEN),
    ] {
        assert_eq!(Code(pair.say(&request)[0]), code, "{}", request.escape_ascii());
    }
    assert_eq!(pair.server.answered(Err(500)), Err(ObexError::Misuse));
}

#[test]
fn a_client_believes_no_stranger() {
    let success = |headers| Packet::connect(Code::SUCCESS, 255, headers).to_bytes().unwrap();
    for headers in [vec![], vec![Header::Who(b"OBEX-FTP".to_vec())]] {
        let mut client = ClientMachine::new(255, 100);
        client.connect().unwrap();
        assert_eq!(client.received(&success(headers)), Err(ObexError::Stranger));
        assert!(matches!(client.state(), ClientState::Closed));
    }
    let mut client = ClientMachine::new(255, 100);
    client.connect().unwrap();
    assert_eq!(client.received(b"\xd3\0\x03"), Ok(Heard::Refused(Code::UNAVAILABLE)));
    // It says that it has all of what was not sent.
    let mut pair = Pair::connected(255, 255);
    pair.client.put(object(5_000)).unwrap();
    assert_eq!(pair.client.received(b"\xa0\0\x03"), Err(ObexError::Unexpected(Code::SUCCESS)));
    // It wants more of what was all sent.
    let mut pair = Pair::connected(255, 255);
    pair.client.put(object(5)).unwrap();
    assert_eq!(pair.client.received(b"\x90\0\x03"), Err(ObexError::Unexpected(Code::CONTINUE)));
    let mut pair = Pair::connected(255, 255);
    assert_eq!(pair.client.received(b"\xa0\0\x03"), Err(ObexError::Unexpected(Code::SUCCESS)), "nothing was asked");
    assert!(pair.client.connect().is_ok() && pair.client.get("x").is_err() && pair.client.abort().is_err());
    // An answer that does not end.
    let mut pair = Pair::connected(MAX_PACKET, 255);
    let mut request = pair.client.get("x").unwrap();
    let more = Packet::new(Code::CONTINUE, vec![Header::Body(vec![0; 6_000])]).to_bytes().unwrap();
    assert!(!request.is_empty());
    request = match pair.client.received(&more) {
        Ok(Heard::Send(next)) => next,
        other => panic!("{other:?}"),
    };
    assert_eq!(request[0], Code::GET_FINAL.0);
    assert_eq!(pair.client.received(&more), Err(ObexError::TooLarge(10_000)));
}

/// An ABORT at every packet of an exchange: the server drops what was half there, keeps the answer, and goes on.
#[test]
fn abort_at_every_packet() {
    let mut tried = 0;
    for at in 0.. {
        let mut pair = Pair::connected(255, 255);
        pair.answer = Ok(object(1_000));
        let (mut count, mut aborted) = (0, false);
        'operations: for put in [true, false] {
            let first = match put {
                true => pair.client.put(object(1_000)),
                false => pair.client.get("application/vnd.syncml+wbxml"),
            };
            let mut bytes = first.unwrap();
            loop {
                let heard = pair.step(&bytes).unwrap();
                let Heard::Send(next) = heard else { break };
                if count == at {
                    let abort = pair.client.abort().unwrap();
                    assert_eq!(pair.step(&abort), Ok(Heard::Aborted));
                    assert!(matches!(pair.server.state(), ServerState::Idle));
                    aborted = true;
                    break 'operations;
                }
                (bytes, count) = (next, count + 1);
            }
        }
        // Then the same message again, and its answer.
        assert_eq!(pair.put(object(1_000)), Ok(Heard::Put));
        assert_eq!(pair.get(), Ok(Heard::Got(object(1_000))));
        assert!(pair.asked.iter().all(|asked| *asked == object(1_000)), "nothing half received is asked");
        if !aborted {
            break;
        }
        tried += 1;
    }
    assert!(tried >= 8, "{tried}");
}

#[test]
fn seeds_of_fuzzing_keep_all_promises() {
    for seed in [
        &b"\x00\x80\0\x15\x10\0\x04\0\x46\0\x0eSYNCML-SYNC\x82\0\x0c\xcb\0\0\0\x07\x49\0\x04x\x83\0\x03"[..],
        b"",
        b"\x00",
    ] {
        fuzz::obex(seed);
    }
}

proptest! {
    #[test]
    fn any_split_frames_the_same(
        sizes in proptest::collection::vec(0_usize..400, 1..6),
        pieces in proptest::collection::vec(1_usize..90, 1..40),
    ) {
        let packets: Vec<Vec<u8>> = sizes
            .iter()
            .map(|size| Packet::new(Code::PUT, vec![Header::Body(vec![7; *size])]).to_bytes().unwrap())
            .collect();
        let stream = packets.concat();
        let (mut framer, mut found, mut rest, mut turn) = (Framer::new(MAX_PACKET), Vec::new(), &stream[..], 0);
        while !rest.is_empty() {
            let piece = pieces[turn % pieces.len()].min(rest.len());
            let (used, packet) = framer.take(&rest[..piece]).unwrap();
            found.extend(packet);
            rest = &rest[used..];
            turn += 1;
        }
        prop_assert!(framer.is_between());
        prop_assert_eq!(found, packets);
    }

    #[test]
    fn no_bytes_break_a_promise(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz::obex(&bytes);
    }

    /// Bytes that are packets more often than not.
    #[test]
    fn no_packets_break_a_promise(
        piece in any::<u8>(),
        packets in proptest::collection::vec(
            (
                proptest::sample::select(vec![0x02_u8, 0x82, 0x03, 0x83, 0xff, 0x80, 0x90, 0xa0, 0xc3, 0x85]),
                proptest::collection::vec(any::<u8>(), 0..40),
                any::<bool>(),
            ),
            0..12,
        ),
    ) {
        let mut stream = vec![piece];
        for (code, body, plain) in packets {
            let connect = code == 0x80;
            let packet = match (connect, plain) {
                (true, _) => Packet::connect(Code(code), 255, vec![Header::Target(TARGET.to_vec()), Header::Who(TARGET.to_vec())]),
                (_, true) => Packet::new(Code(code), vec![Header::Body(body)]),
                (_, false) => Packet::new(Code(code), vec![Header::EndOfBody(body), Header::Type("a".to_owned())]),
            };
            stream.extend(packet.to_bytes().unwrap());
        }
        fuzz::obex(&stream);
    }
}
