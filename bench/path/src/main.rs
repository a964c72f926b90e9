//! The message path in one process: what `bench/instructions` counts and `bench/micro` times.
//!
//! ```text
//! ockam-bench list                          the scenarios: name, rounds to count, bytes in a round
//! ockam-bench run NAME ROUNDS WARM-UP       runs one
//! ockam-bench time [NAME ..]                times them, turn by turn; a line of JSON for each
//! ockam-bench worn CONNECTIONS CHUNKS ROUNDS chunks over a path that has carried so much; waits for a line before them
//! ```
//!
//! A count is the difference of two runs that differ in their rounds alone, so what start and preparation cost is not in
//! it. Everything runs in one thread: nothing depends on who is scheduled when.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops where something is not as it should be, and prints what it found"
)]

mod channel;
mod codec;
mod curve;
mod path;
mod relay;
mod scenario;
mod time;

use std::io::stdin;
use std::process::exit;

use scenario::{SCENARIOS, find};

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["list"] => {
            for scenario in SCENARIOS {
                println!(
                    "{}\t{}\t{}",
                    scenario.name, scenario.counted, scenario.bytes
                );
            }
        }
        ["run", name, rounds, warm_up] => {
            let (rounds, warm_up) = (rounds.parse().unwrap(), warm_up.parse().unwrap());
            let mut repeat = (find(name).prepare)(warm_up + scenario::MOST_COUNTED);
            repeat(warm_up);
            repeat(rounds);
            // Ends here, so that taking down what was prepared is in no count.
            exit(0);
        }
        ["worn", connections, chunks, rounds] => {
            let number = |text: &str| text.parse().unwrap();
            path::worn(number(connections), number(chunks), number(rounds), || {
                println!("worn");
                stdin().read_line(&mut String::new()).unwrap();
            });
            exit(0);
        }
        ["time", names @ ..] => time::all(names),
        _ => {
            println!(
                "usage: ockam-bench list | run NAME ROUNDS WARM-UP | time [NAME ..] | worn CONNECTIONS CHUNKS ROUNDS"
            );
            exit(2);
        }
    }
}
