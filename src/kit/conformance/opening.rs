//! Checks of what is said before any card: versions, statuses, credentials, device information, anchors.

use super::answer::Answer;
use super::device::{Kit, Session};
use super::{Check, Needs, Outcome, Stop, expect, status};
use crate::auth::{Scheme, Secret};
use crate::codec::Encoding;
use crate::message::{AlertCode, Command, Cred, Data, Exec, Get, Item, Location, Meta, Search, StatusCode, Version};

pub(super) const CHECKS: &[Check] = &[
    talk("HTTP-1", "an answer in the encoding of the request", same_encoding),
    talk("HTTP-1", "another media type is refused", foreign_type),
    talk("VER-1", "a protocol version that is not spoken: 513", unknown_protocol),
    talk("VER-2", "a DTD version that is not spoken: 505", unknown_dtd),
    talk("10.2/38", "each version is spoken, or refused with those that are", each_version),
    talk("STA-1", "statuses in the order of the commands, the header's first", order),
    talk("STA-2", "a Status gives addresses back as they were spelled", references),
    talk("STA-4", "NoResp in the header: no Status", no_resp),
    talk("AUTH-1", "no credential: a challenge, statuses only", no_credential),
    talk("AUTH-2", "a basic credential in the first message", basic),
    talk("AUTH-5", "an MD5 credential, as the challenge wants it", md5),
    talk("AUTH-7", "a nonce that was used up: 401 with one that is good", stale_nonce),
    talk("AUTH-8", "a wrong password: 401 for everything, twice", wrong_password),
    talk("AUTH-9", "the NextNonce of a success opens the next session", next_nonce),
    talk("AUTH-11", "a scheme that nobody speaks: a challenge of one that is", unknown_scheme),
    talk("HDR-2", "a repeated request gets the same answer", repeated),
    talk("HDR-4", "RespURI is an address of its own and is understood", resp_uri),
    talk("DEVI-2", "Get of device information: 200 and Results", devinf),
    talk("DEVI-2", "Get of something else: 404", get_other),
    talk("CMD-501", "a command that nobody knows: 501, the rest is done", unknown_command),
    talk("CMD-501", "Exec and Search: refused, the rest is done", exec_and_search),
    talk("ALERT-406", "an Alert of an unknown code: refused", unknown_alert),
    talk("INIT-3", "an unknown datastore: 404, the other is opened", unknown_datastore),
    talk("10.2/21", "a datastore by its relative and its absolute address", addresses),
    talk("10.2/11", "the server's Alert has a Next", server_anchor),
    talk("10.2/12", "the Status of an Alert gives its Next back", echoed_anchor),
    talk("ANC-5", "a Last of 0 is none: 508 and an Alert 201", zero_last),
    talk("RES-2", "225 where nothing was suspended: refused", nothing_to_resume),
];

const fn talk(id: &'static str, name: &'static str, run: fn(&mut Kit<'_>) -> Outcome) -> Check {
    Check { id, name, needs: Needs::Talk, run }
}

fn accepted(heard: &Answer) -> Outcome {
    expect(matches!(heard.header, Some(200..=299)), "§5.3", "the credential to be taken", || heard.outline())
}

/// A session whose first message holds an Alert and what is made besides.
fn begun(kit: &mut Kit<'_>, more: &dyn Fn(&mut Session) -> Vec<Command<'static>>) -> Outcome<Session> {
    let book = kit.config.book.clone();
    let session = kit.begin(0, &|kit, session| {
        let mut body = vec![kit.alert(session, &book, AlertCode::SLOW, None)];
        body.extend(more(session));
        body
    })?;
    accepted(&session.heard)?;
    Ok(session)
}

/// Posts a first message whose header is changed.
fn meddled(kit: &mut Kit<'_>, meddle: &dyn Fn(&mut crate::message::Header<'static>)) -> Outcome<Answer> {
    let mut session = kit.session(0);
    session.msg_id = 1;
    let cred = kit.devices[0].nonce.clone().and_then(|nonce| kit.credential(0, &nonce));
    let mut header = kit.header(&session, cred);
    meddle(&mut header);
    let book = kit.config.book.clone();
    let alert = kit.alert(&mut session, &book, AlertCode::SLOW, None);
    let bytes = kit.written(header, vec![alert], true)?;
    let uri = kit.config.uri.clone();
    kit.post(&uri, &bytes)
}

