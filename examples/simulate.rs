//! Plays schedules of the simulator: `cargo run --release --example simulate -- --seed S --steps N [--schedules K]`.
//!
//! Schedule after schedule, from seed S on. Prints the seed of what it plays; of a schedule that breaks a promise, the
//! promise and the smallest schedule found that breaks it, too, with `--trace` every message of that. Stops at the first
//! such schedule unless told to `--keep-going`. Exit code 1 if there was any.

#![allow(clippy::disallowed_methods)] // a program: it reads its arguments

use std::process::ExitCode;
use std::sync::Arc;
use syncml::kit::sim::{Schedule, Stats, in_memory, minimise, simulate, trace};
use syncml::store::Store;

const USAGE: &str = "usage: simulate [--seed S] [--steps N] [--schedules K] [--keep-going] [--trace]";

fn main() -> ExitCode {
    let (mut seed, mut steps, mut schedules, mut keep_going, mut tell) = (1, 150, 1, false, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let slot = match argument.as_str() {
            "--seed" => &mut seed,
            "--steps" => &mut steps,
            "--schedules" => &mut schedules,
            "--keep-going" => {
                keep_going = true;
                continue;
            }
            "--trace" => {
                tell = true;
                continue;
            }
            _ => return usage(),
        };
        match arguments.next().and_then(|value| value.parse().ok()) {
            Some(value) => *slot = value,
            None => return usage(),
        }
    }
    let store: &dyn Fn() -> Arc<dyn Store> = &in_memory;
    println!("seeds {seed} to {}, {steps} events each", seed + schedules.max(1) - 1);
    let (mut total, mut failed) = (Stats::default(), 0);
    for seed in seed..seed + schedules {
        let schedule = Schedule::new(seed, usize::try_from(steps).unwrap_or(usize::MAX));
        match simulate(&schedule, store()) {
            Ok(stats) => total += stats,
            Err(violation) => {
                println!("seed {seed}: {violation}");
                failed += 1;
                if !keep_going {
                    let (small, violation) = minimise(&schedule, store, 3_000);
                    println!("{small}");
                    let _ = tell && trace(&small, store(), &mut |line| println!("{line}")).is_ok();
                    if let Some(violation) = violation {
                        println!("{violation}");
                    }
                    break;
                }
            }
        }
    }
    println!("{failed} failed; {total:?}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
