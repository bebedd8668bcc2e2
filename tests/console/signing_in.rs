//! Signing in, and what who is not signed in, or somebody else, gets.

use super::browser::Browser;
use super::program::{PASSWORD, World, card, run, set};
use super::{guid, synced, world};
use syncml::auth::Attempts;

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
fn b9_guesses_at_the_page_and_by_a_device_count_together() {
    let world = world();
    world.write("phone/a.vcf", &card("Ann", "TEL:5550001\r\n"));
    for guess in 0..3 {
        world.write("password", &format!("guess {guess}\n"));
        assert_eq!(run(&mut world.sync("phone")).0, 4, "refused");
    }
    let mut browser = Browser::new(&world);
    let free = (3..=Attempts::FREE).take_while(|guess| browser.sign_in("ada", &format!("guess {guess}")).status == 401);
    assert_eq!(free.count(), 3, "each of the device's counted once");
    assert_eq!(browser.sign_in("ada", PASSWORD).status, 429);
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
fn b9_the_page_is_there_only_where_it_is_wanted() {
    let world = World::new(&[]);
    let page = Browser::new(&world).get("/console/sign-in");
    page.says(200, &["This is a SyncML server"]);
}
