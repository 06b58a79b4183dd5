//! What the part of a router in the election depends on: interfaces, services, scripts, files, the data path.

use std::collections::BTreeMap;

use super::{Priority, Standing};

/// What something tracked does to a router: keepalived's `weight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Without it the router does not take part (weight 0).
    Fault,
    /// It adds to the priority while it is there (weight above 0).
    Adds(u8),
    /// It takes from the priority while it is missing (weight below 0).
    Takes(u8),
}

impl Effect {
    /// Of keepalived's weight, -253 to 253.
    #[must_use]
    pub const fn of_weight(weight: i16) -> Self {
        let amount = weight.unsigned_abs();
        let amount = if amount > 253 { 253 } else { amount as u8 };
        match weight {
            0 => Self::Fault,
            1.. => Self::Adds(amount),
            _ => Self::Takes(amount),
        }
    }
}

/// What one router tracks, by name. It is missing until it is said to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracking(BTreeMap<String, (Effect, bool)>);

impl Tracking {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(objects: impl IntoIterator<Item = (String, Effect)>) -> Self {
        Self(objects.into_iter().map(|(name, effect)| (name, (effect, false))).collect())
    }

    /// Says whether something is there; true: that is new to this router.
    pub fn set(&mut self, name: &str, is_there: bool) -> bool {
        self.0.get_mut(name).is_some_and(|(_, before)| std::mem::replace(before, is_there) != is_there)
    }

    /// Takes over what is known already of objects that `before` has too.
    pub fn adopt(&mut self, before: &Self) {
        for (name, (_, is_there)) in &mut self.0 {
            *is_there = before.0.get(name).is_some_and(|(_, before)| *before);
        }
    }

    /// What comes of it for a router of priority `base`: 1 to 254, except that the owner of the addresses remains the owner.
    #[must_use]
    pub fn standing(&self, base: Priority) -> Standing {
        let mut priority = i32::from(base.number());
        let mut fault = false;
        for (effect, is_there) in self.0.values() {
            match (effect, is_there) {
                (Effect::Fault, false) => fault = true,
                (Effect::Adds(amount), true) => priority += i32::from(*amount),
                (Effect::Takes(amount), false) => priority -= i32::from(*amount),
                (Effect::Fault | Effect::Takes(_), true) | (Effect::Adds(_), false) => {}
            }
        }
        let (lowest, highest) = (Priority::LOWEST.number(), Priority::HIGHEST.number());
        let priority = u8::try_from(priority.clamp(i32::from(lowest), i32::from(highest))).unwrap_or(lowest);
        Standing { fault, priority: if base == Priority::OWNER { base } else { Priority::new(priority) } }
    }

    /// What is missing, in order.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, (_, is_there))| !is_there).map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(base: u8, objects: &[(i16, bool)]) -> (bool, u8) {
        let name = |at: usize| format!("object {at}");
        let effects = objects.iter().enumerate();
        let mut tracking =
            Tracking::new(effects.map(|(at, (weight, _))| (name(at), Effect::of_weight(*weight))));
        for (at, (_, is_there)) in objects.iter().enumerate() {
            assert_eq!(tracking.set(&name(at), *is_there), *is_there, "it was missing");
        }
        let Standing { fault, priority } = tracking.standing(Priority::new(base));
        (fault, priority.number())
    }

    #[test]
    fn weights_are_those_of_keepalived() {
        assert_eq!(standing(100, &[]), (false, 100));
        assert_eq!(standing(100, &[(0, true)]), (false, 100));
        assert_eq!(standing(100, &[(0, true), (0, false)]), (true, 100));
        assert_eq!(standing(100, &[(20, true), (30, false)]), (false, 120));
        assert_eq!(standing(100, &[(-20, true), (-30, false)]), (false, 70));
    }

    #[test]
    fn a_priority_stays_within_1_to_254_and_an_owner_an_owner() {
        assert_eq!(standing(100, &[(253, true)]), (false, 254));
        assert_eq!(standing(100, &[(-253, false)]), (false, 1));
        assert_eq!(standing(100, &[(-253, false), (200, true)]), (false, 47), "clamped at the end only");
        assert_eq!(standing(255, &[(-253, false)]), (false, 255));
        assert_eq!(standing(255, &[(0, false)]), (true, 255));
    }

    #[test]
    fn what_is_not_known_is_missing() {
        let mut tracking = Tracking::new([("eth0".to_owned(), Effect::Fault)]);
        assert_eq!(tracking.missing().collect::<Vec<_>>(), ["eth0"]);
        assert!(!tracking.set("eth1", true));
        assert!(tracking.set("eth0", true) && !tracking.set("eth0", true));
        assert_eq!(tracking.missing().count(), 0);
    }
}
