//! To whoever names an id of another account, or of another device, it is an id never used: the answers are the same, and
//! nothing of the other's changes (I10). Calls on stores: the kit's `nothing_of_another_account` and
//! `nothing_of_another_device`.
#![allow(clippy::unwrap_used)]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{PASSWORD, World, card, put, token_of};
use syncml::auth::{Secret, Verifier};
use syncml::kit::phone::Phone;
use syncml::message::{AlertCode, Op};
use syncml::store::{AccountNo, BookNo, Direction, Guid, Revision, SessionKey, Tx, Verdict};

const XML: &str = "application/vnd.syncml+xml";
const URI: &str = common::SERVER_URI;
const BOB: &str = "bob's own";
const BOOK: BookNo = BookNo::CONTACTS;
/// Theirs, and one that there is not.
const DEVICES: [&str; 2] = ["phone-b", "phone-z"];

/// Ids as they stand in a message.
#[derive(Clone, Debug)]
struct Ids {
    guid: String,
    luid: String,
    /// Of an object that was half sent.
    half: String,
    session: String,
    device: String,
    anchor: String,
    message: String,
    token: String,
}

impl Ids {
    fn all(&self) -> [(&str, &String); 8] {
        let Self { guid, luid, half, session, device, anchor, message, token } = self;
        [
            ("{guid}", guid),
            ("{luid}", luid),
            ("{half}", half),
            ("{session}", session),
            ("{device}", device),
            ("{anchor}", anchor),
            ("{message}", message),
            ("{token}", token),
        ]
    }

    fn put_into(&self, text: &str) -> String {
        self.all().iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
    }

    /// The answers of a talk without what the asker himself sent of these ids, and without what is drawn for each session.
    /// What he did not send stays: who gets to see it without asking is told something.
    fn taken_out_of(&self, talk: &[Heard]) -> Vec<String> {
        // The first of a token is only where to look.
        let ids = self.all().map(|(name, id)| (name, if name == "{token}" { &id[8..] } else { id }));
        // Some speak with the very name of their device.
        let devices = DEVICES.map(|id| ("{device}", id));
        let is_sent = |id: &str| talk.iter().any(|heard| heard.letter.contains(id));
        let sent: Vec<_> = ids.into_iter().chain(devices).filter(|(_, id)| is_sent(id)).collect();
        let plain = |heard: &Heard| {
            let mut text = heard.answer.clone();
            for tag in ["RespURI", "NextNonce"] {
                while let Some(begin) = text.find(&format!("<{tag}")) {
                    let end = text[begin..].find(&format!("</{tag}>")).unwrap() + begin;
                    text.replace_range(begin..end + tag.len() + 3, "(drawn)");
                }
            }
            sent.iter().fold(text, |text, (name, id)| match *name {
                // A digit stands everywhere.
                "{session}" => text.replace(&format!("<SessionID>{id}<"), "<SessionID>(id)<"),
                "{message}" => text,
                _ => text.replace(*id, "(id)"),
            })
        };
        talk.iter().map(plain).collect()
    }
}

/// A letter, and what was answered to it.
struct Heard {
    letter: String,
    answer: String,
}

/// A server with two accounts. Two devices of Bob are in the middle of a session: one has sent half of an object, the other
/// was sent an item and has not answered.
struct Site {
    world: World,
    bob: AccountNo,
    theirs: Ids,
}

