//! Settings of `syncml serve` in a file (TOML). Every flag is a key there, by its own name: the file is nothing but a command
//! line written down, so there is nothing that only one of the two can say.

use crate::args::Cli;
use crate::failure::{Failure, Result};
use clap::builder::ArgAction;
use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The command that has a file.
const SERVE: &str = "serve";
const FLAG: &str = "--config";

/// How alike two names must be for one to be a slip of the other, from 0 to 1.
const ALIKE: f64 = 0.7;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Prints a file that says what is so without one.
pub(crate) fn run(_: &Args) {
    print!("{}", defaults());
}

/// The program's command line. A setting of `serve` may be said again, and the last word counts; a yes or no may be said in
/// words, so that the command line can take back what the file says.
pub(crate) fn command() -> Command {
    Cli::command().mut_subcommand(SERVE, |serve| {
        serve.args_override_self(true).mut_args(|arg| match arg.get_action() {
            ArgAction::SetTrue if arg.get_long().is_some() => arg
                .action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .value_name("true|false")
                .hide_possible_values(true)
                .hide_default_value(true)
                .default_value("false")
                .default_missing_value("true"),
            _ => arg,
        })
    })
}

/// A command line, with what its `--config` file says before it.
pub(crate) fn expand(words: Vec<OsString>) -> Result<Vec<OsString>> {
    let Some(path) = named_file(&words) else { return Ok(words) };
    let path = Path::new(&path);
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, "read", &error))?;
    let settings = read(&text, &path.display().to_string(), |name| std::env::var_os(name).is_some())?;
    let mut words = words.into_iter();
    let command: Vec<OsString> = words.by_ref().take(2).collect();
    Ok(command.into_iter().chain(settings.into_iter().map(OsString::from)).chain(words).collect())
}

/// The file that a command line of `serve` names; the last one, if several.
fn named_file(words: &[OsString]) -> Option<OsString> {
    let [_, command, rest @ ..] = words else { return None };
    if command != SERVE {
        return None;
    }
    let mut found = None;
    let mut rest = rest.iter().take_while(|word| *word != "--");
    while let Some(word) = rest.next() {
        if word == FLAG {
            found = rest.next().cloned();
        } else if let Some(value) = word.to_str().and_then(|word| word.strip_prefix(FLAG)?.strip_prefix('=')) {
            found = Some(OsStr::new(value).to_owned());
        }
    }
    found
}

/// The flags that have a key, in the order of the help.
fn settings() -> Vec<Arg> {
    let mut command = command();
    command.build();
    let serve = command.find_subcommand(SERVE).map(Command::get_arguments);
    let is_setting = |arg: &&Arg| arg.get_long().is_some_and(|name| !["config", "help", "version"].contains(&name));
    serve.into_iter().flatten().filter(is_setting).cloned().collect()
}

/// Reads a file into flags. What the environment says (`is_set`) is left to it. Nothing of what the file says is repeated in
/// an error but keys: somebody may have written a secret there.
fn read(text: &str, name: &str, is_set: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let at = |offset: usize| text.get(..offset).unwrap_or(text).matches('\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| at(span.start));
        Failure::usage(format!("{name}, line {line}: {}", error.message()))
    })?;
    let settings = settings();
    let mut flags = Vec::new();
    for (key, value) in table.get_ref() {
        let wrong = |text: String| Failure::usage(format!("{name}, line {}: {text}", at(key.span().start)));
        let key = key.get_ref().as_ref();
        let Some(arg) = settings.iter().find(|arg| arg.get_long() == Some(key)) else {
            return Err(wrong(unknown(key, &settings)));
        };
        let flag = format!("--{key}={}", written(arg, value).map_err(|text| wrong(format!("{key}: {text}")))?);
        if let Some(text) = refused(&flag) {
            return Err(wrong(format!("{key}: {text}")));
        }
        if !arg.get_env().and_then(OsStr::to_str).is_some_and(&is_set) {
            flags.push(flag);
        }
    }
    Ok(flags)
}

