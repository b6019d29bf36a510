//! Figures of the mirror and of the agent, from the shipped binary over a real ZooKeeper:
//!
//! ```text
//! cargo bench --bench mirror -- scale [SERVICES [PROVIDERS]]     100000 services of 10 providers, unless told otherwise
//! cargo bench --bench mirror -- staleness [RATE [SECONDS]]       50 changes a second for 20 s, unless told otherwise
//! cargo bench --bench mirror -- agent [SERVICES [SECONDS]]       1000 services with checks for 30 s, unless told otherwise
//! ```
//! `scale` needs 5 GB of memory and a few minutes. What it prints is what was measured in that run; nothing is compared
//! with another machine's figures.

mod agent;
#[allow(dead_code, unreachable_pub)] // the integration tests use the rest of it
#[path = "../it/harness/mod.rs"]
mod harness;
mod process;
mod scale;
mod staleness;

fn main() {
    // `cargo bench` adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |index: usize, default: u32| -> u32 {
        arguments.get(index).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{text} is no number")))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match arguments.first().map(String::as_str) {
        Some("scale") => runtime.block_on(scale::run(number(1, 100_000), number(2, 10))),
        Some("staleness") => runtime.block_on(staleness::run(number(1, 50), number(2, 20))),
        Some("agent") => runtime.block_on(agent::run(number(1, 1_000), number(2, 30))),
        _ => println!(
            "usage: cargo bench --bench mirror -- \
             scale [SERVICES [PROVIDERS]] | staleness [RATE [SECONDS]] | agent [SERVICES [SECONDS]]"
        ),
    }
}
