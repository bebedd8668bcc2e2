//! Secrets: from a file, the environment or a prompt, never from an argument.

use crate::failure::{Failure, Result};
use std::fs;
use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};
use syncml::auth::Secret;
use syncml::session::ServerIdentity;
use zeroize::Zeroizing;

/// The environment variable that may hold a password.
const VARIABLE: &str = "SYNCML_PASSWORD";

/// `--password-file`.
#[derive(Debug, clap::Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from the first line of this file (else from SYNCML_PASSWORD, else a prompt)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArgs {
    /// The password that exists already.
    pub(crate) fn read(&self) -> Result<Secret> {
        self.given().unwrap_or_else(|| prompt("Password: "))
    }

    /// A new password; a prompt asks twice.
    pub(crate) fn read_new(&self) -> Result<Secret> {
        let secret = self.given().unwrap_or_else(|| {
            let first = prompt("New password: ")?;
            let second = prompt("Once more: ")?;
            if first.expose() == second.expose() { Ok(first) } else { Err(Failure::usage("the two passwords differ")) }
        })?;
        if secret.expose().is_empty() { Err(Failure::usage("the password is empty")) } else { Ok(secret) }
    }

    fn given(&self) -> Option<Result<Secret>> {
        match &self.password_file {
            Some(path) => Some(first_line(path)),
            None => std::env::var(VARIABLE).ok().map(|password| Ok(Secret::new(password))),
        }
    }
}

/// The first line of a file.
pub(crate) fn first_line(path: &Path) -> Result<Secret> {
    let text = fs::read_to_string(path).map(Zeroizing::new).map_err(|error| Failure::file(path, "read", &error))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::usage(format!("{} has no first line to take a secret from", path.display())));
    }
    Ok(Secret::new(line.to_owned()))
}

/// `--server-name` and `--server-secret-file`, which go together.
pub(crate) fn server_identity(name: Option<&str>, file: Option<&Path>) -> Result<Option<ServerIdentity>> {
    let (Some(name), Some(file)) = (name, file) else { return Ok(None) };
    Ok(Some(ServerIdentity { name: name.to_owned(), secret: first_line(file)? }))
}

fn prompt(text: &str) -> Result<Secret> {
    if !stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "there is no terminal to ask for a password: use --password-file or {VARIABLE}"
        )));
    }
    rpassword::prompt_password(text)
        .map(Secret::new)
        .map_err(|error| Failure::usage(format!("the password cannot be read: {error}")))
}
