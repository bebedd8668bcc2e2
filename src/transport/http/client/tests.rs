//! The client against scripted sockets: each connection gets the next response of a script.

use super::*;
use crate::transport::TransportError;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{JoinHandle, spawn};

const XML: &str = "application/vnd.syncml+xml";

/// Serves one scripted response per connection (`""` hangs up without one); gives back the bodies it received.
fn script(responses: Vec<String>) -> (String, JoinHandle<Vec<Vec<u8>>>) {
    let (uri, thread) = bytes(responses.into_iter().map(String::into_bytes).collect());
    (uri, spawn(move || thread.join().unwrap().into_iter().map(|(_, body)| body).collect()))
}

/// A head and a body.
type Posted = (String, Vec<u8>);

/// The same with any bytes; gives back the heads, too.
fn bytes(responses: Vec<Vec<u8>>) -> (String, JoinHandle<Vec<Posted>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/syncml", listener.local_addr().unwrap());
    let thread = spawn(move || {
        let mut bodies = Vec::new();
        for response in responses {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            assert!(head.starts_with("post /"), "{head}");
            assert!(!head.contains("cookie"));
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.trim().parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            bodies.push((head, body));
            stream.write_all(&response).unwrap();
        }
        bodies
    });
    (uri, thread)
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn client() -> HttpClient {
    with(|_| ())
}

fn with(change: impl FnOnce(&mut Options)) -> HttpClient {
    let mut options = Options { max_msg_size: 1000, ..Options::default() };
    options.retry.pause = Duration::from_millis(1);
    change(&mut options);
    HttpClient::new(options).unwrap()
}

#[test]
fn takes_an_answer() {
    let (uri, thread) = script(vec![response(
        "200 OK",
        &format!("Content-Type: {XML}; charset=utf-8\r\nx-syncml-hmac: m\r\nSet-Cookie: a=b\r\n"),
        "<a/>",
    )]);
    let answer = client().post(&uri, XML, b"<q/>", None).unwrap();
    assert_eq!((answer.body.as_slice(), answer.mac.as_deref()), (b"<a/>".as_slice(), Some("m")));
    assert_eq!(thread.join().unwrap(), [b"<q/>"]);
}

#[test]
fn follows_redirections_with_the_same_post() {
    let (uri, thread) = script(vec![
        response("307 Temporary Redirect", "Location: /elsewhere\r\n", ""),
        response("308 Permanent Redirect", "Location: more\r\n", ""),
        response("200 OK", &format!("Content-Type: {XML}\r\n"), "<a/>"),
    ]);
    client().post(&uri, XML, b"<q/>", None).unwrap();
    assert_eq!(thread.join().unwrap(), [b"<q/>", b"<q/>", b"<q/>"]);
}

#[test]
fn follows_old_redirections_too_but_to_no_page_and_no_stranger() {
    for status in ["301 Moved Permanently", "302 Found"] {
        let (uri, thread) = script(vec![
            response(status, "Location: /elsewhere\r\n", ""),
            response("200 OK", &format!("Content-Type: {XML}\r\n"), "<a/>"),
        ]);
        client().post(&uri, XML, b"<q/>", None).unwrap();
        assert_eq!(thread.join().unwrap(), [b"<q/>", b"<q/>"]);
    }
    for (status, location) in [("303 See Other", "/page"), ("307 Temporary Redirect", "http://localhost:1/syncml")] {
        let (uri, thread) = script(vec![response(status, &format!("Location: {location}\r\n"), "")]);
        let error = client().post(&uri, XML, b"<q/>", None).unwrap_err();
        assert!(matches!(error, HttpError::Redirect { .. }), "{error}");
        thread.join().unwrap();
    }
    // Where it is allowed, another host is asked.
    let (there, other) = script(vec![response("200 OK", &format!("Content-Type: {XML}\r\n"), "<a/>")]);
    let there = there.replace("127.0.0.1", "localhost");
    let (uri, thread) = script(vec![response("308 Permanent Redirect", &format!("Location: {there}\r\n"), "")]);
    with(|options| options.other_hosts = true).post(&uri, XML, b"<q/>", None).unwrap();
    assert_eq!((thread.join().unwrap().len(), other.join().unwrap().len()), (1, 1));
}

/// One rule for redirections and for what a server wants next: neither leads elsewhere.
#[test]
fn another_port_is_another_server() {
    let (uri, thread) =
        script(vec![response("307 Temporary Redirect", "Location: http://127.0.0.1:1/x?s=token\r\n", "")]);
    let error = client().post(&format!("{uri}?s=secret"), XML, b"<q/>", None).unwrap_err();
    assert!(matches!(error, HttpError::Redirect { .. }), "{error}");
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains("token") && !text.contains("secret"), "{text}");
    }
    thread.join().unwrap();
    let with_password = with(|options| options.proxy = Some("http://user:hidden@127.0.0.1:1".to_owned()));
    let text = format!("{with_password:?} {:?}", with_password.options());
    assert!(!text.contains("hidden"), "{text}");
}

