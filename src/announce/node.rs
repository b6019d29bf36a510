//! The decisions about one registration: what an inspection of its znode, or the end of a write, asks for next.
//!
//! Pure. A write always follows an inspection at once and names the version that the inspection saw; after it comes an
//! inspection again. ZooKeeper has no condition on who owns a znode, and a new znode's version is 0 again, so that
//! somebody who replaces a znode within one round trip of our write can lose his; a longer race cannot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::origin::ThisHost;
use super::owner::{Claimant, ZnodeOwner};
use super::status::{Blocker, Counts, Hold, LastError, RegistrationState};
use super::wanted::Wanted;
use crate::backoff::Backoff;
use crate::model::Endpoint;
use crate::registry::Error;
use crate::zookeeper::Znode;

/// Time between two readings of a registration that is well, in case an event was missed.
const VERIFY: Duration = Duration::from_secs(60);
/// The same where the server cannot watch, or where something else has the place.
const POLL: Duration = Duration::from_secs(5);

/// One registration.
#[derive(Debug)]
pub(super) struct Node {
    /// Path of the service below the registry's root.
    pub(super) service: String,
    /// Endpoint that it registers.
    pub(super) endpoint: Endpoint,
    /// Key of the service that it belongs to.
    pub(super) key: Arc<str>,
    /// Our identity for it.
    pub(super) instance_id: String,
    /// Data that it should hold; none when nothing of ours should be there.
    pub(super) data: Option<Arc<[u8]>>,
    /// Reason for not being there all the same.
    hold: Option<Hold>,
    /// Its state.
    pub(super) state: RegistrationState,
    /// Since when.
    pub(super) since: Instant,
    /// Session that owned the znode when it was last seen.
    pub(super) owner: Option<i64>,
    /// Events so far.
    pub(super) counts: Counts,
    /// Last error.
    pub(super) last_error: Option<LastError>,
    /// Operation under way; one at a time.
    pub(super) doing: Option<Operation>,
    /// Time of the next inspection; none while an operation is under way, or without a session.
    pub(super) due: Option<Instant>,
    /// True if its watch is armed on the present connection.
    pub(super) armed: bool,
    /// True if this process has owned the znode.
    held: bool,
    /// True if the service is registered, by this process or the one before it, and nothing has spoken against it
    /// since: then checks that have no verdict yet change nothing.
    kept: bool,
    /// True if a check has said that the service is ill, and none that it is well since.
    condemned: bool,
    /// The withdrawal under way for as long as it is held.
    withdrawal: Withdrawal,
    /// Reason for its next registration.
    because: &'static str,
    /// True if it may have been created since it was last read.
    created: bool,
    /// Purpose of the last write.
    purpose: Purpose,
    /// True if its parents were made since it was last well.
    parents_made: bool,
    /// No write before this.
    not_before: Option<Instant>,
    /// Delays of putting back what somebody deleted or changed.
    lost: Backoff,
    /// Delays of trying again what failed.
    backoff: Backoff,
}

/// An operation on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Inspecting,
    Creating,
    Replacing,
    Deleting,
    MakingParents,
}

/// A withdrawal of a service that stays configured.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Withdrawal {
    None,
    /// The znode is being deleted, for this reason.
    Going(Hold),
    /// It is out, and that was reported.
    Reported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Nothing: it was to go, and may stay after all.
    Stay,
    Register,
    TakeOver(i64),
    Restore,
    Update,
}

/// Next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NodeStep {
    /// Nothing until it is due.
    Rest,
    Create(Arc<[u8]>),
    /// Delete and create in one transaction. Our znodes can be read by all and written by nobody, as zc.zk's.
    Replace(i32, Arc<[u8]>),
    Delete(i32),
    MakeParents,
    /// It is gone and not wanted: drop it.
    Forget,
}

/// Something that a person may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It is there, and why.
    Registered(&'static str),
    /// It is there; the znode of this earlier session of ours was replaced.
    TakenOver(i64),
    /// It is there again, after somebody had deleted or changed it.
    Restored,
    /// It is there with other data, as configured.
    Updated,
    /// Somebody deleted or changed it.
    Lost(&'static str),
    /// Something else has its place.
    Blocked(Blocker),
    /// ZooKeeper refuses it.
    Failed(String),
    /// It is not registered for as long as this holds, and was not before.
    Held(Hold),
    /// It was registered, and was taken out for as long as this holds.
    WithdrawnFor(Hold),
    /// It was taken out: it is not wanted any more.
    Withdrawn,
}

/// Context of a decision besides the registration itself.
#[derive(Debug)]
pub(super) struct DecisionContext<'s> {
    pub(super) now: Instant,
    /// Our session.
    pub(super) session: i64,
    /// The sessions that this process had before.
    pub(super) past: &'s [i64],
    /// This host.
    pub(super) here: &'s ThisHost,
    /// True if the server can watch.
    pub(super) watchable: bool,
    /// Chance, in 0..=1.
    pub(super) random: f64,
}

