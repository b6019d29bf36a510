//! Ten thousand seeded lives of the mirror, each through storms and quiet, checked all the while.
//!
//! The [`world`] is a model of an ensemble; the mirror runs in it exactly as in the driver, but for the I/O. What must
//! hold:
//!
//! 1. When the world is quiet, tree, published view and world are equal.
//! 2. Readers never see a mixture: a service shows, znode for znode, a state it once had as a whole. (Only while no
//!    reply comes before an event that the server sent before it, as the driver sees to.) One that is written without
//!    rest is followed all the same.
//! 3. What is seen through links is what is there, also outside of the root.
//! 4. At most one read of a path is outstanding in an epoch; no batch is beyond the limits.
//! 5. Delays between failing connects grow.
//! 6. A verification repairs what lost events did not tell, and reports nothing as missed where none was lost.
//! 7. What may not be read any more stays as it was; an ensemble that went back is not shown for a while.
//!
//! `tests/run --seeds N simulation`, or `ZONEKEEPER_SEEDS=N cargo test simulation`, explores more. A failing seed is
//! run again, cut down to the fewest steps that still fail, and printed as the list of everything that happened in it.

mod herd;
mod links;
mod readers;
mod restores;
mod rights;
mod selecting;
mod server;
mod verify;
mod world;
mod writers;

use super::mirror::{Input, Mutation};
use crate::registry::Error;
use std::collections::HashSet;
use world::World;

/// Differences between one life and another, besides the seed.
#[derive(Debug, Clone, Copy, Default)]
struct Script {
    /// A bug in the mirror.
    mutation: Option<Mutation>,
    /// One event in fifty is lost.
    lose_events: bool,
    /// Events and replies overtake each other on their way. The mirror must come out exact all the same, though a
    /// directory may show a mixture for a moment.
    overtaking: bool,
    /// Requests are answered piece by piece, with writes in between.
    pieces: bool,
    /// One service is written all the time, and nothing goes wrong.
    unsettled: bool,
    /// Znodes hold links, which lead to each other, in circles, and out of the root.
    links: bool,
    /// Readers do not look whether a znode's coming or going leads a link elsewhere.
    deaf: bool,
    /// Mixtures are looked for although things overtake each other.
    strict: bool,
    /// Everything is verified on another session, all the while.
    verify: bool,
    /// Znodes become unreadable, and readable again, without an event.
    rights: bool,
    /// The ensemble is restored from backups.
    restores: bool,
    /// Only some znodes are mirrored.
    selecting: bool,
}

/// Events that the lives of a run met.
#[derive(Debug, Default)]
struct Explored {
    seeds: u64,
    inputs: u64,
    publishes: u64,
    /// Digests of the states that the mirror was in.
    states: HashSet<u64>,
}

/// Lives one life, up to `steps` steps of storm. The trace is empty unless asked for.
fn live(seed: u64, script: Script, steps: usize, traced: bool, explored: &mut Explored) -> Result<(), String> {
    let mut world = World::new(seed, script, traced);
    let outcome = world.live(steps);
    explored.seeds += 1;
    explored.inputs += world.inputs;
    explored.publishes += world.publishes;
    explored.states.extend(world.states.drain());
    outcome.map_err(|difference| format!("{}\n{difference}", world.trace.join("\n")))
}

/// Story of a failing seed: the shortest storm that still fails, step by step.
fn story(seed: u64, script: Script) -> String {
    let fails = |steps, traced| live(seed, script, steps, traced, &mut Explored::default()).err();
    let shortest = (1..=World::MOST_STEPS).find(|steps| fails(*steps, false).is_some());
    let steps = shortest.unwrap_or(World::MOST_STEPS);
    let story = fails(steps, true).unwrap_or_else(|| "it does not fail when it is run again".to_owned());
    format!("seed {seed}, {script:?}, {steps} steps:\n{story}")
}

