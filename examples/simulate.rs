//! Plays schedules of the simulator: `cargo run --release --example simulate -- --seed S --steps N [--schedules K]`.
//!
//! Schedule after schedule, from seed S on (`--fresh`: from one that the clock chooses), J at a time. Prints the seeds of
//! what it plays; of a schedule that breaks a promise, the promise and the smallest schedule found that breaks it, too.
//! Stops at the first such schedule unless told to `--keep-going`. `--replay FILE` plays a schedule as it was printed,
//! `--trace` tells of one every message. Exit code 1 if a promise was broken.

#![allow(clippy::disallowed_methods)] // a program: it reads its arguments, a file and the clock

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use syncml::kit::sim::{Schedule, Stats, Violation, in_memory, minimise, simulate, trace};

const USAGE: &str =
    "usage: simulate [--seed S | --fresh] [--steps N] [--schedules K] [--jobs J] [--keep-going] [--trace]
       simulate --replay FILE [--minimise] [--trace]";

/// Schedules that are played to cut one down; some seconds.
const RUNS: usize = 3_000;

struct Options {
    seed: u64,
    steps: u64,
    schedules: u64,
    jobs: u64,
    keep_going: bool,
    minimise: bool,
    trace: bool,
    replay: Option<String>,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match &options.replay {
        Some(file) => replay(file, &options),
        None => play(&options),
    }
}

fn options() -> Option<Options> {
    let mut options = Options {
        seed: 1,
        steps: 150,
        schedules: 1,
        jobs: 1,
        keep_going: false,
        minimise: false,
        trace: false,
        replay: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let slot = match argument.as_str() {
            "--seed" => &mut options.seed,
            "--steps" => &mut options.steps,
            "--schedules" => &mut options.schedules,
            "--jobs" => &mut options.jobs,
            "--fresh" => {
                options.seed = u64::try_from(std::time::UNIX_EPOCH.elapsed().ok()?.as_millis()).ok()?;
                continue;
            }
            "--replay" => {
                options.replay = Some(arguments.next()?);
                continue;
            }
            "--keep-going" => {
                options.keep_going = true;
                continue;
            }
            "--minimise" => {
                options.minimise = true;
                continue;
            }
            "--trace" => {
                options.trace = true;
                continue;
            }
            _ => return None,
        };
        *slot = arguments.next()?.parse().ok()?;
    }
    Some(options)
}

/// What came of the schedules of all threads.
#[derive(Default)]
struct Sum {
    stats: Stats,
    played: u64,
    failed: Vec<(u64, Violation)>,
}

fn play(options: &Options) -> ExitCode {
    let steps = usize::try_from(options.steps).unwrap_or(usize::MAX);
    let end = options.seed.saturating_add(options.schedules.max(1));
    println!("seeds {} to {}, {steps} events each", options.seed, end - 1);
    let (next, stop, sum) = (AtomicU64::new(options.seed), AtomicBool::new(false), Mutex::new(Sum::default()));
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let result = simulate(&Schedule::new(seed, steps), in_memory());
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.played += 1;
            match result {
                Ok(stats) => sum.stats += stats,
                Err(violation) => {
                    println!("seed {seed}: {violation}");
                    sum.failed.push((seed, violation));
                    stop.fetch_or(!options.keep_going, Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(work);
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.failed.sort_by_key(|(seed, _)| *seed);
    if let Some((seed, _)) = sum.failed.first().filter(|_| !options.keep_going) {
        cut_down(&Schedule::new(*seed, steps), options);
    }
    // As test programs count.
    println!("{} passed; {} failed; {:?}", sum.played - sum.failed.len() as u64, sum.failed.len(), sum.stats);
    if sum.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the smallest schedule that breaks the same promise.
fn cut_down(schedule: &Schedule, options: &Options) {
    let (small, violation) = minimise(schedule, &in_memory, RUNS);
    println!("the smallest schedule found, for --replay:\n{small}");
    if options.trace {
        tell(&small);
    }
    if let Some(violation) = violation {
        println!("{violation}");
    }
}

fn tell(schedule: &Schedule) {
    let _ = trace(schedule, in_memory(), &mut |line| println!("{line}"));
}

fn replay(file: &str, options: &Options) -> ExitCode {
    let schedule = std::fs::read_to_string(file)
        .map_err(|error| error.to_string())
        .and_then(|text| text.parse::<Schedule>().map_err(|error| error.to_string()));
    let schedule = match schedule {
        Ok(schedule) => schedule,
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::from(2);
        }
    };
    if options.trace && !options.minimise {
        tell(&schedule);
    }
    match simulate(&schedule, in_memory()) {
        Ok(stats) => {
            println!("every promise was kept; {stats:?}");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("{violation}");
            if options.minimise {
                cut_down(&schedule, options);
            }
            ExitCode::FAILURE
        }
    }
}
