//! Orders to a lost device, and pulling from one (missions R4 to R6): the program, spawned, over real HTTP, SQLite, files and
//! datagrams. Each row has a test that is called by its id, with what it refuses.
#![cfg(feature = "cli")]
// It starts processes and reads files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/program.rs"]
mod program;

use program::{PASSWORD, World, card, run, set, syncml};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read as _};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Somebody with a phone whose cards are at the server.
struct Owner(World);

impl Owner {
    fn new() -> Self {
        let world = World::new(&[]);
        let owner = Self(world);
        owner.card("phone", "Anna Doe");
        owner.0.synced("phone", &["--device-id", "phone"], 0);
        owner
    }

    /// The phone takes orders: it has a key, by hand.
    fn enrolled() -> Self {
        let owner = Self::new();
        owner.enrol("phone", "phone");
        owner
    }

    fn card(&self, dir: &str, name: &str) {
        self.0.write(&format!("{dir}/{name}.vcf"), &card(name, "TEL:+441632960001\r\n"));
    }

    fn enrol(&self, device: &str, dir: &str) {
        let key = self.0.path(&format!("{dir}.key"));
        self.json(self.0.with_db(&["control", "enrol", device, "--user", "ada"]).arg("--out").arg(&key), 0);
        let mut join = syncml();
        join.args(["control", "join"]).arg(self.station(dir)).arg("--key-file").arg(&key);
        join.arg("--clear").arg(self.0.path(dir));
        self.json(&mut join, 0);
        fs::remove_file(key).unwrap();
    }

    fn station(&self, dir: &str) -> String {
        self.0.path(&format!("{dir}.orders")).to_str().unwrap().to_owned()
    }

    fn json(&self, command: &mut Command, expected: i32) -> Value {
        let (code, out, err) = run(command.arg("--json"));
        assert_eq!(code, expected, "{command:?}: {out}\n{err}");
        serde_json::from_str(&out).unwrap_or(Value::Null)
    }

    fn at_server(&self, words: &[&str], expected: i32) -> Value {
        let mut command = self.0.with_db(&["control"]);
        // The database is named behind all words.
        command = {
            let db = command.get_args().skip(1).map(|word| word.to_owned()).collect::<Vec<_>>();
            let mut command = syncml();
            command.arg("control").args(words).args(["--user", "ada"]).args(db);
            command
        };
        self.json(&mut command, expected)
    }

    fn order(&self, words: &[&str]) -> i64 {
        self.at_server(words, 0)["order"].as_i64().unwrap()
    }

    /// The states of a device's orders.
    fn states(&self, device: &str) -> Vec<String> {
        let orders = self.at_server(&["list", device], 0);
        let word = |order: &Value| match &order["code"] {
            Value::Number(code) => format!("{} {code}", order["state"].as_str().unwrap()),
            _ => order["state"].as_str().unwrap().to_owned(),
        };
        orders.as_array().unwrap().iter().map(word).collect()
    }

    /// A sync of the phone that takes orders.
    fn sync(&self, more: &[&str], expected: i32) {
        let mut command = self.0.sync("phone");
        command.args(["--device-id", "phone", "--control", &self.station("phone")]).args(more);
        let (code, out, err) = run(&mut command);
        assert_eq!(code, expected, "{more:?}: {out}\n{err}");
    }

    fn visit(&self) -> Value {
        let mut command = syncml();
        command.args(["control", "visit", "--to", &self.0.url, "--user", "ada"]);
        command.arg("--password-file").arg(self.0.path("password")).args(["--control", &self.station("phone")]);
        self.json(&mut command, 0)
    }

    /// The order's line, as another carrier has it.
    fn carry(&self, device: &str, order: i64, file: &str) -> String {
        let (number, path) = (order.to_string(), self.0.path(file));
        self.at_server(&["carry", device, "--order", &number, "--out", path.to_str().unwrap()], 0);
        self.0.read(file)
    }

