//! A lost phone, cleared from the page.

use super::browser::{Browser, Page};
use super::program::{self, World, card, run, set};
use super::world;
use serde_json::Value;

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