fn same_encoding(kit: &mut Kit<'_>) -> Outcome {
    let session = begun(kit, &|_| Vec::new())?;
    let got = session.heard.posted.content_type;
    let wanted = kit.config.encoding.media_type();
    expect(Encoding::from_content_type(&got) == Some(kit.config.encoding), "§9.1", wanted, || got.clone())
}

fn foreign_type(kit: &mut Kit<'_>) -> Outcome {
    let uri = kit.config.uri.clone();
    let heard = kit.post_as(&uri, "text/x-nothing", b"nothing")?;
    expect((400..600).contains(&heard.posted.status), "§9.1", "an HTTP status of 400 and above", || {
        format!("HTTP {}", heard.posted.status)
    })
}

fn unknown_protocol(kit: &mut Kit<'_>) -> Outcome {
    let heard = meddled(kit, &|header| header.ver_proto = "SyncML/7.7".into())?;
    expect(heard.unreadable.is_none(), "§1.4", "a message with the Status 513", || heard.outline())?;
    status(heard.header, &[513], "§1.4", "the header of SyncML/7.7")?;
    names_versions(&heard)
}

fn unknown_dtd(kit: &mut Kit<'_>) -> Outcome {
    let heard = meddled(kit, &|header| header.ver_dtd = "7.7".into())?;
    expect(heard.unreadable.is_none(), "§1.4", "a message with the Status 505", || heard.outline())?;
    status(heard.header, &[505, 513], "§1.4", "the header with VerDTD 7.7")?;
    names_versions(&heard)
}

fn names_versions(heard: &Answer) -> Outcome {
    let said = heard.statuses.first().map(|told| told.said.join(" ")).unwrap_or_default();
    expect(said.contains("1."), "§1.4", "an Item that lists the versions that are spoken", || format!("{said:?}"))
}

fn each_version(kit: &mut Kit<'_>) -> Outcome {
    for version in Version::ALL {
        let heard = meddled(kit, &|header| {
            (header.ver_dtd, header.ver_proto) = (version.dtd().into(), version.proto().into());
        })?;
        match heard.header {
            Some(505 | 513) => names_versions(&heard)?,
            code => expect(matches!(code, Some(200..=299 | 401 | 407)), "§1.4", "an answer, 505 or 513", || {
                format!("{} for {}", heard.outline(), version.proto())
            })?,
        }
    }
    Ok(())
}

fn get(session: &mut Session, encoding: Encoding, uri: &str) -> Command<'static> {
    let item = Item { target: Some(Location::new(uri.to_owned())), ..Item::default() };
    Command::Get(Get {
        cmd_id: session.cmd(),
        no_resp: false,
        lang: None,
        cred: None,
        meta: Some(Meta::of_type(encoding.devinf_type())),
        items: vec![item],
    })
}

fn order(kit: &mut Kit<'_>) -> Outcome {
    let (encoding, uri) = (kit.config.encoding, kit.config.version.devinf_uri());
    let book = kit.config.book.clone();
    let session = kit.begin(0, &|kit, session| {
        vec![
            kit.put_devinf(session),
            get(session, encoding, uri),
            kit.alert(session, &book, AlertCode::SLOW, None),
            get(session, encoding, uri),
        ]
    })?;
    accepted(&session.heard)?;
    let names: Vec<&str> = session.heard.statuses.iter().map(|told| &*told.cmd).collect();
    expect(names == ["SyncHdr", "Put", "Get", "Alert", "Get"], "§2.4.3", "SyncHdr, Put, Get, Alert, Get", || {
        names.join(", ")
    })?;
    let first = session.heard.commands.first().map(String::as_str);
    expect(first == Some("Status"), "§2.4.3", "the header's Status before all else", || {
        session.heard.commands.join(", ")
    })
}

