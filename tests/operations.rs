//! The server as its operators run it: its numbers, its health, its log, its end, its file of settings, and what is deployed.
#![cfg(feature = "cli")]
// It starts processes and reads files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use syncml::session::metrics::{Counter, Family, Histogram};
use tempfile::TempDir;

const PASSWORD: &str = "Heidelbeerkuchen 1913";

/// A message of nobody: it is asked for a credential.
const MESSAGE: &str = "<SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD>\
    <VerProto>SyncML/1.2</VerProto><SessionID>7</SessionID><MsgID>1</MsgID><Target><LocURI>x</LocURI></Target>\
    <Source><LocURI>quaggamobil</LocURI></Source></SyncHdr><SyncBody><Final/></SyncBody></SyncML>";

fn syncml() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncml"));
    for variable in ["SYNCML_PASSWORD", "SYNCML_DB", "SYNCML_LOG", "http_proxy", "all_proxy", "ALL_PROXY"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

/// A folder with a database and the account ada.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("password", &format!("{PASSWORD}\n"));
        place.done(&["account", "add", "ada", "--db", &place.db(), "--password-file", &place.path("password")]);
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    fn db(&self) -> String {
        format!("sqlite:{}", self.path("server.db"))
    }

    fn write(&self, name: &str, content: &str) {
        fs::create_dir_all(self.file(name).parent().unwrap()).unwrap();
        fs::write(self.file(name), content).unwrap();
    }

    /// Runs a command that must succeed.
    fn done(&self, args: &[&str]) -> String {
        let output = syncml().args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn serve(&self, args: &[&str]) -> Served {
        let db = self.db();
        Served::start(syncml().args(["serve", "--db", &db, "--listen", "127.0.0.1:0"]).args(args))
    }

    fn sync(&self, folder: &str, address: &str) {
        let (dir, password) = (self.path(folder), self.path("password"));
        let url = format!("http://{address}/syncml");
        self.done(&["sync", &dir, "--to", &url, "--user", "ada", "--password-file", &password]);
    }
}

/// A server that runs.
struct Served {
    process: Child,
    address: String,
    log: Lines<BufReader<ChildStderr>>,
    /// What it logged so far.
    logged: Vec<String>,
}

impl Served {
    fn start(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let log = BufReader::new(process.stderr.take().unwrap()).lines();
        let Some(Ok(line)) = lines.next() else {
            panic!("{:?}", log.map_while(Result::ok).collect::<Vec<_>>());
        };
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address, log, logged: Vec::new() }
    }

    /// Waits for a line of the log.
    fn until(&mut self, said: &str) -> String {
        while let Some(Ok(line)) = self.log.next() {
            self.logged.push(line.clone());
            if line.contains(said) {
                return line;
            }
        }
        panic!("{said:?} is not in {:#?}", self.logged);
    }

    /// The address of the monitor.
    fn monitor(&mut self) -> String {
        self.until("metrics, health and readiness").rsplit_once("address=").unwrap().1.to_owned()
    }

    fn terminate(&self) {
        assert!(Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap().success());
    }

    /// Its end, and all that it logged.
    fn end(mut self) -> (ExitStatus, String) {
        for line in self.log.by_ref().map_while(Result::ok) {
            self.logged.push(line);
        }
        (self.process.wait().unwrap(), self.logged.join("\n"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// An answer: status, head and body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn ask(address: &str, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    read_answer(&mut stream)
}

fn post(address: &str, headers: &str) -> Answer {
    ask(address, "POST", "/syncml", &format!("Content-Type: application/vnd.syncml+xml\r\n{headers}"), MESSAGE)
}

fn card(name: &str) -> String {
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:{name};Zacharias;;;\r\nFN:Zacharias {name}\r\nTEL:+49155500{name}\r\nEND:VCARD\r\n"
    )
}

/// Reads Prometheus' text format and holds it to its rules; gives the samples by name and labels.
fn read_metrics(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    let mut bucket: Option<(String, f64)> = None;
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(rest.split_once(' ').is_some_and(|(_, help)| !help.is_empty()), "{line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "{name} twice");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        assert!(value >= 0.0, "{line}");
        let name = series.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end).filter(|family| types.get(family) == Some(&"histogram")));
        let kind = types.get(family.unwrap_or(name)).unwrap_or_else(|| panic!("no type: {line}"));
        assert_eq!(*kind, if family.is_some() { "histogram" } else { "counter" }, "{line}");
        if name.ends_with("_bucket") {
            let (others, bound) = series.rsplit_once("le=\"").unwrap();
            let bound: f64 = bound.trim_end_matches("\"}").parse().unwrap();
            if let Some((known, count)) = &bucket
                && known == others
            {
                assert!(value >= *count, "buckets are cumulative: {line}");
            }
            bucket = (bound != f64::INFINITY).then(|| (others.to_owned(), value));
        }
        assert!(samples.insert(series.to_owned(), value).is_none(), "{series} twice");
    }
    for (series, count) in samples.iter().filter(|(series, _)| series.contains("_count")) {
        let infinite = match series.replace("_count", "_bucket") {
            series if series.ends_with('}') => series.replace('}', ",le=\"+Inf\"}"),
            series => format!("{series}{{le=\"+Inf\"}}"),
        };
        assert_eq!(samples.get(&infinite), Some(count), "{series}");
    }
    samples
}