fn site(mut world: World) -> Site {
    let directory = world.server.store().directory();
    let bob = directory.put_login("bob", &Verifier::Password(Secret::new(BOB.to_owned()))).unwrap();
    let begun = world.now;
    let phone = |world: &World, id: &str| {
        let mut phone = Phone::new(&world.server, id, "bob", BOB, begun);
        let heard = phone.begin(AlertCode::TWO_WAY, None, "BOB-ANCHOR-1").unwrap();
        let add = phone.change(Op::Add, "LUID-4711", &card("Bobby", "+49301"));
        let sync = phone.sync(vec![add]);
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        phone.say_after(&heard, Vec::new(), true).unwrap();
    };
    phone(&world, "phone-b");
    phone(&world, "phone-c");
    put(world.server.store().as_ref(), bob, BOOK, None, &card("News", "+49302"), begun);
    let mut half = Phone::new(&world.server, "phone-b", "bob", BOB, begun.plus_seconds(10));
    let heard = half.begin(AlertCode::TWO_WAY, Some("BOB-ANCHOR-1"), "BOB-ANCHOR-2").unwrap();
    let mut add = half.change(Op::Add, "LUID-4713", "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Half");
    add.items[0].more_data = true;
    add.meta.as_mut().unwrap().size = Some(90);
    let sync = half.sync(vec![add]);
    half.say_after(&heard, vec![sync], false).unwrap();
    let token = token_of(half.said().unwrap().0).unwrap().to_owned();
    let mut silent = Phone::new(&world.server, "phone-c", "bob", BOB, begun.plus_seconds(10));
    let heard = silent.begin(AlertCode::TWO_WAY, Some("BOB-ANCHOR-1"), "BOB-ANCHOR-2").unwrap();
    let sync = silent.sync(Vec::new());
    let heard = silent.say_after(&heard, vec![sync], true).unwrap();
    assert_eq!(heard.changes.len(), 1, "{heard:?}");
    let guid = heard.changes[0].source.clone();
    world.now = begun.plus_seconds(20);
    let theirs = Ids {
        guid,
        luid: "LUID-4711".to_owned(),
        half: "LUID-4713".to_owned(),
        session: "1".to_owned(),
        device: DEVICES[0].to_owned(),
        anchor: "BOB-ANCHOR-1".to_owned(),
        message: "2".to_owned(),
        token,
    };
    Site { world, bob, theirs }
}

/// Of the same form, and of nothing.
fn never(theirs: &Ids) -> Ids {
    let (number, stamp) = theirs.guid.split_once('-').unwrap();
    let other = |text: &str| {
        let (begin, last) = text.split_at(text.len() - 1);
        format!("{begin}{}", if last == "0" { "1" } else { "0" })
    };
    Ids {
        guid: format!("{number}-{}", other(stamp)),
        luid: "LUID-9999".to_owned(),
        half: "LUID-8888".to_owned(),
        session: "9".to_owned(),
        device: DEVICES[1].to_owned(),
        anchor: "NO--ANCHOR-9".to_owned(),
        message: "7".to_owned(),
        token: format!("{}AAAA{}", &theirs.token[..20], &theirs.token[24..]),
    }
}

/// All there is of an account's devices and, for strangers, of its books.
fn dump(site: &Site, books: bool) -> String {
    let mut found = Vec::new();
    let mut look = |tx: &mut dyn Tx| {
        found.clear();
        let mut say = |what: &dyn std::fmt::Debug| found.push(format!("{what:?}"));
        let devices = tx.devices()?;
        for device in devices.iter().filter(|device| ["phone-b", "phone-c"].contains(&&*device.device_id)) {
            say(device);
            for session in ["1", "2", "9"] {
                let session = tx.session(SessionKey::Ids(device.device, session))?;
                if let Some(session) = &session {
                    say(&tx.queued_statuses(&session.token, 99)?);
                }
                say(&session);
            }
            let pair = tx.pair(device.device, BOOK)?;
            for epoch in 0..5 {
                say(&tx.map_page(device.device, BOOK, epoch, Guid(0), 99)?);
            }
            say(&pair);
            say(&tx.outgoing_page(device.device, BOOK, Guid(0), 99)?);
            say(&tx.staged(device.device, BOOK, 0, 99)?);
            for direction in [Direction::In, Direction::Out] {
                say(&tx.partial(device.device, BOOK, direction)?);
            }
        }
        if books {
            say(&devices);
            say(&tx.book(BOOK)?);
            say(&tx.log(BOOK, None, Revision(i64::MAX), 999)?);
            say(&tx.blob_bytes()?);
        }
        Ok(Verdict::Rollback)
    };
    site.world.server.store().step(site.bob, &mut look).unwrap();
    found.join("\n")
}

/// Who speaks: a person's device.
struct Speaker {
    user: &'static str,
    password: &'static str,
    device: &'static str,
}

const ALICE: Speaker = Speaker { user: "alice", password: PASSWORD, device: "phone-a" };
const BOBS_OTHER: Speaker = Speaker { user: "bob", password: BOB, device: "phone-d" };

fn letter(who: &Speaker, cred: bool, uri: &str, session: &str, msg_id: u32, body: &str) -> String {
    let data = STANDARD.encode(format!("{}:{}", who.user, who.password));
    let cred = if cred {
        format!("<Cred><Meta><Format>b64</Format><Type>syncml:auth-basic</Type></Meta><Data>{data}</Data></Cred>")
    } else {
        String::new()
    };
    format!(
        "<SyncML><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto><SessionID>{session}</SessionID>\
         <MsgID>{msg_id}</MsgID><Target><LocURI>{uri}</LocURI></Target><Source><LocURI>{}</LocURI>\
         <LocName>{}</LocName></Source>{cred}</SyncHdr><SyncBody>{body}</SyncBody></SyncML>",
        who.device, who.user
    )
}