#[test]
fn gives_up_a_chain_of_redirections() {
    let hop = response("307 Temporary Redirect", "Location: /elsewhere\r\n", "");
    let (uri, thread) = script(vec![hop; MAX_REDIRECTS + 1]);
    let error = client().post(&uri, XML, b"<q/>", None).unwrap_err();
    assert!(error.to_string().contains("too many"), "{error}");
    thread.join().unwrap();
}

#[test]
fn waits_as_long_as_the_server_asks_and_no_longer_than_it_may() {
    let busy = |seconds: u32| response("503 Service Unavailable", &format!("Retry-After: {seconds}\r\n"), "");
    let (uri, thread) = script(vec![busy(0), response("200 OK", &format!("Content-Type: {XML}\r\n"), "<a/>")]);
    client().post_until_answered(&uri, XML, b"<q/>", None).unwrap();
    thread.join().unwrap();
    let (uri, thread) = script(vec![busy(3600)]);
    let error = client().post_until_answered(&uri, XML, b"<q/>", None).unwrap_err();
    assert!(matches!(error, HttpError::Status { status: 503, .. }), "{error}");
    thread.join().unwrap();
}

fn opening(uri: &str, opens: bool) -> Outgoing {
    Outgoing { uri: uri.to_owned(), content_type: XML, body: b"<q/>".to_vec(), mac: None, wait: Duration::ZERO, opens }
}

/// As a session does it.
fn deliver(
    http: &HttpClient,
    request: &Outgoing,
    until: Option<Instant>,
    tell: Tell<'_>,
) -> Result<Answer, TransportError> {
    let mut transport = HttpTransport::new(http.clone());
    crate::transport::drive::deliver(&mut transport, request, &http.options.conduct(), until, tell)
}

#[test]
fn the_first_message_is_repeated_only_when_nothing_was_done_for_it() {
    let ok = response("200 OK", &format!("Content-Type: {XML}\r\n"), "<a/>");
    let (uri, thread) = script(vec![response("503 Service Unavailable", "", ""), ok.clone()]);
    deliver(&client(), &opening(&uri, true), None, &mut |_| ()).unwrap();
    assert_eq!(thread.join().unwrap().len(), 2);
    for lost in [String::new(), response("502 Bad Gateway", "", "")] {
        let (uri, thread) = script(vec![lost.clone()]);
        deliver(&client(), &opening(&uri, true), None, &mut |_| ()).unwrap_err();
        assert_eq!(thread.join().unwrap().len(), 1);
        let (uri, thread) = script(vec![lost, ok.clone()]);
        deliver(&client(), &opening(&uri, false), None, &mut |_| ()).unwrap();
        assert_eq!(thread.join().unwrap().len(), 2);
    }
}

#[test]
fn tells_what_happens() {
    let (uri, thread) = script(vec![
        response("503 Service Unavailable", "", ""),
        response("200 OK", &format!("Content-Type: {XML}\r\n"), "<a/>"),
    ]);
    let mut told = Vec::new();
    let mut tell = |event: Event<'_>| {
        told.push(match event {
            Event::Connecting { .. } => "connecting".to_owned(),
            Event::Sending { bytes } => format!("sending {bytes}"),
            Event::Receiving { bytes } => format!("receiving {bytes}"),
            Event::Waiting { attempt, .. } => format!("waiting for {attempt}"),
            Event::Books { .. } => "books".to_owned(),
            Event::Busy { .. } => "busy".to_owned(),
        });
    };
    deliver(&client(), &opening(&uri, false), None, &mut tell).unwrap();
    let once = ["connecting", "sending 4"];
    assert_eq!(told, [&once[..], &["waiting for 2"], &once[..], &["receiving 4"]].concat());
    thread.join().unwrap();
}