fn references(kit: &mut Kit<'_>) -> Outcome {
    let session = begun(kit, &|_| Vec::new())?;
    let alert = session.heard.statuses.iter().find(|told| told.cmd == "Alert").cloned().unwrap_or_default();
    let book = Some(kit.config.book.clone());
    let fits = (alert.target.is_none() || alert.target == book)
        && alert.source.as_deref().is_none_or(|s| s == "./conformance");
    expect(fits, "§2.4.2", "the addresses of the Alert", || format!("{:?} and {:?}", alert.target, alert.source))?;
    let msg_ref = session.msg_id.to_string();
    expect(
        session.heard.statuses.iter().all(|told| told.msg_ref == msg_ref),
        "§2.4.1",
        "MsgRefs of the request",
        || format!("{:?}", session.heard.statuses.iter().map(|told| &told.msg_ref).collect::<Vec<_>>()),
    )
}

fn no_resp(kit: &mut Kit<'_>) -> Outcome {
    let mut session = begun(kit, &|_| Vec::new())?;
    session.msg_id += 1;
    let nonce = kit.devices[0].nonce.clone().unwrap_or_default();
    let cred = session.always_cred.then(|| kit.credential(0, &nonce)).flatten();
    let mut header = kit.header(&session, cred);
    header.no_resp = true;
    let mut body = session.confirmations(kit);
    body.push(get(&mut session, kit.config.encoding, "./nothing"));
    let bytes = kit.written(header, body, false)?;
    let heard = kit.post(&session.uri.clone(), &bytes)?;
    expect(heard.unreadable.is_none(), "§9.1", "a message", || heard.outline())?;
    let answered = heard.statuses.iter().any(|told| told.cmd == "Get");
    expect(!answered, "§2.4.7", "no Status for the commands of a message with NoResp", || heard.outline())
}

/// One first message with that credential.
fn presented(kit: &mut Kit<'_>, cred: Option<Cred<'static>>) -> Outcome<Session> {
    let mut session = kit.session(0);
    let book = kit.config.book.clone();
    let alert = kit.alert(&mut session, &book, AlertCode::SLOW, None);
    kit.say_with(&mut session, cred, vec![alert], true)?;
    expect(session.heard.unreadable.is_none(), "§9.1", "a message", || session.heard.outline())?;
    Ok(session)
}

/// 401 or 407, a challenge, and nothing but statuses of the same code.
fn challenged(heard: &Answer, codes: &[u16]) -> Outcome {
    status(heard.header, codes, "§5.3", "the header")?;
    expect(heard.challenge.is_some(), "§5.3", "a Chal in the header's Status", || heard.outline())?;
    let only = heard.commands.iter().all(|name| name == "Status");
    expect(only, "§5.3", "nothing but statuses", || heard.commands.join(", "))?;
    let same = heard.statuses.iter().all(|told| Some(told.code) == heard.header);
    expect(same, "§2.4.9", "the header's code for every command", || heard.outline())
}

fn no_credential(kit: &mut Kit<'_>) -> Outcome {
    let session = presented(kit, None)?;
    if session.heard.header == Some(200) {
        return Err(Stop::Unsupported("the server lets everybody in".to_owned()));
    }
    challenged(&session.heard, &[407, 401])
}

fn basic(kit: &mut Kit<'_>) -> Outcome {
    let password = kit.config.password.clone();
    let cred = kit.credential_of(Scheme::Basic, 0, &[], &password);
    let session = presented(kit, cred)?;
    if matches!(session.heard.challenge, Some((Some(Scheme::Md5), _))) && session.heard.header == Some(401) {
        return Err(Stop::Unsupported("the server wants MD5 instead".to_owned()));
    }
    status(session.heard.header, &[200, 212], "§5.2", "the header with a basic credential")
}