/// What the command line would be told for that value.
fn written(arg: &Arg, value: &Spanned<DeValue<'_>>) -> std::result::Result<String, &'static str> {
    match value.get_ref() {
        DeValue::Boolean(value) if is_yes_or_no(arg) => Ok(value.to_string()),
        _ if is_yes_or_no(arg) => Err("write true or false"),
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        _ => Err("write a text in quotes, or a whole number"),
    }
}

fn is_yes_or_no(arg: &Arg) -> bool {
    arg.is_require_equals_set()
}

/// Why a value is not taken, without it.
fn refused(flag: &str) -> Option<String> {
    let words = ["syncml", SERVE, flag];
    let error = command().try_get_matches_from(words).err()?;
    match error.kind() {
        ErrorKind::InvalidValue => {
            let valid = error.get(clap::error::ContextKind::ValidValue).map(ToString::to_string);
            Some(valid.map_or_else(|| "this is no value for it".to_owned(), |valid| format!("it is one of {valid}")))
        }
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
            Some(if why.is_empty() { "this is no value for it".to_owned() } else { why })
        }
        // Other settings are missing, which are not looked at here.
        _ => None,
    }
}

fn unknown(key: &str, settings: &[Arg]) -> String {
    let alike = |name: &str| strsim::jaro_winkler(&key.to_lowercase().replace('_', "-"), name);
    let nearest = settings.iter().filter_map(Arg::get_long).max_by(|a, b| alike(a).total_cmp(&alike(b)));
    match nearest.filter(|name| alike(name) >= ALIKE) {
        Some(name) => format!("there is no setting {key:?}; did you mean {name}?"),
        None => format!("there is no setting {key:?}; `syncml config` prints them all"),
    }
}

/// The file that says what is so without one.
fn defaults() -> String {
    let mut out = String::from(
        "# Settings of `syncml serve --config FILE`: its flags, with what is so when nothing is said. What has no such value\n\
         # is commented out. A flag and the environment count before this file. Passwords and secrets stand in files of\n\
         # their own, which are named here.\n",
    );
    for arg in settings() {
        let Some(name) = arg.get_long() else { continue };
        out.push('\n');
        let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
        for line in wrapped(&help, 116) {
            out += &format!("# {line}\n");
        }
        let values: Vec<_> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        if !values.is_empty() && !is_yes_or_no(&arg) {
            out += &format!("# One of: {}\n", values.join(", "));
        }
        if let Some(variable) = arg.get_env().and_then(OsStr::to_str) {
            out += &format!("# In the environment: {variable}\n");
        }
        out += &match arg.get_default_values() {
            [value, ..] => format!("{name} = {}\n", toml_value(&value.to_string_lossy())),
            [] => {
                let names = arg.get_value_names().unwrap_or_default();
                let value = names.first().map_or("…", |name| name.as_str());
                format!("#{name} = {}\n", toml_value(value))
            }
        };
    }
    out
}

