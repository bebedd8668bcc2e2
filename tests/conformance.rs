//! The conformance kit: our own server passes whole, and servers that are broken on purpose fail where they are broken.
#![allow(clippy::unwrap_used)] // what fails here fails the test

mod common;

use common::{PASSWORD, SERVER_URI, World, numbered};
use std::collections::BTreeSet;
use syncml::auth::Secret;
use syncml::codec::Encoding;
use syncml::kit::conformance::{Config, KitError, Posted, Report, Transport, Verdict, checks, run};
use syncml::message::{Timestamp, Version};
use syncml::session::ServerConfig;

/// The kit's line to a server in memory, on which what is said may be changed.
struct Line<'w> {
    world: &'w World,
    /// Changes what the server says; hears what was asked, and how often it was asked that before.
    meddle: &'w dyn Fn(&str, usize, String) -> String,
    asked: Vec<Vec<u8>>,
}

/// Messages with which the kit looks into the book: without a credential, with one, and an empty Sync.
const LOOKING: usize = 3;

impl Transport for Line<'_> {
    fn post(&mut self, uri: &str, content_type: &str, body: &[u8]) -> Result<Posted, String> {
        let before = self.asked.iter().filter(|asked| *asked == body).count();
        self.asked.push(body.to_vec());
        Ok(match self.world.server.answer(&self.world.request(uri, content_type, body)) {
            Ok(reply) => {
                let body = match String::from_utf8(reply.body) {
                    // What the kit looks at before it begins stays as it is.
                    Ok(text) if self.asked.len() <= LOOKING => text.into_bytes(),
                    Ok(text) => (self.meddle)(&String::from_utf8_lossy(body), before, text).into_bytes(),
                    Err(binary) => binary.into_bytes(),
                };
                Posted { status: 200, content_type: reply.content_type.to_owned(), body }
            }
            Err(refusal) => Posted { status: refusal.http_status(), ..Posted::default() },
        })
    }
}

fn config() -> Config {
    Config {
        uri: SERVER_URI.to_owned(),
        user: "alice".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        basic: false,
        book: "contacts".to_owned(),
        devices: ["kit-1".to_owned(), "kit-2".to_owned()],
        encoding: Encoding::Xml,
        version: Version::V12,
        allow_writes: false,
        now: Timestamp(1_700_000_000_000),
    }
}

fn play(world: &World, config: &Config, meddle: &dyn Fn(&str, usize, String) -> String, only: &[&str]) -> Report {
    let mut line = Line { world, meddle, asked: Vec::new() };
    run(config, &mut line, &|check| only.is_empty() || only.contains(&check.id), &mut |_| {}).unwrap()
}

fn lines(report: &Report) -> String {
    let lines: Vec<String> = report.findings.iter().map(syncml::kit::conformance::Finding::line).collect();
    format!("{}\nleft over: {:?}", lines.join("\n"), report.left_over)
}

/// Catalogue: X10
#[test]
fn our_own_server_passes_whole() {
    for version in Version::ALL {
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            // Basic is the same everywhere.
            for basic in [false, true].into_iter().take(1 + usize::from(version == Version::V12)) {
                let mut server = ServerConfig::default();
                server.allow_basic = basic;
                for store in common::stores() {
                    let world = World::with(store, server.clone());
                    let config = Config { version, encoding, basic, ..config() };
                    let report = play(&world, &config, &|_, _, reply| reply, &[]);
                    let [passed, failed, unsupported] = report.counts();
                    assert_eq!(failed, 0, "{version:?} {encoding:?}\n{}", lines(&report));
                    assert_eq!(report.findings.len(), checks().len());
                    assert!(passed >= 50 && unsupported <= 12, "{version:?} {encoding:?}\n{}", lines(&report));
                    assert_eq!((report.left_over, world.cards().len()), (None, 0), "it leaves nothing behind");
                }
            }
        }
    }
}

/// A book with somebody's cards is refused, and if it is not, they stay as they are.
#[test]
fn it_touches_no_card_that_is_not_its_own() {
    let world = World::new();
    (0..3).for_each(|n| drop(world.put(&numbered(n)).to_string()));
    let before = world.cards();
    let mut line = Line { world: &world, meddle: &|_, _, reply| reply, asked: Vec::new() };
    let refused = run(&config(), &mut line, &|_| true, &mut |_| {}).unwrap_err();
    assert!(matches!(refused, KitError::NotEmpty(_, 3)), "{refused}");
    assert!(line.asked.iter().all(|asked| !String::from_utf8_lossy(asked).contains("<Add>")), "nothing was written");
    let report = play(&world, &Config { allow_writes: true, ..config() }, &|_, _, reply| reply, &[]);
    let unsupported: Vec<&str> = report
        .findings
        .iter()
        .filter(|finding| matches!(&finding.verdict, Verdict::Unsupported { why } if why.contains("other cards")))
        .map(|finding| &*finding.id)
        .collect();
    assert_eq!(unsupported, ["SYNC-4"]);
    assert_eq!(world.cards(), before);
}

