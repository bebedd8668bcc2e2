//! A server that does not speak the client's version.
#![allow(clippy::unwrap_used)] // what fails here fails the test

mod common;

use common::{Device, World, numbered};
use syncml::codec::{Encoding, decode};
use syncml::message::Version;
use syncml::session::{Client, ClientError};

/// A header's Status instead of an answer, as an old server gives it.
fn refusal(code: u16, named: &str) -> String {
    let item = if named.is_empty() { String::new() } else { format!("<Item><Data>{named}</Data></Item>") };
    format!(
        "<SyncML><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto><SessionID>1</SessionID><MsgID>1</MsgID>\
         <Target><LocURI>phone</LocURI></Target><Source><LocURI>http://sync.example.com/syncml</LocURI></Source></SyncHdr>\
         <SyncBody><Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>{code}</Data>\
         {item}</Status><Final/></SyncBody></SyncML>"
    )
}

/// Syncs with a server that speaks `spoken` only; gives the versions of the messages it saw.
fn sync(
    world: &mut World,
    device: &Device,
    spoken: &[Version],
    code: u16,
    named: &str,
) -> (Vec<Version>, Result<(), ClientError>) {
    world.tick();
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    let mut seen = Vec::new();
    while let Some(out) = client.outgoing() {
        let version = decode(&out.body, Encoding::Xml, &Default::default()).unwrap().header.version().unwrap();
        assert_eq!(out.opens, seen.last() != Some(&version), "a version is tried in a session of its own");
        seen.push(version);
        let taken = if spoken.contains(&version) {
            let reply = world.post(&out).unwrap();
            client.received(reply.content_type, &reply.body, world.now)
        } else {
            client.received(out.content_type, refusal(code, named).as_bytes(), world.now)
        };
        if let Err(error) = taken {
            assert!(client.outgoing().is_none());
            return (seen, Err(error));
        }
    }
    assert!(client.report().clean);
    (seen, Ok(()))
}

/// Catalogue: VER-1, VER-2
#[test]
fn the_next_lower_version_is_tried_and_remembered() {
    use Version::{V10, V11, V12};
    for (code, named, spoken, tried) in [
        (513, "", vec![V11, V10], vec![V12, V11]),
        (505, "1.1,1.0", vec![V11, V10], vec![V12, V11]),
        (501, "", vec![V10], vec![V12, V11, V10]),
        (400, "", vec![V10], vec![V12, V11, V10]),
        (513, "SyncML/1.0", vec![V10], vec![V12, V10]),
    ] {
        let (mut world, device) = (World::new(), Device::new("phone"));
        device.put(&numbered(1));
        world.put(&numbered(2));
        let (mut seen, ended) = sync(&mut world, &device, &spoken, code, named);
        ended.unwrap();
        seen.dedup();
        assert_eq!(seen, tried, "{code} {named}");
        assert_eq!((device.cards().len(), device.cards()), (2, world.cards()));
        let (seen, ended) = sync(&mut world, &device, &spoken, code, named);
        ended.unwrap();
        let last = tried.last().unwrap();
        assert!(seen.iter().all(|version| version == last), "{code}: begins with what is spoken: {seen:?}");
    }
}

#[test]
fn a_server_without_a_common_version_is_left_alone() {
    for (named, tried) in [("", 3), ("SyncML/2.0", 3), ("SyncML/1.2", 1)] {
        let (mut world, device) = (World::new(), Device::new("phone"));
        let (seen, ended) = sync(&mut world, &device, &[], 513, named);
        assert_eq!(seen.len(), tried, "{named}");
        let error = ended.unwrap_err();
        assert!(error.to_string().contains("speaks no version"), "{error}");
    }
}

/// Catalogue: 10.2/20
#[test]
fn another_status_is_no_word_about_versions() {
    for refused in [511, 301] {
        let (mut world, device) = (World::new(), Device::new("phone"));
        let (seen, ended) = sync(&mut world, &device, &[], refused, "");
        assert_eq!(seen.len(), 1);
        assert!(matches!(ended, Err(ClientError::Ended(code)) if code.0 == refused), "{ended:?}");
    }
}
