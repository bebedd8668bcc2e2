//! The client against scripted sockets: each connection gets the next response of a script.

use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{JoinHandle, spawn};

const XML: &str = "application/vnd.syncml+xml";

/// Serves one scripted response per connection (`""` hangs up without one); gives back the bodies it received.
fn script(responses: Vec<String>) -> (String, JoinHandle<Vec<Vec<u8>>>) {
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
            bodies.push(body);
            stream.write_all(response.as_bytes()).unwrap();
        }
        bodies
    });
    (uri, thread)
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn client() -> HttpClient {
    HttpClient::new(Options { pause: Duration::from_millis(1), max_msg_size: 1000, ..Options::default() }).unwrap()
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
fn does_not_turn_a_post_into_a_get() {
    let (uri, thread) = script(vec![response("302 Found", "Location: /elsewhere\r\n", "")]);
    let error = client().post(&uri, XML, b"<q/>", None).unwrap_err();
    assert!(matches!(error, HttpError::Redirect { .. }), "{error}");
    thread.join().unwrap();
}

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