/// A client that was stopped while it waited an hour for the next try, and where it posted to.
fn stopped_in_a_pause(stop: fn(&Cancel) -> bool) -> (HttpClient, String) {
    let cancel = Cancel::new();
    let long = with(|options| {
        options.retry.pause = Duration::from_secs(3600);
        options.retry.longest = options.retry.pause;
        options.cancel = cancel.clone();
    });
    let (uri, thread) = script(vec![response("503 Service Unavailable", "", "")]);
    let mut tell = |event: Event<'_>| {
        if matches!(event, Event::Waiting { .. }) {
            stop(&cancel);
        }
    };
    let error = deliver(&long, &opening(&uri, true), None, &mut tell).unwrap_err();
    assert!(matches!(error, TransportError::Cancelled), "{error}");
    thread.join().unwrap();
    (long, uri)
}

#[test]
fn stops_when_it_is_told_to() {
    let (long, uri) = stopped_in_a_pause(Cancel::cancel);
    let error = deliver(&long, &opening(&uri, true), None, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TransportError::Cancelled), "and begins nothing new: {error}");
}

#[test]
fn keeps_its_deadline() {
    let now = Instant::now();
    let error = deliver(&client(), &opening("http://127.0.0.1:1/", true), Some(now), &mut |_| ()).unwrap_err();
    assert!(matches!(error, TransportError::Deadline), "{error}");
    // A pause that would not leave time for another attempt is not begun.
    let (uri, thread) = script(vec![response("503 Service Unavailable", "Retry-After: 50\r\n", "")]);
    let soon = Some(now + Duration::from_secs(40));
    let error = deliver(&client(), &opening(&uri, false), soon, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TransportError::Http(HttpError::Status { .. })), "{error}");
    thread.join().unwrap();
}

fn packed(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut all = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {XML}\r\nContent-Encoding: gzip\r\n{headers}Content-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    all.extend_from_slice(body);
    all
}

#[test]
fn unpacks_answers_within_the_limit() {
    let text = vec![b'x'; 10_000];
    let (uri, thread) = bytes(vec![packed("", &coding::gzip(&text).unwrap())]);
    assert_eq!(client().post(&uri, XML, b"<q/>", None).unwrap().body, text);
    assert!(thread.join().unwrap()[0].0.contains("accept-encoding: gzip, deflate"));
    let (uri, thread) = bytes(vec![packed("", &coding::gzip(&[b'x'; 10_000_000]).unwrap()[..10_000])]);
    let error = client().post(&uri, XML, b"<q/>", None).unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { .. }), "{error}");
    thread.join().unwrap();
    let (uri, thread) = bytes(vec![packed("", b"no gzip")]);
    let error = client().post(&uri, XML, b"<q/>", None).unwrap_err();
    assert!(matches!(error, HttpError::Coding { .. }), "{error}");
    thread.join().unwrap();
}

#[test]
fn packs_messages_for_a_server_that_said_it_takes_them() {
    let ok = |headers: &str| response("200 OK", &format!("Content-Type: {XML}\r\n{headers}"), "<a/>").into_bytes();
    let refusal = response("415 Unsupported Media Type", "", "").into_bytes();
    let (uri, thread) =
        bytes(vec![ok(""), ok("Accept-Encoding: gzip\r\n"), Vec::new(), ok(""), refusal, ok(""), ok("")]);
    let (http, long) = (client(), vec![b'q'; 5000]);
    for _ in 0..5 {
        http.post_until_answered(&uri, XML, &long, None).unwrap();
    }
    let seen = thread.join().unwrap();
    let packed: Vec<bool> = seen.iter().map(|(head, _)| head.contains("content-encoding: gzip")).collect();
    assert_eq!(packed, [false, false, true, true, true, false, false]);
    assert_eq!(seen[2].1, seen[3].1, "the same bytes again");
    assert_eq!(Coding::Gzip.unpack(&seen[2].1, 5000).unwrap(), long);
    assert_eq!(seen[5].1, long);

    let (uri, thread) = bytes(vec![ok("Accept-Encoding: gzip\r\n"), ok("")]);
    let plain = with(|options| options.gzip = false);
    for _ in 0..2 {
        plain.post(&uri, XML, &long, None).unwrap();
    }
    for (head, body) in thread.join().unwrap() {
        assert!(head.contains("accept-encoding: identity") && !head.contains("content-encoding"), "{head}");
        assert_eq!(body, long);
    }
}