fn md5(kit: &mut Kit<'_>) -> Outcome {
    let mut session = presented(kit, None)?;
    let Some((Some(Scheme::Md5), nonce)) = session.heard.challenge.clone() else {
        return Err(Stop::Unsupported(format!("the server does not ask for MD5: {}", session.heard.outline())));
    };
    let password = kit.config.password.clone();
    let cred = kit.credential_of(Scheme::Md5, 0, &nonce, &password);
    let book = kit.config.book.clone();
    let body = vec![
        session.answer_to("SyncHdr", "0", StatusCode::OK, None),
        kit.alert(&mut session, &book, AlertCode::SLOW, None),
    ];
    kit.say_with(&mut session, cred, body, true)?;
    status(session.heard.header, &[200, 212], "§5.3", "the header with an MD5 credential")
}

fn wants_md5(kit: &Kit<'_>) -> Outcome {
    if kit.config.basic { Err(Stop::Unsupported("the kit logs in with basic".to_owned())) } else { Ok(()) }
}

fn stale_nonce(kit: &mut Kit<'_>) -> Outcome {
    wants_md5(kit)?;
    let cred = kit.credential(0, b"a nonce that was never put");
    let mut session = presented(kit, cred)?;
    challenged(&session.heard, &[401, 407])?;
    let nonce = session.heard.challenge.clone().map(|(_, nonce)| nonce).unwrap_or_default();
    let cred = kit.credential(0, &nonce);
    let book = kit.config.book.clone();
    let alert = kit.alert(&mut session, &book, AlertCode::SLOW, None);
    let body = vec![session.answer_to("SyncHdr", "0", StatusCode::OK, None), alert];
    kit.say_with(&mut session, cred, body, true)?;
    status(session.heard.header, &[200, 212], "§5.3", "the header with the fresh nonce")
}

fn wrong_password(kit: &mut Kit<'_>) -> Outcome {
    let scheme = if kit.config.basic { Scheme::Basic } else { Scheme::Md5 };
    let wrong = Secret::new("certainly not this".to_owned());
    let nonce = kit.devices[0].nonce.clone().unwrap_or_default();
    let cred = kit.credential_of(scheme, 0, &nonce, &wrong);
    let session = presented(kit, cred)?;
    challenged(&session.heard, &[401])?;
    let nonce = kit.devices[0].nonce.clone().unwrap_or_default();
    let cred = kit.credential_of(scheme, 0, &nonce, &wrong);
    let session = presented(kit, cred)?;
    challenged(&session.heard, &[401])?;
    // The right one, so that nobody is kept waiting for the guesses.
    begun(kit, &|_| Vec::new()).map(drop)
}

fn next_nonce(kit: &mut Kit<'_>) -> Outcome {
    wants_md5(kit)?;
    let session = begun(kit, &|_| Vec::new())?;
    let Some((Some(Scheme::Md5), nonce)) = session.heard.challenge else {
        return Err(Stop::Unsupported("a success puts no nonce for the next session".to_owned()));
    };
    let cred = kit.credential(0, &nonce);
    let session = presented(kit, cred)?;
    status(session.heard.header, &[200, 212], "§5.3", "the header of the next session")
}

fn unknown_scheme(kit: &mut Kit<'_>) -> Outcome {
    let cred = Cred { meta: Some(Meta::of_type("syncml:auth-nobody")), data: b"YWJj"[..].into() };
    let session = presented(kit, Some(cred))?;
    let heard = &session.heard;
    let refused = matches!(heard.header, Some(401 | 406 | 407 | 415));
    expect(refused, "§5.3", "401, 406 or 407 for the header", || heard.outline())?;
    expect(heard.challenge.is_some(), "§5.3", "a Chal of a scheme that is spoken", || heard.outline())
}

fn repeated(kit: &mut Kit<'_>) -> Outcome {
    let mut session = begun(kit, &|_| Vec::new())?;
    let mut body = session.confirmations(kit);
    body.push(session.device_alert(kit, AlertCode::NEXT_MESSAGE));
    let uri = session.uri.clone();
    kit.say(&mut session, body, false)?;
    let again = kit.post(&uri, &session.said.clone())?;
    expect(again.posted.body == session.heard.posted.body, "§2.5", "the same bytes", || again.outline())
}

