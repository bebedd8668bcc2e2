//! Replays every conversation in `fixtures/conversations`, in XML and in WBXML, against every kind of store: the decoded
//! replies must be the golden ones, each request sent twice must get the same bytes, and the books must end as expected.
//! To add a case, add a folder; `fixtures/README.md` tells how.
//!
//! `SYNCML_BLESS=1` writes the golden replies and ends anew, and makes a recording readable; `SYNCML_BLESS=all` writes the
//! replies of recordings anew, too.
#![allow(unreachable_pub, clippy::unwrap_used)]
#![allow(clippy::disallowed_methods)] // the environment asks for goldens to be written

#[cfg(feature = "postgres")]
#[path = "../common/cluster.rs"]
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod fixture;
mod names;
mod tree;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fixture::{Conversation, Golden, Stage};
use names::Names;
use std::collections::BTreeMap;
use std::sync::Arc;
use syncml::codec::{Encoding, Limits, decode, encode};
use syncml::message::Cred;
use syncml::session::{Reply, Request};
use syncml::store::Store;
use syncml::store::memory::MemoryStore;
use tree::Node;

/// Differences shown of one message.
const MOST: usize = 4;

/// Catalogue: 10.2/1, S9
#[test]
fn conversations_replay_in_xml() {
    replay_all(Encoding::Xml);
}

/// Catalogue: 10.2/1
#[test]
fn conversations_replay_in_wbxml() {
    replay_all(Encoding::Wbxml);
}

