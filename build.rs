//! Tells the program which commit it was built from, and of which day: ` (0123456789, 2026-01-31)`. Both come from
//! `ZONEKEEPER_COMMIT` and `SOURCE_DATE_EPOCH` where they are set, else from git; without either nothing is told.
//! Builds for development tell neither, so that a commit rebuilds nothing there.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=ZONEKEEPER_COMMIT");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rustc-env=ZONEKEEPER_BUILD={}", build().unwrap_or_default());
}

fn build() -> Option<String> {
    if env::var("PROFILE").is_ok_and(|profile| profile == "debug") {
        return Some(" (debug)".to_owned());
    }
    let commit = if let Ok(commit) = env::var("ZONEKEEPER_COMMIT") {
        commit
    } else {
        // Both change with the commit; which of them there is depends on git's configuration.
        for file in ["HEAD", "logs/HEAD"] {
            let path = git(&["rev-parse", "--git-path", file])?;
            if Path::new(&path).exists() {
                println!("cargo::rerun-if-changed={path}");
            }
        }
        git(&["rev-parse", "--short=10", "HEAD"])?
    };
    let day = match env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse::<u64>().ok()) {
        Some(seconds) => Some(day(seconds / 86_400)),
        None => git(&["show", "--no-patch", "--format=%cs", "HEAD"]),
    };
    Some(match day {
        Some(day) => format!(" ({commit}, {day})"),
        None => format!(" ({commit})"),
    })
}

/// Output of git in this repository.
fn git(arguments: &[&str]) -> Option<String> {
    // A clone above a source package without one is not of this program.
    if !Path::new(".git").exists() {
        return None;
    }
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// The date of a day since 1970, as in ISO 8601 (`civil_from_days` of Howard Hinnant's "chrono-compatible algorithms").
fn day(days: u64) -> String {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
