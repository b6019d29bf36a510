//! From what a znode was and is to what has become of its instances.

use super::event::{Cause, EventKind, EventRecord, Values};
use crate::model::{Instance, State};

/// A znode as one of instances, before a change or after it.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// The instances.
    pub(super) instances: Vec<Instance>,
    /// The session that owns the znode; 0 for none.
    pub(super) session: i64,
    /// True if the znode is there.
    pub(super) is_there: bool,
    /// Reason for which it has no instance although it should.
    pub(super) error: Option<String>,
}

/// Adds what is different between `before` and `now` to `events`, each event like `base`.
pub(super) fn compare(base: &EventRecord, before: Side, now: &Side, events: &mut Vec<EventRecord>) {
    let mut left: Vec<Instance> = before.instances;
    let only_one = left.len() == 1 && now.instances.len() == 1;
    for instance in &now.instances {
        let is_same = |old: &Instance| old.endpoint.is_same(&instance.endpoint) && old.protocol == instance.protocol;
        let at = left.iter().position(|old| only_one || is_same(old));
        let Some(old) = at.map(|at| left.swap_remove(at)) else {
            events.push(EventRecord {
                after: Some(Values::of(instance, now.session)),
                ..of(base, EventKind::Added, instance, now.session)
            });
            continue;
        };
        events.extend(changed(base, (&old, before.session), (instance, now.session)));
    }
    for instance in left {
        let cause = now.is_there.then_some(Cause::Malformed);
        events.push(EventRecord {
            before: Some(Values::of(&instance, before.session)),
            cause,
            detail: now.error.clone().unwrap_or_default(),
            ..of(base, EventKind::Gone, &instance, before.session)
        });
    }
}

fn of(base: &EventRecord, kind: EventKind, instance: &Instance, session: i64) -> EventRecord {
    EventRecord { kind, instance: Some(instance.name.clone()), session, ..base.clone() }
}

/// The change of an instance; none where it is the same.
pub(super) fn changed(base: &EventRecord, before: (&Instance, i64), now: (&Instance, i64)) -> Option<EventRecord> {
    if before == now {
        return None;
    }
    let ((old, old_session), (new, session)) = (before, now);
    let kind = match (old.state, new.state) {
        (State::Drain, State::Drain) => EventKind::Changed,
        (_, State::Drain) => EventKind::Drained,
        (State::Drain, State::Up) => EventKind::Undrained,
        _ => EventKind::Changed,
    };
    let (before, after) = (Values::of(old, old_session), Values::of(new, session));
    let new_remarks = new.remarks.iter().filter(|remark| !old.remarks.contains(remark)).map(String::as_str);
    let mut details: Vec<&str> = new_remarks.collect();
    if before == after && details.is_empty() {
        let others = [
            (old.metadata != new.metadata, "other metadata"),
            (old.ports != new.ports, "other named ports"),
            (old.addresses != new.addresses, "other addresses"),
            (old.tags != new.tags, "other tags"),
            (old.remarks != new.remarks, "what was doubtful is mended"),
        ];
        details.extend(others.iter().filter(|(is_other, _)| *is_other).map(|(_, what)| *what));
    }
    let detail = details.join("; ");
    Some(EventRecord { before: Some(before), after: Some(after), detail, ..of(base, kind, new, session) })
}

/// Makes one event of an instance that is gone and one that came at the same endpoint: it has another znode.
pub(super) fn unite(events: &mut Vec<EventRecord>) {
    let has = |kind| events.iter().any(|event| event.kind == kind);
    if !(has(EventKind::Gone) && has(EventKind::Added)) {
        return;
    }
    let (gone, mut rest): (Vec<EventRecord>, Vec<EventRecord>) =
        std::mem::take(events).into_iter().partition(|event| event.kind == EventKind::Gone);
    let mut gone: std::collections::HashMap<String, EventRecord> =
        gone.into_iter().map(|event| (place(event.before.as_ref()), event)).collect();
    for event in rest.iter_mut().filter(|event| event.kind == EventKind::Added) {
        if let Some(old) = gone.remove(&place(event.after.as_ref())) {
            event.before = old.before;
            event.kind = EventKind::Changed;
            if event.path != old.path {
                event.detail = format!("registered anew, before as {}", old.path);
            }
        }
    }
    events.extend(gone.into_values());
    events.append(&mut rest);
}

