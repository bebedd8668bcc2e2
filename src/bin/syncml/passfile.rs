//! Passwords of databases, where PostgreSQL's own programs look for them: `PGPASSWORD`, then the file `PGPASSFILE` or
//! `~/.pgpass`, of lines `host:port:database:user:password`.

use std::path::PathBuf;
use syncml::auth::Secret;

/// Where a password is asked for.
pub(crate) struct Place<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: &'a str,
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
}

/// The password for that place, if there is one. A file that others can read is not used, as there.
pub(crate) fn password(place: &Place<'_>) -> Option<Secret> {
    if let Ok(password) = std::env::var("PGPASSWORD") {
        return Some(Secret::new(password));
    }
    let path = std::env::var_os("PGPASSFILE").map(PathBuf::from);
    let path = path.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pgpass")))?;
    if !is_private(&path) {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| found(line, place)).map(Secret::new)
}

#[cfg(unix)]
fn is_private(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.permissions().mode() & 0o077 == 0)
}

#[cfg(not(unix))]
fn is_private(path: &std::path::Path) -> bool {
    path.exists()
}

/// The password of a line, if it is about that place: `*` stands for anything, a backslash before `:` and itself.
fn found(line: &str, place: &Place<'_>) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut()?.extend(letters.next()),
            letter => fields.last_mut()?.push(letter),
        }
    }
    let (password, where_) = fields.split_last()?;
    let wanted = [place.host, place.port, place.database, place.user];
    let fits = |(field, wanted): (&String, &str)| field == "*" || field == wanted;
    (where_.len() == 4 && where_.iter().zip(wanted).all(fits)).then(|| password.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_postgresql_reads_them() {
        let place = Place { host: "db", port: "5432", database: "syncml", user: "sync" };
        for (line, password) in [
            ("db:5432:syncml:sync:secret", Some("secret")),
            ("*:*:*:*:secret", Some("secret")),
            (r"*:*:*:sync:a\:b\\c", Some(r"a:b\c")),
            ("*:*:*:sync:a:b", Some("a:b")),
            ("db:5432:syncml:other:secret", None),
            ("db:5432:syncml:sync", None),
            ("#*:*:*:*:secret", None),
            ("", None),
        ] {
            assert_eq!(found(line, &place).as_deref(), password, "{line}");
        }
    }
}
