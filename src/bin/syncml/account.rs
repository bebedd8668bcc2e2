//! `syncml account`.

use crate::database::DatabaseArgs;
use crate::failure::Result;
use crate::output::{self, Table};
use crate::secret::PasswordArgs;
use syncml::auth::Verifier;
use syncml::store::{AuditRow, audit};
use syncml::transport::http::now;

/// Commands about accounts.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make an account, or give it a new password
    Add(AddArgs),
    /// Show all accounts
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Its name, with which devices log in
    name: String,
    #[command(flatten)]
    db: DatabaseArgs,
    #[command(flatten)]
    password: PasswordArgs,
    /// Keep only MD5(name:password); devices of SyncML 1.0 can then not log in with MD5
    #[arg(long)]
    hashed: bool,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    db: DatabaseArgs,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Add(args) => args.json,
            Self::List(args) => args.json,
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Add(args) => add(args),
        Command::List(args) => list(args),
    }
}

fn add(args: &AddArgs) -> Result<()> {
    let password = args.password.read_new()?;
    let store = args.db.create()?;
    let existed = store.directory().account(&args.name)?.is_some();
    let verifier = if args.hashed { Verifier::md5(&args.name, &password) } else { Verifier::Password(password) };
    let account = store.directory().put_login(&args.name, &verifier)?;
    let action = if existed { audit::CREDENTIALS_CHANGED } else { audit::ACCOUNT_CREATED };
    let row = AuditRow::new(now(), "operator", action, format!("account {account}"));
    audit::note(store.as_ref(), account, &row)?;
    if args.json {
        output::json(&serde_json::json!({ "ok": true, "account": args.name, "new": !existed }));
    } else if existed {
        println!("account {} has a new password", args.name);
    } else {
        println!("account {} is ready", args.name);
    }
    Ok(())
}

fn list(args: &ListArgs) -> Result<()> {
    let store = args.db.open()?;
    let accounts = store.directory().accounts()?;
    let grants = store.directory().grants()?;
    let platforms = |name: &str| -> Vec<&str> {
        grants.iter().filter(|(_, account)| account == name).map(|(device, _)| device.as_str()).collect()
    };
    if args.json {
        let rows: Vec<_> = accounts
            .iter()
            .map(|(name, _)| serde_json::json!({ "account": name, "platforms": platforms(name) }))
            .collect();
        output::json(&rows);
        return Ok(());
    }
    let mut table = Table::new(&["account", "platforms"]);
    for (name, _) in &accounts {
        table.row([name.clone(), platforms(name).join(", ")]);
    }
    table.print();
    Ok(())
}
