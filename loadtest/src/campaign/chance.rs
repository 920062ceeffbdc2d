//! Chance that can be had again: the same seed gives the same choices, on every machine and with every compiler.
//!
//! It must never look at a clock, nor draw from the machine.

use uuid::Uuid;

/// A stream of choices: SplitMix64, written out so that no library's next version changes what a seed means.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The stream of `seed`.
    #[cfg(test)]
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for each `label`, whatever this one has given so far.
    pub fn of(seed: u64, label: &str) -> Self {
        let mixed = label.bytes().fold(seed, |mixed, byte| Self(mixed ^ u64::from(byte)).next());
        Self(mixed)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.between(0, bound.saturating_sub(1) as u64)).unwrap_or(0)
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        let width = most.saturating_sub(least).saturating_add(1);
        least + self.next() % width
    }

    /// True in `percent` of a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.between(1, 100) <= percent
    }

    /// One of `all`.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let index = self.below(all.len());
        all.get(index)
    }

    /// One of `all`, each as often as its weight says.
    pub fn weighted<'a, T>(&mut self, all: &'a [(u64, T)]) -> Option<&'a T> {
        let total: u64 = all.iter().map(|(weight, _)| weight).sum();
        let mut left = self.between(1, total.max(1));
        for (weight, one) in all {
            if left <= *weight {
                return Some(one);
            }
            left -= weight;
        }
        None
    }

    /// An id.
    pub fn uuid(&mut self) -> Uuid {
        let bits = (u128::from(self.next()) << 64) | u128::from(self.next());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// Puts `all` into another order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for index in (1..all.len()).rev() {
            all.swap(index, self.below(index + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut chance = Chance::new(1);
        assert_eq!([chance.next(), chance.next()], [0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67]);
        assert_eq!(Chance::of(7, "client 1").next(), Chance::of(7, "client 1").next());
        assert_ne!(Chance::of(7, "client 1").next(), Chance::of(7, "client 2").next());
    }

    #[test]
    fn choices_stay_within_their_bounds() {
        let mut chance = Chance::new(3);
        for _ in 0..1000 {
            assert!(chance.below(3) < 3);
            assert!((5..=6).contains(&chance.between(5, 6)));
        }
        assert_eq!(chance.below(0), 0);
        assert_eq!(chance.pick::<u8>(&[]), None);
        assert_eq!(chance.weighted(&[(0, 'a'), (5, 'b')]), Some(&'b'));
        let mut all = [1, 2, 3, 4];
        chance.shuffle(&mut all);
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 4]);
    }
}