fn replay_all(encoding: Encoding) {
    bless();
    let (all, mut wrong) = (Conversation::all(), Vec::new());
    let wanted = if encoding == Encoding::Xml { "xml" } else { "wbxml" };
    for conversation in all.iter().filter(|one| one.encodings.iter().any(|can| can == wanted)) {
        for (place, store) in common::stores().into_iter().enumerate() {
            let found = replay(conversation, encoding, store, place == 0, &mut |_, _| {});
            if !found.is_empty() {
                wrong.extend(found);
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{} things are not as expected:\n{}", wrong.len(), wrong.join("\n"));
}

/// By two nodes that take turns.
#[cfg(feature = "postgres")]
#[test]
fn conversations_replay_on_postgresql() {
    let Some(cluster) = cluster::cluster() else { return };
    bless();
    let mut wrong = Vec::new();
    for (place, conversation) in Conversation::all().iter().enumerate() {
        let encoding = if place % 2 == 0 { Encoding::Xml } else { Encoding::Wbxml };
        let name = if encoding == Encoding::Xml { "xml" } else { "wbxml" };
        let encoding = match conversation.encodings.iter().any(|can| can == name) {
            true => encoding,
            false => Encoding::Xml,
        };
        wrong.extend(replay(conversation, encoding, Arc::new(cluster.nodes(2)), false, &mut |_, _| {}));
    }
    assert!(wrong.is_empty(), "{} things are not as expected:\n{}", wrong.len(), wrong.join("\n"));
}

/// The runner itself: what it must not let pass.
#[test]
fn planted_faults_are_found() {
    bless();
    let name = "ours-ours-xml11";
    let conversation = Conversation::all().into_iter().find(|one| one.name == name).unwrap();
    let found = |conversation: &Conversation, meddle: &mut dyn FnMut(usize, &mut Reply)| {
        replay(conversation, Encoding::Xml, Arc::new(MemoryStore::new([1; 32])), false, meddle).join("\n")
    };
    assert_eq!(found(&conversation, &mut |_, _| {}), "");

    let replaced = |from: &'static str, to: &'static str| {
        move |_: usize, reply: &mut Reply| {
            let text = String::from_utf8(reply.body.clone()).unwrap();
            reply.body = text.replace(from, to).into_bytes();
        }
    };
    let changed = found(&conversation, &mut replaced("<Data>201</Data>", "<Data>200</Data>"));
    assert!(changed.contains("/Data[2]: expected \"201\", got \"200\""), "{changed}");
    let renamed = found(&conversation, &mut replaced("<NumberOfChanges>", "<NumberOfChanges>1"));
    assert!(renamed.contains("/NumberOfChanges"), "{renamed}");
    let again = found(&conversation, &mut |attempt, reply: &mut Reply| {
        if attempt == 2 {
            reply.body.push(b'\n');
        }
    });
    assert!(again.contains("the same request got other bytes"), "{again}");
    let mut exact = conversation.clone();
    exact.volatile.retain(|kind| kind != "Anchor");
    assert!(found(&exact, &mut |_, _| {}).contains("Anchor"), "what is not declared volatile is compared");

    let copy = tempfile::tempdir().unwrap();
    let altered = |file: &str, from: &str, to: &str| {
        for entry in std::fs::read_dir(&conversation.folder).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        let text = std::fs::read_to_string(copy.path().join(file)).unwrap();
        assert!(text.contains(from), "{file} holds {from}");
        std::fs::write(copy.path().join(file), text.replacen(from, to, 1)).unwrap();
        let mut changed = conversation.clone();
        copy.path().clone_into(&mut changed.folder);
        found(&changed, &mut |_, _| {})
    };
    let golden = altered("03-reply.xml", "<Data>201</Data>", "<Data>200</Data>");
    assert!(golden.contains("message 3") && golden.contains("expected \"200\", got \"201\""), "{golden}");
    let end = altered("end-alice-contacts.vcf", "FN:", "FN:x");
    assert!(end.contains("do not hold in the end"), "{end}");
}

#[test]
fn the_fixtures_are_what_was_promised() {
    bless();
    let all = Conversation::all();
    let recorded = all.iter().filter(|one| one.recorded.is_some()).count();
    assert!(recorded >= 10, "{recorded} conversations are recorded");
    assert!(all.iter().filter(|one| one.encodings.len() < 2).count() <= 1, "both encodings can say nearly everything");
    let rows: std::collections::BTreeSet<&str> =
        all.iter().filter(|one| one.recorded.is_none()).flat_map(|one| &one.proves).map(|id| &**id).collect();
    assert!(rows.len() >= 15, "{} rows are proved by hand: {rows:?}", rows.len());
    let mut wrong = Vec::new();
    for conversation in &all {
        for number in 1..=conversation.len() {
            for side in ["request", "reply"] {
                let Some(path) = conversation.file(number, side) else { continue };
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let label = format!("{}/{number:02}-{side}", conversation.name);
                let written = Node::read(text.as_bytes()).map(|node| node.pretty());
                if path.extension().is_some_and(|extension| extension == "xml") && written.as_ref() != Ok(&text) {
                    wrong.push(format!("{label} is not written as SYNCML_BLESS=1 writes it"));
                }
                for place in ["127.0.0.1", "localhost", "/home/", "/tmp/"] {
                    if text.contains(place) {
                        wrong.push(format!("{label} names {place}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Replays a conversation; what is not as expected. `meddle` may change the first and the second reply to a request.
fn replay(
    conversation: &Conversation,
    encoding: Encoding,
    store: Arc<dyn Store>,
    emitting: bool,
    meddle: &mut dyn FnMut(usize, &mut Reply),
) -> Vec<String> {
    let mut stage = conversation.stage(store);
    let mut names = Names::new(conversation);
    let mut wire = Wire::new(conversation, encoding);
    for number in 1..=conversation.len() {
        stage.before(number);
        let label = format!("{} message {number} in {encoding:?}", conversation.name);
        let checked = conversation.request(number).and_then(|request| {
            let letter = wire.letter(number, request, &names)?;
            let first = wire.post(&stage, &letter, &mut |reply| meddle(1, reply))?;
            let second = wire.post(&stage, &letter, &mut |reply| meddle(2, reply))?;
            if emitting && conversation.is_ours(number) {
                common::emit(&conversation.name, encoding, &letter.body);
            }
            if let (true, Said::Message(reply)) = (emitting, &first) {
                common::emit(&conversation.name, encoding, reply);
            }
            if first != second {
                return Err("the same request got other bytes when it was sent again".to_owned());
            }
            check(conversation, number, encoding, &first, &mut names)
        });
        if let Err(why) = checked {
            // What comes after would only be a consequence.
            return vec![format!("{label} ({}): {why}", conversation.says)];
        }
    }
    stage.verify_end().into_iter().map(|why| format!("{} in {encoding:?}: {why}", conversation.name)).collect()
}

/// Compares a reply with the golden one.
fn check(
    conversation: &Conversation,
    number: usize,
    encoding: Encoding,
    said: &Said,
    names: &mut Names<'_>,
) -> Result<(), String> {
    match (conversation.reply(number)?, said) {
        (Golden::Refusal(expected), Said::Refusal(got)) if expected == *got => Ok(()),
        (Golden::Refusal(expected), Said::Refusal(got)) => Err(format!("expected {expected:?}, got {got:?}")),
        (Golden::Refusal(expected), Said::Message(bytes)) => {
            Err(format!("expected {expected:?}, got\n{}", read(bytes, encoding)?.outline()))
        }
        (Golden::Message(expected), Said::Refusal(got)) => {
            Err(format!("got {got:?}, expected\n{}", expected.outline()))
        }
        (Golden::Message(expected), Said::Message(bytes)) => {
            let mut got = read(bytes, encoding)?;
            names.in_reply(&mut got);
            let differences = expected.differences(&got, MOST);
            if differences.is_empty() {
                return Ok(());
            }
            let outlines = format!("  expected\n{}  got\n{}", expected.outline(), got.outline());
            Err(format!("\n  {}\n{outlines}", differences.join("\n  ")))
        }
    }
}

/// A message as a tree; XML is read as it came, WBXML through the codec.
fn read(bytes: &[u8], encoding: Encoding) -> Result<Node, String> {
    match encoding {
        Encoding::Xml => Node::read(bytes),
        Encoding::Wbxml => {
            let mut message = decode(bytes, encoding, &Limits::default()).map_err(|error| error.to_string())?;
            // WBXML may carry a digest as it is; XML has it in base64.
            let raw = |cred: &&mut Cred<'_>| cred.data.len() == 16 && !cred.data.is_ascii();
            if let Some(cred) = message.header.cred.as_mut().filter(raw) {
                cred.data = STANDARD.encode(&cred.data).into_bytes().into();
                cred.meta.get_or_insert_default().format = Some("b64".into());
            }
            Node::read(&encode(&message, Encoding::Xml).map_err(|error| error.to_string())?)
        }
    }
}

/// What came of a request.
#[derive(PartialEq, Eq)]
enum Said {
    Message(Vec<u8>),
    Refusal(String),
}

/// A request, ready to be posted.
struct Letter {
    session: (String, String),
    uri: String,
    body: Vec<u8>,
    mac: Option<String>,
}

/// The transport of one run.
struct Wire<'c> {
    conversation: &'c Conversation,
    encoding: Encoding,
    /// Where each session wants its next message.
    sessions: BTreeMap<(String, String), String>,
}

impl<'c> Wire<'c> {
    const fn new(conversation: &'c Conversation, encoding: Encoding) -> Self {
        Self { conversation, encoding, sessions: BTreeMap::new() }
    }

    /// A request of the fixture as this run says it.
    fn letter(&self, number: usize, mut request: Node, names: &Names<'_>) -> Result<Letter, String> {
        names.fill(&mut request)?;
        let at = |path| request.at(path).unwrap_or_default().to_owned();
        let session = (at("SyncHdr/Source/LocURI"), at("SyncHdr/SessionID"));
        let target = at("SyncHdr/Target/LocURI");
        let begins = at("SyncHdr/MsgID") == "1" || target.contains('?');
        let uri = self.sessions.get(&session).filter(|_| !begins).cloned().unwrap_or(target);
        let user = at("SyncHdr/Source/LocName");
        let body = self.written(request)?;
        let recipe = self.conversation.macs.get(&number);
        let mac = recipe.map(|recipe| names.mac(recipe, &user, &body)).transpose()?;
        Ok(Letter { session, uri, body, mac })
    }

    /// Posts a request.
    fn post(&mut self, stage: &Stage<'_>, letter: &Letter, meddle: &mut dyn FnMut(&mut Reply)) -> Result<Said, String> {
        let asked = Request {
            content_type: self.encoding.media_type(),
            body: &letter.body,
            token: common::token_of(&letter.uri),
            mac: letter.mac.as_deref(),
            protected: self.conversation.protected(),
            loopback: true,
            address: Some("192.0.2.1"),
            now: stage.now,
        };
        match stage.server.answer(&asked) {
            Err(refusal) => Ok(Said::Refusal(format!("{} {refusal}", refusal.http_status()))),
            Ok(reply) if reply.content_type != asked.content_type => {
                Err(format!("the reply is of type {}", reply.content_type))
            }
            Ok(reply) if reply.mac.is_some() && letter.mac.is_none() => Err("a MAC nobody asked for".to_owned()),
            Ok(mut reply) => {
                meddle(&mut reply);
                if let Some(uri) = read(&reply.body, self.encoding)?.at("SyncHdr/RespURI") {
                    self.sessions.insert(letter.session.clone(), uri.to_owned());
                }
                Ok(Said::Message(reply.body))
            }
        }
    }

    /// The request's bytes: in XML as the fixture has them, in WBXML through the codec.
    fn written(&self, mut request: Node) -> Result<Vec<u8>, String> {
        if self.encoding == Encoding::Xml {
            return Ok(request.pretty().into_bytes());
        }
        request.leaves(&mut |path, text| {
            if path[0] == "Type" && text == Encoding::Xml.devinf_type() {
                Encoding::Wbxml.devinf_type().clone_into(text);
            }
        });
        let text = request.pretty();
        let mut message =
            decode(text.as_bytes(), Encoding::Xml, &Limits::default()).map_err(|error| error.to_string())?;
        if let Some(cred) = message.header.cred.as_mut().filter(|_| self.conversation.raw_digests) {
            cred.data = STANDARD.decode(&cred.data).map_err(|error| error.to_string())?.into();
            if let Some(meta) = &mut cred.meta {
                meta.format = None;
            }
        }
        encode(&message, Encoding::Wbxml).map_err(|error| error.to_string())
    }
}

/// Writes goldens, once, if the environment asks for it.
fn bless() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let wanted = std::env::var("SYNCML_BLESS").unwrap_or_default();
        if ["1", "all"].contains(&&*wanted) {
            for conversation in Conversation::all() {
                import(&conversation);
                bless_one(&conversation, wanted == "all");
            }
        }
    });
}

/// Makes a recording readable: the bodies as they were on the wire become XML with names for what is volatile.
fn import(conversation: &Conversation) {
    let mut names = Names::new(conversation);
    for number in 1..=conversation.len() {
        for side in ["request", "reply"] {
            let Some(path) = conversation.file(number, side) else { continue };
            let bytes = std::fs::read(&path).unwrap();
            let Some(encoding) = Encoding::sniff(&bytes) else { continue };
            let mut message =
                read(&bytes, encoding).unwrap_or_else(|why| panic!("{} {number} {side}: {why}", conversation.name));
            if side == "reply" {
                names.in_reply(&mut message)
            } else {
                names.in_request(&mut message)
            }
            message.leaves(&mut |_, text| {
                if let Some(rest) = text.strip_prefix("http://127.0.0.1:") {
                    *text = format!("http://sync.example.com{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()));
                }
            });
            std::fs::remove_file(&path).unwrap();
            std::fs::write(path.with_extension("xml"), message.pretty()).unwrap();
        }
    }
}

/// Replies and end as they are now. What was recorded stays, unless that is wanted, too: it is what a run must reproduce.
fn bless_one(conversation: &Conversation, recorded_too: bool) {
    let mut stage = conversation.stage(Arc::new(MemoryStore::new([1; 32])));
    let mut names = Names::new(conversation);
    let mut wire = Wire::new(conversation, Encoding::Xml);
    for number in 1..=conversation.len() {
        stage.before(number);
        let label = format!("{} message {number}", conversation.name);
        let request = conversation.request(number).unwrap_or_else(|why| panic!("{label}: {why}"));
        std::fs::write(conversation.file(number, "request").unwrap(), request.pretty()).unwrap();
        let said = wire.letter(number, request, &names).and_then(|letter| wire.post(&stage, &letter, &mut |_| {}));
        let said = said.unwrap_or_else(|why| panic!("{label}: {why}"));
        let (content, extension) = match &said {
            Said::Message(bytes) => {
                let mut reply = read(bytes, Encoding::Xml).unwrap();
                names.in_reply(&mut reply);
                (reply.pretty(), "xml")
            }
            Said::Refusal(text) => (format!("{text}\n"), "refusal"),
        };
        if conversation.recorded.is_some() && !recorded_too {
            continue;
        }
        if let Some(old) = conversation.file(number, "reply") {
            std::fs::remove_file(old).unwrap();
        }
        std::fs::write(conversation.folder.join(format!("{number:02}-reply.{extension}")), content).unwrap();
    }
    stage.bless_end();
}
