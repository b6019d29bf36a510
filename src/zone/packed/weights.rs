//! Priorities and weights of a set's records, packed before its body where the records are not all alike: what the
//! first record of an answer is drawn by.
//!
//! ```text
//! number of groups: 2 │ a group each: priority 2, end 2 │ a record each: sum of the weights so far 4
//! ```
//! A group is the records of one priority. They are kept in the order of their priorities, so that the first group is
//! the one that an answer begins with.

use crate::zone::order::{Order, Preference, Rotation};

/// Weights that the records of a set are drawn by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights<'t> {
    groups: &'t [[u8; 4]],
    sums: &'t [[u8; 4]],
}

/// Appends those of records in the order of their priorities.
pub(super) fn pack(bytes: &mut Vec<u8>, preferences: &[Preference]) {
    let groups: Vec<_> = preferences.chunk_by(|one, next| one.priority == next.priority).collect();
    bytes.extend_from_slice(&short(groups.len()));
    let mut end = 0;
    for group in groups {
        end += group.len();
        bytes.extend_from_slice(&group.first().map_or(0, |one| one.priority).to_be_bytes());
        bytes.extend_from_slice(&short(end));
    }
    let mut sum = 0_u32;
    for preference in preferences {
        sum = sum.saturating_add(preference.weight);
        bytes.extend_from_slice(&sum.to_be_bytes());
    }
}

fn short(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes()
}

/// Reads those of `count` records. Returns what is behind them, too.
#[inline]
pub(super) fn unpack(bytes: &[u8], count: usize) -> Option<(Weights<'_>, &[u8])> {
    let (groups, rest) = bytes.split_first_chunk::<2>()?;
    let (groups, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*groups)) * 4)?;
    let (sums, rest) = rest.split_at_checked(count * 4)?;
    Some((Weights { groups: groups.as_chunks().0, sums: sums.as_chunks().0 }, rest))
}

impl Weights<'_> {
    /// Returns how many records have the lowest priority.
    pub fn first_group(&self) -> usize {
        self.groups.first().map_or(0, |group| end_of(*group))
    }

    /// Returns the place of the record that an answer begins with.
    pub fn start(&self, turn: Rotation) -> usize {
        if turn.order == Order::Fixed { 0 } else { self.draw(turn, 0, self.first_group(), &[]) }
    }

    /// Draws one of the records from `begin` to `end`, which have one priority, that is not among those `taken`, which
    /// are in order and not all.
    fn draw(&self, turn: Rotation, begin: usize, end: usize, taken: &[u16]) -> usize {
        let before = self.sum_before(begin);
        let weight = |place: usize| self.sum_before(place + 1) - self.sum_before(place);
        let without: u32 = taken.iter().map(|place| weight(usize::from(*place))).sum();
        let total = self.sum_before(end) - before - without;
        if total == 0 || turn.order != Order::Weighted {
            return even(turn, begin, end, taken);
        }
        // On a line on which each has its weight, and those that are taken nothing.
        let mut at = before + turn.below(total);
        for place in taken.iter().map(|place| usize::from(*place)) {
            if at >= self.sum_before(place) {
                at += weight(place);
            }
        }
        begin + self.sums[begin..end].partition_point(|sum| u32::from_be_bytes(*sum) <= at)
    }

    /// Returns the weights of the first records together.
    fn sum_before(&self, place: usize) -> u32 {
        place.checked_sub(1).and_then(|last| self.sums.get(last)).map_or(0, |sum| u32::from_be_bytes(*sum))
    }

    /// Returns each record's.
    pub fn preferences(&self) -> impl Iterator<Item = Preference> {
        (0..self.sums.len()).map(|place| {
            let group = self.groups.iter().find(|group| place < end_of(**group));
            let priority = group.map_or(0, |group| u16::from_be_bytes([group[0], group[1]]));
            Preference { priority, weight: self.sum_before(place + 1) - self.sum_before(place) }
        })
    }
}

fn end_of(group: [u8; 4]) -> usize {
    usize::from(u16::from_be_bytes([group[2], group[3]]))
}

/// Draws one of the records from `begin` to `end` evenly, but for those `taken`.
fn even(turn: Rotation, begin: usize, end: usize, taken: &[u16]) -> usize {
    let left = (end - begin).saturating_sub(taken.len());
    let mut at = begin + turn.below(u32::try_from(left).unwrap_or(u32::MAX)) as usize;
    for place in taken.iter().map(|place| usize::from(*place)) {
        if at >= place {
            at += 1;
        }
    }
    at
}