    /// Gives a line to a device; what it says of it.
    fn take(&self, dir: &str, line: &str, expected: i32) -> Value {
        self.0.write("line", line);
        let mut command = syncml();
        command.args(["control", "take", &self.station(dir)]).arg("--from").arg(self.0.path("line"));
        command.arg("--receipt").arg(self.0.path("receipt"));
        self.json(&mut command, expected)
    }

    /// A control terminal that calls a device.
    fn pull(&self, device: &str, more: &[&str]) -> Command {
        self.0.write("proof", "the terminal's own\n");
        fs::create_dir_all(self.0.path("copy")).unwrap();
        let mut pull = syncml();
        pull.args(["control", "pull"]).arg(self.0.path("copy")).args(["--user", "ada", "--json"]);
        pull.arg("--password-file").arg(self.0.path("password"));
        pull.arg("--server-password-file").arg(self.0.path("proof")).args(["--device", device]).args(more);
        pull
    }

    /// What was done, and what came of it, by the audit.
    fn audit(&self) -> Vec<(String, String)> {
        let rows = self.json(&mut self.0.with_db(&["audit", "list"]), 0);
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        let rows = rows.as_array().unwrap().iter().map(|row| (text(row, "action"), text(row, "outcome")));
        rows.filter(|(action, _)| action.starts_with("control.")).collect()
    }
}

/// An order's line with another signature.
fn forged(line: &str) -> String {
    let mac = line.trim_end().rfind('.').unwrap();
    let other = if line.as_bytes()[mac + 1] == b'A' { "B" } else { "A" };
    let mut forged = line.to_owned();
    forged.replace_range(mac + 1..mac + 2, other);
    forged
}

/// A command that waits for something, and says where.
struct Waiting {
    child: Child,
    lines: BufReader<ChildStdout>,
    at: String,
}

impl Waiting {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let (mut text, mut at) = (String::new(), None);
        while at.is_none() {
            assert!(lines.read_line(&mut text).unwrap() > 0, "{text}");
            let said: Value = serde_json::from_str(&text).unwrap_or_default();
            at = said["listening"]
                .as_str()
                .or_else(|| Some(text.split_once("waiting on ")?.1.trim_end()))
                .map(str::to_owned);
        }
        Self { child, lines, at: at.unwrap() }
    }

    /// Its exit code, and the rest of what it said.
    fn end(mut self) -> (i32, String) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code().unwrap(), rest)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn pairs<const N: usize>(rows: [(&str, &str); N]) -> Vec<(String, String)> {
    rows.into_iter().map(|(action, outcome)| (action.to_owned(), outcome.to_owned())).collect()
}

#[test]
fn r5_a_lost_phone_is_cleared_once_what_is_on_it_is_backed_up() {
    let owner = Owner::enrolled();
    owner.card("phone", "Berta Roe");
    assert_eq!(owner.order(&["clear", "phone"]), 1);
    assert_eq!(owner.states("phone"), ["waiting"]);
    owner.sync(&[], 0);
    assert_eq!(owner.0.server_names(), set(["Anna Doe", "Berta Roe"]), "it was backed up first");
    assert_eq!(owner.0.names("phone"), set([]), "then it was cleared");
    assert_eq!(fs::read_dir(owner.0.path("phone.cleared-1")).unwrap().count(), 0, "and nothing is left");
    let orders = owner.at_server(&["list", "phone"], 0);
    assert_eq!((&orders[0]["state"], &orders[0]["text"]), (&json!("done"), &json!("1 cleared")));
    let expected = pairs([
        ("control.enrolled", "done"),
        ("control.issued", "once a backup is confirmed"),
        ("control.told", "backup confirmed"),
        ("control.answered", "taken"),
        ("control.reported", "done"),
    ]);
    assert_eq!(owner.audit(), expected);
    // A sync does not bring it back, and takes nothing from the server.
    owner.sync(&[], 1);
    let (code, _, err) = run(&mut owner.0.sync("phone"));
    assert_eq!(code, 1);
    assert!(err.contains("stopped by its owner's order"), "{err}");
    assert_eq!(owner.0.names("phone"), set([]));
    assert_eq!(owner.0.server_names(), set(["Anna Doe", "Berta Roe"]), "nothing at the server was lost");
    assert_eq!(owner.audit(), expected, "and nothing was done twice");
}

