//! How the program reaches a server: patience, proxies, certificates.

use crate::failure::{Failure, Result};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use syncml::transport::http::client::{Cancel, Options};

#[derive(Debug, clap::Args)]
pub(crate) struct NetworkArgs {
    /// How often a message is posted again after a network error or while the server is overloaded (HTTP 502 to 504),
    /// after 0.5, 1, 2 … seconds
    #[arg(long, value_name = "N", default_value_t = 3)]
    retries: u32,
    /// How long to wait for an answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// How long the whole sync may take, in seconds; the next one continues
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    deadline: Option<u64>,
    /// Go through this proxy, http://[USER:PASSWORD@]HOST:PORT; it must allow CONNECT (else as https_proxy, http_proxy,
    /// all_proxy and no_proxy in the environment say, where a password is better kept: others see what is typed here)
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Go through no proxy, whatever the environment says
    #[arg(long, conflicts_with = "proxy")]
    no_proxy: bool,
    /// Neither ask for packed answers nor pack messages
    #[arg(long)]
    no_gzip: bool,
    /// Follow redirections to other hosts, too: they get to see the credentials
    #[arg(long)]
    other_hosts: bool,
    /// Trust the certificates in this file (PEM) instead of the usual ones
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl NetworkArgs {
    /// How to reach `url`.
    pub(crate) fn options(&self, url: &str, cancel: Cancel) -> Result<Options> {
        let mut options = Options::default();
        options.retry.attempts = self.retries.saturating_add(1);
        options.timeout = Duration::from_secs(self.timeout);
        options.connect_timeout = options.connect_timeout.min(options.timeout);
        options.deadline = self.deadline.map(Duration::from_secs);
        options.proxy = match (&self.proxy, self.no_proxy) {
            (Some(proxy), _) => Some(proxy.clone()),
            (None, true) => None,
            (None, false) => proxy_for(url, |name| std::env::var(name).ok()),
        };
        options.gzip = !self.no_gzip;
        options.other_hosts = self.other_hosts;
        options.cancel = cancel;
        if let Some(path) = &self.ca {
            options.roots = Some(std::fs::read(path).map_err(|error| Failure::file(path, "read", &error))?);
        }
        Ok(options)
    }
}

/// Says so where a credential that is the same every time can be read on the way.
pub(crate) fn warn_in_the_open(url: &str) {
    if in_the_open(url) {
        eprintln!("syncml: {url} is not protected; everybody on the way can read and use the credential");
    }
}

/// Whether what is posted there can be read on the way: neither over TLS nor to this machine itself.
fn in_the_open(url: &str) -> bool {
    let Some((scheme, _)) = url.split_once("://") else { return false };
    let host = host(url);
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    !scheme.eq_ignore_ascii_case("https") && !here
}

/// An address' host, in lower case and without brackets.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.trim_matches(['[', ']']).to_ascii_lowercase()
}

/// The proxy that the environment names for an address. `HTTP_PROXY` is not looked at: web servers set it to what their
/// visitors say.
fn proxy_for(url: &str, environment: impl Fn(&str) -> Option<String>) -> Option<String> {
    let first = |names: &[&str]| names.iter().find_map(|name| environment(name).filter(|value| !value.is_empty()));
    let (scheme, _) = url.split_once("://")?;
    let host = host(url);
    let excepted = first(&["no_proxy", "NO_PROXY"]).is_some_and(|list| {
        list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
            let name = entry.trim_start_matches('*').trim_start_matches('.');
            entry == "*"
                || !name.is_empty()
                    && (host == name || host.strip_suffix(name).is_some_and(|before| before.ends_with('.')))
        })
    });
    if excepted {
        return None;
    }
    if scheme.eq_ignore_ascii_case("https") {
        first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
    } else {
        first(&["http_proxy", "all_proxy", "ALL_PROXY"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_others_can_read() {
        for (url, open) in [
            ("http://example.com/syncml", true),
            ("HTTP://example.com", true),
            ("https://example.com", false),
            ("HTTPS://example.com", false),
            ("http://localhost:80/x", false),
            ("http://LOCALHOST", false),
            ("http://127.0.0.1:8080/x", false),
            ("http://127.9.9.9", false),
            ("http://[::1]:8080", false),
            ("http://u:p@127.0.0.1/", false),
            ("http://127.0.0.1.example.com/", true),
            ("http://localhost.example.com/", true),
            ("http://127.0.0.1@example.com/", true),
            ("http://[::1].example.com/", true),
        ] {
            assert_eq!(in_the_open(url), open, "{url}");
        }
    }

    #[test]
    fn the_environment_names_a_proxy() {
        let all =
            [("https_proxy", "s"), ("http_proxy", "h"), ("ALL_PROXY", "a"), ("no_proxy", "a.org, .b.org,*.c.org,::1")];
        let none: [(&str, &str); 0] = [];
        let upper = [("HTTPS_PROXY", "s"), ("HTTP_PROXY", "h")];
        let rest = [("http_proxy", ""), ("all_proxy", "a")];
        let off = [("all_proxy", "a"), ("NO_PROXY", "*")];
        for (environment, url, expected) in [
            (&none[..], "http://x/", None),
            (&all[..], "http://x/", Some("h")),
            (&all[..], "https://x:1/a", Some("s")),
            (&all[..], "https://A.org/x", None),
            (&all[..], "https://u:p@w.a.org:8/x", None),
            (&all[..], "https://aa.org/x", Some("s")),
            (&all[..], "http://w.b.org/", None),
            (&all[..], "http://w.c.org/", None),
            (&all[..], "http://[::1]:80/", None),
            (&upper[..], "http://x/", None),
            (&upper[..], "https://x/", Some("s")),
            (&rest[..], "http://x/", Some("a")),
            (&off[..], "http://x/", None),
        ] {
            let get =
                |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(proxy_for(url, get).as_deref(), expected, "{url} {environment:?}");
        }
    }
}