#[test]
fn it_says_why_it_cannot_begin() {
    let world = World::new();
    let refused = |config: Config| {
        let mut line = Line { world: &world, meddle: &|_, _, reply| reply, asked: Vec::new() };
        run(&config, &mut line, &|_| true, &mut |_| {}).unwrap_err()
    };
    let wrong = refused(Config { password: Secret::new("wrong".to_owned()), ..config() });
    assert!(matches!(wrong, KitError::Refused(401)), "{wrong}");
    let unknown = refused(Config { book: "nothing".to_owned(), ..config() });
    assert!(matches!(unknown, KitError::UnknownBook(_, 404)), "{unknown}");
}

/// Each fault is found, by the check that is about it.
#[test]
fn broken_servers_fail_where_they_are_broken() {
    type Fault = (&'static str, &'static str, fn(&str, usize, String) -> String);
    let faults: &[Fault] = &[
        ("a Status is left out", "STA-1", |_, _, reply| without(&reply, "<Cmd>Get</Cmd>")),
        ("a header without its Status", "STA-1", |_, _, reply| match reply.contains("<Cmd>Put</Cmd>") {
            true => moved(&reply),
            false => reply,
        }),
        ("other bytes for the same request", "HDR-2", |_, before, reply| match before {
            0 => reply,
            _ => reply.replace("</SyncML>", "</SyncML>\n"),
        }),
        ("no versions with a 513", "VER-1", |_, _, reply| {
            reply.replace("SyncML/1.1", "").replace("SyncML/1.0", "").replace("SyncML/1.2", "SyncML/2")
        }),
        ("a challenge without a nonce's scheme", "AUTH-1", |_, _, reply| without_chal(&reply)),
        ("what a Get was for is not given", "DEVI-2", |_, _, reply| {
            reply
                .replace("<Results>", "<Put>")
                .replace("</Results>", "</Put>")
                .replace("<DataStore>", "<Ext>")
                .replace("</DataStore>", "</Ext>")
        }),
        ("an unknown datastore is opened", "INIT-3", |_, _, reply| {
            reply.replace("<Data>404</Data>", "<Data>200</Data>")
        }),
        ("an anchor that does not fit is taken", "ANC-2", |_, _, reply| {
            reply.replace("<Data>508</Data>", "<Data>200</Data>")
        }),
        ("a missing item is reported as deleted", "DEL-1", |_, _, reply| {
            reply.replace("<Data>211</Data>", "<Data>200</Data>")
        }),
        ("the server's own id in a Replace", "CON-6", |_, _, reply| sourced(&reply)),
        ("no Final", "MSG-2", |_, _, reply| reply.replace("<Final/>", "")),
        ("Final too early", "MSG-1", |_, _, reply| match reply.contains("<Final/>") {
            true => reply,
            false => reply.replace("</SyncBody>", "<Final/></SyncBody>"),
        }),
        ("larger messages than are taken", "MSG-3", |_, _, reply| format!("{reply}{}", " ".repeat(4_000))),
        ("a count that does not count", "NOC-1", |_, _, reply| {
            reply.replace("<NumberOfChanges>", "<NumberOfChanges>1")
        }),
        ("a chunk is not acknowledged", "LO-1", |_, _, reply| reply.replace("<Data>213</Data>", "<Data>200</Data>")),
        ("a broken object is not missed", "LO-3", |_, _, reply| reply.replace("<Data>223</Data>", "<Data>222</Data>")),
        ("the device's anchor is not given back", "10.2/12", |_, _, reply| reply.replace("<Next>1", "<Next>9")),
    ];
    for (what, id, meddle) in faults {
        let world = World::new();
        let report = play(&world, &config(), meddle, &[id]);
        let failed = report.counts()[1];
        assert!(failed > 0, "{what}: {id} did not fail\n{}", lines(&report));
    }
}