fn post(world: &World, uri: &str, body: &str) -> Heard {
    let request = world.request(uri, XML, body.as_bytes());
    let request = syncml::session::Request { protected: true, loopback: false, ..request };
    let answer = match world.server.answer(&request) {
        Ok(reply) => String::from_utf8(reply.body).unwrap(),
        Err(refusal) => format!("{refusal:?}"),
    };
    Heard { letter: body.to_owned(), answer }
}

const ALERT: &str = "<Alert><CmdID>1</CmdID><Data>200</Data><Item><Target><LocURI>contacts</LocURI></Target>\
    <Source><LocURI>./card</LocURI></Source><Meta><Anchor xmlns='syncml:metinf'><Next>1</Next></Anchor></Meta></Item></Alert>";

/// A session in which one message holds `body`: all its answers after the first.
fn converse(world: &World, who: &Speaker, body: &str) -> Vec<Heard> {
    let first = post(world, URI, &letter(who, true, URI, "5", 1, &format!("{ALERT}<Final/>"))).answer;
    let begin = first.find("<RespURI>").expect(&first) + "<RespURI>".len();
    let uri = &first[begin..begin + first[begin..].find('<').unwrap()];
    let next = "<Alert><CmdID>9</CmdID><Data>222</Data></Alert><Final/>";
    [body, next, next]
        .iter()
        .zip(2..)
        .map(|(body, msg_id)| post(world, uri, &letter(who, false, uri, "5", msg_id, body)))
        .collect()
}

/// In a message of the third package: commands in a Sync.
fn in_sync(commands: &str) -> String {
    format!(
        "<Sync><CmdID>3</CmdID><Target><LocURI>contacts</LocURI></Target><Source><LocURI>./card</LocURI></Source>\
         {commands}</Sync><Final/>"
    )
}

/// Beside an empty Sync.
fn beside(command: &str) -> String {
    let sync = in_sync("");
    format!("{command}{sync}")
}

const CARD: &str = "<Meta><Type xmlns='syncml:metinf'>text/vcard</Type></Meta><Data>BEGIN:VCARD&#13;\n\
    VERSION:3.0&#13;\nN:Mine&#13;\nFN:Mine&#13;\nTEL:+4977&#13;\nEND:VCARD&#13;\n</Data>";

