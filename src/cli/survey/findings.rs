//! Choice among what formats make of the same znodes.

use super::look::Sample;
use crate::format::Config;
use crate::registry::Path;

/// Finding of a format below a root.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) format: Config,
    pub(super) root: Path,
    pub(super) sample: Sample,
}

/// Findings in an ensemble.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Formats that find something, the best for each root.
    pub(super) found: Vec<Finding>,
    /// Findings of formats whose paths begin at the top, and which so cannot be read beside others.
    pub(super) apart: Vec<Finding>,
    /// Formats whose root is there and has no instance: their names, and the root.
    pub(super) empty: Vec<(String, Path)>,
    /// Znodes at the top of which nothing is understood.
    pub(super) left: Vec<String>,
}

impl Findings {
    /// Takes a finding, unless it is none or another format says more of the same znodes.
    pub(super) fn take(&mut self, finding: Finding) {
        let Sample { instances, malformed, is_there, .. } = finding.sample;
        if instances == 0 || malformed > instances {
            // `auto` understands any znode as a service.
            let is_described = finding.format.description.is_some();
            if is_there && is_described && finding.root.as_str() != "/" {
                self.empty.push((finding.format.name().to_owned(), finding.root));
            }
            return;
        }
        if finding.root.is_root() {
            return self.apart.push(finding);
        }
        let rival = self.found.iter_mut().find(|other| {
            let is_same = other.root == finding.root || is_overlapping(&other.root, &finding.root);
            is_same && !other.sample.tops.is_disjoint(&finding.sample.tops)
        });
        match rival {
            None => self.found.push(finding),
            // Of those that read as many, the first says more.
            Some(rival) if rival.sample.instances >= finding.sample.instances => {}
            Some(rival) => *rival = finding,
        }
    }

    /// Returns whether what is below a znode at the top is understood, or known to be empty.
    pub(super) fn covers(&self, top: &str) -> bool {
        let is_at = |root: &Path| root.as_str().split('/').nth(1) == Some(top);
        self.found.iter().chain(&self.apart).any(|finding| finding.sample.tops.contains(top))
            || self.empty.iter().any(|(_, root)| is_at(root))
    }

    /// Leaves out what is empty for one format and full for another.
    pub(super) fn settle(&mut self) {
        let found = &self.found;
        self.empty.retain(|(_, root)| !found.iter().any(|finding| is_overlapping(&finding.root, root)));
        if self.found.is_empty() && self.apart.len() == 1 {
            self.found.append(&mut self.apart);
        }
        self.found.sort_by(|one, other| one.root.cmp(&other.root));
    }
}

/// Returns whether one of two roots is the other, or below it.
fn is_overlapping(one: &Path, other: &Path) -> bool {
    (one.below(other).is_some() || other.below(one).is_some()) && !(one.is_root() || other.is_root())
}
