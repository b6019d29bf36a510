//! Instances told by their paths: children of a providers directory, or znodes called `host:port` directly below their
//! service.

use super::kind::NodeKind;
use super::name;

/// Places of instances.
#[derive(Debug, Clone)]
pub(super) struct InstanceShape {
    /// Name of the providers directory, if services have one.
    directory: Option<Box<str>>,
    /// True if a name of the form `host:port` makes an instance.
    is_direct: bool,
}

impl InstanceShape {
    /// In a directory called `providers`, or by their names where that is empty.
    pub(super) fn in_directory(providers: &str) -> Self {
        Self { directory: (!providers.is_empty()).then(|| providers.into()), is_direct: providers.is_empty() }
    }

    /// By their names as well.
    pub(super) fn or_direct(self) -> Self {
        Self { is_direct: true, ..self }
    }

    /// The directory.
    pub(super) fn directory(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    /// Names that are those of instances or lead to some, in words.
    pub(super) fn reserved(&self) -> String {
        match &self.directory {
            None => "host:port".to_owned(),
            Some(directory) => format!("`{directory}` or host:port"),
        }
    }

    /// Kind of the znode at `below`. The first element, from the left, that is a providers directory or an instance
    /// decides.
    pub(super) fn place<'p>(&self, below: &'p str) -> NodeKind<'p> {
        if below.is_empty() {
            return NodeKind::Service { path: below };
        }
        let mut start = 0;
        for element in below.split('/') {
            let end = start + element.len();
            let service = below[..start].trim_end_matches('/');
            let rest = below[end..].strip_prefix('/');
            if self.directory() == Some(element) {
                return match rest {
                    None => NodeKind::Directory { service },
                    Some(name) if !name.contains('/') => NodeKind::Instance { service, name },
                    Some(_) => NodeKind::Inside { service },
                };
            }
            if self.is_direct && name::has_shape(element) {
                return match rest {
                    None => NodeKind::Instance { service, name: element },
                    Some(_) => NodeKind::Inside { service },
                };
            }
            start = end + 1;
        }
        NodeKind::Service { path: below }
    }
}