#[test]
fn a_server_is_watched() {
    let place = Place::new();
    place.write("one/a.vcf", &card("Quittenbaum"));
    let mut served = place.serve(&["--monitor", "127.0.0.1:0"]);
    let monitor = served.monitor();
    place.sync("one", &served.address);
    let metrics = ask(&monitor, "GET", "/metrics", "", "");
    assert_eq!(
        (metrics.status, metrics.header("content-type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    let samples = read_metrics(&metrics.body);
    for (series, value) in [
        ("syncml_sessions_begun_total", 1.0),
        ("syncml_sessions_ended_total{outcome=\"clean\"}", 1.0),
        ("syncml_slow_syncs_total{reason=\"asked\"}", 1.0),
        ("syncml_items_total{direction=\"in\",outcome=\"added\"}", 1.0),
        ("syncml_commands_total{op=\"Add\",status=\"201\"}", 1.0),
        ("syncml_busy_total", 0.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series}: {samples:#?}");
    }
    assert!(samples["syncml_step_seconds_count"] > 0.0 && samples["syncml_step_seconds_sum"] > 0.0);
    let done = samples["syncml_messages_total{outcome=\"done\"}"];
    assert!(samples["syncml_http_requests_total{status=\"200\"}"] >= done && done >= 2.0, "{samples:#?}");
    assert!(!metrics.body.contains("\"ada\"") && !metrics.body.contains("Quittenbaum"));

    for (method, path, status, body) in [
        ("GET", "/healthz", 200, "ok\n"),
        ("GET", "/readyz", 200, "ok\n"),
        ("GET", "/", 404, "There are /metrics, /healthz and /readyz.\n"),
        ("POST", "/metrics", 405, "There is nothing to change here.\n"),
    ] {
        let answer = ask(&monitor, method, path, "", "");
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{method} {path}");
    }
    let devices = ask(&served.address, "GET", "/metrics", "", "");
    assert!(
        devices.body.contains("This is a SyncML server"),
        "where devices come there are no numbers: {}",
        devices.body
    );
}

#[test]
fn a_request_has_an_id_and_the_log_has_no_names() {
    let place = Place::new();
    place.write("one/a.vcf", &card("Quittenbaum"));
    let mut served = place.serve(&["--log-format", "json"]);
    assert_eq!(
        post(&served.address, "X-Request-Id: from-the-proxy.1\r\n").header("x-request-id"),
        Some("from-the-proxy.1")
    );
    let made = post(&served.address, "X-Request-Id: {not an id}\r\n").header("x-request-id").unwrap().to_owned();
    assert!(made.len() == 32 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{made}");
    assert!(ask(&served.address, "GET", "/", "", "").header("x-request-id").is_some());
    place.sync("one", &served.address);
    served.until("session ended");
    served.terminate();
    let (status, log) = served.end();
    assert_eq!(status.code(), Some(0));
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ended = lines.iter().find(|line| line["message"] == "session ended").unwrap();
    assert_eq!((&ended["level"], &ended["outcome"]), (&"INFO".into(), &"clean".into()), "{ended}");
    let spans = ended["spans"].as_array().unwrap();
    let names: Vec<_> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["request", "session", "message"]);
    assert_eq!(spans[0]["id"].as_str().unwrap().len(), 32);
    assert!(spans[1]["account"].is_i64() && spans[1]["device"].is_i64() && spans[2]["msg"].is_u64(), "{ended}");
    for name in ["ada", "Quittenbaum", "Zacharias", "+49155500", PASSWORD, "quaggamobil", "not an id", "127.0.0.1:9"] {
        assert!(!log.contains(name), "{name} is in {log}");
    }
}

#[test]
fn a_proxy_says_whose_request_it_is() {
    let place = Place::new();
    let mut served = place.serve(&["--log-level", "debug", "--address-header", "x-forwarded-for"]);
    post(&served.address, "X-Forwarded-For: 198.51.100.1, 192.0.2.77\r\n");
    let line = served.until("a message has come");
    assert!(line.contains("address=\"192.0.2.77\""), "{line}");
}

/// A request whose head has been read, and whose body has not come.
fn begun(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /syncml HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/vnd.syncml+xml\r\n\
         Content-Length: {}\r\n\r\n",
        MESSAGE.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut said = [0; 25];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[test]
fn what_is_in_hand_is_finished_and_what_is_new_comes_again() {
    let place = Place::new();
    let mut served = place.serve(&["--monitor", "127.0.0.1:0", "--grace", "60"]);
    let monitor = served.monitor();
    let mut in_hand = begun(&served.address);
    served.terminate();
    served.until("about to end");
    let refused = post(&served.address, "");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{}", refused.head);
    assert_eq!(refused.header("connection"), Some("close"));
    let ready = ask(&monitor, "GET", "/readyz", "", "");
    assert_eq!((ready.status, ready.body.as_str()), (503, "about to end\n"));
    assert_eq!(ask(&monitor, "GET", "/healthz", "", "").status, 200);
    in_hand.write_all(MESSAGE.as_bytes()).unwrap();
    let answer = read_answer(&mut in_hand);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("<Data>407</Data>"), "{}", answer.body);
    let (status, log) = served.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("all messages are answered"), "{log}");
}

#[test]
fn nobody_is_waited_for_without_end() {
    let place = Place::new();
    let served = place.serve(&["--grace", "0"]);
    let mut in_hand = begun(&served.address);
    served.terminate();
    let (status, log) = served.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("some messages were not answered in time"), "{log}");
    let mut rest = String::new();
    // Perhaps reset, perhaps closed: no answer came.
    drop(in_hand.read_to_string(&mut rest));
    assert_eq!(rest, "");
}

#[test]
fn settings_come_from_a_file_and_flags_count_before_it() {
    let place = Place::new();
    let file = place.path("serve.toml");
    place.write("serve.toml", &format!("db = \"{}\"\nlisten = \"256.0.0.1:0\"\nlog-level = \"debug\"\n", place.db()));
    let mut served = Served::start(syncml().args(["serve", "--listen", "127.0.0.1:0", "--config", &file]));
    assert_eq!(post(&served.address, "").status, 200);
    served.until("DEBUG");
    drop(served);

    place.write("serve.toml", "listen = \"127.0.0.1:0\"\n\nlog-levle = \"debug\"\n");
    for (command, code, said) in [
        (
            vec!["serve", "--config", &file],
            2,
            "serve.toml, line 3: there is no setting \"log-levle\"; did you mean log-level?",
        ),
        (vec!["serve", "--config", "/nowhere/serve.toml"], 7, "/nowhere/serve.toml cannot be read"),
    ] {
        let output = syncml().args(command).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && text.contains(said), "{text}");
    }

    // What is printed is taken, with a place to keep books.
    let printed = place.done(&["config"]);
    place.write("printed.toml", &printed.replace("#db = \"URL\"", &format!("db = \"{}\"", place.db())));
    let printed = place.path("printed.toml");
    let served = Served::start(syncml().args(["serve", "--config", &printed, "--listen", "127.0.0.1:0"]));
    assert_eq!(post(&served.address, "").status, 200);
}

#[test]
fn history_goes_by_itself() {
    let place = Place::new();
    let db = place.db();
    place.write("a.vcf", &card("Quittenbaum"));
    place.write("b.vcf", &card("Oxenfoord"));
    let at = |args: &[&str]| place.done(&[args, &["--db", &db, "--user", "ada", "--book", "contacts"]].concat());
    at(&["item", "put", &place.path("a.vcf")]);
    let listed: serde_json::Value = serde_json::from_str(&at(&["list", "--json"])).unwrap();
    let guid = listed[0]["guid"].to_string();
    at(&["item", "put", &place.path("b.vcf"), "--guid", guid.trim_matches('"')]);
    let mut served = place.serve(&["--history-days", "0"]);
    let line = served.until("history purged");
    assert!(line.contains("removed=1 "), "{line}");
}

/// The flags that a text uses.
fn flags(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect()
}

#[test]
fn what_is_deployed_uses_flags_that_exist() {
    let place = Place::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let help = place.done(&["serve", "--help"]);
    let known = flags(&help);
    let unit = fs::read_to_string(root.join("deploy/syncml.service")).unwrap();
    let docker = fs::read_to_string(root.join("Dockerfile")).unwrap();
    let used = unit
        .lines()
        .filter(|line| line.starts_with("ExecStart="))
        .chain(docker.lines().filter(|l| l.starts_with("CMD")));
    let used: Vec<String> = used.flat_map(flags).collect();
    assert!(used.len() > 4, "{used:?}");
    for flag in &used {
        assert!(known.contains(flag), "{flag} is not in {help}");
    }
    for said in ["USER 10001", "HEALTHCHECK", "STOPSIGNAL SIGTERM"] {
        assert!(docker.lines().any(|line| line.starts_with(said)), "{said}");
    }
    // The program stands elsewhere here.
    let verified = unit.replace("/usr/local/bin/syncml", env!("CARGO_BIN_EXE_syncml"));
    place.write("syncml.service", &verified);
    match Command::new("systemd-analyze").args(["verify", "--man=no", &place.path("syncml.service")]).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let ours: Vec<_> = text.lines().filter(|line| line.contains("syncml.service")).collect();
            assert!(output.status.success() && ours.is_empty(), "{text}");
        }
        Err(error) => eprintln!("systemd-analyze is not here: {error}"),
    }
}

#[test]
fn the_table_for_operators_is_the_engines() {
    let told = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let row = |family: Family| format!("| `{}` | {} |", family.name, family.labels.join(", ")).replace("|  |", "| |");
    let histograms = Histogram::ALL.iter().map(|histogram| histogram.family());
    let rows: Vec<_> = Counter::ALL.iter().map(|counter| counter.family()).chain(histograms).map(row).collect();
    let told: Vec<_> = told.lines().filter(|line| line.starts_with("| `syncml_")).collect();
    assert_eq!(rows.len(), told.len());
    for (row, told) in rows.iter().zip(told) {
        assert!(told.starts_with(row.as_str()), "{told} is not {row}");
    }
}