fn resp_uri(kit: &mut Kit<'_>) -> Outcome {
    let mut session = begun(kit, &|_| Vec::new())?;
    let Some(uri) = session.heard.resp_uri.clone() else {
        return Err(Stop::Unsupported("the server gives no address for the session".to_owned()));
    };
    expect(uri.contains("://"), "§3.10", "an absolute address", || uri.clone())?;
    let mut body = session.confirmations(kit);
    body.push(session.device_alert(kit, AlertCode::NEXT_MESSAGE));
    kit.say(&mut session, body, false)
}

fn devinf(kit: &mut Kit<'_>) -> Outcome {
    let (encoding, uri) = (kit.config.encoding, kit.config.version.devinf_uri());
    let session = begun(kit, &|session| vec![get(session, encoding, uri)])?;
    status(session.heard.status("Get"), &[200], "§3.19", "Get of its device information")?;
    let Some(devinf) = &session.heard.devinf else {
        return expect(false, "§3.19", "Results with device information", || session.heard.commands.join(", "));
    };
    expect(!devinf.stores.is_empty() && !devinf.dev_id.is_empty(), "§3.19", "a DevID and a DataStore", || {
        format!("{:?} and {} datastores", devinf.dev_id, devinf.stores.len())
    })
}

fn get_other(kit: &mut Kit<'_>) -> Outcome {
    let encoding = kit.config.encoding;
    let session = begun(kit, &|session| vec![get(session, encoding, "./no/such/thing")])?;
    let code = session.heard.status("Get");
    expect(matches!(code, Some(400..=599)), "§3.19", "404 for Get of what is not there", || session.heard.outline())
}

fn unknown_command(kit: &mut Kit<'_>) -> Outcome {
    if kit.config.encoding == Encoding::Wbxml {
        return Err(Stop::Unsupported("WBXML has no token for it".to_owned()));
    }
    let mut session = begun(kit, &|_| Vec::new())?;
    session.msg_id += 1;
    let nonce = kit.devices[0].nonce.clone().unwrap_or_default();
    let cred = session.always_cred.then(|| kit.credential(0, &nonce)).flatten();
    let header = kit.header(&session, cred);
    let mut body = session.confirmations(kit);
    let after = get(&mut session, kit.config.encoding, kit.config.version.devinf_uri());
    body.push(after);
    let text = String::from_utf8_lossy(&kit.written(header, body, false)?).into_owned();
    let strange = text.replacen("<Get>", "<Frobnicate><CmdID>777</CmdID></Frobnicate><Get>", 1);
    let heard = kit.post(&session.uri.clone(), strange.as_bytes())?;
    let code = heard.statuses.iter().find(|told| told.cmd_ref == "777").map(|told| told.code);
    let refused = matches!(code, Some(400 | 405 | 406 | 500 | 501));
    expect(refused, "§2.4.10", "501 for a command that nobody knows", || heard.outline())?;
    status(heard.status("Get"), &[200], "§2.4.10", "the Get beside it")
}

fn exec_and_search(kit: &mut Kit<'_>) -> Outcome {
    let session = begun(kit, &|session| {
        let exec = Exec {
            cmd_id: session.cmd(),
            no_resp: false,
            cred: None,
            meta: None,
            correlator: None,
            item: Box::new(Item { target: Some(Location::new("./nothing")), ..Item::default() }),
        };
        let search = Search {
            cmd_id: session.cmd(),
            no_resp: false,
            no_results: false,
            cred: None,
            target: None,
            sources: vec![Location::new("./nothing")],
            lang: None,
            meta: Some(Meta::of_type("application/x-nothing")),
            data: Data::text("x"),
        };
        vec![Command::Exec(exec), Command::Search(search)]
    })?;
    for name in ["Exec", "Search"] {
        let code = session.heard.status(name);
        let refused = matches!(code, Some(400..=599));
        expect(refused, "§2.2", &format!("{name} to be refused"), || session.heard.outline())?;
    }
    expect(session.heard.status("Alert").is_some(), "§2.4.10", "a Status for the Alert, too", || {
        session.heard.outline()
    })
}