#[test]
fn goes_through_a_proxy() {
    let (uri, thread) = script(vec![response("200 OK", &format!("Content-Type: {XML}\r\n"), "<a/>")]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let target = authority(&uri).to_owned();
    let proxying = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let mut server = std::net::TcpStream::connect(target).unwrap();
        let (mut up, mut down) = (stream.try_clone().unwrap(), server.try_clone().unwrap());
        let answers = spawn(move || drop(io::copy(&mut down, &mut stream)));
        drop(io::copy(&mut up, &mut server));
        answers.join().unwrap();
        String::from_utf8(head).unwrap()
    });
    {
        let http = with(|options| options.proxy = Some(proxy));
        assert_eq!(http.post(&uri, XML, b"<q/>", None).unwrap().body, b"<a/>");
    }
    thread.join().unwrap();
    let head = proxying.join().unwrap();
    assert!(head.starts_with(&format!("CONNECT {} ", authority(&uri))), "{head}");
    let error = HttpClient::new(Options { proxy: Some("::".to_owned()), ..Options::default() }).unwrap_err();
    assert!(matches!(error, HttpError::Invalid(_)), "{error}");
}

/// Catalogue: HTTP-2
#[test]
fn repeats_the_identical_bytes() {
    let (uri, thread) = script(vec![
        String::new(),
        response("503 Service Unavailable", "", ""),
        response("200 OK", &format!("Content-Type: {XML}\r\n"), "<a/>"),
    ]);
    client().post_until_answered(&uri, XML, b"<q/>", None).unwrap();
    assert_eq!(thread.join().unwrap(), [b"<q/>", b"<q/>", b"<q/>"]);
}

#[test]
fn posts_once_when_asked_once() {
    let (uri, thread) = script(vec![String::new()]);
    let error = client().post(&uri, XML, b"<q/>", None).unwrap_err();
    assert!(matches!(error, HttpError::Broken { .. }), "{error}");
    assert_eq!(thread.join().unwrap().len(), 1);
}

#[test]
fn tells_errors_apart() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = client().post(&format!("http://127.0.0.1:{port}/"), XML, b"", None).unwrap_err();
    assert!(matches!(error, HttpError::Unreachable { .. }), "{error}");

    let error = client().post("nonsense", XML, b"", None).unwrap_err();
    assert!(matches!(error, HttpError::Invalid(_)), "{error}");

    for (answer, check) in [
        (response("404 Not Found", "Content-Type: text/plain\r\n", "no such page\n<more>"), "HTTP 404 (no such page)"),
        (response("404 Not Found", "Content-Type: text/html\r\n", "<html>"), "HTTP 404"),
        (response("200 OK", "Content-Type: text/html\r\n", "<html>"), "instead of SyncML"),
        (response("200 OK", &format!("Content-Type: {XML}\r\n"), &"x".repeat(20_000)), "larger than"),
    ] {
        let (uri, thread) = script(vec![answer]);
        let error = client().post(&uri, XML, b"", None).unwrap_err().to_string();
        assert!(error.contains(check), "{error}");
        thread.join().unwrap();
    }
}

#[test]
fn says_that_a_plain_server_has_no_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("https://{}/", listener.local_addr().unwrap());
    let thread = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let error = client().post(&uri, XML, b"", None).unwrap_err();
    assert!(matches!(error, HttpError::Tls { .. }), "{error}");
    thread.join().unwrap();
}

#[test]
fn wants_certificates_in_a_certificate_file() {
    let error = HttpClient::new(Options { roots: Some(b"nothing".to_vec()), ..Options::default() }).unwrap_err();
    assert!(matches!(error, HttpError::Invalid(_)), "{error}");
}

/// A server that begins an answer with `said` and then says nothing more; it tells when it was asked.
fn silent(said: &'static [u8]) -> (String, std::sync::mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/syncml", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        stream.write_all(said).unwrap();
        tell.send(stream).unwrap();
    });
    (uri, told)
}

#[test]
fn a_server_that_says_nothing_holds_up_nobody_who_stops() {
    for said in
        [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.syncml+xml\r\nContent-Length: 9\r\n\r\n<a"]
    {
        let (uri, asked) = silent(said);
        let cancel = Cancel::new();
        let patient = with(|options| {
            options.timeout = Duration::from_secs(3600);
            options.cancel = cancel.clone();
        });
        // The connection stays open until the client has given up.
        let stopping = spawn(move || {
            let stream = asked.recv().unwrap();
            cancel.cancel();
            stream
        });
        let error = deliver(&patient, &opening(&uri, true), None, &mut |_| ()).unwrap_err();
        assert!(matches!(error, TransportError::Cancelled), "{error}");
        drop(stopping.join().unwrap());
    }
}

#[test]
fn a_pause_ends_when_the_session_is_to_be_broken_off() {
    stopped_in_a_pause(Cancel::suspend);
}
