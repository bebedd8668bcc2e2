//! `syncml control`: orders to a device that was lost, and pulling its books straight from it (missions R4 to R6).

pub(crate) mod carrier;
mod device;
mod order;
mod pull;
mod station;

pub(crate) use station::{Station, is_stopped, stopped};

use crate::failure::{Exit, Failure, Result};
use syncml::service::control::ControlError;
use uuid::Uuid;

/// Commands of the owner, of the device, and of a control terminal.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// At the server: give a device a key by which it knows orders; carry the file to the device by a safe way
    Enrol(order::EnrolArgs),
    /// At the server: order a device to stop its applications
    Stop(order::StopArgs),
    /// At the server: order a device to clear its data
    Clear(order::ClearArgs),
    /// At the server: show the orders of a device, and what became of them
    List(order::ListArgs),
    /// At the server: take an order back that was not told yet
    Cancel(order::CancelArgs),
    /// At the server: write an order for another carrier than a session: a file, or a datagram
    Carry(order::CarryArgs),
    /// At the server: take what a device wrote about an order
    Receipt(order::ReceiptArgs),
    /// On the device: take the key, and say what is to be cleared and stopped when an order comes
    Join(device::JoinArgs),
    /// On the device: report to the server, and ask whether there are orders, without a sync
    Visit(Box<device::VisitArgs>),
    /// On the device: take an order that came by another carrier, and execute it
    Take(device::TakeArgs),
    /// On the device: show what was ordered
    Show(device::ShowArgs),
    /// On the device: let what was stopped go on
    Resume(device::ResumeArgs),
    /// On a control terminal: alert a device, be its server once, and keep a copy of its cards here
    Pull(Box<pull::Args>),
}

impl Command {
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Enrol(args) => args.json,
            Self::Stop(args) => args.order.json,
            Self::Clear(args) => args.order.json,
            Self::List(args) => args.json,
            Self::Cancel(args) => args.json,
            Self::Carry(args) => args.json,
            Self::Receipt(args) => args.json,
            Self::Join(args) => args.json,
            Self::Visit(args) => args.json,
            Self::Take(args) => args.json,
            Self::Show(args) => args.json,
            Self::Resume(args) => args.json,
            Self::Pull(args) => args.json,
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Enrol(args) => order::enrol(args),
        Command::Stop(args) => order::stop(args),
        Command::Clear(args) => order::clear(args),
        Command::List(args) => order::list(args),
        Command::Cancel(args) => order::cancel(args),
        Command::Carry(args) => order::carry(args),
        Command::Receipt(args) => order::receipt(args),
        Command::Join(args) => device::join(args),
        Command::Visit(args) => device::visit(args),
        Command::Take(args) => device::take(args),
        Command::Show(args) => device::show(args),
        Command::Resume(args) => device::resume(args),
        Command::Pull(args) => pull::run(args),
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Store(error) => error.into(),
            ControlError::NoReceipt => Self::new(Exit::Refused, error.to_string()),
            error => Self::usage(error.to_string()),
        }
    }
}

/// 32 octets of the system's randomness: each UUID of version 4 has 122 bits of it.
fn random() -> [u8; 32] {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    (0..4).for_each(|_| hash.update(Uuid::new_v4().as_bytes()));
    hash.finalize().into()
}