fn unknown_alert(kit: &mut Kit<'_>) -> Outcome {
    let book = kit.config.book.clone();
    let session = kit.begin(0, &|kit, session| vec![kit.alert(session, &book, AlertCode(249), None)])?;
    accepted(&session.heard)?;
    let code = session.heard.status("Alert");
    expect(matches!(code, Some(400..=599)), "§4", "406 for an Alert 249", || session.heard.outline())
}

fn unknown_datastore(kit: &mut Kit<'_>) -> Outcome {
    let book = kit.config.book.clone();
    let session = kit.begin(0, &|kit, session| {
        vec![
            kit.alert(session, "./no-such-datastore", AlertCode::SLOW, None),
            kit.alert(session, &book, AlertCode::SLOW, None),
        ]
    })?;
    accepted(&session.heard)?;
    let codes: Vec<u16> =
        session.heard.statuses.iter().filter(|told| told.cmd == "Alert").map(|told| told.code).collect();
    let fits = matches!(codes[..], [404, 200 | 508]);
    expect(fits, "§3.20", "404 for the unknown one, 200 for the other", || format!("{codes:?}"))
}

fn addresses(kit: &mut Kit<'_>) -> Outcome {
    let name = kit.config.book.trim_start_matches("./").to_owned();
    for spelling in [format!("./{name}"), name] {
        let session = kit.begin(0, &|kit, session| vec![kit.alert(session, &spelling, AlertCode::SLOW, None)])?;
        accepted(&session.heard)?;
        let code = session.heard.status("Alert");
        expect(matches!(code, Some(200 | 508)), "§1.3", &format!("200 for the datastore {spelling:?}"), || {
            session.heard.outline()
        })?;
    }
    Ok(())
}

fn server_anchor(kit: &mut Kit<'_>) -> Outcome {
    let session = begun(kit, &|_| Vec::new())?;
    let next = session.heard.alerts.first().and_then(|alert| alert.next.clone()).unwrap_or_default();
    expect(!next.is_empty(), "§3.3.1", "a Next in the server's Alert", || session.heard.outline())
}

fn echoed_anchor(kit: &mut Kit<'_>) -> Outcome {
    let session = begun(kit, &|_| Vec::new())?;
    let alert = session.heard.statuses.iter().find(|told| told.cmd == "Alert").cloned().unwrap_or_default();
    let given = alert.said.iter().any(|text| text.contains(&session.next));
    expect(given, "§3.3.3", &format!("Next {:?} in the Status of the Alert", session.next), || {
        format!("{:?}", alert.said)
    })
}

fn zero_last(kit: &mut Kit<'_>) -> Outcome {
    let session = kit.open(0, AlertCode::TWO_WAY, Some("0"))?;
    slow_instead(&session.heard)
}

/// 508 for the Alert, and an Alert 201.
pub(super) fn slow_instead(heard: &Answer) -> Outcome {
    accepted(heard)?;
    status(heard.status("Alert"), &[508], "§3.3.4", "an Alert with an anchor that does not fit")?;
    let held = heard.alerts.first().map(|alert| alert.code);
    expect(held == Some(201), "§3.3.4", "the server's own Alert 201", || heard.outline())
}

fn nothing_to_resume(kit: &mut Kit<'_>) -> Outcome {
    if kit.config.version != Version::V12 {
        return Err(Stop::Unsupported("suspend and resume came with 1.2".to_owned()));
    }
    kit.first(0, &[])?;
    let last = kit.devices[0].last.clone();
    let session = kit.open(0, AlertCode::RESUME, last.as_deref())?;
    accepted(&session.heard)?;
    status(session.heard.status("Alert"), &[508, 509, 404, 403], "§3.13", "225 where nothing was suspended")?;
    let held = session.heard.alerts.first().map(|alert| alert.code);
    expect(held.is_none_or(|code| code != 225), "§3.13", "no Alert 225 of the server's", || session.heard.outline())
}
