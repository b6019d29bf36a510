//! Whose a znode is: ours, ours from before, or somebody else's. Everything that deletes asks here first.

use super::origin::ThisHost;
use crate::format;
use crate::zookeeper::Znode;

/// Whose a znode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZnodeOwner {
    /// Our session's.
    Claimant,
    /// An earlier session's of this process, or of the process before it: it goes when that session expires, and may be
    /// replaced before.
    UsBefore(i64),
    /// Another living process's with our identity: two processes of this host are configured to register the same.
    Twin(i64),
    /// Another host's with our identity.
    Double(i64),
    /// Another session's.
    Stranger(i64),
    /// Nobody's: it is persistent, and stays until somebody deletes it.
    Nobody,
}

/// Facts by which an owner is told.
#[derive(Debug)]
pub(super) struct Claimant<'p> {
    /// Our session.
    pub(super) session: i64,
    /// The sessions that this process had before.
    pub(super) past: &'p [i64],
    /// True if this process has owned the znode.
    pub(super) held: bool,
    /// Our identity for the znode.
    pub(super) instance_id: &'p str,
    /// This host.
    pub(super) here: &'p ThisHost,
}

impl Claimant<'_> {
    /// Whose `znode` is.
    ///
    /// The session decides. The instance id is asked only for sessions that are not known, and only until this process
    /// has owned the znode once: from then on a new owner with our id is no predecessor but somebody who took it from
    /// us. Who comes last wins, once, and two processes never take a znode from each other in turn. What another host
    /// has written is left to it in any case.
    pub(super) fn owner(&self, znode: &Znode) -> ZnodeOwner {
        match znode.stat.ephemeral_owner {
            0 => ZnodeOwner::Nobody,
            owner if owner == self.session => ZnodeOwner::Claimant,
            owner if self.past.contains(&owner) => ZnodeOwner::UsBefore(owner),
            owner => match format::author(&znode.data).filter(|(id, _)| id == self.instance_id) {
                None => ZnodeOwner::Stranger(owner),
                Some((_, origin)) if !self.here.wrote(&origin, znode.stat.mtime) => ZnodeOwner::Double(owner),
                Some(_) if self.held => ZnodeOwner::Twin(owner),
                Some(_) => ZnodeOwner::UsBefore(owner),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::announce::origin::Origin;
    use crate::zookeeper::Stat;

    fn znode(owner: i64, data: &str) -> Znode {
        Znode { data: data.into(), stat: Stat { ephemeral_owner: owner, ..Stat::default() } }
    }

    fn us(held: bool) -> Claimant<'static> {
        static HERE: LazyLock<ThisHost> = LazyLock::new(|| {
            let origin = Origin { boot_id: Some("a".into()), addresses: vec!["10.0.0.1".parse().unwrap()] };
            ThisHost { origin, booted: None }
        });
        Claimant { session: 7, past: &[5, 6], held, instance_id: "c0ffee", here: &HERE }
    }

    const OUR_DATA: &str = r#"{"instance_id":"c0ffee"}"#;

    #[test]
    fn the_session_decides_whatever_the_data_says() {
        assert_eq!(us(false).owner(&znode(7, "rewritten by somebody")), ZnodeOwner::Claimant);
        assert_eq!(us(true).owner(&znode(5, "rewritten by somebody")), ZnodeOwner::UsBefore(5));
        assert_eq!(us(false).owner(&znode(0, OUR_DATA)), ZnodeOwner::Nobody);
    }

    #[test]
    fn what_another_host_has_registered_under_our_id_is_its_own() {
        let theirs = r#"{"instance_id":"c0ffee","boot_id":"b","host_addresses":["10.0.0.2"]}"#;
        let before = r#"{"instance_id":"c0ffee","boot_id":"b","host_addresses":["10.0.0.1"]}"#;
        for held in [false, true] {
            assert_eq!(us(held).owner(&znode(9, theirs)), ZnodeOwner::Double(9));
            assert_eq!(us(held).owner(&znode(7, theirs)), ZnodeOwner::Claimant, "the session decides");
        }
        assert_eq!(us(false).owner(&znode(9, before)), ZnodeOwner::UsBefore(9));
    }

    #[test]
    fn an_unknown_session_is_ours_only_with_our_id_and_before_we_have_owned_the_znode() {
        assert_eq!(us(false).owner(&znode(9, OUR_DATA)), ZnodeOwner::UsBefore(9));
        assert_eq!(us(true).owner(&znode(9, OUR_DATA)), ZnodeOwner::Twin(9));
        for data in ["", "{}", "c0ffee", "{broken", r#"{"instance_id":"other"}"#, r#"{"instance_id":42}"#] {
            assert_eq!(us(false).owner(&znode(9, data)), ZnodeOwner::Stranger(9), "{data}");
        }
    }
}
