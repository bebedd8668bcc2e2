//! Bad requests, made of good ones, and what is asked of the answers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use syncml::codec::{Encoding, Limits, adapt, decode, encode};
use syncml::message::Command;

/// Random numbers from a seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// What stands in all cards of the good account, and in none of the material.
const HERS: &[u8] = b"+49170120";

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Requests sent.
    pub requests: usize,
    /// Answers in SyncML, and those of them to whom was let in, and that said that something was changed.
    pub answered: usize,
    pub let_in: usize,
    pub changed: usize,
    /// Answers with an HTTP error, by its status.
    pub refused: usize,
    pub by_status: BTreeMap<u16, usize>,
    /// Connections that ended without an answer, as they deserve.
    pub given_up: usize,
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.answered += other.answered;
        self.let_in += other.let_in;
        self.changed += other.changed;
        self.refused += other.refused;
        self.given_up += other.given_up;
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
    }
}

/// One who abuses the server, with an account of his own.
pub struct Abuser {
    address: SocketAddr,
    dice: Dice,
    /// Conversations: requests in XML, in their order.
    material: Vec<Vec<String>>,
    /// The address of the session that he is in.
    uri: Option<String>,
    /// Whether the next message of a conversation is said, and not another.
    story: (usize, usize),
    /// Connections that he holds open for nothing.
    idle: Vec<TcpStream>,
    /// What was sent last.
    last: Vec<u8>,
    seen: Seen,
}

/// A request as it goes out.
struct Posting {
    head: String,
    body: Vec<u8>,
    /// Whether the head is as it should be and the length is true, so that there must be an answer.
    proper: bool,
}

impl Abuser {
    pub fn new(address: SocketAddr, dice: Dice, number: u64) -> Self {
        let mut material = Vec::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conversations");
        for conversation in std::fs::read_dir(folder).unwrap() {
            let mut files: Vec<_> =
                std::fs::read_dir(conversation.unwrap().path()).unwrap().map(|it| it.unwrap().path()).collect();
            files.retain(|path| path.to_string_lossy().ends_with("-request.xml"));
            files.sort();
            let texts = files.iter().map(|path| std::fs::read_to_string(path).unwrap());
            let basic = STANDARD.encode(format!("mallory:{}", super::common::PASSWORD));
            let own = |text: String| {
                let device = format!("evil-{number}");
                let text = text.replace("{basic}", &basic).replace("phone-1", &device);
                text.replace("<LocName>alice</LocName>", "<LocName>mallory</LocName>")
            };
            material.push(texts.map(own).filter(|text| text.len() < 30_000).collect());
        }
        material.retain(|conversation: &Vec<String>| !conversation.is_empty());
        Self {
            address,
            dice,
            material,
            uri: None,
            story: (0, 0),
            idle: Vec::new(),
            last: Vec::new(),
            seen: Seen::default(),
        }
    }

    pub fn abuse(mut self, requests: usize) -> Seen {
        while self.seen.requests < requests {
            match self.dice.below(100) {
                0..80 => self.posts(),
                80..88 => self.lies(),
                88..92 => self.pipelines(),
                92..95 => self.chunks(),
                95..97 => self.dribbles(),
                _ => self.babbles(),
            }
        }
        // The server gives up who says nothing more.
        for mut stream in std::mem::take(&mut self.idle) {
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let mut answer = Vec::new();
            let ended = stream.read_to_end(&mut answer);
            assert!(ended.is_ok(), "a connection that says nothing is held open");
            self.judge(&answer, false);
        }
        self.seen
    }