#[test]
fn r5_applications_are_stopped_and_the_data_put_aside_by_two_orders_in_turn() {
    let owner = Owner::enrolled();
    assert_eq!(owner.order(&["stop", "phone"]), 1);
    owner.sync(&[], 0);
    assert_eq!(owner.states("phone"), ["done"]);
    owner.card("phone", "Berta Roe");
    owner.sync(&[], 1);
    assert_eq!(owner.0.server_names(), set(["Anna Doe"]), "nothing is uploaded any more");
    // Stopped, it only looks in; that is enough for the next order.
    assert_eq!(owner.order(&["clear", "phone", "--keep"]), 2);
    let told = owner.visit();
    assert_eq!(told["orders"][1]["state"], "reported", "{told}");
    assert_eq!(owner.states("phone"), ["done", "done"]);
    assert_eq!(owner.0.names("phone"), set([]));
    assert_eq!(owner.0.names("phone.cleared-2"), set(["Anna Doe", "Berta Roe"]), "it is put aside");
    let mut resume = syncml();
    resume.args(["control", "resume", &owner.station("phone")]);
    assert_eq!(owner.json(&mut resume, 0)["resumed"], 1);
    owner.sync(&[], 0);
    assert_eq!(owner.0.names("phone"), set(["Anna Doe"]), "its owner has it back");
}

#[test]
fn r5_nothing_is_told_to_a_device_that_is_not_backed_up_unless_forced() {
    let owner = Owner::enrolled();
    owner.card("phone", "Berta Roe");
    assert_eq!(owner.order(&["clear", "phone"]), 1);
    owner.sync(&["--mode", "one-way-from-server"], 0);
    assert_eq!(owner.states("phone"), ["waiting"]);
    assert_eq!(owner.0.names("phone"), set(["Anna Doe", "Berta Roe"]));
    owner.at_server(&["cancel", "phone", "--order", "1"], 0);
    owner.at_server(&["cancel", "phone", "--order", "1"], 2);
    assert_eq!(owner.order(&["clear", "phone", "--keep", "--force"]), 2);
    owner.sync(&["--mode", "one-way-from-server"], 0);
    assert_eq!(owner.states("phone"), ["cancelled", "done"]);
    assert_eq!(owner.0.names("phone"), set([]));
    assert_eq!(owner.0.server_names(), set(["Anna Doe"]));
    let told: Vec<_> = owner.audit().into_iter().filter(|(action, _)| action == "control.told").collect();
    assert_eq!(told, pairs([("control.told", "forced")]));
}

#[test]
fn r5_who_does_not_understand_answers_501_and_that_is_kept() {
    let owner = Owner::new();
    assert_eq!(owner.order(&["clear", "phone"]), 1);
    owner.0.synced("phone", &["--device-id", "phone"], 0);
    owner.0.synced("phone", &["--device-id", "phone"], 0);
    assert_eq!(owner.states("phone"), ["refused 501"]);
    assert_eq!(owner.0.names("phone"), set(["Anna Doe"]));
    let told = owner.audit().into_iter().filter(|(action, _)| action == "control.told").count();
    assert_eq!(told, 1, "it is not told again");
    // Orders to a device that the account does not have.
    owner.at_server(&["clear", "tablet"], 2);
    owner.at_server(&["cancel", "phone", "--order", "7"], 2);
}

