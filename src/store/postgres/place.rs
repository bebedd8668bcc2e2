//! Databases as URLs name them.

use super::super::{Result, StoreError};
use super::tls::Tls;
use std::str::FromStr;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Where a database is, as its URL says. `Debug` shows no password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The server's name or address; `None` for a socket of this machine.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// The user, where the URL names one.
    pub user: Option<String>,
    /// The database, which is named like the user where the URL names none.
    pub database: Option<String>,
    /// Whether the URL has a password. One in arguments is seen by all users of the machine.
    pub has_password: bool,
    /// Whether connections are encrypted.
    pub encrypted: bool,
}

impl Place {
    /// Reads a URL as [`PostgresStore::open`](super::PostgresStore::open) does.
    ///
    /// # Errors
    /// [`StoreError::Failed`] for a URL that cannot be read. What is wrong with it is not quoted, since it may be part of
    /// a password.
    pub fn of(url: &str) -> Result<Self> {
        let (config, tls) = read(url)?;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => Some(host.clone()),
            _ => None,
        };
        let (user, database) = (config.get_user(), config.get_dbname().or_else(|| config.get_user()));
        Ok(Self {
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            user: user.map(str::to_owned),
            database: database.map(str::to_owned),
            has_password: config.get_password().is_some(),
            encrypted: tls.is_some(),
        })
    }
}

/// What libpq takes and this store does not.
const UNKNOWN: [&str; 6] = ["passfile", "service", "sslcert", "sslcrl", "sslkey", "gssencmode"];

/// Reads a URL: how to connect, and how that is encrypted.
pub(super) fn read(url: &str) -> Result<(Config, Option<Tls>)> {
    let cannot = |why: &str| StoreError::Failed(format!("this is no URL of a PostgreSQL database: {why}"));
    let (url, asked) = split(url).map_err(|why| cannot(&why))?;
    let config = Config::from_str(&url).map_err(|_| cannot("write postgres://USER@HOST/DATABASE"))?;
    let wanted = config.get_ssl_mode() == SslMode::Require;
    if !wanted && asked.is_some() {
        return Err(cannot("sslrootcert goes with sslmode=verify-full"));
    }
    if wanted && !config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_))) {
        return Err(cannot("sslmode=verify-full needs a host; a socket of this machine is not encrypted"));
    }
    let tls = wanted.then(|| Tls::new(asked.as_deref())).transpose()?;
    Ok((config, tls))
}

/// Takes out of a URL what the client library does not know: where the certificates are, and the modes of encryption that
/// check them. Here every mode that encrypts does.
fn split(url: &str) -> std::result::Result<(String, Option<String>), String> {
    // As the client library does: what is before the first @ is user and password, whatever it holds.
    let credentials = url.find('@').map_or(0, |at| at + 1);
    let Some((place, options)) = url[credentials..].split_once('?').filter(|_| url.contains("://")) else {
        return Ok((url.to_owned(), None));
    };
    let mut roots = None;
    let mut kept = Vec::new();
    for option in options.split('&') {
        match option.split_once('=') {
            Some(("sslrootcert", path)) => roots = Some(decoded(path).ok_or("sslrootcert is no path")?),
            Some(("sslmode", "verify-ca" | "verify-full")) => kept.push("sslmode=require"),
            Some((name, _)) if UNKNOWN.contains(&name) => return Err(format!("{name} is not supported")),
            _ => kept.push(option),
        }
    }
    Ok((format!("{}{place}?{}", &url[..credentials], kept.join("&")), roots))
}

/// A value without its percent signs.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let [high, low] = [rest.next()?, rest.next()?].map(|digit| char::from(digit).to_digit(16));
                u8::try_from(high? * 16 + low?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_where_and_how() {
        let place = |host: Option<&str>, port, user: &str, database: &str| {
            let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            Place {
                host: host.map(str::to_owned),
                port,
                user: some(user),
                database: some(database),
                has_password: false,
                encrypted: false,
            }
        };
        for (url, expected) in [
            ("postgres://u@h/d", place(Some("h"), 5432, "u", "d")),
            ("postgresql://u@h:7", place(Some("h"), 7, "u", "u")),
            ("postgres://u@/d?host=/run", place(None, 5432, "u", "d")),
            ("postgres://h/d", place(Some("h"), 5432, "", "d")),
            ("postgres://u:p@h/d", Place { has_password: true, ..place(Some("h"), 5432, "u", "d") }),
            ("postgres://u:p?sslkey=1@h/d", Place { has_password: true, ..place(Some("h"), 5432, "u", "d") }),
            ("postgres://u@h/d?password=p", Place { has_password: true, ..place(Some("h"), 5432, "u", "d") }),
            ("postgres://u@h/d?sslmode=prefer", place(Some("h"), 5432, "u", "d")),
            ("postgres://u@h/d?sslmode=require", Place { encrypted: true, ..place(Some("h"), 5432, "u", "d") }),
            ("postgres://u@h/d?sslmode=verify-ca", Place { encrypted: true, ..place(Some("h"), 5432, "u", "d") }),
            (
                "postgres://u@h/d?connect_timeout=3&sslmode=verify-full",
                Place { encrypted: true, ..place(Some("h"), 5432, "u", "d") },
            ),
        ] {
            assert_eq!(Place::of(url).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_a_quote() {
        for (url, why) in [
            ("postgres://u:geheim@h:x/d", "write postgres://"),
            ("postgres://u@h/d?sslmode=maybe", "write postgres://"),
            ("postgres://u@h/d?sslrootcert=/a", "goes with sslmode"),
            ("postgres://u@h/d?sslmode=verify-full&sslrootcert=%2", "no path"),
            ("postgres://u@h/d?sslmode=verify-full&sslrootcert=%2Fnowhere", "/nowhere"),
            ("postgres://u@h/d?sslkey=/a", "sslkey is not supported"),
            ("postgres://u@/d?host=/run&sslmode=require", "needs a host"),
        ] {
            let StoreError::Failed(text) = Place::of(url).unwrap_err() else { panic!("{url}") };
            assert!(text.contains(why) && !text.contains("heim"), "{url}: {text}");
        }
    }
}
