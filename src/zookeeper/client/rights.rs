//! Rights to a znode, looked at and not tried.

use zookeeper_client::Permission;

use super::session::ZooKeeperSession;
use crate::registry::{Error, Path};
use crate::zookeeper::security::{Auth, Scheme};

/// Rights of a session to the children of a znode, as far as its ACL tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildRights {
    /// True if it may create some; none where that cannot be told.
    pub creates: Option<bool>,
    /// True if it may delete some.
    pub deletes: Option<bool>,
    /// The ACL as ZooKeeper's tools write it: `world:anyone:r`. Hashes of passwords are left out.
    pub acl: String,
}

impl ZooKeeperSession {
    /// Looks at the rights of those who show `auth` to the children of a znode.
    ///
    /// # Errors
    /// [`Error::NoNode`]; [`Error::NoAuth`] where the ACL may not be read; connection trouble.
    pub async fn child_rights(&self, path: &Path, auth: Option<&Auth>) -> Result<ChildRights, Error> {
        let reading = async |attached: &super::attach::Attached| attached.client.get_acl(path.as_str()).await;
        let (acl, _) = self.bounded(path.as_str(), reading).await?;
        let entries: Vec<_> = acl.iter().map(|one| (one.permission(), one.scheme(), one.id())).collect();
        Ok(judge(&entries, auth))
    }
}

/// Judges an ACL: permissions, scheme and id of each entry.
fn judge(acl: &[(Permission, &str, &str)], auth: Option<&Auth>) -> ChildRights {
    let is_ours = |scheme: &str, id: &str| match (scheme, auth) {
        ("world", _) => Some(id == "anyone"),
        // The hash of the password is not compared: a digest is shown whatever the password is.
        ("digest", Some(auth)) if auth.scheme == Scheme::Digest => Some(id.split(':').next() == Some(auth.user())),
        ("sasl", Some(auth)) if auth.scheme == Scheme::Sasl => Some(id == auth.user()),
        ("digest" | "sasl", None) => Some(false),
        // By address or certificate, or as the server is set up: it alone can tell.
        _ => None,
    };
    let may = |permission| {
        let mut all = acl.iter().filter(|(granted, ..)| granted.has(permission));
        let judged: Vec<_> = all.by_ref().map(|(_, scheme, id)| is_ours(scheme, id)).collect();
        if judged.contains(&Some(true)) {
            Some(true)
        } else if judged.contains(&None) {
            None
        } else {
            Some(false)
        }
    };
    let entry = |(granted, scheme, id): &(Permission, &str, &str)| {
        let letters = [
            (Permission::CREATE, 'c'),
            (Permission::DELETE, 'd'),
            (Permission::READ, 'r'),
            (Permission::WRITE, 'w'),
            (Permission::ADMIN, 'a'),
        ];
        let letters: String = letters.iter().filter(|(one, _)| granted.has(*one)).map(|(_, letter)| letter).collect();
        let id = if *scheme == "digest" { id.split(':').next().unwrap_or_default() } else { id };
        format!("{scheme}:{id}:{letters}")
    };
    let acl_text = acl.iter().map(entry).collect::<Vec<_>>().join(", ");
    ChildRights { creates: may(Permission::CREATE), deletes: may(Permission::DELETE), acl: acl_text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_tells_what_a_user_may_do_unless_the_server_alone_knows() {
        let team = Auth::parse("digest:team:secret").unwrap();
        let (all, read) = (Permission::ALL, Permission::READ);
        let may = |acl: &[(Permission, &str, &str)], auth: Option<&Auth>| {
            let rights = judge(acl, auth);
            (rights.creates, rights.deletes, rights.acl)
        };
        assert_eq!(may(&[(all, "world", "anyone")], None), (Some(true), Some(true), "world:anyone:cdrwa".to_owned()));
        let ours = [(read, "world", "anyone"), (all, "digest", "team:6DrZ=")];
        let text = "world:anyone:r, digest:team:cdrwa".to_owned();
        assert_eq!(may(&ours, Some(&team)), (Some(true), Some(true), text.clone()));
        assert_eq!(may(&ours, None), (Some(false), Some(false), text));
        assert_eq!(may(&[(all, "digest", "other:x")], Some(&team)).0, Some(false));
        assert_eq!(may(&[(all, "ip", "10.0.0.0/8")], Some(&team)).0, None);
        let create = [(Permission::CREATE | read, "world", "anyone")];
        assert_eq!(may(&create, None), (Some(true), Some(false), "world:anyone:cr".to_owned()));
    }
}