#[test]
fn r5_a_forgotten_device_has_no_orders_and_takes_none_until_it_is_enrolled_anew() {
    let owner = Owner::enrolled();
    owner.order(&["clear", "phone"]);
    owner.json(&mut owner.0.with_db(&["device", "remove", "phone", "--user", "ada"]), 0);
    assert_eq!(owner.states("phone"), [""; 0]);
    owner.sync(&[], 0);
    owner.sync(&[], 0);
    assert_eq!(owner.0.names("phone"), set(["Anna Doe"]), "the order is forgotten, too");
    // What it has is not the key that orders are signed with.
    assert_eq!(owner.order(&["clear", "phone"]), 1);
    owner.sync(&[], 0);
    assert_eq!(owner.states("phone"), ["refused 403"]);
    assert_eq!(owner.0.names("phone"), set(["Anna Doe"]));
    fs::remove_file(owner.station("phone")).unwrap();
    owner.enrol("phone", "phone");
    assert_eq!(owner.order(&["clear", "phone"]), 2);
    owner.sync(&[], 0);
    assert_eq!(owner.states("phone"), ["refused 403", "done"]);
    assert_eq!(owner.0.names("phone"), set([]));
}

#[test]
fn r5_what_was_executed_and_not_reported_is_reported_and_not_executed_again() {
    let owner = Owner::enrolled();
    owner.sync(&[], 0);
    let order = owner.order(&["clear", "phone", "--keep"]);
    let line = owner.carry("phone", order, "order");
    owner.take("phone", &line, 0);
    assert_eq!(owner.states("phone"), ["told"]);
    // The program ended between doing it and keeping that it was done.
    let station = owner.0.read("phone.orders");
    assert!(station.contains("\"ended\""), "{station}");
    owner.0.write("phone.orders", &station.replace("\"ended\"", "\"begun\""));
    fs::remove_file(owner.0.path("phone/.syncml.stopped")).unwrap();
    owner.card("phone", "Carla Poe");
    owner.visit();
    assert_eq!(owner.states("phone"), ["done"], "it is reported");
    assert_eq!(owner.0.names("phone"), set(["Carla Poe"]), "it is not done again");
    assert_eq!(owner.0.names("phone.cleared-1"), set(["Anna Doe"]));
    // Reported again, as if the answer was lost: it changes nothing.
    let audit = owner.audit();
    let station = owner.0.read("phone.orders");
    owner.0.write("phone.orders", &station.replace("\"reported\"", "\"ended\""));
    owner.visit();
    assert_eq!(owner.audit(), audit);
}

#[test]
fn r6_an_order_travels_as_a_file_and_every_wrong_one_is_refused() {
    let owner = Owner::enrolled();
    owner.card("tablet", "Berta Roe");
    owner.0.synced("tablet", &["--device-id", "tablet"], 0);
    owner.enrol("tablet", "tablet");
    let stop = owner.order(&["stop", "phone"]);
    let clear = owner.order(&["clear", "phone", "--keep"]);
    let [first, second] = [stop, clear].map(|order| owner.carry("phone", order, "order"));
    let refused = |dir: &str, line: &str, why: &str| {
        let told = owner.take(dir, line, 4);
        assert_eq!(told["refused"], json!([why]), "{told}");
        assert_eq!(owner.0.names("phone"), set(["Anna Doe"]), "{why}: nothing happened");
        assert!(!owner.0.path("phone/.syncml.stopped").exists(), "{why}");
    };
    refused("phone", &first, "not-backed-up");
    // What a sync would have noted. A session would have told the orders, too.
    let unaware = owner.0.read("phone.orders");
    let phone = owner.0.path("phone").canonicalize().unwrap();
    let now = format!("\"confirmed\": {{\"{}\": 99999999999999}}", phone.display());
    owner.0.write("phone.orders", &unaware.replace("\"confirmed\": {}", &now));
    refused("phone", &second, "out-of-order");
    refused("phone", "syncml-instruction-1.e30.AAAA", "unreadable");
    refused("tablet", &first, "another-device");
    refused("phone", &forged(&first), "forged");
    let short = owner.order(&["stop", "tablet", "--holds", "1", "--force"]);
    let line = owner.carry("tablet", short, "order");
    sleep(Duration::from_millis(1_100));
    assert_eq!(owner.take("tablet", &line, 4)["refused"], json!(["expired"]));
    assert_eq!(owner.states("tablet"), ["expired"]);
    // In their order they are executed, once.
    owner.take("phone", &first, 0);
    assert!(owner.0.path("phone/.syncml.stopped").exists());
    owner.take("phone", &second, 0);
    assert_eq!(owner.0.names("phone.cleared-2"), set(["Anna Doe"]));
    let receipts = owner.0.path("receipt");
    let back = ["receipt", "phone", "--from", receipts.to_str().unwrap()];
    owner.at_server(&["receipt", "tablet", "--from", receipts.to_str().unwrap()], 4);
    assert_eq!(owner.states("phone"), ["told", "told"]);
    assert_eq!(owner.at_server(&back, 0)["orders"].as_array().unwrap().len(), 2);
    assert_eq!(owner.states("phone"), ["done", "done"]);
    let audit = owner.audit();
    owner.at_server(&back, 0);
    assert_eq!(owner.audit(), audit, "the same again changes nothing");
    // Once the server has said that it knows, the lines are worth nothing any more.
    owner.visit();
    for line in [&first, &second] {
        assert_eq!(owner.take("phone", line, 4)["refused"], json!(["replayed"]));
    }
}

