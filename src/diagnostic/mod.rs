//! One way to say where something is wrong, for configurations, zone files and seeds: a position, a sentence, advice.
//!
//! Readers collect problems at the positions they have at hand, and go on; [`Report`] shows them, each with its line
//! and a caret. Nothing here knows what is read.

mod problem;
mod report;

pub use problem::{HIDDEN, Location, Problem, Problems, Severity, Span};
pub use report::{Report, SourceText};
