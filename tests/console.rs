//! The page (missions B9, R3, R5, C6): the program, spawned, over real HTTP and SQLite, seen by a browser that has no script. What
//! one with a script sees is in tests/browser.
#![cfg(feature = "cli")]
// It starts processes, opens sockets and reads files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/browser.rs"]
mod browser;
#[path = "common/program.rs"]
mod program;

use browser::{Browser, Page, encoded};
use program::{PASSWORD, World, card, run, set};
use serde_json::Value;
use std::fs;

fn world() -> World {
    World::new(&["--console"])
}

/// A world in which a phone has synced these cards.
fn synced(cards: &[(&str, &str)]) -> World {
    let world = world();
    for (n, (name, lines)) in cards.iter().enumerate() {
        world.write(&format!("phone/{n}.vcf"), &card(name, lines));
    }
    world.synced("phone", &[], 0);
    world
}

/// The items of ada's contacts as the program lists them.
fn items(world: &World) -> Vec<Value> {
    let (code, out, err) = run(world.with_db(&["list", "--user", "ada", "--json"]).args(["--book", "contacts"]));
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

fn guid(world: &World, name: &str) -> i64 {
    items(world).iter().find(|item| item["name"] == name).unwrap()["guid"].as_i64().unwrap()
}

/// The field that has this value.
fn holding(page: &Page, begin: &str, value: &str) -> String {
    let inputs = page.inputs(begin);
    inputs.iter().find(|(_, it)| it == value).unwrap_or_else(|| panic!("{value:?} in {inputs:?}")).0.clone()
}

/// The card that a file of a folder holds.
fn file_of(world: &World, dir: &str, name: &str) -> std::path::PathBuf {
    let files = fs::read_dir(world.path(dir)).unwrap().map(|entry| entry.unwrap().path());
    let mut cards = files.filter(|path| path.extension().is_some_and(|ending| ending == "vcf"));
    cards.find(|path| program::formatted_name(path) == name).unwrap()
}

#[test]
fn b9_signing_in_and_out() {
    let world = synced(&[("Zoe Berg", "TEL:+49301111\r\n")]);
    let mut browser = Browser::new(&world);
    let page = browser.get("/console");
    assert_eq!((page.status, page.header("location")), (303, Some("/console/sign-in")));
    browser.sign_in("ada", "wrong").says(401, &["The name or the password is wrong."]);
    browser.sign_in("nobody", PASSWORD).says(401, &["The name or the password is wrong."]);
    assert!(!browser.cookies.contains_key("syncml-console"));
    let page = browser.sign_in("ada", PASSWORD);
    let cookie = page.headers.iter().find(|(name, value)| name == "set-cookie" && value.contains("console")).unwrap();
    // Without TLS there is neither Secure nor the prefix that wants it: docs/console.md.
    assert!(cookie.1.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie:?}");
    let home = browser.follow(&page);
    home.says(200, &["Zoe Berg", "Signed in as ada"]);
    let old = browser.cookies.clone();
    let page = browser.post(&home, "/console/sign-out", &[]);
    assert_eq!((page.status, browser.cookies.contains_key("syncml-console")), (303, false));
    browser.cookies = old;
    assert_eq!(browser.get("/console").status, 303, "the session itself has ended");
}

#[test]
fn b9_nothing_is_shown_to_who_is_not_signed_in() {
    let world = synced(&[("Zoe Berg", "")]);
    let guid = guid(&world, "Zoe Berg");
    let mut stranger = Browser::new(&world);
    let paths = [
        String::new(),
        "/".to_owned(),
        "/book/1".to_owned(),
        "/book/1/rows?q=zoe".to_owned(),
        "/book/1/new".to_owned(),
        format!("/book/1/item/{guid}"),
        format!("/book/1/item/{guid}/edit"),
        format!("/book/1/item/{guid}/history"),
        format!("/book/1/item/{guid}/history/{guid}"),
        "/book/1/history".to_owned(),
        "/book/1/restore?revision=0".to_owned(),
        "/book/1/conflicts".to_owned(),
        "/history".to_owned(),
        "/devices".to_owned(),
        "/devices/live".to_owned(),
        "/held".to_owned(),
        "/lost/1".to_owned(),
        "/lost/1/stop".to_owned(),
        "/lost/1/clear?force=1".to_owned(),
        "/no/such/page".to_owned(),
    ];
    for path in &paths {
        for cookie in [None, Some("1.0000000000000000000000000000000000000000000000000000000000000000"), Some("1.x")] {
            stranger.cookies.clear();
            stranger.cookies.extend(cookie.map(|value| ("syncml-console".to_owned(), value.to_owned())));
            let page = stranger.get(&format!("/console{path}"));
            assert_eq!((page.status, page.header("location")), (303, Some("/console/sign-in")), "{path}");
            assert_eq!(page.body, "", "{path}");
            let page = stranger.send("POST", &format!("/console{path}"), Some(&[("revision", "0")]));
            assert_eq!((page.status, page.body.as_str()), (303, ""), "{path}");
        }
    }
    assert_eq!(world.server_names(), set(["Zoe Berg"]));
    // SyncML is where it was, and without a cookie.
    let page = stranger.get("/syncml");
    page.says(200, &["This is a SyncML server"]);
    assert_eq!(page.header("set-cookie"), None);
}

#[test]
fn b9_guesses_are_slowed_down() {
    let world = world();
    let mut browser = Browser::new(&world);
    for guess in 0..6 {
        assert_eq!(browser.sign_in("ada", &format!("guess {guess}")).status, 401);
    }
    let page = browser.sign_in("ada", PASSWORD);
    assert_eq!((page.status, page.header("retry-after")), (429, Some("1")), "{}", page.body);
}

#[test]
fn b9_without_tls_only_this_machine_is_served_and_with_it_cookies_are_bound_to_the_host() {
    // A proxy in front says that all came over TLS.
    let world = World::new(&["--console", "--behind-tls"]);
    let mut browser = Browser::new(&world);
    let page = browser.sign_in("ada", PASSWORD);
    let cookies: Vec<_> = page.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
    assert!(!cookies.is_empty());
    for (_, cookie) in cookies {
        assert!(
            cookie.starts_with("__Host-syncml-") && cookie.contains("; Path=/; HttpOnly; SameSite=Strict"),
            "{cookie}"
        );
        assert!(cookie.ends_with("; Secure") && !cookie.contains("Domain"), "{cookie}");
    }
    browser.follow(&page).says(200, &["This book is empty."]);
}

#[test]
fn b9_the_form_for_signing_in_stays_good_in_another_tab() {
    let world = world();
    let mut browser = Browser::new(&world);
    let seen = browser.get("/console/sign-in");
    browser.get("/console/sign-in");
    let page = browser.post(&seen, "/console/sign-in", &[("name", "ada"), ("password", PASSWORD)]);
    assert_eq!((page.status, page.header("location")), (303, Some("/console")));
}

#[test]
fn b9_headers_forbid_what_the_page_does_not_do() {
    let world = world();
    let mut browser = Browser::of(&world, "ada");
    for path in ["/console", "/console/sign-in", "/console/nothing", "/console/devices/live"] {
        let page = browser.get(path);
        let policy = page.header("content-security-policy").unwrap();
        for part in
            ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(policy.split("; ").any(|it| it == part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("x-frame-options"), Some("DENY"));
        assert_eq!(page.header("referrer-policy"), Some("same-origin"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        for inline in ["<script>", "<style", " style=", " onclick=", "javascript:"] {
            assert!(!page.body.contains(inline), "{inline} in {path}");
        }
    }
    for (path, kind) in [("/console/style.css", "text/css"), ("/console/script.js", "text/javascript")] {
        let file = Browser::new(&world).get(path);
        assert_eq!((file.status, file.header("content-type").unwrap().split(';').next()), (200, Some(kind)));
    }
    assert_eq!(browser.send("PUT", "/console", None).status, 405);
}

#[test]
fn b9_a_form_that_is_not_this_pages_is_refused() {
    let world = synced(&[("Zoe Berg", "TEL:+49301111\r\n")]);
    let guid = guid(&world, "Zoe Berg");
    let (mut browser, mut other) = (Browser::of(&world, "ada"), Browser::of(&world, "ada"));
    let path = format!("/console/book/1/item/{guid}/delete");
    let seen = browser.get(&format!("/console/book/1/item/{guid}"));
    let revision = seen.field("revision");
    let others = other.get(&format!("/console/book/1/item/{guid}")).token();
    for token in ["", "x", others.as_str()] {
        let page = browser.send("POST", &path, Some(&[("token", token), ("revision", &revision)]));
        page.says(403, &["Nothing was done."]);
    }
    browser.send("POST", &path, Some(&[("revision", &revision)])).says(403, &["Nothing was done."]);
    // The right token, but from elsewhere: the browser says so.
    for site in ["cross-site", "same-site"] {
        browser.headers = vec![("Sec-Fetch-Site", site.to_owned())];
        browser.post(&seen, &path, &[("revision", &revision)]).says(403, &["Nothing was done."]);
    }
    // Nor can another site sign a browser in.
    let mut browser = Browser::new(&world);
    let page = browser.send("POST", "/console/sign-in", Some(&[("name", "ada"), ("password", PASSWORD)]));
    page.says(403, &["This form is too old."]);
    assert!(!browser.cookies.contains_key("syncml-console"));
    assert_eq!(world.server_names(), set(["Zoe Berg"]));
}

#[test]
fn b9_another_account_sees_nothing() {
    let world = synced(&[("Zoe Berg", "TEL:+49301111\r\n")]);
    let (code, _, err) =
        run(world.with_db(&["account", "add", "eve"]).arg("--password-file").arg(world.path("password")));
    assert_eq!(code, 0, "{err}");
    let guid = guid(&world, "Zoe Berg");
    let mut eve = Browser::of(&world, "eve");
    let never = guid + 1000;
    for path in ["", "/edit", "/history", &format!("/history/{guid}")] {
        let (theirs, none) = (
            eve.get(&format!("/console/book/1/item/{guid}{path}")),
            eve.get(&format!("/console/book/1/item/{never}{path}")),
        );
        assert_eq!((theirs.status, none.status), (404, 404), "{path}");
        assert!(!theirs.body.contains("Zoe"), "{path}");
    }
    let home = eve.get("/console?q=zoe");
    home.says(200, &["Nothing is found."]);
    for (path, fields) in [
        (format!("/console/book/1/item/{guid}/delete"), vec![("revision", guid.to_string())]),
        (format!("/console/book/1/item/{guid}/edit"), vec![("revision", guid.to_string()), ("FN-2", "Eve".to_owned())]),
        (format!("/console/book/1/item/{guid}/restore"), vec![("revision", guid.to_string())]),
        ("/console/book/1/conflicts/take".to_owned(), vec![("revision", guid.to_string())]),
    ] {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let page = eve.post(&home, &path, &fields);
        assert!([404, 422].contains(&page.status), "{path}: {}", page.body);
    }
    eve.get("/console/devices").says(200, &["No device has synced yet."]);
    // A cookie is of its account.
    let (_, id) = eve.cookies["syncml-console"].split_once('.').unwrap();
    eve.cookies.insert("syncml-console".to_owned(), format!("1.{id}"));
    let account = eve.cookies["syncml-console"].clone();
    assert_eq!(eve.get("/console").status, 303, "{account}");
    assert_eq!(world.server_names(), set(["Zoe Berg"]));
}

#[test]
fn r3_search_finds_names_numbers_and_words() {
    let world = synced(&[
        ("Zoë Östberg", "TEL;TYPE=CELL:+46 70-174 06 01\r\nEMAIL:zoe@example.com\r\n"),
        ("小明 王", "TEL:010 5555\r\nNOTE:飲茶\r\n"),
        ("Bo <b>Bold</b>", "ORG:Fish & Chips\r\n"),
    ]);
    let mut browser = Browser::of(&world, "ada");
    for (query, found) in [
        ("zoe", &["Östberg"][..]),
        ("OSTBERG", &["Östberg"]),
        ("4670174", &["Östberg"]),
        ("example", &["Östberg"]),
        ("王", &["小明"]),
        ("飲茶", &["小明"]),
        ("chips", &["Bo &lt;b&gt;Bold&lt;/b&gt;"]),
        ("o", &["Östberg"]),
        ("b bol", &["Bo &lt;b&gt;"]),
        ("nobody", &[]),
    ] {
        for path in ["/console?", "/console/book/1?", "/console/book/1/rows?"] {
            let page = browser.get(&format!("{path}{}", encoded(&[("q", query)])));
            page.says(200, found);
            let count = page.body.matches("/console/book/1/item/").count();
            assert_eq!(count, found.len(), "{query} {}", page.body);
            assert!(!page.body.contains("<b>Bold"), "escaped");
        }
    }
    browser.get("/console?q=nobody").says(200, &["Nothing is found."]);
    let page = browser.get(&format!("/console?{}", encoded(&[("q", "\"><script>")])));
    page.says(200, &["value=\"&quot;&gt;&lt;script&gt;\""]);
}

#[test]
fn b9_long_books_come_in_pages() {
    let mut cards = String::new();
    for n in 0..120 {
        cards += &card(&format!("Name{n:03} Doe"), "");
    }
    let world = world();
    world.write("all.vcf", &cards);
    let (code, _, err) = run(world.with_db(&["import", "--user", "ada"]).arg(world.path("all.vcf")));
    assert_eq!(code, 0, "{err}");
    let mut browser = Browser::of(&world, "ada");
    let (mut seen, mut path) = (Vec::new(), "/console/book/1".to_owned());
    loop {
        let page = browser.get(&path);
        page.says(200, &[]);
        let names = page.body.split("<bdi>Name").skip(1).map(|rest| rest[..3].to_owned());
        seen.extend(names);
        match page.between("<a class=\"action\" href=\"/console/book/1?after=", "\"") {
            Some(after) => path = format!("/console/book/1?after={after}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..120).map(|n| format!("{n:03}")).collect::<Vec<_>>());
}

#[test]
fn b9_an_edit_reaches_the_device_and_unknown_properties_stay() {
    let lines = "TEL;TYPE=CELL:+49301111\r\nX-STRANGE;X-P=q:keeps\r\nPHOTO;ENCODING=b;TYPE=JPEG:aGVsbG8=\r\n";
    let world = synced(&[("Zoe Berg", lines)]);
    let guid = guid(&world, "Zoe Berg");
    let mut browser = Browser::of(&world, "ada");
    browser.get(&format!("/console/book/1/item/{guid}")).says(200, &["Zoe Berg", "+49301111", "X-STRANGE", "keeps"]);
    let form = browser.get(&format!("/console/book/1/item/{guid}/edit"));
    form.says(200, &["X-STRANGE"]);
    let (number, revision) = (holding(&form, "TEL", "+49301111"), form.field("revision"));
    // What the browser sends is the whole form.
    let mut fields = form.inputs("");
    fields.retain(|(name, _)| !["token", "revision"].contains(&name.as_str()));
    fields.iter_mut().filter(|(name, _)| *name == number).for_each(|(_, value)| *value = "+49302222".to_owned());
    fields.push(("EMAIL-new".to_owned(), "zoe@example.com".to_owned()));
    fields.retain(|(name, value)| name != "EMAIL-new" || !value.is_empty());
    fields.push(("revision".to_owned(), revision));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let page = browser.post(&form, &format!("/console/book/1/item/{guid}/edit"), &fields);
    browser.follow(&page).says(200, &["It is saved.", "+49302222", "zoe@example.com"]);
    let before = items(&world)[0]["content"].as_str().unwrap().to_owned();
    for line in
        ["TEL;TYPE=CELL:+49302222", "X-STRANGE;X-P=q:keeps", "PHOTO;ENCODING=b;TYPE=JPEG:aGVsbG8=", "FN:Zoe Berg"]
    {
        assert!(before.lines().any(|it| it == line), "{line} in {before}");
    }
    let report = world.synced("phone", &[], 0);
    assert_eq!(World::counts(&report), [[0, 1, 0], [0, 0, 0]]);
    let card = fs::read_to_string(file_of(&world, "phone", "Zoe Berg")).unwrap();
    for line in ["+49302222", "X-STRANGE;X-P=q:keeps", "zoe@example.com"] {
        assert!(card.contains(line), "{line} in {card}");
    }
    // The same form once more says nothing new.
    let form = browser.get(&format!("/console/book/1/item/{guid}/edit"));
    let page =
        browser.post(&form, &format!("/console/book/1/item/{guid}/edit"), &[("revision", &form.field("revision"))]);
    browser.follow(&page).says(200, &["Nothing was changed."]);
    assert_eq!(World::counts(&world.synced("phone", &[], 0)), [[0; 3]; 2]);
}

#[test]
fn b9_new_and_deleted_contacts_reach_the_device() {
    let world = synced(&[("Zoe Berg", "")]);
    let mut browser = Browser::of(&world, "ada");
    let form = browser.get("/console/book/1/new");
    browser.post(&form, "/console/book/1/new", &[("TEL-new", " ")]).says(422, &["A contact needs a name"]);
    let fields = [("N-new_0", "Ek"), ("N-new_1", "Bo"), ("TEL-new", "+46 1"), ("TEL-new-kind", "WORK")];
    let page = browser.post(&form, "/console/book/1/new", &fields);
    browser.follow(&page).says(200, &["It is saved.", "Bo Ek", "+46 1", "work"]);
    world.synced("phone", &[], 0);
    assert_eq!(world.names("phone"), set(["Zoe Berg", "Bo Ek"]));
    let path = format!("/console/book/1/item/{}", guid(&world, "Bo Ek"));
    let seen = browser.get(&path);
    browser.post(&seen, &format!("{path}/delete"), &[("revision", "1")]).says(409, &["is not deleted"]);
    browser.post(&seen, &format!("{path}/delete"), &[("revision", "x")]).says(400, &[]);
    let page = browser.post(&seen, &format!("{path}/delete"), &[("revision", &seen.field("revision"))]);
    browser.follow(&page).says(200, &["It is deleted."]);
    world.synced("phone", &[], 0);
    assert_eq!(world.names("phone"), set(["Zoe Berg"]));
    assert_eq!(browser.get(&path).status, 404);
    let page = browser.post(&form, &format!("{path}/edit"), &[("revision", &seen.field("revision")), ("FN-2", "Late")]);
    page.says(409, &["It was deleted meanwhile."]);
}

#[test]
fn b9_a_devices_edit_in_between_is_merged() {
    let world = synced(&[("Zoe Berg", "TEL:+49301111\r\nTITLE:Captain\r\n")]);
    let guid = guid(&world, "Zoe Berg");
    let mut browser = Browser::of(&world, "ada");
    let path = format!("/console/book/1/item/{guid}/edit");
    let form = browser.get(&path);
    let (title, revision) = (holding(&form, "TITLE", "Captain"), form.field("revision"));
    // Meanwhile the phone adds a number.
    let file = file_of(&world, "phone", "Zoe Berg");
    let edited = fs::read_to_string(&file).unwrap().replace("END:VCARD", "TEL:+49302222\r\nEND:VCARD");
    fs::write(&file, edited).unwrap();
    world.synced("phone", &[], 0);
    let page = browser.post(&form, &path, &[("revision", &revision), (&title, "Admiral")]);
    browser.follow(&page).says(200, &["together with what was changed meanwhile", "Admiral", "+49301111", "+49302222"]);
    world.synced("phone", &[], 0);
    let card = fs::read_to_string(file_of(&world, "phone", "Zoe Berg")).unwrap();
    assert!(["Admiral", "+49301111", "+49302222"].iter().all(|text| card.contains(text)), "{card}");
}

#[test]
fn b9_what_cannot_be_merged_is_shown() {
    let world = synced(&[("Zoe Berg", "TITLE:Captain\r\n")]);
    let guid = guid(&world, "Zoe Berg");
    let mut browser = Browser::of(&world, "ada");
    let path = format!("/console/book/1/item/{guid}/edit");
    let form = browser.get(&path);
    let (title, revision) = (holding(&form, "TITLE", "Captain"), form.field("revision"));
    let file = file_of(&world, "phone", "Zoe Berg");
    let edited = fs::read_to_string(&file).unwrap().replace("Captain", "Pirate");
    fs::write(&file, edited).unwrap();
    world.synced("phone", &[], 0);
    let page = browser.post(&form, &path, &[("revision", &revision), (&title, "Admiral")]);
    page.says(409, &["Nothing is saved yet.", "Pirate", "Admiral"]);
    assert!(items(&world)[0]["content"].as_str().unwrap().contains("Pirate"));
    // The person decides; what loses is in the history.
    let overrule = page.field("overrule");
    let fields = [("revision", revision.as_str()), (&title, "Admiral"), ("overrule", &overrule)];
    let page = browser.post(&page, &path, &fields);
    browser.follow(&page).says(200, &["Admiral"]);
    browser.get(&format!("/console/book/1/item/{guid}/history/{overrule}")).says(200, &["Pirate", "Captain"]);
    world.synced("phone", &[], 0);
    assert!(fs::read_to_string(file_of(&world, "phone", "Zoe Berg")).unwrap().contains("Admiral"));
    // A revision that never was is no base.
    let page = browser.post(&form, &path, &[("revision", "999"), (&title, "Nobody")]);
    assert_eq!(page.status, 404);
}

/// Mission X2: what a sync decided between two who changed the same field is seen, by whom and what lost, in the page and by the
/// program; what lost is taken back, alone, and reaches the device.
#[test]
fn x2_b9_conflicts_are_listed_and_what_lost_is_taken_back() {
    let world = synced(&[("Zoe Berg", "TITLE:Captain\r\n")]);
    let guid = guid(&world, "Zoe Berg");
    let mut browser = Browser::of(&world, "ada");
    let list = "/console/book/1/conflicts";
    browser.get(list).says(200, &["There was no conflict."]);
    let path = format!("/console/book/1/item/{guid}");
    let form = browser.get(&format!("{path}/edit"));
    let title = holding(&form, "TITLE", "Captain");
    browser.post(&form, &format!("{path}/edit"), &[("revision", &form.field("revision")), (&title, "Admiral")]);
    let lost = guid + 1;
    let file = file_of(&world, "phone", "Zoe Berg");
    let edited = fs::read_to_string(&file).unwrap().replace("TITLE:Captain", "TITLE:Pirate\r\nNOTE:Arr");
    fs::write(&file, edited).unwrap();
    world.synced("phone", &[], 0);
    browser.get("/console/devices").says(200, &["Conflicts: 1", list]);
    browser.get("/console/history").says(200, &["changed, a conflict", list]);
    let page = browser.get(list);
    page.says(200, &["Zoe Berg", "TITLE", "what the device said", &format!("Revision {lost}"), "Take it back"]);
    assert!(!page.body.contains("There was no conflict."));
    let decided = page.field("revision");
    browser.get(&format!("{path}/history/{decided}")).says(200, &["Conflict", "TITLE", &format!("Revision {lost}")]);
    browser.get(&format!("{path}/history/{lost}")).says(200, &["Admiral"]);
    browser.get("/console/language?to=zh-Hans");
    browser.get(list).says(200, &["冲突", "设备的内容", "取回"]);
    browser.get("/console/language?to=en");

    // The same by the program.
    let history = |args: &[&str]| {
        let (code, out, err) = run(&mut world.with_db(&[&["history"], args, &["--user", "ada", "--json"]].concat()));
        assert_eq!(code, 0, "{out}{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let told = history(&["list", "--conflicts"]);
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    assert_eq!(
        (&told[0]["book"], &told[0]["guid"], &told[0]["won"], &told[0]["lost"], &told[0]["fields"]),
        (&"contacts".into(), &guid.into(), &"peer".into(), &lost.into(), &serde_json::json!(["TITLE"]))
    );
    assert_eq!(told[0]["revision"].to_string(), decided);
    assert_eq!(told[0]["name"], "Zoe Berg");
    for none in [&["--since", decided.as_str()][..], &["--since", "2999-01-01T00:00:00Z"], &["--guid", "999"]] {
        let all = [&["list", "--conflicts", "--book", "contacts"], none].concat();
        assert_eq!(history(&all), serde_json::json!([]), "{none:?}");
    }
    assert_eq!(history(&["list", "--conflicts", "--since", "1"]), told);
    let log = history(&["list"]);
    let marked: Vec<_> = log.as_array().unwrap().iter().filter(|row| !row["conflict"].is_null()).collect();
    assert_eq!(marked.len(), 1, "{log}");
    assert_eq!((&marked[0]["revision"], &marked[0]["conflict"]["lost"]), (&told[0]["revision"], &lost.into()));
    let (code, out, _) = run(world.with_db(&["history", "list", "--conflicts"]).args(["--user", "ada"]));
    assert!(code == 0 && out.contains("what came in") && out.contains("TITLE"), "{out}");
    let (code, _, err) = run(world.with_db(&["history", "list", "--since", "1"]).args(["--user", "ada"]));
    assert!(code == 2 && err.contains("--conflicts"), "{err}");
    assert_eq!(history(&["restore", "--conflict", &decided, "--dry-run"])["outcome"], "changed");
    let wrong = ["history", "restore", "--conflict", "1", "--user", "ada"];
    let (code, _, err) = run(&mut world.with_db(&wrong));
    assert!(code == 2 && err.contains("decided no conflict"), "{err}");

    // Another account's is as one that never was, and a form has to be this page's.
    let (code, _, err) =
        run(world.with_db(&["account", "add", "eve"]).arg("--password-file").arg(world.path("password")));
    assert_eq!(code, 0, "{err}");
    let mut eve = Browser::of(&world, "eve");
    let theirs = eve.get(list);
    theirs.says(200, &["There was no conflict."]);
    eve.post(&theirs, &format!("{list}/take"), &[("revision", &decided)]).says(422, &["nothing lost in it"]);
    let foreign = browser.post(&theirs, &format!("{list}/take"), &[("revision", &decided)]);
    assert_eq!(foreign.status, 403);
    let (code, out, _) = run(world.with_db(&["history", "list", "--conflicts", "--json"]).args(["--user", "eve"]));
    assert_eq!((code, out.trim()), (0, "[]"));
    assert!(items(&world)[0]["content"].as_str().unwrap().contains("Pirate"));

    // Taken back: the title and nothing else.
    browser.post(&page, &format!("{list}/take"), &[("revision", "1")]).says(422, &["nothing lost in it"]);
    let done = browser.post(&page, &format!("{list}/take"), &[("revision", &decided)]);
    browser.follow(&done).says(200, &["It is as it was."]);
    world.synced("phone", &[], 0);
    let card = fs::read_to_string(file_of(&world, "phone", "Zoe Berg")).unwrap();
    assert!(card.contains("Admiral") && card.contains("NOTE:Arr") && !card.contains("Pirate"), "{card}");
}

#[test]
fn x2_b9_many_conflicts_come_in_pages() {
    let cards: Vec<_> = (0..60).map(|n| (format!("Name{n:02} Doe"), format!("TEL:+4930111{n:02}\r\n"))).collect();
    let world = synced(&cards.iter().map(|(name, lines)| (name.as_str(), lines.as_str())).collect::<Vec<_>>());
    fs::create_dir(world.path("tablet")).unwrap();
    world.synced("tablet", &[], 0);
    for dir in ["phone", "tablet"] {
        for file in fs::read_dir(world.path(dir)).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|ending| ending == "vcf") {
                let card = fs::read_to_string(&file).unwrap();
                fs::write(&file, card.replace("END:", &format!("TITLE:of the {dir}\r\nEND:"))).unwrap();
            }
        }
        world.synced(dir, &[], 0);
    }
    let mut browser = Browser::of(&world, "ada");
    let first = browser.get("/console/book/1/conflicts");
    let rows = |page: &Page| page.body.matches("Take it back").count();
    assert_eq!(rows(&first), 50);
    let before = first.between("/console/book/1/conflicts?before=", "\"").unwrap().to_owned();
    let second = browser.get(&format!("/console/book/1/conflicts?before={before}"));
    assert_eq!((second.status, rows(&second)), (200, 10));
    assert!(second.between("/console/book/1/conflicts?before=", "\"").is_none());
    let named = |page: &Page, n: usize| page.body.contains(&format!("Name{n:02} Doe"));
    assert!((0..60).all(|n| named(&first, n) != named(&second, n)));
    browser.get("/console/devices").says(200, &["Conflicts: 60"]);
}

#[test]
fn c6_a_card_is_brought_back_from_its_history() {
    let world = synced(&[("Zoe Berg", "TITLE:Captain\r\n")]);
    let guid = guid(&world, "Zoe Berg");
    let mut browser = Browser::of(&world, "ada");
    let item = format!("/console/book/1/item/{guid}");
    let form = browser.get(&format!("{item}/edit"));
    let title = holding(&form, "TITLE", "Captain");
    browser.post(&form, &format!("{item}/edit"), &[("revision", &form.field("revision")), (&title, "Admiral")]);
    let log = browser.get(&format!("{item}/history"));
    log.says(200, &["History of Zoe Berg", "added", "changed", "console"]);
    let first = format!("{item}/history/{guid}");
    let seen = browser.get(&first);
    seen.says(200, &["What has changed since", "Captain", "Admiral", "Bring this revision back"]);
    browser.post(&seen, &format!("{item}/restore"), &[("revision", "999")]).says(422, &["no moment of this book"]);
    let page = browser.post(&seen, &format!("{item}/restore"), &[("revision", &seen.field("revision"))]);
    browser.follow(&page).says(200, &["It is as it was.", "restore"]);
    assert!(items(&world)[0]["content"].as_str().unwrap().contains("Captain"));
    assert_eq!(browser.get(&format!("{item}/history/999")).status, 404);
}

#[test]
fn c6_a_book_is_set_back_and_that_is_undone() {
    let world = synced(&[("Zoe Berg", ""), ("Bo Ek", "")]);
    let mut browser = Browser::of(&world, "ada");
    let then = items(&world).iter().map(|item| item["guid"].as_i64().unwrap()).max().unwrap();
    let path = format!("/console/book/1/item/{}", guid(&world, "Bo Ek"));
    let seen = browser.get(&path);
    browser.post(&seen, &format!("{path}/delete"), &[("revision", &seen.field("revision"))]);
    let form = browser.get("/console/book/1/new");
    browser.post(&form, "/console/book/1/new", &[("N-new_1", "New")]);
    world.synced("phone", &[], 0);
    assert_eq!(world.names("phone"), set(["Zoe Berg", "New"]));
    browser.get("/console/history").says(200, &["Set the whole book back", "datetime-local"]);
    for wrong in ["at=yesterday", "revision=999", "revision=-1", ""] {
        browser.get(&format!("/console/book/1/restore?{wrong}")).says(422, &["no moment of this book"]);
    }
    browser.get("/console/book/1/restore?at=2999-01-01T00:00").says(200, &["Nothing differs."]);
    browser
        .get("/console/book/1/restore?at=1999-01-01T00:00:00")
        .says(200, &["0 come back, 0 are changed back, 2 are deleted."]);
    let plan = browser.get(&format!("/console/book/1/restore?revision={then}"));
    plan.says(200, &["1 come back, 0 are changed back, 1 are deleted."]);
    assert_eq!(world.server_names(), set(["Zoe Berg", "New"]), "a look changes nothing");
    let page = browser.post(&plan, "/console/book/1/restore", &[("revision", &plan.field("revision"))]);
    let page = browser.follow(&page);
    page.says(200, &["The book is as it was.", "Earlier restores"]);
    world.synced("phone", &[], 0);
    assert_eq!(world.names("phone"), set(["Zoe Berg", "Bo Ek"]));
    let undo = page.between("/console/book/1/restore?revision=", "\"").unwrap().to_owned();
    let plan = browser.get(&format!("/console/book/1/restore?revision={undo}"));
    let page = browser.post(&plan, "/console/book/1/restore", &[("revision", &plan.field("revision"))]);
    assert_eq!(page.status, 303);
    assert_eq!(world.server_names(), set(["Zoe Berg", "New"]));
}

#[test]
fn r3_devices_are_shown_with_how_far_they_are() {
    let world = synced(&[("Zoe Berg", "")]);
    let mut browser = Browser::of(&world, "ada");
    let page = browser.get("/console/devices");
    page.says(
        200,
        &[
            "ended well",
            "Last good sync",
            "everything",
            "No device is syncing now.",
            "<td data-name=\"Changes waiting\">0</td>",
            "<td data-name=\"Kind of sync\">slow: everything is compared</td>",
        ],
    );
    browser.get("/console/devices/live").says(200, &["No device is syncing now."]);
    let form = browser.get("/console/book/1/new");
    browser.post(&form, "/console/book/1/new", &[("N-new_1", "New")]);
    browser.get("/console/devices").says(200, &["<td data-name=\"Changes waiting\">1</td>"]);
    world.synced("phone", &[], 0);
    browser.get("/console/devices").says(200, &["<td data-name=\"Kind of sync\">two-way</td>", "ended well"]);
}

/// A phone that deleted nearly everything, which waits for a decision.
fn held() -> (World, Browser) {
    let cards: Vec<_> = (0..30).map(|n| (format!("Name{n:02} Doe"), format!("TEL:+4930111{n:02}\r\n"))).collect();
    let world = synced(&cards.iter().map(|(name, lines)| (name.as_str(), lines.as_str())).collect::<Vec<_>>());
    for n in 0..25 {
        fs::remove_file(world.path(&format!("phone/{n}.vcf"))).unwrap();
    }
    let (_, out, err) = run(world.sync("phone").arg("--allow-mass-delete"));
    assert_eq!(world.server_names().len(), 30, "{out}{err}");
    let browser = Browser::of(&world, "ada");
    (world, browser)
}

#[test]
fn b9_held_deletions_are_kept() {
    let (world, mut browser) = held();
    browser.get("/console/devices").says(200, &["something waits for your decision"]);
    let seen = browser.get("/console/held");
    seen.says(200, &["25 of 30 contacts would be deleted", "Name00 Doe", "and 5 more"]);
    let (book, device) = (seen.field("book"), seen.field("device"));
    let fields = |decision| [("book", book.as_str()), ("device", device.as_str()), ("decision", decision)];
    browser.post(&seen, "/console/held", &fields("perhaps")).says(400, &[]);
    let mut strange = fields("discard");
    strange[1].1 = "no-such-device";
    browser.post(&seen, "/console/held", &strange).says(404, &[]);
    browser.send("POST", "/console/held", Some(&fields("release"))).says(403, &["Nothing was done."]);
    browser.post(&seen, "/console/held", &fields("discard")).says(200, &["25 stay and go back to the device"]);
    browser.get("/console/held").says(200, &["Nothing waits for your decision."]);
    world.synced("phone", &[], 0);
    assert_eq!((world.names("phone").len(), world.server_names().len()), (30, 30));
}

#[test]
fn b9_held_deletions_are_done() {
    let (world, mut browser) = held();
    let seen = browser.get("/console/held");
    let fields = [("book", &*seen.field("book")), ("device", &*seen.field("device")), ("decision", "release")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.post(&seen, "/console/held", &fields).says(200, &["25 are deleted, 0 stay."]);
    assert_eq!(world.server_names().len(), 5);
}

#[test]
fn b9_the_page_speaks_chinese() {
    let world = synced(&[("小明 王", "")]);
    let mut browser = Browser::new(&world);
    browser.headers = vec![("Accept-Language", "zh-CN,zh;q=0.9".to_owned())];
    browser.get("/console/sign-in").says(200, &["<html lang=\"zh-Hans\">", "登录"]);
    browser.headers.clear();
    let page = browser.get("/console/language?to=zh-Hans");
    assert_eq!(page.header("location"), Some("/console"));
    browser.sign_in("ada", PASSWORD);
    browser.get("/console").says(200, &["联系人", "小明 王", "<html lang=\"zh-Hans\">", "hreflang=\"en\""]);
    browser.get("/console/language?to=en");
    browser.get("/console").says(200, &["<html lang=\"en\">"]);
}

#[test]
fn b9_the_page_is_there_only_where_it_is_wanted() {
    let world = World::new(&[]);
    let page = Browser::new(&world).get("/console/sign-in");
    page.says(200, &["This is a SyncML server"]);
}

/// A box of a device is a book: its past is seen, and nothing of it is edited (read only).
#[test]
fn c6_other_books_are_seen_and_not_edited() {
    let world = world();
    world.write("note.txt", "remember the milk");
    let put = ["item", "put", "--user", "ada", "--book", "notes"];
    let (code, _, err) = run(world.with_db(&put).arg(world.path("note.txt")));
    assert_eq!(code, 0, "{err}");
    let mut browser = Browser::of(&world, "ada");
    browser.get("/console/book/4").says(200, &["remember the milk"]);
    let item = "/console/book/4/item/1";
    let seen = browser.get(item);
    seen.says(200, &["What is in this book is not edited here."]);
    assert_eq!(browser.get(&format!("{item}/edit")).status, 404);
    assert_eq!(browser.get("/console/book/4/new").status, 404);
    browser.get(&format!("{item}/history")).says(200, &["added"]);
    browser.get(&format!("{item}/history/1")).says(200, &["It is no contact: 17 bytes."]);
    for (path, fields) in [("edit", [("revision", "1"), ("FN-new", "x")]), ("delete", [("revision", "1"), ("x", "")])] {
        assert_eq!(browser.post(&seen, &format!("{item}/{path}"), &fields).status, 404, "{path}");
    }
    assert_eq!(browser.get("/console/book/5").status, 404, "a book that is not there");
}

/// The orders of ada's phone, as the program lists them.
fn ordered(world: &World) -> Vec<String> {
    let (code, out, err) = run(&mut world.with_db(&["control", "list", "phone", "--user", "ada", "--json"]));
    assert_eq!(code, 0, "{err}");
    let orders: Vec<Value> = serde_json::from_str(&out).unwrap();
    orders.iter().map(|order| order["state"].as_str().unwrap().to_owned()).collect()
}

/// Who did what about orders, by the audit.
fn actors(world: &World) -> Vec<(String, String)> {
    let (code, out, err) = run(&mut world.with_db(&["audit", "list", "--json"]));
    assert_eq!(code, 0, "{err}");
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = rows.iter().map(|row| (text(row, "action"), text(row, "actor")));
    rows.filter(|(action, _)| action.starts_with("control.")).collect()
}

/// A world with ada's phone, her browser, and where the page has the phone.
fn losing() -> (World, Browser, String) {
    let world = world();
    world.write("phone/0.vcf", &card("Zoe Berg", ""));
    world.synced("phone", &["--device-id", "phone"], 0);
    let mut browser = Browser::of(&world, "ada");
    let page = browser.get("/console/devices");
    let path = format!("/console/lost/{}", page.between("/console/lost/", "\"").unwrap());
    (world, browser, path)
}

/// Asks on the page that says what will happen, and says yes.
fn order(browser: &mut Browser, path: &str) -> Page {
    let seen = browser.get(path);
    browser.post(&seen, path, &[("sure", &seen.field("sure"))])
}

/// The phone gets its key from the page.
fn enrol(world: &World, browser: &mut Browser, path: &str) {
    let page = browser.get(path);
    page.says(200, &["answers 501 to every order", "Nothing was ordered.", "Make its key"]);
    let key = browser.post(&page, &format!("{path}/enrol"), &[]);
    key.says(200, &["syncml-device-key-1."]);
    assert_eq!(key.header("content-disposition"), Some("attachment; filename=\"device.key\""));
    assert_eq!(key.header("cache-control"), Some("no-store"));
    world.write("device.key", &key.body);
    let mut join = program::syncml();
    join.args(["control", "join"]).arg(world.path("phone.orders")).arg("--key-file").arg(world.path("device.key"));
    let (code, _, err) = run(join.arg("--clear").arg(world.path("phone")));
    assert_eq!(code, 0, "{err}");
    // It is given out once.
    let again = browser.post(&page, &format!("{path}/enrol"), &[]);
    again.says(409, &["It has a key."]);
    assert!(!again.body.contains("syncml-device-key"), "{}", again.body);
}

/// A sync of the phone that takes orders.
fn visit(world: &World, more: &[&str]) {
    let mut sync = world.sync("phone");
    sync.args(["--device-id", "phone", "--control"]).arg(world.path("phone.orders")).args(more);
    let (code, out, err) = run(&mut sync);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn r5_a_lost_phone_is_cleared_from_the_page() {
    let (world, mut browser, path) = losing();
    enrol(&world, &mut browser, &path);
    let seen = browser.get(&path);
    assert!(!seen.body.contains("Make its key") && !seen.body.contains("no key"), "{}", seen.body);
    world.write("phone/1.vcf", &card("Bo Ek", ""));
    let ask = browser.get(&format!("{path}/clear?keep=1"));
    ask.says(
        200,
        &["has backed up all that is on it", "put aside there", "answers 501", "What is here stays", "Order it"],
    );
    assert!(!ask.body.contains("is lost."), "{}", ask.body);
    assert_eq!(ordered(&world), [""; 0], "to ask orders nothing");
    let page = order(&mut browser, &format!("{path}/clear?keep=1"));
    browser.follow(&page).says(200, &["It is ordered.", "put data aside", "waiting", "Take back"]);
    visit(&world, &[]);
    assert_eq!(world.server_names(), set(["Zoe Berg", "Bo Ek"]), "it was backed up first");
    assert_eq!((world.names("phone"), world.names("phone.cleared-1")), (set([]), set(["Zoe Berg", "Bo Ek"])));
    let page = browser.get(&path);
    page.says(200, &["<span>done</span>", "1 put aside", "<td data-name=\"Last confirmed backup\"><time"]);
    assert!(!page.body.contains("Take back"), "{}", page.body);
    let by_page = "login of account 1";
    let device = actors(&world).last().unwrap().1.clone();
    assert_ne!(device, by_page);
    let expected = [
        ("control.enrolled", by_page),
        ("control.issued", by_page),
        ("control.told", "server"),
        ("control.answered", device.as_str()),
        ("control.reported", device.as_str()),
    ];
    assert_eq!(actors(&world), expected.map(|(action, actor)| (action.to_owned(), actor.to_owned())));
}

#[test]
fn r5_the_page_orders_nothing_that_was_not_shown_to_its_owner() {
    let (world, mut browser, path) = losing();
    let (code, _, err) =
        run(world.with_db(&["account", "add", "eve"]).arg("--password-file").arg(world.path("password")));
    assert_eq!(code, 0, "{err}");
    let (clear, forced) = (format!("{path}/clear"), format!("{path}/clear?force=1"));
    let seen = browser.get(&clear);
    let (token, sure) = (seen.token(), seen.field("sure"));
    // Nobody is signed in.
    let mut stranger = Browser::new(&world);
    for path in [&path, &clear, &format!("{path}/cancel"), &format!("{path}/enrol")] {
        let page = stranger.send("POST", path, Some(&[("token", &token), ("sure", &sure), ("order", "1")]));
        assert_eq!((page.status, page.body.as_str()), (303, ""), "{path}");
        assert_eq!(stranger.get(path).header("location"), Some("/console/sign-in"), "{path}");
    }
    // Somebody else is.
    let mut eve = Browser::of(&world, "eve");
    let home = eve.get("/console");
    assert_eq!([eve.get(&path).status, eve.get(&clear).status], [404, 404]);
    for (path, fields) in [(&clear, [("sure", &*sure)]), (&format!("{path}/cancel"), [("order", "1")])] {
        assert_eq!(eve.post(&home, path, &fields).status, 404, "{path}");
    }
    assert_eq!(eve.post(&home, &format!("{path}/enrol"), &[]).status, 404);
    // No token, that of another session, or from another site.
    let others = Browser::of(&world, "ada").get(&clear);
    for token in ["", others.token().as_str()] {
        let page = browser.send("POST", &clear, Some(&[("token", token), ("sure", &sure)]));
        page.says(403, &["Nothing was done."]);
        let page = browser.send("POST", &format!("{path}/enrol"), Some(&[("token", token)]));
        page.says(403, &["Nothing was done."]);
    }
    browser.headers = vec![("Sec-Fetch-Site", "cross-site".to_owned())];
    browser.post(&seen, &clear, &[("sure", &sure)]).says(403, &["Nothing was done."]);
    browser.headers.clear();
    // Without the page that says what will happen; or with another one: what is not forced does not show the forced one.
    let aside = format!("{clear}?keep=1");
    let stop = format!("{path}/stop");
    let another = others.field("sure");
    let not_shown = [
        (&clear, ""),
        (&forced, ""),
        (&forced, sure.as_str()),
        (&aside, sure.as_str()),
        (&stop, sure.as_str()),
        (&clear, another.as_str()),
    ];
    for (path, sure) in not_shown {
        browser.post(&seen, path, &[("sure", sure)]).says(403, &["Nothing was done."]);
    }
    browser.post(&seen, &forced, &[]).says(403, &["Nothing was done."]);
    assert_eq!(browser.get(&format!("{path}/wipe")).status, 404);
    assert_eq!(browser.get("/console/lost/999").status, 404);
    assert_eq!((ordered(&world), actors(&world)), (vec![], vec![]), "nothing was done");
    // What was shown is ordered once.
    assert_eq!(browser.post(&seen, &clear, &[("sure", &sure)]).status, 303);
    browser.post(&seen, &clear, &[("sure", &sure)]).says(403, &["Nothing was done."]);
    assert_eq!(ordered(&world), ["waiting"]);
}

#[test]
fn r5_the_page_forces_only_in_a_second_step_and_takes_orders_back() {
    let (world, mut browser, path) = losing();
    enrol(&world, &mut browser, &path);
    world.write("phone/1.vcf", &card("Bo Ek", ""));
    let page = order(&mut browser, &format!("{path}/clear"));
    let page = browser.follow(&page);
    visit(&world, &["--mode", "one-way-from-server"]);
    assert_eq!((ordered(&world), world.names("phone").len()), (vec!["waiting".to_owned()], 2), "it is not backed up");
    let cancel = format!("{path}/cancel");
    let back = browser.post(&page, &cancel, &[("order", "1")]);
    browser.follow(&back).says(200, &["It is taken back.", "<span>taken back</span>"]);
    browser.post(&page, &cancel, &[("order", "1")]).says(409, &["It cannot be taken back any more."]);
    assert_eq!(browser.post(&page, &cancel, &[("order", "7")]).status, 404);
    assert_eq!(browser.post(&page, &cancel, &[("order", "0")]).status, 404, "the key is no order");
    browser.post(&page, &cancel, &[]).says(400, &[]);
    let ask = browser.get(&format!("{path}/clear?force=1"));
    ask.says(200, &["even if not all that is on it is backed up", "What is on it and not here is lost."]);
    assert_eq!(order(&mut browser, &format!("{path}/clear?force=1")).status, 303);
    browser.get(&path).says(200, &["clear data, forced"]);
    visit(&world, &["--mode", "one-way-from-server"]);
    assert_eq!((ordered(&world), world.names("phone")), (vec!["cancelled".to_owned(), "done".to_owned()], set([])));
    for _ in 0..8 {
        assert_eq!(order(&mut browser, &format!("{path}/stop")).status, 303);
    }
    order(&mut browser, &format!("{path}/stop")).says(409, &["Too many orders wait for this device."]);
}

#[test]
fn r5_the_page_says_that_a_device_without_a_key_does_not_understand() {
    let (world, mut browser, path) = losing();
    browser.get(&format!("{path}/stop")).says(200, &["This device has no key: it will answer 501"]);
    assert_eq!(order(&mut browser, &format!("{path}/stop")).status, 303);
    for _ in 0..2 {
        world.synced("phone", &["--device-id", "phone"], 0);
    }
    browser.get(&path).says(200, &["not understood (501)", "answers 501 to every order"]);
    assert_eq!(world.names("phone"), set(["Zoe Berg"]), "nothing happened on it");
}
