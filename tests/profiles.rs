//! Device profiles over the wire: each setting shows, and nothing is lost or doubled by it (§11).
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, Exchange, World, card};
use std::sync::Arc;
use syncml::codec::{Encoding, Limits, decode};
use syncml::message::{AlertCode, Command, Message, Version};
use syncml::session::{Profiles, Report, ServerConfig};
use syncml::store::memory::MemoryStore;

/// What a rule about the device `one` makes of a first sync and a second one with edits on both sides.
fn held(settings: &str, version: Version) -> (Vec<Exchange>, Report) {
    let rule = format!(
        r#"[{{ "name": "tested", "when": {{ "id": ["one"] }}, "because": "a test", "then": {{ {settings} }} }}]"#
    );
    let mut profiles = Profiles::none();
    profiles.read(&rule).unwrap();
    let mut config = ServerConfig::default();
    config.profiles = profiles;
    let mut world = World::with(Arc::new(MemoryStore::new([1; 32])), config);
    // A rule may break the grammar on purpose (I8).
    world.judged = false;
    let mut one = Device::new("one");
    one.config.version = version;
    for n in 0..40 {
        world.put(&card(&format!("There{n}"), &format!("+4930{n:04}")));
        one.put(&card(&format!("Here{n}"), &format!("+4940{n:04}")));
    }
    let sync = |world: &mut World| {
        let report = world.sync(&one).unwrap();
        // Our client misses the Statuses that such a rule leaves out, and says everything again.
        assert!(report.clean || settings.contains("item_statuses"), "{settings}: {report:?}\n{}", world.outline());
        assert_eq!((world.cards().len(), one.cards().len()), (80, 80), "{settings}");
        assert_eq!(world.cards(), one.cards(), "{settings}");
        report
    };
    sync(&mut world);
    one.edit(one.find("Here7"), &card("Here7", "+49407"));
    let there = common::find(world.server.store().as_ref(), world.account, syncml::store::BookNo::CONTACTS, "There7;");
    let store = world.server.store().clone();
    let edited = card("There7", "+49307");
    common::put(store.as_ref(), world.account, syncml::store::BookNo::CONTACTS, Some(there), &edited, world.now);
    let report = sync(&mut world);
    (world.wire, report)
}

fn each_reply(wire: &[Exchange], mut look: impl FnMut(&Message<'_>, &[u8])) {
    for exchange in wire {
        let encoding = Encoding::from_content_type(&exchange.content_type).unwrap();
        look(&decode(&exchange.reply, encoding, &Limits::default()).unwrap(), &exchange.reply);
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}

#[test]
fn messages_stay_below_what_a_rule_allows() {
    let longest = |settings: &str| {
        let mut longest = 0;
        each_reply(&held(settings, Version::V12).0, |_, bytes| longest = longest.max(bytes.len()));
        longest
    };
    let unruled = longest("");
    assert!(unruled > 6_000, "{unruled}");
    assert!(longest(r#""max_msg_size": 2000"#) <= 2_000);
    assert!(longest(r#""fill_percent": 20"#) <= 4_000);
}

#[test]
fn texts_are_written_as_a_rule_wants() {
    for (settings, without, with) in [
        (r#""cdata": false"#, "<![CDATA[", "BEGIN:VCARD"),
        (r#""namespace": false"#, "xmlns=\"SYNCML:SYNCML1.2\"", "<SyncML>"),
        (r#""max_announced": 10000"#, "150000", "<MaxMsgSize xmlns=\"syncml:metinf\">10000<"),
        (r#""zero_anchor": true"#, "<Last/>", "<Last>0</Last>"),
    ] {
        let (wire, _) = held(settings, Version::V12);
        // The first reply refuses somebody whom nobody knows yet.
        assert!(wire[1..].iter().all(|exchange| !contains(&exchange.reply, without)), "{settings}: {without} is there");
        assert!(wire.iter().any(|exchange| contains(&exchange.reply, with)), "{settings}: {with} is missing");
        let (wire, _) = held("", Version::V12);
        assert!(
            wire.iter().all(|exchange| !contains(&exchange.reply, with) || with == "BEGIN:VCARD"),
            "{with} without a rule"
        );
    }
}

#[test]
fn alerts_and_statuses_are_mapped() {
    let (wire, _) =
        held(r#""alerts": { "200": 201 }, "statuses": { "200": 202 }, "item_statuses": false"#, Version::V11);
    each_reply(&wire, |message, _| {
        for command in &message.body {
            match command {
                Command::Status(status) if &*status.cmd != "SyncHdr" => {
                    assert_ne!(status.code.0, 200, "{status:?}");
                    assert!(!matches!(&*status.cmd, "Add" | "Replace"), "{status:?}");
                }
                Command::Alert(alert) if alert.code != Some(AlertCode::NEXT_MESSAGE) => {
                    assert_eq!(alert.code, Some(AlertCode::SLOW));
                }
                _ => {}
            }
        }
    });
}

#[test]
fn the_report_says_which_rules_were_applied() {
    assert_eq!(
        held(r#""max_guid": 6"#, Version::V12).1.profile,
        Vec::<String>::new(),
        "the client knows no rule about the server"
    );
    let rule = r#"[{ "name": "slow-to-trust", "when": { "id": ["http://sync.example.com/*"] }, "because": "a test", "then": { "number_of_changes": true } }]"#;
    let mut world = World::new();
    let mut one = Device::new("one");
    one.config.profiles.read(rule).unwrap();
    assert_eq!(world.sync(&one).unwrap().profile, ["slow-to-trust"]);
}