/// Draws the places of as many records as `places` has room for, one after the other and none twice: all of the lowest
/// priority before any of the next. Returns how many they are. `turns` gives each its chance; `taken` is room for as
/// many.
pub fn draw(
    weights: Option<Weights<'_>>,
    count: usize,
    mut turns: impl FnMut() -> Rotation,
    places: &mut [u16],
    taken: &mut [u16],
) -> usize {
    let [high, low] = short(count);
    let whole = [[0, 0, high, low]];
    let groups = weights.as_ref().map_or(&whole[..], |weights| weights.groups);
    let (mut drawn, mut begin) = (0, 0);
    for end in groups.iter().copied().map(end_of) {
        // Those of this group that were drawn, in the order of their places.
        let mut of_group = 0;
        while begin + of_group < end {
            let (Some(place), true) = (places.get_mut(drawn), of_group < taken.len()) else { return drawn };
            let (turn, before) = (turns(), &taken[..of_group]);
            let one = match &weights {
                _ if turn.order == Order::Fixed => begin + of_group,
                Some(weights) => weights.draw(turn, begin, end, before),
                None => even(turn, begin, end, before),
            };
            *place = u16::try_from(one).unwrap_or(u16::MAX);
            let at = before.partition_point(|other| other < place);
            taken.copy_within(at..of_group, at + 1);
            taken[at] = *place;
            (drawn, of_group) = (drawn + 1, of_group + 1);
        }
        begin = end;
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(preferences: &[(u16, u32)]) -> Vec<u8> {
        let of = |(priority, weight): &(u16, u32)| Preference { priority: *priority, weight: *weight };
        let mut bytes = Vec::new();
        pack(&mut bytes, &preferences.iter().map(of).collect::<Vec<_>>());
        bytes.push(7);
        bytes
    }

    /// Counts how often each of these records is drawn as the first and as the last of `most`, of 60,000.
    fn tally(preferences: &[(u16, u32)], order: Order, most: usize) -> [Vec<u32>; 2] {
        let (bytes, mut random) = (packed(preferences), fastrand::Rng::with_seed(2782));
        let (weights, rest) = unpack(&bytes, preferences.len()).unwrap();
        assert_eq!(rest, [7]);
        let [mut first, mut last] = [(); 2].map(|()| vec![0; preferences.len()]);
        let (mut places, mut taken) = (vec![0; most], vec![0; most]);
        for _ in 0..60_000 {
            let turns = || Rotation::new(order, random.u32(..));
            assert_eq!(draw(Some(weights), preferences.len(), turns, &mut places, &mut taken), most);
            let mut sorted = places.clone();
            sorted.sort_unstable();
            assert!(sorted.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
            first[usize::from(places[0])] += 1;
            last[usize::from(places[most - 1])] += 1;
        }
        [first, last]
    }

    fn is_near(counts: &[u32], expected: &[u32]) {
        for (count, expected) in counts.iter().zip(expected) {
            assert!(count.abs_diff(*expected) < 700, "{counts:?} {expected:?}");
        }
    }

    #[test]
    fn the_first_is_drawn_by_weight_and_the_next_without_it() {
        let [first, second] = tally(&[(0, 1), (0, 2), (0, 3)], Order::Weighted, 2);
        is_near(&first, &[10_000, 20_000, 30_000]);
        // Behind the second: 1/3 * 1/4 + 1/2 * 1/3 = 1/4 of all, and so on.
        is_near(&second, &[15_000, 22_000 + 2_000, 15_000 + 6_000]);
        is_near(&tally(&[(0, 1), (0, 2), (0, 3)], Order::Uniform, 1)[0], &[20_000; 3]);
        assert_eq!(tally(&[(0, 1), (0, 2)], Order::Fixed, 2), [[60_000, 0], [0, 60_000]]);
    }

    #[test]
    fn weight_0_is_drawn_where_nothing_else_is_left() {
        let [first, last] = tally(&[(0, 0), (0, 5), (0, 0)], Order::Weighted, 2);
        assert_eq!(first, [0, 60_000, 0]);
        is_near(&last, &[30_000, 0, 30_000]);
        is_near(&tally(&[(0, 0), (0, 0), (0, 0)], Order::Weighted, 1)[0], &[20_000; 3]);
    }

    #[test]
    fn a_lower_priority_goes_first_whatever_the_weights() {
        let [first, last] = tally(&[(1, 1), (1, 1), (2, 1000)], Order::Weighted, 3);
        is_near(&first, &[30_000, 30_000, 0]);
        assert_eq!(last, [0, 0, 60_000]);
        let (bytes, all) = (packed(&[(1, 1), (1, 1), (2, 1000)]), u32::MAX);
        let (weights, _) = unpack(&bytes, 3).unwrap();
        assert_eq!((weights.first_group(), weights.start(Rotation::new(Order::Weighted, all))), (2, 1));
        let read: Vec<_> = weights.preferences().map(|one| (one.priority, one.weight)).collect();
        assert_eq!(read, [(1, 1), (1, 1), (2, 1000)]);
    }

    #[test]
    fn records_that_are_all_alike_are_drawn_evenly() {
        let (mut random, mut counts) = (fastrand::Rng::with_seed(1), [[0; 4]; 2]);
        for _ in 0..40_000 {
            let (mut places, mut taken) = ([0; 2], [0; 2]);
            let turns = || Rotation::new(Order::Weighted, random.u32(..));
            assert_eq!(draw(None, 4, turns, &mut places, &mut taken), 2);
            (0..2).for_each(|i| counts[i][usize::from(places[i])] += 1);
        }
        for counts in &counts {
            is_near(counts, &[10_000; 4]);
        }
    }
}