#[test]
fn r6_an_order_travels_as_a_datagram() {
    let owner = Owner::enrolled();
    let order = owner.order(&["clear", "phone", "--force"]);
    let mut take = syncml();
    take.args(["control", "take", &owner.station("phone"), "--udp", "127.0.0.1:0", "--json"]);
    let take = Waiting::start(&mut take);
    owner.at_server(&["carry", "phone", "--order", &order.to_string(), "--udp", &take.at], 0);
    let (code, rest) = take.end();
    assert_eq!(code, 0, "{rest}");
    assert_eq!(owner.0.names("phone"), set([]));
    owner.visit();
    assert_eq!(owner.states("phone"), ["done"]);
}

#[test]
fn r6_a_datagram_that_is_no_order_does_nothing() {
    let owner = Owner::enrolled();
    let stop = owner.order(&["stop", "phone", "--force"]);
    let line = owner.carry("phone", stop, "order");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (octets, why) in [
        (&b"\xFF\0come"[..], "unreadable"),
        (&[b'x'; 9_000], "unreadable"),
        (&line.as_bytes()[..40], "unreadable"),
        (forged(&line).as_bytes(), "forged"),
    ] {
        let mut take = syncml();
        let take =
            Waiting::start(take.args(["control", "take", &owner.station("phone"), "--udp", "127.0.0.1:0", "--json"]));
        sender.send_to(octets, &take.at).unwrap();
        let (code, told) = take.end();
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((code, &told["refused"], &told["orders"]), (4, &json!([why]), &json!([])), "{told}");
        assert!(!owner.0.path("phone/.syncml.stopped").exists());
    }
    // Nothing comes.
    let mut take = syncml();
    take.args(["control", "take", &owner.station("phone"), "--udp", "127.0.0.1:0", "--wait", "1"]);
    let (code, _, err) = run(&mut take);
    assert!(code == 3 && err.contains("no datagram came in time"), "{code} {err}");
    assert_eq!(owner.states("phone"), ["told"]);
}

#[test]
fn r6_a_device_is_called_by_a_datagram() {
    let owner = Owner::new();
    owner.card("phone", "Berta Roe");
    // It waits for who calls it, and goes to the terminal that it was set up with.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let called = |proof: &str| {
        owner.0.write("known", proof);
        let mut sync = owner.0.sync_to("phone", &format!("http://{port}/syncml"));
        sync.args(["--device-id", "phone", "--notifier", "terminal", "--notification-udp", "127.0.0.1:0"]);
        sync.arg("--notifier-password-file").arg(owner.0.path("known"));
        Waiting::start(&mut sync)
    };
    for (proof, code) in [("a thief's\n", 4), ("the terminal's own\n", 0)] {
        let phone = called(proof);
        let wait = if code == 0 { "60" } else { "1" };
        let terminal = Waiting::start(
            &mut owner.pull("phone", &["--udp", &phone.at, "--listen", &port.to_string(), "--wait", wait]),
        );
        let (ended, told) = phone.end();
        assert_eq!(ended, code, "{told}");
        assert_eq!(terminal.end().0, if code == 0 { 0 } else { 3 });
        let copied = if code == 0 { set(["Anna Doe", "Berta Roe"]) } else { set([]) };
        assert_eq!(owner.0.names("copy"), copied);
    }
    assert_eq!(owner.0.server_names(), set(["Anna Doe"]), "the server had no part in it");
}