fn seeds() -> u64 {
    std::env::var("ZONEKEEPER_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(10_000)
}

fn explore(script: Script, seeds: u64) {
    let mut explored = Explored::default();
    for seed in 0..seeds {
        let outcome = live(seed, script, World::MOST_STEPS, false, &mut explored);
        assert!(outcome.is_ok(), "{}", story(seed, script));
    }
    let Explored { seeds, inputs, publishes, states } = explored;
    println!(
        "{script:?}: {seeds} seeds, {inputs} inputs, {} different states, {publishes} publishes, no mixture, no \
         difference",
        states.len()
    );
}

/// The first seed that catches what the script does wrong.
fn caught(script: Script) -> Option<u64> {
    let seed =
        (0..seeds()).find(|seed| live(*seed, script, World::MOST_STEPS, false, &mut Explored::default()).is_err())?;
    println!("{script:?}: caught by seed {seed}");
    Some(seed)
}

fn is_caught(mutation: Mutation) -> bool {
    caught(Script { mutation: Some(mutation), ..Script::default() }).is_some()
}

#[test]
fn the_mirror_equals_the_world_when_it_is_quiet_and_never_shows_a_mixture() {
    explore(Script::default(), seeds());
}

#[test]
fn the_mirror_equals_the_world_when_it_is_quiet_even_if_events_and_replies_overtake_each_other() {
    explore(Script { overtaking: true, ..Script::default() }, seeds());
}

#[test]
fn the_mirror_equals_the_world_where_servers_answer_piece_by_piece() {
    explore(Script { pieces: true, ..Script::default() }, seeds() / 4);
}

#[test]
fn what_is_selected_is_mirrored_and_nothing_else_whatever_happens_beside_it() {
    explore(Script { selecting: true, ..Script::default() }, seeds() / 4);
    explore(Script { selecting: true, rights: true, ..Script::default() }, seeds() / 4);
    explore(Script { selecting: true, pieces: true, verify: true, overtaking: true, ..Script::default() }, seeds() / 4);
}

#[test]
fn what_is_seen_through_links_is_what_is_there_wherever_they_lead() {
    explore(Script { links: true, ..Script::default() }, seeds());
}

#[test]
fn a_service_that_is_written_without_rest_is_followed_and_never_shown_as_a_mixture() {
    explore(Script { unsettled: true, ..Script::default() }, seeds() / 50);
}

#[test]
fn a_verification_repairs_what_lost_events_did_not_tell() {
    explore(Script { verify: true, lose_events: true, ..Script::default() }, seeds() / 2);
}

#[test]
fn a_verification_finds_no_missed_event_where_none_was_lost() {
    explore(Script { verify: true, ..Script::default() }, seeds() / 2);
}

#[test]
fn what_may_not_be_read_stays_as_it_was_and_is_read_whole_once_it_may() {
    explore(Script { rights: true, ..Script::default() }, seeds() / 2);
}

#[test]
fn a_restored_ensemble_is_not_shown_for_a_while_and_then_as_it_is() {
    explore(Script { restores: true, ..Script::default() }, seeds() / 4);
}

#[test]
fn taking_an_event_that_came_for_a_missed_one_would_be_caught() {
    assert!(caught(Script { mutation: Some(Mutation::ForgetTold), verify: true, ..Script::default() }).is_some());
}

#[test]
fn forgetting_what_may_not_be_read_any_more_would_be_caught() {
    assert!(caught(Script { mutation: Some(Mutation::ForgetRefused), rights: true, ..Script::default() }).is_some());
}

#[test]
fn showing_what_may_be_read_again_without_what_is_below_it_would_be_caught() {
    assert!(caught(Script { mutation: Some(Mutation::NoRescan), rights: true, ..Script::default() }).is_some());
}

#[test]
fn believing_a_restored_ensemble_at_once_would_be_caught() {
    assert!(caught(Script { mutation: Some(Mutation::BelieveOld), restores: true, ..Script::default() }).is_some());
}

#[test]
fn a_lost_event_would_be_caught() {
    assert!(caught(Script { lose_events: true, ..Script::default() }).is_some());
}

#[test]
fn a_reply_that_overtook_an_event_would_be_caught_as_a_mixture() {
    assert!(caught(Script { overtaking: true, strict: true, ..Script::default() }).is_some());
}

#[test]
fn a_reconnect_without_a_resync_would_be_caught() {
    assert!(is_caught(Mutation::NoResync));
}

#[test]
fn removing_subtrees_would_be_caught() {
    assert!(
        caught(Script { mutation: Some(Mutation::SubtreeRemoval), overtaking: true, ..Script::default() }).is_some()
    );
}

#[test]
fn trusting_a_read_that_an_event_overtook_would_be_caught() {
    assert!(is_caught(Mutation::NoSecondRead));
}

#[test]
fn not_verifying_what_the_scan_did_not_meet_would_be_caught() {
    assert!(is_caught(Mutation::NoVerify));
}

#[test]
fn publishing_while_neighbours_are_being_read_would_be_caught() {
    assert!(is_caught(Mutation::PublishAtOnce));
}

#[test]
fn showing_what_was_torn_would_be_caught() {
    assert!(is_caught(Mutation::ShowTorn));
}

#[test]
fn showing_what_a_link_leads_to_before_it_was_read_would_be_caught() {
    assert!(caught(Script { mutation: Some(Mutation::JoinUnread), links: true, ..Script::default() }).is_some());
}

#[test]
fn links_that_do_not_notice_what_is_on_their_way_would_be_caught() {
    assert!(caught(Script { deaf: true, links: true, ..Script::default() }).is_some());
}

#[test]
fn a_failing_seed_tells_its_shortest_story() {
    let script = Script { mutation: Some(Mutation::NoResync), ..Script::default() };
    let seed = caught(script).unwrap();
    let story = story(seed, script);
    assert!(story.contains("write ") && story.contains("<- Connect") && story.contains("the world is"), "{story}");
}

#[test]
fn delays_between_failing_connects_grow() {
    let mut world = World::new(1, Script::default(), false);
    for _ in 0..12 {
        world.feed(Input::ConnectFailed(Error::Timeout));
    }
    // Half of each step is left to chance, so every second delay is larger for certain, up to the cap.
    let delays = &world.delays[1..];
    assert!(delays.windows(3).take(3).all(|three| three[2] > three[0]), "{delays:?}");
    assert!(delays[4..].iter().all(|delay| (750..=1500).contains(&delay.as_millis())), "{delays:?}");
}