/// Every command, with ids of a device (`true`) or of anything.
fn commands() -> Vec<(&'static str, bool, String)> {
    let item = |place: &str, rest: &str| format!("<Item><{place}><LocURI>{{luid}}</LocURI></{place}>{rest}</Item>");
    let change = |op: &str, item: &str| in_sync(&format!("<{op}><CmdID>4</CmdID>{item}</{op}>"));
    let by_guid = |text: String| text.replace("{luid}", "{guid}");
    let group = |kind: &str| {
        let delete = format!("<Delete><CmdID>5</CmdID>{}</Delete>", item("Source", ""));
        in_sync(&format!("<{kind}><CmdID>4</CmdID>{delete}</{kind}>"))
    };
    let get =
        |uri: &str| beside(&format!("<Get><CmdID>4</CmdID><Item><Target><LocURI>{uri}</LocURI></Target></Item></Get>"));
    let alert = |code: u16, item: &str| beside(&format!("<Alert><CmdID>4</CmdID><Data>{code}</Data>{item}</Alert>"));
    let anchored = "<Item><Target><LocURI>contacts</LocURI></Target><Source><LocURI>./card</LocURI></Source>\
        <Meta><Anchor xmlns='syncml:metinf'><Last>{anchor}</Last><Next>2</Next></Anchor></Meta></Item>";
    let map = |guid: &str, luid: &str| {
        beside(&format!(
            "<Map><CmdID>4</CmdID><Target><LocURI>contacts</LocURI></Target><Source><LocURI>./card</LocURI></Source>\
             <MapItem><Target><LocURI>{guid}</LocURI></Target><Source><LocURI>{luid}</LocURI></Source></MapItem></Map>"
        ))
    };
    let status = |command: &str, code: u16| {
        beside(&format!(
            "<Status><CmdID>4</CmdID><MsgRef>{{message}}</MsgRef><CmdRef>4</CmdRef><Cmd>{command}</Cmd>\
             <TargetRef>{{luid}}</TargetRef><SourceRef>{{guid}}</SourceRef><Data>{code}</Data></Status>"
        ))
    };
    let more = |rest: &str| {
        let meta = "<Meta><Type xmlns='syncml:metinf'>text/vcard</Type><Size xmlns='syncml:metinf'>90</Size></Meta>";
        change("Add", &format!("{meta}{}", item("Source", rest))).replace("{luid}", "{half}")
    };
    let devinf = |place: &str| {
        beside(&format!(
            "<{place}><CmdID>4</CmdID>{}<Meta><Type xmlns='syncml:metinf'>application/vnd.syncml-devinf+xml</Type></Meta>\
             <Item><Source><LocURI>./devinf12</LocURI></Source><Data><DevInf xmlns='syncml:devinf'><VerDTD>1.2</VerDTD>\
             <DevID>{{device}}</DevID><DevTyp>phone</DevTyp></DevInf></Data></Item></{place}>",
            if place == "Results" { "<MsgRef>{message}</MsgRef><CmdRef>4</CmdRef>" } else { "" }
        ))
    };
    vec![
        ("Add", true, change("Add", &item("Source", CARD))),
        ("Add", true, more("<Data>TEL:+4977</Data>")),
        ("Add", true, more("<Data>TEL:+4977</Data><MoreData/>")),
        (
            "Add",
            true,
            change(
                "Add",
                &item("Source", CARD).replace("<Meta>", "<SourceParent><LocURI>{luid}</LocURI></SourceParent><Meta>"),
            ),
        ),
        ("Replace", true, change("Replace", &item("Source", CARD))),
        ("Replace", false, by_guid(change("Replace", &item("Target", CARD)))),
        ("Delete", true, change("Delete", &item("Source", ""))),
        ("Delete", false, by_guid(change("Delete", &item("Target", "")))),
        (
            "Copy",
            true,
            change(
                "Copy",
                "<Item><Target><LocURI>NEW</LocURI></Target><Source><LocURI>{luid}</LocURI></Source></Item>",
            ),
        ),
        ("Copy", false, by_guid(change("Copy", &item("Source", "")))),
        ("Move", true, change("Move", &item("Source", "<SourceParent><LocURI>/</LocURI></SourceParent>"))),
        ("Atomic", true, group("Atomic")),
        ("Sequence", true, group("Sequence")),
        ("Exec", false, beside(&format!("<Exec><CmdID>4</CmdID>{}</Exec>", by_guid(item("Target", ""))))),
        ("Get", false, get("{guid}")),
        ("Get", true, get("{luid}")),
        ("Get", false, get("./contacts/{guid}")),
        ("Get", true, get("./devinf12/{device}")),
        ("Put", true, devinf("Put")),
        ("Results", true, devinf("Results")),
        (
            "Search",
            false,
            beside(
                "<Search><CmdID>4</CmdID><Source><LocURI>contacts/{guid}</LocURI></Source><Meta><Type xmlns='syncml:metinf'>text/vcard</Type></Meta><Data>{luid}</Data></Search>",
            ),
        ),
        ("Map", false, map("{guid}", "LUID-1")),
        ("Map", false, map("{guid}", "{luid}")),
        ("Status", true, status("Add", 200).replace("{guid}", "GUID")),
        ("Status", false, status("Add", 200)),
        ("Status", false, status("Replace", 404)),
        ("Status", true, status("Sync", 500).replace("{guid}", "GUID")),
        ("Alert", true, alert(200, anchored)),
        ("Alert", true, alert(225, anchored)),
        ("Alert", true, alert(223, &item("Source", ""))),
        ("Alert", true, alert(221, &item("Source", ""))),
        ("Alert", true, alert(224, "")),
        ("Alert", true, alert(100, &item("Source", "<Data>{luid}</Data>"))),
        ("Sync", true, in_sync("").replace("./card", "{device}")),
    ]
}

/// Runs a talk once with theirs and once with ids of nothing, each at a site of its own that is just the same.
fn compare(what: &str, books: bool, talk: impl Fn(&World, &Ids) -> Vec<Heard>) {
    let mut answers = Vec::new();
    for nobodys in [false, true] {
        let site = site(World::new());
        let before = dump(&site, books);
        let ids = if nobodys { never(&site.theirs) } else { site.theirs.clone() };
        let heard = talk(&site.world, &ids);
        assert_eq!(dump(&site, books), before, "{what}: nothing of theirs changes");
        answers.push(ids.taken_out_of(&heard));
    }
    assert_eq!(answers[0], answers[1], "{what}");
}

