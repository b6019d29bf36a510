//! Very many services at once, as at the first sight of a large registry: read and built on threads. What is read and
//! built of one does not depend on the others.

use std::sync::{Mutex, PoisonError};

use super::assemble::{BuiltService, CHUNK, count};
use super::clock::unix_now;
use super::core::Core;
use super::guard::{Guard, ServiceCount};
use super::target::Target;
use super::touched::{ReadOf, Touched};
use crate::registry::shown::ShownTree;
use crate::zone::name::Name;

/// Services that were read, and most of them built.
#[derive(Default)]
pub(super) struct Assembled {
    /// Those that are in the zones, without their offers, which the zones have.
    pub(super) built: Vec<BuiltService>,
    /// Those that wait for the guard's decision, as read.
    pub(super) losing: Vec<Touched>,
    /// Counts of all, for the guard.
    pub(super) counts: Vec<ServiceCount>,
}

impl Core {
    /// Brings these services into every zone that shows them, but for those that `guard` may hold back.
    ///
    /// The guard decides on a batch as a whole, so that all of it must be read before; and the readings of a whole
    /// large registry are about as large as its tree. So only services that have lost something wait for it, with what
    /// is left of them: in a storm, little. All others pass whatever it decides, and are built as they are read.
    pub(super) fn assemble_on_threads(
        &self,
        tree: &ShownTree,
        touched: Vec<Touched>,
        guard: Option<&Guard>,
    ) -> Assembled {
        let origins: Vec<Name> = self.targets.iter().map(Target::origin).collect();
        let now = unix_now();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(touched.len().div_ceil(CHUNK));
        let waiting = Mutex::new(touched.into_iter());
        let next = || {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let piece: Vec<Touched> = waiting.by_ref().take(CHUNK).collect();
            (!piece.is_empty()).then_some(piece)
        };
        let work = || {
            let mut assembled = Assembled::default();
            while let Some(mut piece) = next() {
                if let Some(guard) = guard {
                    self.read_for(guard, tree, &mut piece, now, &mut assembled);
                }
                let mut piece: Vec<_> = piece.into_iter().map(|one| self.build(tree, &origins, one, now)).collect();
                self.put_piece(&mut piece);
                assembled.built.extend(piece);
            }
            assembled
        };
        let mut all = Assembled::default();
        std::thread::scope(|scope| {
            let working: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            for thread in working {
                // A panic there is a panic here, as if the work had not been shared out.
                let one = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                all.built.extend(one.built);
                all.losing.extend(one.losing);
                all.counts.extend(one.counts);
            }
        });
        all
    }

    /// Reads services for the guard, and leaves in `piece` those that it holds back in no case.
    fn read_for(
        &self,
        guard: &Guard,
        tree: &ShownTree,
        piece: &mut Vec<Touched>,
        now: u64,
        Assembled { losing, counts, .. }: &mut Assembled,
    ) {
        for one in std::mem::take(piece) {
            let reading = self.read(tree, &one.folded, now);
            let count = ServiceCount::of(&one.folded, reading.as_ref());
            let to = if guard.may_hold(&count) { &mut *losing } else { &mut *piece };
            to.push(Touched { read: ReadOf::Done(reading.map(Box::new)), ..one });
            counts.push(count);
        }
    }

    /// Hands what was built to the zones, and tells what is wrong.
    fn put_piece(&self, piece: &mut [BuiltService]) {
        for (i, target) in self.targets.iter().enumerate() {
            // While one thread has the writer, the others build.
            for built in piece.iter_mut().filter(|built| !built.exists) {
                built.names.extend(Self::names_before(target, &built.folded));
            }
            let mut writer = target.lock();
            for built in &mut *piece {
                if let Some(offers) = built.offered.get_mut(i).and_then(Option::take) {
                    writer.source(target.source).put(&target.placed(&built.folded), offers);
                }
            }
            // Where nobody is served yet, what was built is not kept twice until all of it is.
            writer.prepare();
        }
        for built in piece {
            built.offered = Vec::new();
            self.report(&built.folded, std::mem::take(&mut built.malformed));
            self.count(built);
        }
    }

    /// Notes what else follows from services that are in the zones.
    pub(super) fn keep(&mut self, built: impl Iterator<Item = BuiltService>) {
        let now = unix_now();
        for BuiltService { folded, exists, wanted, drains, over, shared, instances, names, .. } in built {
            if exists {
                self.past.remove(&folded);
            } else {
                self.past.add(&folded, now, names);
                self.forget(&folded);
            }
            count(&mut self.guard, &folded, instances);
            self.want(&folded, wanted);
            self.drained(&folded, drains, over);
            self.share(&folded, shared);
        }
    }
}