#[test]
fn r4_who_was_not_called_gives_the_terminal_nothing() {
    let owner = Owner::new();
    owner.card("tablet", "Berta Roe");
    let alert = owner.0.path("alert");
    let terminal = Waiting::start(&mut owner.pull("phone", &["--out", alert.to_str().unwrap(), "--wait", "60"]));
    // Who does not know the password.
    owner.0.write("password", "a thief's\n");
    let (code, out, err) = run(owner.0.sync_to("tablet", &terminal.at).args(["--device-id", "phone"]));
    assert_eq!(code, 4, "{out}{err}");
    owner.0.write("password", &format!("{PASSWORD}\n"));
    // Another device of the same owner.
    let (code, out, err) = run(owner.0.sync_to("tablet", &terminal.at).args(["--device-id", "tablet"]));
    assert_ne!(code, 0, "{out}{err}");
    assert_eq!(owner.0.names("copy"), set([]));
    let (code, out, err) = run(owner.0.sync_to("phone", &terminal.at).args(["--device-id", "phone"]));
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(terminal.end().0, 0);
    assert_eq!(owner.0.names("copy"), set(["Anna Doe"]));
    // A folder is the copy of one device.
    let (code, _, err) = run(&mut owner.pull("tablet", &["--out", "-"]));
    assert!(code == 2 && err.contains("is the copy of phone"), "{code} {err}");
}

#[test]
fn r4_a_terminal_pulls_straight_from_the_device() {
    let owner = Owner::new();
    let alert = owner.0.path("alert");
    let pull = |more: &[&str]| owner.pull("phone", &[&["--out", alert.to_str().unwrap()], more].concat());
    // Nobody comes.
    let (code, _, err) = run(&mut pull(&["--wait", "1"]));
    assert_eq!(code, 3, "{err}");
    assert_eq!(owner.0.names("copy"), set([]));
    fs::remove_file(owner.0.path("alert")).unwrap();

    let terminal = Waiting::start(&mut pull(&["--wait", "60"]));
    let url = terminal.at.clone();
    while !owner.0.path("alert").exists() {
        sleep(Duration::from_millis(10));
    }
    owner.card("phone", "Berta Roe");
    let called = |proof: &str, notifier: &str| {
        owner.0.write("known", proof);
        let mut sync = owner.0.sync_to("phone", &url);
        sync.args(["--device-id", "phone", "--notifier", notifier]).arg("--notification").arg(owner.0.path("alert"));
        sync.arg("--notifier-password-file").arg(owner.0.path("known"));
        run(&mut sync)
    };
    for (proof, notifier, words) in
        [("a thief's\n", "terminal", "digest"), ("the terminal's own\n", "another", "not set up here")]
    {
        let (code, _, err) = called(proof, notifier);
        assert_eq!(code, 4, "{err}");
        assert!(err.contains(words), "{err}");
    }
    let (code, out, err) = called("the terminal's own\n", "terminal");
    assert_eq!(code, 0, "{out}\n{err}");
    assert_eq!(terminal.end().0, 0);
    assert_eq!(owner.0.names("copy"), set(["Anna Doe", "Berta Roe"]));
    assert_eq!(owner.0.server_names(), set(["Anna Doe"]), "the server had no part in it");
    let (code, _, err) = called("the terminal's own\n", "terminal");
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("acted upon before"), "{err}");
}
