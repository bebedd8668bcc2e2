//! `syncml platform`.

use crate::database::{self, DatabaseArgs};
use crate::failure::Result;
use crate::output::{self, Table};
use crate::secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use syncml::auth::{DigestKind, Verifier};
use syncml::store::audit::{self, NO_ACCOUNT};
use syncml::store::{AuditRow, Principal, PrincipalKind, Store};
use syncml::transport::http::now;

/// Commands about platforms.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a platform, give it a new secret, or let it speak for more accounts
    Add(AddArgs),
    /// Show all platforms and the accounts they speak for
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Its device id, as it stands in the Source of its messages
    device: String,
    #[command(flatten)]
    db: DatabaseArgs,
    /// Read the shared secret from the first line of this file
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// An account it may speak for; repeat for more
    #[arg(long, value_name = "ACCOUNT", required = true, num_args = 1..)]
    grant: Vec<String>,
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
    let secret = secret::first_line(&args.secret_file)?;
    let store = args.db.create()?;
    for account in &args.grant {
        database::account(store.as_ref(), account)?;
    }
    put(store.as_ref(), &args.device, &secret, &args.grant)?;
    if args.json {
        output::json(&serde_json::json!({ "ok": true, "platform": args.device, "granted": args.grant }));
    } else {
        println!("platform {} may speak for {}", args.device, args.grant.join(", "));
    }
    Ok(())
}

/// Makes the platform with its secret and its grants.
pub(crate) fn put(store: &dyn Store, device: &str, secret: &syncml::auth::Secret, accounts: &[String]) -> Result<()> {
    let verifiers = [DigestKind::Md5, DigestKind::Sha256]
        .into_iter()
        .map(|digest| Verifier::device(digest, secret, device))
        .collect();
    store.directory().put_principal(device, &Principal { kind: PrincipalKind::Platform, verifiers })?;
    // The id of a platform is no number of ours; that one was changed says enough, with the accounts that it is granted.
    let changed = AuditRow::new(now(), "operator", audit::PLATFORM_CHANGED, "platform");
    audit::note(store, NO_ACCOUNT, &changed)?;
    for name in accounts {
        store.directory().set_grant(device, name, true)?;
        if let Some(account) = store.directory().account(name)? {
            let granted = AuditRow::new(now(), "operator", audit::PLATFORM_GRANTED, format!("account {account}"));
            audit::note(store, account, &granted)?;
        }
    }
    Ok(())
}

fn list(args: &ListArgs) -> Result<()> {
    let store = args.db.open()?;
    let mut platforms: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (device, account) in store.directory().grants()? {
        platforms.entry(device).or_default().push(account);
    }
    if args.json {
        let rows: Vec<_> = platforms
            .iter()
            .map(|(device, accounts)| serde_json::json!({ "platform": device, "accounts": accounts }))
            .collect();
        output::json(&rows);
        return Ok(());
    }
    let mut table = Table::new(&["platform", "accounts"]);
    for (device, accounts) in platforms {
        table.row([device, accounts.join(", ")]);
    }
    table.print();
    Ok(())
}
