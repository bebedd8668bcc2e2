//! The table, cell by cell.

use super::{Action, Decision, Entry, Incoming, ItemNow, Reception, Terms, Twin, decide_incoming};
use crate::message::StatusCode;
use crate::sync::{Policy, Role, SyncType};
use std::fmt::Write as _;

const TABLE: &str = include_str!("table.md");

const INCOMING: [Incoming; 3] = [Incoming::Add, Incoming::Replace, Incoming::Delete];

/// A row of the table: its conditions, and what they lead to.
struct Row {
    line: &'static str,
    when: [Vec<&'static str>; 5],
    action: &'static str,
    status: &'static str,
    sent: &'static str,
    why: &'static str,
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| change"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [change, here, shown, policy, sync, action, status, sent, why] = cells[..] else {
                panic!("nine cells: {line}")
            };
            let when = [change, here, shown, policy, sync].map(|cell| cell.split(' ').collect());
            Row { line, when, action, status, sent, why }
        })
        .collect()
}

/// A cell of the product: what its row has to name, and the question it is.
struct Cell {
    names: [&'static str; 5],
    incoming: Incoming,
    entry: Entry,
    terms: Terms,
}

fn cells() -> Vec<Cell> {
    let twins = [("new", Twin::None), ("equal", Twin::Exact), ("alike", Twin::Strong)];
    let items = [
        ("agreed", ItemNow::AsAgreed),
        ("changed", ItemNow::Changed),
        ("same", ItemNow::ChangedAlike),
        ("deleted", ItemNow::Deleted),
    ];
    let shown = [("touched", true, false), ("edited", false, false), ("stranger", false, true)];
    let mut entries: Vec<_> = twins.map(|(here, twin)| (here, "-", Entry::Unknown { twin })).into();
    for (here, item) in items {
        entries.extend(shown.map(|(shown, echo, stranger)| (here, shown, Entry::Known { item, echo, stranger })));
    }
    let mut cells = Vec::new();
    for incoming in INCOMING {
        let change = match incoming {
            Incoming::Add => "Add",
            Incoming::Replace => "Replace",
            Incoming::Delete => "Delete",
        };
        for &(here, shown, entry) in &entries {
            for policy in Policy::ALL {
                for sync in SyncType::ALL {
                    let reception = Reception::of(sync, sync, Role::Server);
                    let terms = Terms { role: Role::Server, policy, reception };
                    cells.push(Cell {
                        names: [change, here, shown, policy.name(), sync.name()],
                        incoming,
                        entry,
                        terms,
                    });
                }
            }
        }
    }
    cells
}

/// Catalogue: CON-1, CON-2, CON-3, CON-4, CON-5, CON-6, CON-7, CON-8
#[test]
fn every_cell_is_in_one_row_and_decided_as_it_says() {
    let rows = rows();
    let (mut wrong, mut used) = (String::new(), vec![0; rows.len()]);
    let cells = cells();
    assert_eq!(cells.len(), 3 * 15 * 6 * 6);
    for cell in cells {
        let names = |row: &Row| row.when.iter().zip(cell.names).all(|(set, name)| set == &["*"] || set.contains(&name));
        let found: Vec<usize> = (0..rows.len()).filter(|at| names(&rows[*at])).collect();
        let [at] = found[..] else {
            writeln!(wrong, "{:?} is in {} rows", cell.names, found.len()).unwrap_or_default();
            continue;
        };
        used[at] += 1;
        let Decision { action, status } = decide_incoming(cell.incoming, cell.entry, cell.terms);
        let said = match rows[at].status.split_once('/') {
            Some((add, _)) if cell.incoming == Incoming::Add => add,
            Some((_, replace)) => replace,
            None => rows[at].status,
        };
        if (format!("{action:?}").as_str(), status.0.to_string().as_str()) != (rows[at].action, said) {
            writeln!(wrong, "{:?} is {action:?} {status}, not {}", cell.names, rows[at].line).unwrap_or_default();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    for (row, used) in rows.iter().zip(used) {
        assert!(used > 0, "no cell is in {}", row.line);
        assert!(row.why.len() > 20 && row.why.ends_with('.'), "a sentence says why: {}", row.line);
        assert!(["-", "Add", "Replace", "Delete"].contains(&row.sent), "{}", row.line);
    }
}

/// What is true of all cells, whatever the table says.
#[test]
fn nothing_is_lost_in_any_cell() {
    for cell in cells() {
        let Decision { action, .. } = decide_incoming(cell.incoming, cell.entry, cell.terms);
        let Entry::Known { item, echo, .. } = cell.entry else { continue };
        let mirror = cell.terms.reception == Reception::Mirror;
        // Who changed nothing overrules nobody.
        if echo && cell.incoming != Incoming::Delete && !mirror {
            assert!(matches!(action, Action::Keep | Action::Refuse), "{:?}", cell.names);
        }
        // What was changed here is deleted by who wins only.
        if action == Action::Remove && item != ItemNow::AsAgreed {
            assert!(matches!(cell.terms.policy, Policy::ClientWins | Policy::Newest), "{:?}", cell.names);
        }
        // Without a conflict no policy matters.
        if matches!(item, ItemNow::AsAgreed | ItemNow::ChangedAlike) && cell.incoming != Incoming::Delete {
            let merged = decide_incoming(cell.incoming, cell.entry, Terms { policy: Policy::Merge, ..cell.terms });
            assert_eq!(merged.action, action, "{:?}", cell.names);
        }
    }
}

/// A client decides as a server does, with the sides exchanged; the codes name the same winner.
#[test]
fn a_client_decides_with_the_sides_exchanged() {
    let exchanged = |policy| match policy {
        Policy::ClientWins | Policy::Newest => Policy::ServerWins,
        Policy::ServerWins => Policy::ClientWins,
        // Who it is left to merges.
        Policy::LeaveToClient => Policy::Merge,
        other => other,
    };
    for cell in cells().into_iter().filter(|cell| cell.terms.reception == Reception::Changes) {
        let client = Terms { role: Role::Client, ..cell.terms };
        let server = Terms { policy: exchanged(cell.terms.policy), ..cell.terms };
        let (client, server) =
            (decide_incoming(cell.incoming, cell.entry, client), decide_incoming(cell.incoming, cell.entry, server));
        let action = match server.action {
            Action::Fork => Action::Split,
            action => action,
        };
        let status = match server.status {
            StatusCode::CLIENT_WINS => StatusCode::SERVER_WINS,
            StatusCode::SERVER_WINS => StatusCode::CLIENT_WINS,
            status => status,
        };
        assert_eq!(client, Decision { action, status }, "{:?}", cell.names);
    }
}

#[test]
fn both_ends_hear_the_same_in_a_sync() {
    for sync in SyncType::ALL {
        let of = |role| Reception::of(sync, sync, role);
        for role in [Role::Client, Role::Server] {
            let other = if role == Role::Client { Role::Server } else { Role::Client };
            assert_eq!(of(role) == Reception::Nothing, !sync.sends(other), "{sync:?} {role:?}");
        }
    }
    let repaired = Reception::of(SyncType::RefreshFromClient, SyncType::OneWayFromClient, Role::Server);
    assert_eq!(repaired, Reception::Everything, "who lost its anchors did not ask for deletes");
}