/// A server that does a repeated message again, and one whose Adds are not known again: cards are doubled.
#[test]
fn doubled_cards_are_found() {
    let world = World::new();
    let config = config();
    // Every LUID is new to it: what the device says again is added again, under another name for the same phone.
    struct Forgetful<'w>(Line<'w>, std::cell::Cell<u32>);
    impl Transport for Forgetful<'_> {
        fn post(&mut self, uri: &str, content_type: &str, body: &[u8]) -> Result<Posted, String> {
            let text = String::from_utf8_lossy(body).into_owned();
            let number = self.1.get() + 1;
            self.1.set(number);
            let other = text.replace("Again", &format!("A{number}gain"));
            self.0.post(uri, content_type, other.as_bytes())
        }
    }
    let mut line =
        Forgetful(Line { world: &world, meddle: &|_, _, reply| reply, asked: Vec::new() }, Default::default());
    let report = run(&config, &mut line, &|check| check.name.contains("doubles nothing"), &mut |_| {}).unwrap();
    assert_eq!(report.counts()[1], 1, "{}", lines(&report));
}

#[test]
fn its_checks_are_named_apart_and_cite_rows_of_the_catalogue() {
    let names: BTreeSet<&str> = checks().iter().map(|check| check.name).collect();
    assert_eq!(names.len(), checks().len());
    #[derive(serde::Deserialize)]
    struct Catalogue {
        rows: Vec<Row>,
    }
    #[derive(serde::Deserialize)]
    struct Row {
        id: String,
    }
    let catalogue: Catalogue = serde_json::from_str(include_str!("../fixtures/catalogue.json")).unwrap();
    for check in checks() {
        assert!(catalogue.rows.iter().any(|row| row.id == check.id), "{} is no row", check.id);
    }
}

#[test]
fn junit_says_the_same() {
    let world = World::new();
    let report = play(
        &world,
        &config(),
        &|_, _, reply| reply.replace("<Data>211</Data>", "<Data>200</Data>"),
        &["DEL-1", "AUTH-2", "10.2/12"],
    );
    let [passed, failed, unsupported] = report.counts();
    assert_eq!((passed, failed, unsupported), (1, 1, 1), "{}", lines(&report));
    let xml = report.junit();
    let mut reader = quick_xml::Reader::from_str(&xml);
    let mut open = Vec::new();
    let mut cases = 0;
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Start(start) => {
                start.attributes().for_each(|attribute| drop(attribute.unwrap()));
                cases += usize::from(start.name().as_ref() == "testcase");
                open.push(start.name().as_ref().to_owned());
            }
            quick_xml::events::Event::Empty(start) => {
                start.attributes().for_each(|attribute| drop(attribute.unwrap()));
                cases += usize::from(start.name().as_ref() == "testcase");
            }
            quick_xml::events::Event::End(end) => assert_eq!(open.pop().as_deref(), Some(end.name().as_ref())),
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty());
    assert_eq!(cases, 3);
    assert!(xml.contains("tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\""), "{xml}");
    assert!(
        xml.contains(
            "<failure message=\"§3.12: expected 211 or 404 or 410 for a Delete of an unknown item; got 200\"/>"
        ),
        "{xml}"
    );
}

/// A reply without the Status that holds a text.
fn without(reply: &str, holds: &str) -> String {
    let mut out = String::new();
    let mut rest = reply;
    let mut dropped = false;
    while let Some(start) = rest.find("<Status>") {
        let end = rest[start..].find("</Status>").map_or(rest.len(), |end| start + end + "</Status>".len());
        out += &rest[..start];
        match !dropped && rest[start..end].contains(holds) {
            true => dropped = true,
            false => out += &rest[start..end],
        }
        rest = &rest[end..];
    }
    out + rest
}

/// A reply whose first Status comes second.
fn moved(reply: &str) -> String {
    let Some(start) = reply.find("<Status>") else { return reply.to_owned() };
    let one = start + reply[start..].find("</Status>").unwrap() + "</Status>".len();
    let two = one + reply[one..].find("</Status>").unwrap() + "</Status>".len();
    format!("{}{}{}{}", &reply[..start], &reply[one..two], &reply[start..one], &reply[two..])
}

fn without_chal(reply: &str) -> String {
    match (reply.find("<Chal>"), reply.find("</Chal>")) {
        (Some(start), Some(end)) if reply.contains("<Data>407</Data>") => {
            format!("{}{}", &reply[..start], &reply[end + "</Chal>".len()..])
        }
        _ => reply.to_owned(),
    }
}

/// A reply whose Replaces name the server's own id, too.
fn sourced(reply: &str) -> String {
    let Some(start) = reply.find("<Replace>") else { return reply.to_owned() };
    let end = start + reply[start..].find("</Target>").unwrap() + "</Target>".len();
    format!("{}<Source><LocURI>own</LocURI></Source>{}", &reply[..end], &reply[end..])
}