/// Numbers, true and false as they are, all else in quotes.
fn toml_value(value: &str) -> String {
    let plain = value.parse::<i64>().is_ok() || value.parse::<bool>().is_ok();
    if plain { value.to_owned() } else { format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")) }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if lines.last().is_some_and(|line| !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width)
        {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{command, defaults, named_file, read, settings};
    use crate::args::Cli;
    use clap::FromArgMatches;
    use std::ffi::OsString;

    /// What `serve` is told, as it understands it.
    fn understood(flags: &[String]) -> String {
        let words = ["syncml", "serve"].into_iter().map(str::to_owned).chain(flags.iter().cloned());
        let matches = command().try_get_matches_from(words).unwrap();
        format!("{:#?}", Cli::from_arg_matches(&matches).unwrap())
    }

    fn not_set(_: &str) -> bool {
        false
    }

    #[test]
    fn the_printed_file_says_what_is_so_without_it() {
        let flags = read(&defaults(), "printed", not_set).unwrap();
        assert!(flags.len() > 10, "{flags:?}");
        let db = "--db=sqlite:x".to_owned();
        let with: Vec<_> = flags.into_iter().chain([db.clone()]).collect();
        assert_eq!(understood(&with), understood(&[db]));
    }

    #[test]
    fn every_flag_has_its_key() {
        let printed = defaults();
        let settings = settings();
        assert!(settings.len() > 20, "{}", settings.len());
        for arg in &settings {
            let name = arg.get_long().unwrap();
            let key = |line: &str| line.trim_start_matches('#').starts_with(&format!("{name} = "));
            assert_eq!(printed.lines().filter(|line| key(line)).count(), 1, "{name}");
            assert!(arg.get_help().is_some(), "{name} has no comment");
        }
        // What is commented out would be understood, too.
        let all = printed.lines().filter(|line| line.contains(" = ") && !line.starts_with("# ")).count();
        assert_eq!(all, settings.len());
        assert!(printed.lines().all(|line| line.len() <= 120), "{printed}");
    }

    #[test]
    fn what_is_said_last_counts() {
        let db = "--db=sqlite:x".to_owned();
        let file = "listen = \"0.0.0.0:1\"\nmax-msg-size = 2000\nallow-basic = true\njson = true\n";
        let mut flags = read(file, "file", not_set).unwrap();
        flags.push(db.clone());
        let flag = |text: &str| text.to_owned();
        let said = [
            flag("--listen=0.0.0.0:1"),
            flag("--max-msg-size=2000"),
            flag("--allow-basic"),
            flag("--json"),
            db.clone(),
        ];
        assert_eq!(understood(&flags), understood(&said));
        flags.extend(["--listen=[::]:2", "--allow-basic=false", "--max-msg-size=3000"].map(flag));
        let said = [flag("--listen=[::]:2"), flag("--max-msg-size=3000"), flag("--json"), db];
        assert_eq!(understood(&flags), understood(&said));
    }

    #[test]
    fn the_environment_counts_before_the_file() {
        let file = "db = \"sqlite:a\"\nlog-level = \"debug\"\nlisten = \"x\"\n";
        assert_eq!(read(file, "file", |name| name == "SYNCML_DB").unwrap(), ["--listen=x", "--log-level=debug"]);
    }

    #[test]
    fn errors_name_the_line() {
        for (file, said) in [
            ("listen = \"x\"\n\nlissten = \"y\"\n", "f, line 3: there is no setting \"lissten\"; did you mean listen?"),
            ("max_msg_size = 1\n", "f, line 1: there is no setting \"max_msg_size\"; did you mean max-msg-size?"),
            ("zzz = 1\n", "f, line 1: there is no setting \"zzz\"; `syncml config` prints them all"),
            ("config = \"other\"\n", "f, line 1: there is no setting \"config\""),
            ("\nmax-msg-size = 1\n", "f, line 2: max-msg-size: 1 is not in 1000.."),
            ("max-msg-size = -5\n", "f, line 1: max-msg-size: "),
            ("listen = true\n", "f, line 1: listen: write a text in quotes, or a whole number"),
            ("listen = [\"a\"]\n", "f, line 1: listen: write a text"),
            ("allow-basic = \"yes\"\n", "f, line 1: allow-basic: write true or false"),
            ("# x\nlog-format = \"xml\"\n", "f, line 2: log-format: it is one of text, json"),
            ("on-deletes = \"never\"\n", "f, line 1: on-deletes: it is one of proceed, hold, refuse"),
            ("address-header = \"a b\"\n", "f, line 1: address-header: "),
            ("listen = \"x\"\nlisten = \"y\"\n", "f, line 2: duplicate key"),
            ("listen = \n", "f, line 1: "),
            ("[serve]\nlisten = \"x\"\n", "f, line 1: there is no setting \"serve\""),
        ] {
            let failure = read(file, "f", not_set).unwrap_err().to_string();
            assert!(failure.starts_with(said), "{file:?}: {failure}");
        }
        for secret in
            ["password = \"hunter2\"\n", "max-msg-size = \"hunter2\"\n", "on-deletes = \"hunter2\"\n", "hunter2"]
        {
            let failure = read(secret, "f", not_set).unwrap_err().to_string();
            assert!(secret == "hunter2" || !failure.contains("hunter2"), "{failure}");
        }
    }

    #[test]
    fn the_file_is_found() {
        for (line, file) in [
            ("syncml serve --config a", Some("a")),
            ("syncml serve --db x --config=a", Some("a")),
            ("syncml serve --config a --config=b", Some("b")),
            ("syncml serve --db x", None),
            ("syncml list --config a", None),
            ("syncml serve -- --config a", None),
            ("syncml serve --config", None),
            ("syncml", None),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(named_file(&words).as_deref(), file.map(std::ffi::OsStr::new), "{line}");
        }
    }
}