fn place(values: Option<&Values>) -> String {
    values.map(|values| values.endpoint.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, Host};

    fn instance(last: u8, weight: u16) -> Instance {
        let endpoint = Endpoint { host: Host::V4([10, 0, 0, last].into()), port: 80 };
        Instance { weight: Some(weight), ..Instance::new(&endpoint.to_string(), endpoint) }
    }

    fn side(instance: &Instance, session: i64) -> Side {
        Side { instances: vec![instance.clone()], session, is_there: true, error: None }
    }

    fn kinds(before: Side, now: &Side) -> Vec<(EventKind, String)> {
        let mut events = Vec::new();
        compare(&EventRecord::new(EventKind::Many, 0), before, now, &mut events);
        unite(&mut events);
        events.iter().map(|event| (event.kind, event.sentence())).collect()
    }

    #[test]
    fn each_difference_is_one_event_and_none_is_none() {
        let (one, other) = (instance(1, 1), instance(2, 1));
        assert_eq!(kinds(side(&one, 7), &side(&one, 7)), []);
        let drained = Instance { state: State::Drain, ..one.clone() };
        let rows = [
            (Side::default(), side(&one, 7), EventKind::Added, ": 10.0.0.1:80 added"),
            (side(&one, 7), Side::default(), EventKind::Gone, ": 10.0.0.1:80 gone"),
            (side(&one, 7), side(&instance(1, 3), 7), EventKind::Changed, ": 10.0.0.1:80 changed: weight 1 → 3"),
            (side(&one, 7), side(&one, 8), EventKind::Changed, "session 0x7 → 0x8"),
            (side(&one, 7), side(&drained, 7), EventKind::Drained, "state up → drain"),
            (side(&drained, 7), side(&one, 7), EventKind::Undrained, "state drain → up"),
            (side(&one, 7), side(&other, 7), EventKind::Changed, "10.0.0.1:80 → 10.0.0.2:80"),
        ];
        for (before, now, kind, sentence) in rows {
            let told = kinds(before, &now);
            assert!(matches!(&*told, [(of, text)] if *of == kind && text.contains(sentence)), "{told:?}");
        }
        let metadata = Instance { metadata: vec![("pid".into(), "7".into())], ..one.clone() };
        let told = kinds(side(&one, 7), &side(&metadata, 7));
        assert!(told[0].1.ends_with("changed: other metadata"), "{told:?}");
    }

    #[test]
    fn an_instance_whose_znode_cannot_be_used_any_longer_is_gone_with_the_reason() {
        let now = Side { is_there: true, error: Some("it is no endpoint".into()), ..Side::default() };
        let told = kinds(side(&instance(1, 1), 7), &now);
        assert_eq!(told[0].1, "configuration: 10.0.0.1:80 gone, its znode cannot be used: it is no endpoint");
    }

    #[test]
    fn an_instance_that_is_registered_anew_under_another_znode_has_changed() {
        let mut events = Vec::new();
        let base = |path: &str| EventRecord { path: path.into(), ..EventRecord::new(EventKind::Many, 0) };
        compare(&base("/s/n1"), side(&instance(1, 1), 7), &Side::default(), &mut events);
        compare(&base("/s/n2"), Side::default(), &side(&instance(1, 1), 8), &mut events);
        unite(&mut events);
        let [event] = &*events else { panic!("{events:?}") };
        assert_eq!((event.kind, event.detail.as_str()), (EventKind::Changed, "registered anew, before as /s/n1"));
    }
}