type Decision = (NodeStep, Option<Notice>);

impl Node {
    pub(super) fn new(wanted: Wanted, now: Instant) -> Self {
        Self {
            service: wanted.service,
            endpoint: wanted.endpoint,
            key: wanted.key,
            instance_id: wanted.instance_id,
            data: Some(wanted.data),
            hold: wanted.hold.clone(),
            state: RegistrationState::Waiting("there is no session yet"),
            since: now,
            owner: None,
            counts: Counts::default(),
            last_error: None,
            doing: None,
            due: None,
            armed: false,
            held: false,
            kept: false,
            condemned: matches!(wanted.hold, Some(Hold::Unhealthy(_))),
            withdrawal: Withdrawal::None,
            because: "it is configured",
            created: false,
            purpose: Purpose::Register,
            parents_made: false,
            not_before: None,
            lost: Backoff::new(Duration::from_millis(500), Duration::from_secs(60), Duration::from_secs(120)),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(30), Duration::from_secs(10)),
        }
    }

    /// Takes other data, or none; it is to be inspected whenever there is a session.
    pub(super) fn want(&mut self, data: Option<Arc<[u8]>>, now: Instant) {
        let why = if data.is_some() { "its data is changing" } else { "it is being removed" };
        self.data = data;
        self.not_before = None;
        if self.owner.is_some() {
            self.purpose = Purpose::Update;
        }
        self.enter(RegistrationState::Waiting(why), now);
    }

    /// Takes another reason not to be there, or none. Says whether anything is to be done about it.
    pub(super) fn hold(&mut self, hold: Option<Hold>, now: Instant) -> bool {
        let is_held = hold.is_some();
        if self.hold == hold || self.data.is_none() {
            return false;
        }
        self.hold = hold;
        self.condemned = match self.hold {
            None => false,
            Some(Hold::Unhealthy(_)) => true,
            _ => self.condemned,
        };
        self.kept &= self.hold_in_force().is_none();
        if self.hold_in_force().is_none() {
            if self.state == RegistrationState::Registered {
                return false;
            }
            self.because = "its checks pass";
            if self.owner.is_some() && self.withdrawal == Withdrawal::None && self.purpose == Purpose::Register {
                self.purpose = Purpose::Stay;
            }
        }
        self.not_before = None;
        let why = if is_held { "it is being withdrawn" } else { "it may be registered again" };
        self.enter(RegistrationState::Waiting(why), now);
        true
    }

    /// Reason why it must not be there. A check without a verdict is no reason to take out what is registered.
    fn hold_in_force(&self) -> Option<&Hold> {
        self.hold.as_ref().filter(|hold| !(self.kept && **hold == Hold::Unchecked))
    }

    /// Returns whether our session may own the znode, as far as is known.
    pub(super) fn may_be_there(&self) -> bool {
        self.owner.is_some() || self.created
    }

    /// Returns whether it is still to be seen if it comes to be registered.
    pub(super) fn is_on_its_way(&self) -> bool {
        self.data.is_some()
            && matches!(self.state, RegistrationState::Waiting(_) | RegistrationState::Held(Hold::Unchecked))
    }

    /// The session is over, and its znodes with it.
    pub(super) fn session_over(&mut self, now: Instant) {
        (self.doing, self.due, self.armed, self.owner, self.created) = (None, None, false, None, false);
        // What is held back is so with any session.
        if !matches!(self.state, RegistrationState::Removed | RegistrationState::Held(_)) {
            self.enter(RegistrationState::Waiting("the session ended"), now);
        }
    }

    /// There is a new session.
    pub(super) fn session_begins(&mut self, now: Instant) {
        (self.due, self.not_before, self.purpose) = (Some(now), None, Purpose::Register);
        if self.kept {
            self.because = "the session before this one ended";
        }
    }

    /// The znode was read: `found` is what is there.
    pub(super) fn inspected(&mut self, found: Option<&Znode>, at: &DecisionContext<'_>) -> Decision {
        let us = Claimant {
            session: at.session,
            past: at.past,
            held: self.held,
            instance_id: &self.instance_id,
            here: at.here,
        };
        let found = found.map(|znode| (znode, us.owner(znode)));
        let is_ours = matches!(found, Some((_, ZnodeOwner::Claimant)));
        self.owner = is_ours.then_some(at.session);
        self.held |= is_ours;
        self.created = false;
        let is_registered = is_ours || matches!(found, Some((_, ZnodeOwner::UsBefore(_))));
        self.kept |= is_registered && !self.condemned && matches!(self.hold, None | Some(Hold::Unchecked));
        match (self.data.clone(), self.hold_in_force().cloned()) {
            (Some(data), None) => self.inspected_wanted(data, found, at),
            (Some(_), Some(hold)) => self.inspected_held(hold, found, at),
            (None, _) => self.inspected_unwanted(found, at),
        }
    }

    fn inspected_wanted(
        &mut self,
        data: Arc<[u8]>,
        found: Option<(&Znode, ZnodeOwner)>,
        at: &DecisionContext<'_>,
    ) -> Decision {
        let Some((znode, owner)) = found else {
            let news = self.lose("somebody deleted it", at);
            if matches!(self.purpose, Purpose::TakeOver(_) | Purpose::Stay) {
                self.purpose = Purpose::Register;
            }
            return (self.write(NodeStep::Create(data), at), news);
        };
        match owner {
            ZnodeOwner::Claimant if *znode.data == *data => (NodeStep::Rest, self.settle(at)),
            ZnodeOwner::Claimant => {
                let news = self.lose("somebody changed its data", at);
                (self.write(NodeStep::Replace(znode.stat.version, data), at), news)
            }
            ZnodeOwner::UsBefore(session) => {
                self.purpose = Purpose::TakeOver(session);
                (self.write(NodeStep::Replace(znode.stat.version, data), at), None)
            }
            ZnodeOwner::Double(session) => (NodeStep::Rest, self.block(Blocker::Double { session }, at)),
            ZnodeOwner::Twin(session) => (NodeStep::Rest, self.block(Blocker::Twin { session }, at)),
            ZnodeOwner::Stranger(session) => (NodeStep::Rest, self.block(Blocker::Stranger { session }, at)),
            ZnodeOwner::Nobody => (NodeStep::Rest, self.block(Blocker::Persistent, at)),
        }
    }

    fn inspected_held(
        &mut self,
        hold: Hold,
        found: Option<(&Znode, ZnodeOwner)>,
        at: &DecisionContext<'_>,
    ) -> Decision {
        let version = found.and_then(|(znode, owner)| match owner {
            ZnodeOwner::Claimant => Some(znode.stat.version),
            ZnodeOwner::UsBefore(session) if at.past.contains(&session) => Some(znode.stat.version),
            // The service is ill, whichever process registered it. Should that process live on and put it back, it is a
            // twin's: one deletes, once.
            ZnodeOwner::UsBefore(_) if matches!(hold, Hold::Unhealthy(_)) => {
                self.held = true;
                Some(znode.stat.version)
            }
            _ => None,
        });
        if let Some(version) = version {
            self.withdrawal = Withdrawal::Going(hold);
            return (self.write(NodeStep::Delete(version), at), None);
        }
        self.due = Some(at.now + jittered(if found.is_some() { POLL } else { VERIFY }, at.random));
        self.backoff.succeeded(at.now);
        let is_news = self.enter(RegistrationState::Held(hold.clone()), at.now);
        let news = match std::mem::replace(&mut self.withdrawal, Withdrawal::None) {
            Withdrawal::None => is_news.then_some(Notice::Held(hold)),
            Withdrawal::Going(hold) => Some(Notice::WithdrawnFor(hold)),
            Withdrawal::Reported => None,
        };
        (NodeStep::Rest, news)
    }

    fn inspected_unwanted(&mut self, found: Option<(&Znode, ZnodeOwner)>, at: &DecisionContext<'_>) -> Decision {
        let version = found.and_then(|(znode, owner)| match owner {
            ZnodeOwner::Claimant => Some(znode.stat.version),
            ZnodeOwner::UsBefore(session) if at.past.contains(&session) => Some(znode.stat.version),
            // What only claims to be ours is left to its session.
            _ => None,
        });
        if let Some(version) = version {
            return (self.write(NodeStep::Delete(version), at), None);
        }
        self.enter(RegistrationState::Removed, at.now);
        (NodeStep::Forget, (self.held && found.is_none()).then_some(Notice::Withdrawn))
    }

    /// A write ended with an answer.
    pub(super) fn written(
        &mut self,
        doing: Operation,
        result: Result<(), Error>,
        at: &DecisionContext<'_>,
    ) -> Decision {
        let Err(error) = result else {
            self.parents_made |= doing == Operation::MakingParents;
            self.due = Some(at.now);
            let news = match (doing, &self.withdrawal) {
                (Operation::Deleting, Withdrawal::Going(hold)) => Some(Notice::WithdrawnFor(hold.clone())),
                _ => None,
            };
            if news.is_some() {
                self.withdrawal = Withdrawal::Reported;
            }
            return (NodeStep::Rest, news);
        };
        self.created = false;
        match (doing, &error) {
            (Operation::Creating, Error::NoNode) if !self.parents_made => (NodeStep::MakeParents, None),
            (
                Operation::Creating | Operation::Replacing | Operation::Deleting,
                Error::NodeExists | Error::NoNode | Error::BadVersion,
            ) => {
                // Somebody was there between the inspection and the write.
                self.due = Some(at.now + pause(&mut self.backoff, at));
                self.parents_made = false;
                (NodeStep::Rest, None)
            }
            _ => (NodeStep::Rest, self.fail(doing, &error, at)),
        }
    }

    /// The znode cannot be read or written.
    pub(super) fn fail(&mut self, doing: Operation, error: &Error, at: &DecisionContext<'_>) -> Option<Notice> {
        self.due = Some(at.now + self.backoff.failed(at.now, at.random));
        self.not_before = self.due;
        let attempt = match doing {
            Operation::Inspecting => "it cannot be read",
            Operation::Creating => "it cannot be created",
            Operation::Replacing => "it cannot be replaced",
            Operation::Deleting => "it cannot be deleted",
            Operation::MakingParents => "its parents cannot be created",
        };
        let reason = format!("{attempt}: {error}");
        let news = self.enter(RegistrationState::Failed(reason.clone()), at.now);
        self.last_error = Some(LastError { at: self.since, reason: reason.clone() });
        news.then_some(Notice::Failed(reason))
    }

    /// It is as it should be.
    fn settle(&mut self, at: &DecisionContext<'_>) -> Option<Notice> {
        let every = if at.watchable { VERIFY } else { POLL };
        self.due = Some(at.now + jittered(every, at.random));
        self.parents_made = false;
        self.lost.succeeded(at.now);
        self.backoff.succeeded(at.now);
        self.withdrawal = Withdrawal::None;
        if !self.enter(RegistrationState::Registered, at.now) {
            return None;
        }
        let (count, news) = match std::mem::replace(&mut self.purpose, Purpose::Register) {
            Purpose::Stay => return None,
            Purpose::Register => (&mut self.counts.registrations, Notice::Registered(self.because)),
            Purpose::TakeOver(session) => (&mut self.counts.takeovers, Notice::TakenOver(session)),
            Purpose::Restore => (&mut self.counts.restorations, Notice::Restored),
            Purpose::Update => return Some(Notice::Updated),
        };
        *count += 1;
        Some(news)
    }

    /// It is not as it should be; somebody has a hand in it if it was well before. Then it comes back at once, and more
    /// slowly when it happens again and again.
    fn lose(&mut self, how: &'static str, at: &DecisionContext<'_>) -> Option<Notice> {
        if self.state != RegistrationState::Registered {
            return None;
        }
        self.purpose = Purpose::Restore;
        self.not_before = Some(at.now + pause(&mut self.lost, at));
        self.enter(RegistrationState::Waiting(how), at.now);
        self.last_error = Some(LastError { at: at.now, reason: how.to_owned() });
        Some(Notice::Lost(how))
    }

    fn block(&mut self, by: Blocker, at: &DecisionContext<'_>) -> Option<Notice> {
        self.due = Some(at.now + jittered(POLL, at.random));
        self.purpose = Purpose::Register;
        let is_news = self.enter(RegistrationState::Blocked(by), at.now);
        self.last_error = Some(LastError { at: self.since, reason: by.to_string() });
        is_news.then_some(Notice::Blocked(by))
    }

    /// `step` now, or an inspection when it may be done.
    fn write(&mut self, step: NodeStep, at: &DecisionContext<'_>) -> NodeStep {
        match self.not_before {
            Some(not_before) if not_before > at.now => {
                self.due = self.not_before;
                NodeStep::Rest
            }
            _ => {
                self.created = matches!(step, NodeStep::Create(_) | NodeStep::Replace(..));
                step
            }
        }
    }

    /// Says whether the state is another one now.
    fn enter(&mut self, state: RegistrationState, now: Instant) -> bool {
        let is_new = self.state != state;
        if is_new {
            (self.state, self.since) = (state, now);
        }
        is_new
    }
}

/// None before the first repetition, growing ones after it.
fn pause(backoff: &mut Backoff, at: &DecisionContext<'_>) -> Duration {
    let delay = backoff.failed(at.now, at.random);
    if backoff.failures() == 1 { Duration::ZERO } else { delay }
}

/// Between three quarters and five quarters of `period`, so that a thousand registrations spread out.
fn jittered(period: Duration, random: f64) -> Duration {
    period.mul_f64(0.75 + random / 2.0)
}
