//! The integration tests: one binary, a file a subject.

mod agent;
mod agent_faults;
mod announce;
mod announce_faults;
mod cli;
mod commands;
mod comparison;
mod complaints;
mod connections;
mod consumers;
mod drain;
mod edns;
mod end_to_end;
mod forward;
mod fuzzing;
mod garbage;
mod harness;
mod host_names;
mod keeper_battery;
#[path = "../layers.rs"]
mod layers;
mod master_files;
mod negatives;
mod old_zookeepers;
mod page;
mod rate;
mod readers;
mod reload;
mod rfc8906;
mod scenarios;
mod security;
mod steady;
mod storms;
mod transfer;
mod transports;
mod zookeeper_faults;
