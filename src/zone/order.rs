//! The order of the records in an answer: the first of a set is drawn, again for each answer, and does not depend on
//! what else was asked. Pure: chance is an argument.

/// Choice of the first record of an answer among those of the lowest priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By weight, as in RFC 2782; an address has the sum of its instances' weights.
    #[default]
    Weighted,
    /// Each equally often.
    Uniform,
    /// Always the same: by address, then by port.
    Fixed,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Weighted, Self::Uniform, Self::Fixed];

    /// Returns the name it has in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Weighted => "weighted",
            Self::Uniform => "uniform",
            Self::Fixed => "fixed",
        }
    }

    /// Returns the order of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.as_str() == name)
    }
}

/// An order, and the chance that one answer goes by.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// The order.
    pub order: Order,
    /// Evenly distributed; unused where the order is fixed.
    pub random: u32,
}

impl Rotation {
    /// A turn that leaves records as they are kept: the lowest priority first, then by address and port.
    pub const FIXED: Self = Self { order: Order::Fixed, random: 0 };

    /// A turn in `order` with this chance.
    #[inline]
    pub fn new(order: Order, random: u32) -> Self {
        Self { order, random: if order == Order::Fixed { 0 } else { random } }
    }

    /// Returns a number below `bound`; 0 for a bound of 0.
    #[inline(always)]
    #[allow(clippy::inline_always, clippy::cast_possible_truncation)] // the product's upper half is below `bound`
    pub fn below(self, bound: u32) -> u32 {
        ((u64::from(self.random) * u64::from(bound)) >> 32) as u32
    }
}

/// Preference that an address record is chosen by: the lowest priority of its instances, and the sum of the weights of
/// those that have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Preference {
    /// Lower ones go first.
    pub priority: u16,
    /// Its share among those of its priority.
    pub weight: u32,
}

/// Weight of an instance that says none: above 0, so that it can be given less.
pub const DEFAULT_WEIGHT: u16 = 10;

impl Default for Preference {
    fn default() -> Self {
        Self { priority: 0, weight: DEFAULT_WEIGHT.into() }
    }
}

impl Preference {
    /// The preference of an instance.
    pub fn new(priority: u16, weight: u16) -> Self {
        Self { priority, weight: weight.into() }
    }

    /// Returns that of an address at which both are.
    pub fn plus(self, other: Self) -> Self {
        match self.priority.cmp(&other.priority) {
            std::cmp::Ordering::Less => self,
            std::cmp::Ordering::Greater => other,
            std::cmp::Ordering::Equal => Self { weight: self.weight.saturating_add(other.weight), ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_known_by_their_names() {
        for order in Order::ALL {
            assert_eq!(Order::parse(order.as_str()), Some(order));
        }
        assert_eq!(Order::parse("random"), None);
    }

    #[test]
    fn an_address_has_the_weights_of_its_lowest_priority() {
        let of = |priority, weight| Preference { priority, weight };
        assert_eq!(of(1, 5).plus(of(1, 7)), of(1, 12));
        assert_eq!(of(1, 5).plus(of(0, 7)), of(0, 7));
        assert_eq!(of(0, 5).plus(of(1, 7)), of(0, 5));
        assert_eq!(of(0, u32::MAX).plus(of(0, 1)), of(0, u32::MAX));
    }
}
