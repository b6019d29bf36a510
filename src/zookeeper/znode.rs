//! Znodes as ZooKeeper has them.

use crate::registry::tree::Known;

/// Stat of a znode, as far as it is used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Transaction that created it.
    pub czxid: i64,
    /// Transaction that last changed its data.
    pub mzxid: i64,
    /// Transaction that last created or deleted a child; 0 where that is not known.
    pub pzxid: i64,
    /// Time at which it was created, by the ensemble's clock, in milliseconds since 1970; 0 where that is not known.
    pub ctime: i64,
    /// Time at which its data was last changed, by the ensemble's clock, in milliseconds since 1970; 0 where that is
    /// not known.
    pub mtime: i64,
    /// Number of changes of its data since.
    pub version: i32,
    /// Number of changes of its children; 0 where that is not known.
    pub cversion: i32,
    /// Number of changes of its rights; 0 where that is not known.
    pub aversion: i32,
    /// The session that owns it; 0 for a persistent znode.
    pub ephemeral_owner: i64,
    /// Number of its children.
    pub num_children: i32,
}

impl Stat {
    /// The last transaction that left a trace in it.
    pub fn last_zxid(&self) -> i64 {
        self.czxid.max(self.mzxid).max(self.pzxid)
    }
}

/// A znode's data and stat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Znode {
    /// Its data; empty where ZooKeeper says null.
    pub data: Vec<u8>,
    /// Its stat.
    pub stat: Stat,
}

impl From<Znode> for Known {
    fn from(Znode { data, stat }: Znode) -> Self {
        let Stat { czxid, mzxid, ephemeral_owner, ctime, .. } = stat;
        Self { data: data.into(), czxid, mzxid, ephemeral_owner, ctime }
    }
}
