//! Lets the observer get ready while a large tree is read for the first time, on a thread of its own: the driver goes on
//! reading, and little is left to be done when everything is read.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tracing::warn;

use super::{Preparation, SharedTree};
use crate::keeper::Path;

/// Znodes that are prepared at once, while the mirror waits: a few milliseconds' work.
const PIECE: usize = 1_000;

/// Who gets ready for the first time; nobody before there is much, and nobody afterwards.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    thread: Option<(Sender<BTreeSet<Path>>, JoinHandle<()>)>,
    /// What nobody prepares.
    left: BTreeSet<Path>,
}

impl Ahead {
    /// Has these paths prepared, by who is made once.
    pub(super) fn prepare(
        &mut self,
        changed: BTreeSet<Path>,
        tree: &SharedTree,
        make: impl FnOnce() -> Option<Preparation>,
    ) {
        if self.thread.is_none() && self.left.is_empty() {
            self.thread = make().and_then(|preparation| spawn(preparation, SharedTree::clone(tree)));
        }
        match &self.thread {
            Some((sender, _)) => {
                // It fails only where the thread has died, which is told at the end.
                let _ = sender.send(changed);
            }
            None => self.left.extend(changed),
        }
    }

    /// Waits until everything is prepared. What is to be published of it besides `changed`, which came last.
    pub(super) fn finish(&mut self, mut changed: BTreeSet<Path>) -> BTreeSet<Path> {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            if let Err(panic) = thread.join() {
                // A panic there is a panic here, as if the work had been done here.
                resume_unwind(panic);
            }
        }
        changed.append(&mut self.left);
        changed
    }
}

fn spawn(preparation: Preparation, tree: SharedTree) -> Option<(Sender<BTreeSet<Path>>, JoinHandle<()>)> {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("first sight".into());
    match thread.spawn(move || work(preparation, &tree, &receiver)) {
        Ok(thread) => Some((sender, thread)),
        Err(error) => {
            warn!(%error, "no thread to prepare the first sight on: it is done at its end");
            None
        }
    }
}

fn work(mut preparation: Preparation, tree: &SharedTree, batches: &Receiver<BTreeSet<Path>>) {
    for batch in batches {
        let batch: Vec<Path> = batch.into_iter().collect();
        for piece in batch.chunks(PIECE) {
            // The mirror's turn is in between.
            preparation(&tree.read().unwrap_or_else(PoisonError::into_inner), piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn paths(names: &[&str]) -> BTreeSet<Path> {
        names.iter().map(|name| Path::root().child(name)).collect()
    }

    #[test]
    fn everything_is_prepared_before_it_is_published() {
        let seen: Arc<Mutex<BTreeSet<Path>>> = Arc::default();
        let (mut ahead, tree) = (Ahead::default(), SharedTree::default());
        for name in ["a", "b"] {
            let seen = Arc::clone(&seen);
            let preparation: Preparation = Box::new(move |_, piece| seen.lock().unwrap().extend(piece.iter().cloned()));
            ahead.prepare(paths(&[name]), &tree, || Some(preparation));
        }
        assert_eq!(ahead.finish(paths(&["c"])), paths(&["c"]));
        assert_eq!(*seen.lock().unwrap(), paths(&["a", "b"]));
        assert_eq!(ahead.finish(paths(&["d"])), paths(&["d"]), "nobody is asked any more");
        assert_eq!(seen.lock().unwrap().len(), 2);
    }

    #[test]
    fn what_nobody_prepares_is_published_in_the_end() {
        let (mut ahead, tree) = (Ahead::default(), SharedTree::default());
        ahead.prepare(paths(&["a"]), &tree, || None);
        ahead.prepare(paths(&["b"]), &tree, || None);
        assert_eq!(ahead.finish(paths(&["c"])), paths(&["a", "b", "c"]));
        assert_eq!(ahead.finish(paths(&[])), paths(&[]));
    }
}
