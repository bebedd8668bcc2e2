//! `syncml backup`: books of a device, up to the server.

use super::{PhoneArgs, contacts};
use crate::failure::{Exit, Failure, Result};
use crate::job::{Job, Outcome};
use crate::output;
use crate::progress::{Progress, short};
use syncml::message::AlertCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) phone: PhoneArgs,
    /// Let a folder that lost most of its cards delete them in the backup too; its history keeps them
    #[arg(long)]
    allow_mass_delete: bool,
}

/// Only what is here goes up; each book on its own, so that one that cannot be read does not keep back the others.
pub(crate) fn run(args: &Args) -> Result<()> {
    let phone = &args.phone;
    let books = phone.books()?;
    let (link, profiles) = (phone.link.open()?, phone.profiles.read()?.treat(phone.treatment.read()));
    let (kind, device_id) = (contacts()?, phone.device.device_id());
    let mut progress = Progress::new(phone.json, phone.link.trace()?);
    let (mut shown, mut worst) = (Vec::new(), None);
    for book in &books {
        let (storage, address) = (book.storage.to_string(), book.id.address());
        let job = Job {
            dir: book.dir,
            link: link.clone(),
            book: kind,
            local: &storage,
            remote: &address,
            device_id: Some(&device_id),
            mode: AlertCode::ONE_WAY_FROM_CLIENT,
            filter: None,
            allow_mass_delete: args.allow_mass_delete,
            profiles: profiles.clone(),
            layout: &book.layout,
            called: None,
        };
        progress.say(&format!("backing up {storage}"));
        let outcome = job.run(&mut progress);
        progress.end();
        let failure = match &outcome {
            Err(failure) => Some((failure.exit(), failure.to_string())),
            Ok(Outcome { failure: Some(failure), .. }) => Some((failure.exit(), failure.to_string())),
            Ok(outcome) if !outcome.clean() => Some((Exit::Problems, String::new())),
            Ok(_) => None,
        };
        if phone.json {
            let mut told = match &outcome {
                Ok(outcome) => outcome.to_json(),
                Err(failure) => {
                    serde_json::json!({ "ok": false, "exit": failure.exit() as u8, "error": failure.to_string() })
                }
            };
            told["storage"] = storage.into();
            told["book"] = book.id.to_string().into();
            shown.push(told);
        } else {
            if let Ok(outcome) = &outcome {
                let sent = outcome.report.books.first().map(|book| short(&book.sent)).unwrap_or_default();
                println!("{storage}: {sent}, book {}", book.id);
                outcome.problems().iter().for_each(|problem| eprintln!("{storage}: {problem}"));
            }
            if let Some((_, text)) = failure.as_ref().filter(|(_, text)| !text.is_empty()) {
                eprintln!("syncml: {storage}: {text}");
            }
        }
        let stopped = matches!(failure, Some((Exit::Interrupted | Exit::Unreachable | Exit::Refused, _)));
        worst = worst.or_else(|| failure.map(|(exit, _)| exit));
        if stopped {
            break;
        }
    }
    if phone.json {
        let exit = worst.map_or(0, |exit| exit as u8);
        let device = phone.device.to_string();
        output::json(&serde_json::json!({ "ok": exit == 0, "exit": exit, "device": device, "books": shown }));
    }
    worst.map_or(Ok(()), |exit| Err(Failure::told(exit)))
}
