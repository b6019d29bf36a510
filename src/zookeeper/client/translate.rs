//! The crate's values as ours, and ours as the crate's.

use zookeeper_client as client;
use zookeeper_client::{CreateMode, CreateOptions, EventType, MultiReadResult, WatchedEvent};

use crate::registry::{Error, Path};
use crate::zookeeper::session::{Access, Event, Mode, Read, Reply};
use crate::zookeeper::{Stat, Znode};

/// The crate's event as ours; none for one about the session.
pub(super) fn event(told: &WatchedEvent) -> Option<Event> {
    // Taken as it is, not through `Path::new`: what a server tells of must be read, even where its idea of a path is
    // wider than ours.
    (told.event_type != EventType::Session).then(|| {
        Event::Changed(match told.path.strip_prefix('/') {
            None | Some("") => Path::root(),
            Some(below) => Path::root().child(below),
        })
    })
}

/// The crate's result of a read as ours.
pub(super) fn reply(read: &Read, result: MultiReadResult) -> Reply {
    match result {
        MultiReadResult::Data { data, stat } => Reply::Node(Znode { data, stat: stat.into() }),
        MultiReadResult::Children { children } => Reply::Children(children),
        MultiReadResult::Error { err } => Reply::Failed(translate(read.path().as_str(), err)),
        other => Reply::Failed(Error::Refused(format!("an unknown reply, {other:?}"))),
    }
}

/// [`Access::Creator`]. The server puts who we are in place of `auth`.
static CREATOR: [client::Acl; 2] = [
    client::Acl::new_const(client::Permission::ALL, "auth", ""),
    client::Acl::new_const(client::Permission::READ, "world", "anyone"),
];

/// The crate's options of a create.
pub(super) fn options(mode: Mode, access: Access) -> CreateOptions<'static> {
    let mode = match mode {
        Mode::Persistent => CreateMode::Persistent,
        Mode::Ephemeral => CreateMode::Ephemeral,
    };
    mode.with_acls(match access {
        Access::Open => client::Acls::anyone_all(),
        Access::Read => client::Acls::anyone_read(),
        Access::Creator => client::Acls::new(&CREATOR),
    })
}

impl From<client::Stat> for Stat {
    fn from(stat: client::Stat) -> Self {
        Self {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            pzxid: stat.pzxid,
            ctime: stat.ctime,
            mtime: stat.mtime,
            version: stat.version,
            cversion: stat.cversion,
            aversion: stat.aversion,
            ephemeral_owner: stat.ephemeral_owner,
            num_children: stat.num_children,
        }
    }
}

/// The crate's error about `path` as ours.
pub(super) fn translate(path: &str, error: client::Error) -> Error {
    match error {
        client::Error::NoNode => Error::NoNode,
        client::Error::NodeExists => Error::NodeExists,
        client::Error::NoAuth => Error::NoAuth,
        client::Error::BadVersion => Error::BadVersion,
        client::Error::NotEmpty => Error::NotEmpty,
        client::Error::NoChildrenForEphemerals => Error::NoChildrenForEphemerals,
        client::Error::InvalidAcl => Error::InvalidAcl,
        client::Error::BadArguments(reason) => Error::BadPath { path: path.to_owned(), reason },
        // A server older than the operation says the one or the other, depending on where it stumbles.
        client::Error::Unimplemented | client::Error::MarshallingError => Error::Unimplemented,
        client::Error::QuotaExceeded | client::Error::UnexpectedErrorCode(_) => Error::Refused(error.to_string()),
        client::Error::NotReadOnly => Error::Refused("the server has no quorum: it takes no writes".to_owned()),
        client::Error::Timeout | client::Error::NoHosts => Error::Timeout,
        client::Error::AuthFailed => Error::AuthFailed,
        client::Error::SessionExpired | client::Error::SessionMoved | client::Error::ClientClosed => {
            Error::SessionExpired
        }
        // `ConnectionLoss` where the server hung up, `Custom` where the socket failed, `UnexpectedError` and
        // `UnmarshalError` where the reply made no sense; what is not known is taken for the same.
        other => Error::ConnectionLoss(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_answers_trouble_or_the_end() {
        let classes = [
            (client::Error::NoNode, true, false),
            (client::Error::QuotaExceeded, true, false),
            (client::Error::UnexpectedErrorCode(-42), true, false),
            (client::Error::BadArguments(&"path cannot be empty"), true, false),
            (client::Error::ConnectionLoss, false, false),
            (client::Error::UnexpectedError("xid".to_owned()), false, false),
            (client::Error::Throttled, false, false),
            (client::Error::Timeout, false, false),
            (client::Error::NoHosts, false, false),
            (client::Error::SessionMoved, false, true),
            (client::Error::ClientClosed, false, true),
            (client::Error::AuthFailed, false, true),
        ];
        for (error, answer, terminal) in classes {
            let translated = translate("/a", error.clone());
            assert_eq!((translated.is_answer(), translated.is_terminal()), (answer, terminal), "{error}");
        }
    }

    #[test]
    fn events_of_the_crate_are_taken_as_they_are() {
        let changed = |path: &str| event(&WatchedEvent::new(EventType::NodeDeleted, path));
        assert_eq!(changed("/"), Some(Event::Changed(Path::root())));
        assert_eq!(changed("/a/b"), Some(Event::Changed(Path::root().child("a/b"))));
        assert_eq!(changed("/\u{ffff}"), Some(Event::Changed(Path::root().child("\u{ffff}"))));
    }
}