    /// The next message of a conversation, or any; as it is, or damaged.
    fn body(&mut self) -> (Encoding, Vec<u8>) {
        let (mut story, mut at) = self.story;
        if at >= self.material[story].len() || self.dice.below(6) == 0 {
            (story, at) = (self.dice.below(self.material.len()), 0);
        }
        self.story = (story, at + 1);
        let mut text = self.material[story][at].clone();
        if let Some(uri) = &self.uri {
            for number in 1..5 {
                text = text.replace(&format!("{{RespURI-{number}}}"), uri);
            }
        }
        let mut encoding = Encoding::Xml;
        let mut bytes = text.into_bytes();
        if self.dice.below(3) == 0
            && let Ok(mut message) = decode(&bytes, Encoding::Xml, &Limits::default())
        {
            adapt(&mut message, Encoding::Wbxml);
            if let Ok(written) = encode(&message, Encoding::Wbxml) {
                (encoding, bytes) = (Encoding::Wbxml, written);
            }
        }
        if self.dice.below(3) > 0 {
            self.damage(&mut bytes);
        }
        (encoding, bytes)
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        const WORDS: [&[u8]; 14] = [
            b"<![CDATA[",
            b"]]>",
            b"<Add>",
            b"</Sync>",
            b"&lt;",
            b"&#0;",
            b"\0",
            b"\xC3\x8F\xFF\xFF\xFF\x7F",
            b"\x00\x01",
            b"18446744073709551616",
            b"-1",
            b"\xFF\xFE",
            b"</SyncML>",
            b"<Final/>",
        ];
        for _ in 0..=self.dice.below(4) {
            let at = self.dice.below(bytes.len() + 1);
            let end = (at + self.dice.below(200)).min(bytes.len());
            match self.dice.below(8) {
                0 | 1 if at < bytes.len() => bytes[at] ^= 1 << self.dice.below(8),
                2 => bytes.truncate(at),
                3 => drop(bytes.drain(at..end)),
                4 => {
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                5 => {
                    // A piece of another message.
                    let other = self.dice.below(self.material.len());
                    let other = self.material[other][0].as_bytes();
                    let from = self.dice.below(other.len());
                    let piece = other[from..(from + 300).min(other.len())].to_vec();
                    bytes.splice(at..end, piece);
                }
                6 => {
                    let word = self.dice.pick(&WORDS);
                    bytes.splice(at..at, word.iter().copied());
                }
                _ => {
                    // The same again, up to more than a message may have.
                    let copy = bytes[at..end].to_vec();
                    let times = if self.dice.below(20) == 0 { 2_000 } else { 8 };
                    bytes.splice(at..at, copy.repeat(times));
                }
            }
        }
    }

    fn path(&mut self) -> String {
        let own = self
            .uri
            .as_deref()
            .and_then(|uri| uri.split_once("://"))
            .and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()));
        match (self.dice.below(8), own) {
            (0, _) => self
                .dice
                .pick(&["/", "/syncml?s=", "/syncml?s=AAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAA", "/x?y=%00&s=%", "*"])
                .to_owned(),
            (1, Some(own)) => format!("{own}x"),
            (_, Some(own)) => own,
            _ => "/syncml".to_owned(),
        }
    }

    /// A POST whose head is true to its body.
    fn posting(&mut self) -> Posting {
        let (encoding, body) = self.body();
        let other = self.dice.below(20) == 0;
        let kind = match (encoding, other) {
            (Encoding::Xml, false) | (Encoding::Wbxml, true) => Encoding::Xml.media_type(),
            _ => Encoding::Wbxml.media_type(),
        };
        let (path, elsewhere) = (self.path(), self.dice.next());
        let more = match self.dice.below(30) {
            0 => "Content-Encoding: gzip\r\n",
            1 => "Content-Encoding: deflate\r\n",
            2 => "x-syncml-hmac: algorithm=MD5, username=\"mallory\", mac=Zz6EivR3yeaaENcRN6lpAQ==\r\n",
            3 => "x-syncml-hmac: ,,,=\"\\\r\n",
            4..8 => "Accept-Encoding: gzip\r\n",
            _ => "",
        };
        // What is packed must be unpacked before it can be judged; so let nobody ask for it.
        let more = if more.starts_with("Accept") { "Accept-Encoding: gzip;q=0\r\n" } else { more };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nX-Forwarded-For: 10.{}.{}.{}\r\n{more}",
            elsewhere & 255,
            elsewhere >> 8 & 255,
            elsewhere >> 16 & 255,
        );
        Posting { head, body, proper: true }
    }

    fn posts(&mut self) {
        let Posting { head, body, proper } = self.posting();
        let head = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        self.sends(&[head.as_bytes(), &body].concat(), proper);
    }

    /// Heads that are not true.
    fn lies(&mut self) {
        let Posting { mut head, body, .. } = self.posting();
        let length = body.len();
        let (line, proper) = match self.dice.below(12) {
            0 => (format!("Content-Length: {}\r\n", length / 2), false),
            1 => (format!("Content-Length: {}\r\n", length + 100), false),
            2 => ("Content-Length: -1\r\n".to_owned(), false),
            3 => ("Content-Length: 99999999999999999999\r\n".to_owned(), false),
            4 => ("Content-Length: 5\r\nContent-Length: 6\r\n".to_owned(), false),
            5 => (format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"), false),
            6 => (String::new(), true),
            7 => (format!("Content-Length: {length}\r\nExpect: 100-continue\r\n"), false),
            8 => (format!("Content-Length: {length}\r\nX-Long: {}\r\n", "x".repeat(9_000)), true),
            9 => (format!("Content-Length: {length}\r\nX: \0\r\n"), false),
            10 => {
                let kinds = ["text/xml", "", "application/vnd.syncml+json", "a;b,c", "application/vnd.syncml+xml;;"];
                let kind = self.dice.pick(&kinds).to_owned();
                head = format!("POST /syncml HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\n");
                (format!("Content-Length: {length}\r\n"), true)
            }
            _ => {
                let method = self.dice.pick(&["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW"]).to_owned();
                head = head.replacen("POST", &method, 1);
                // The answer to HEAD has a length and no body.
                (format!("Content-Length: {length}\r\n"), method != "HEAD")
            }
        };
        let request = [format!("{head}{line}Connection: close\r\n\r\n").as_bytes(), &body].concat();
        self.sends(&request, proper);
    }

    /// Several requests at once on one connection.
    fn pipelines(&mut self) {
        let mut all = Vec::new();
        let count = 2 + self.dice.below(4);
        for place in 1..=count {
            let Posting { head, body, .. } = self.posting();
            let close = if place == count { "Connection: close\r\n" } else { "" };
            all.extend(format!("{head}Content-Length: {}\r\n{close}\r\n", body.len()).into_bytes());
            all.extend(body);
        }
        self.seen.requests += count - 1;
        self.sends(&all, true);
    }

    /// Chunks, some of them nonsense.
    fn chunks(&mut self) {
        let Posting { head, body, .. } = self.posting();
        let mut all = format!("{head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n").into_bytes();
        let mut proper = true;
        for piece in body.chunks(1 + self.dice.below(500)) {
            let size = match self.dice.below(60) {
                0 => {
                    proper = false;
                    self.dice.pick(&["FFFFFFFFFFFFFFFFF", "-1", "x", "", "0"]).to_owned()
                }
                _ => format!("{:x}", piece.len()),
            };
            all.extend(format!("{size}\r\n").into_bytes());
            all.extend(piece);
            all.extend(b"\r\n");
        }
        if self.dice.below(4) > 0 {
            all.extend(b"0\r\n\r\n");
        } else {
            proper = false;
        }
        self.sends(&all, proper);
    }

    /// Begins a request and says nothing more for a while.
    fn dribbles(&mut self) {
        let Posting { head, body, .. } = self.posting();
        let request = [format!("{head}Content-Length: {}\r\n\r\n", body.len() + 10).as_bytes(), &body].concat();
        let cut = self.dice.below(request.len());
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            drop(stream.write_all(&request[..cut]));
            self.seen.requests += 1;
            self.idle.push(stream);
        }
        if self.idle.len() > 20 {
            let mut stream = self.idle.remove(0);
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let mut answer = Vec::new();
            assert!(stream.read_to_end(&mut answer).is_ok(), "a connection that says nothing is held open");
            self.judge(&answer, false);
        }
    }

    /// No HTTP at all.
    fn babbles(&mut self) {
        let bytes: Vec<u8> = match self.dice.below(5) {
            0 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            1 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            2 => b"POST /syncml\r\n\r\n".to_vec(),
            3 => {
                let (_, body) = self.body();
                body
            }
            _ => {
                let dice = &mut self.dice;
                (0..200).map(|_| dice.next() as u8).collect()
            }
        };
        self.sends(&bytes, false);
    }

    fn sends(&mut self, request: &[u8], proper: bool) {
        self.seen.requests += 1;
        self.last = request.to_vec();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // Who is refused early may find the connection closed while it still writes.
        let written = stream.write_all(request).is_ok();
        // Who ends his side wants no answer; but what is not whole would wait for the rest.
        if !proper {
            drop(stream.shutdown(Shutdown::Write));
        }
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        if let Err(error) = &read {
            assert!(
                error.kind() != std::io::ErrorKind::WouldBlock,
                "there is no answer, and no end: {}",
                request.escape_ascii()
            );
        }
        let whole = written && read.is_ok();
        self.judge(&answer, proper && whole);
    }

    /// Every answer is SyncML with a Status, or an error that is the peer's fault.
    fn judge(&mut self, answers: &[u8], proper: bool) {
        let mut rest = answers;
        if rest.is_empty() {
            assert!(!proper, "a proper request has no answer");
            self.seen.given_up += 1;
            return;
        }
        while !rest.is_empty() {
            let Some(end) = rest.windows(4).position(|it| it == b"\r\n\r\n") else {
                assert!(!proper, "half a head: {}", rest.escape_ascii());
                return;
            };
            let head = String::from_utf8_lossy(&rest[..end]).into_owned();
            rest = &rest[end + 4..];
            let status: u16 =
                head.get(9..12).and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("no status: {head}"));
            if status == 100 {
                continue;
            }
            let header = |name: &str| {
                head.lines().find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                })
            };
            let length: usize = header("content-length").map_or(0, |it| it.parse().unwrap());
            let body = &rest[..length.min(rest.len())];
            rest = &rest[body.len()..];
            *self.seen.by_status.entry(status).or_default() += 1;
            match status {
                200 if header("content-type").is_some_and(|it| it.starts_with("text/plain")) => {}
                200 => self.hears(&header("content-type").unwrap_or_default(), body),
                400..=499 => self.seen.refused += 1,
                _ => panic!("{status}: {head}\n{}\n{}", body.escape_ascii(), self.last.escape_ascii()),
            }
        }
    }

    fn hears(&mut self, content_type: &str, body: &[u8]) {
        let encoding = Encoding::from_content_type(content_type).unwrap_or_else(|| panic!("{content_type:?}"));
        let message = decode(body, encoding, &Limits::default())
            .unwrap_or_else(|error| panic!("{error}: {}", body.escape_ascii()));
        let statuses: Vec<_> = message
            .body
            .iter()
            .filter_map(|command| match command {
                Command::Status(status) => Some(status),
                _ => None,
            })
            .collect();
        let header = statuses
            .iter()
            .find(|status| status.cmd_ref.as_str() == "0")
            .expect("every answer has a Status of the header");
        self.seen.answered += 1;
        self.seen.let_in += usize::from(matches!(header.code.0, 200 | 212));
        self.seen.changed += usize::from(
            statuses.iter().any(|it| matches!((&*it.cmd, it.code.0), ("Add" | "Replace" | "Delete", 200..=299))),
        );
        assert!(!body.windows(HERS.len()).any(|it| it == HERS), "another's cards are told");
        if let Some(uri) = &message.header.resp_uri {
            self.uri = Some(uri.to_string());
        }
    }
}