/// Every command that there is has a row.
#[test]
fn no_command_is_missing() {
    let mut named: Vec<_> = commands().iter().map(|(name, ..)| *name).collect();
    named.sort_unstable();
    named.dedup();
    let all = [
        "Add", "Alert", "Atomic", "Copy", "Delete", "Exec", "Get", "Map", "Move", "Put", "Replace", "Results",
        "Search", "Sequence", "Status", "Sync",
    ];
    assert_eq!(named, all);
}

#[test]
fn to_another_account_they_are_ids_never_used() {
    for (name, _, body) in commands() {
        compare(name, true, |world, ids| converse(world, &ALICE, &ids.put_into(&body)));
    }
}

#[test]
fn to_another_device_they_are_ids_never_used() {
    for (name, _, body) in commands().into_iter().filter(|(_, of_device, _)| *of_device) {
        compare(name, false, |world, ids| converse(world, &BOBS_OTHER, &ids.put_into(&body)));
    }
}

/// Another's session is no session: by its address, whatever is presented, and by what its device calls it.
#[test]
fn anothers_session_is_none() {
    let bobs = Speaker { user: "bob", password: "wrong", device: "phone-b" };
    let mine_as_theirs = Speaker { device: DEVICES[0], ..ALICE };
    for (name, who) in [("a stranger", &bobs), ("an account", &ALICE)] {
        for (cred, msg_id) in [(true, 1), (true, 3), (false, 1), (false, 3)] {
            // Whoever shows the address and nothing else, with the right device id, is believed: that is what it is for.
            if who.device == DEVICES[0] && !cred {
                continue;
            }
            compare(&format!("the address of a session, shown by {name}, {cred} {msg_id}"), true, |world, ids| {
                let uri = format!("{URI}?s={}", ids.token);
                vec![post(world, &uri, &letter(who, cred, &uri, "5", msg_id, ALERT))]
            });
        }
    }
    // To who knows the address and the device it is of a credential of another is refused (§5.3), not taken for a session
    // of his own, as it would be at an address of nothing.
    for msg_id in [1, 3] {
        let site = site(World::new());
        let before = dump(&site, true);
        let uri = format!("{URI}?s={}", site.theirs.token);
        let heard = post(&site.world, &uri, &letter(&mine_as_theirs, true, &uri, "5", msg_id, ALERT));
        assert!(
            heard.answer.contains("<Cmd>SyncHdr</Cmd>") && heard.answer.contains("<Data>401</Data>"),
            "{}",
            heard.answer
        );
        assert_eq!(dump(&site, true), before);
    }
    compare("the address of a session, shown by another device of the account", false, |world, ids| {
        let uri = format!("{URI}?s={}", ids.token);
        [1, 3].map(|id| post(world, &uri, &letter(&BOBS_OTHER, true, &uri, "5", id, ALERT))).into()
    });
    // The number of the account in it is a hint only.
    compare("the rest of an address", true, |world, ids| {
        let mine = STANDARD.encode([0; 6]);
        let uri = format!("{URI}?s={mine}{}", &ids.token[8..]);
        vec![post(world, &uri, &letter(&ALICE, false, &uri, "5", 3, ALERT))]
    });
    for who in [&ALICE, &BOBS_OTHER] {
        compare("the id of a session", std::ptr::eq(who, &ALICE), |world, ids| {
            [1, 3].map(|id| post(world, URI, &letter(who, true, URI, &ids.session, id, ALERT))).into()
        });
    }
}

/// The same device id in two accounts is two devices.
#[test]
fn a_device_id_is_of_its_account() {
    compare("a device id", true, |world, ids| {
        let device = if ids.device == DEVICES[0] { DEVICES[0] } else { DEVICES[1] };
        let who = Speaker { device, ..ALICE };
        let mut heard = converse(world, &who, &in_sync(""));
        let get = "<Get><CmdID>4</CmdID><Item><Target><LocURI>./changes</LocURI></Target></Item></Get><Final/>";
        heard.push(post(world, URI, &letter(&who, true, URI, "6", 1, get)));
        heard
    });
}

/// The table is worth something: to the device whose they are the ids are something else.
#[test]
fn to_their_own_device_they_are_something() {
    let own = Speaker { device: "phone-b", ..BOBS_OTHER };
    let mut different = 0;
    for (_, _, body) in commands() {
        let [one, two] = [false, true].map(|nobodys| {
            let site = site(World::new());
            let ids = if nobodys { never(&site.theirs) } else { site.theirs.clone() };
            ids.taken_out_of(&converse(&site.world, &own, &ids.put_into(&body)))
        });
        different += usize::from(one != two);
    }
    assert!(different >= 5, "only {different} commands can tell");
}
