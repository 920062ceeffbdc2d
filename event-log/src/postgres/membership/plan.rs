//! Who should have which partition: evenly, and moving as few as possible. A pure function, the same on every member.

use std::collections::BTreeMap;

use uuid::Uuid;

/// What should change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Free partitions, and to whom each goes.
    pub give: Vec<(u32, Uuid)>,
    /// What each has too many of.
    pub surplus: BTreeMap<Uuid, Vec<u32>>,
}

/// The plan for `partitions`, where `members` are those who stay and `owners` say who has what now, also those who do
/// not stay.
pub(super) fn plan(partitions: u32, members: &[Uuid], owners: &BTreeMap<u32, Uuid>) -> Plan {
    let mut held: BTreeMap<Uuid, Vec<u32>> = BTreeMap::new();
    for (partition, owner) in owners {
        held.entry(*owner).or_default().push(*partition);
    }
    let count = |member: &Uuid| held.get(member).map_or(0, Vec::len);
    let mut ranked = members.to_vec();
    // Who has most keeps one more where it does not come out even.
    ranked.sort_by_key(|member| (std::cmp::Reverse(count(member)), *member));
    let (even, over) = match members.len() {
        0 => (0, 0),
        members => (partitions as usize / members, partitions as usize % members),
    };
    let quota: BTreeMap<Uuid, usize> =
        ranked.iter().enumerate().map(|(rank, member)| (*member, even + usize::from(rank < over))).collect();

    let mut free = (0..partitions).filter(|partition| !owners.contains_key(partition));
    let give = ranked.iter().flat_map(|member| {
        let missing = quota[member].saturating_sub(count(member));
        std::iter::repeat_n(*member, missing)
    });
    let give = give.zip(&mut free).map(|(member, partition)| (partition, member)).collect();
    let surplus = held.iter().filter_map(|(member, held)| {
        let kept = quota.get(member).copied().unwrap_or(0);
        held.get(kept..).filter(|surplus| !surplus.is_empty()).map(|surplus| (*member, surplus.to_vec()))
    });
    Plan { give, surplus: surplus.collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> Uuid {
        Uuid::from_bytes([number; 16])
    }

    /// Carries plans out until there is nothing left to do.
    fn settle(partitions: u32, members: &[Uuid], owners: &mut BTreeMap<u32, Uuid>) -> usize {
        for moves in 0.. {
            let plan = plan(partitions, members, owners);
            if plan == Plan::default() {
                return moves;
            }
            assert!(moves < 3, "{plan:?}");
            owners.extend(plan.give);
            for partition in plan.surplus.values().flatten() {
                owners.remove(partition);
            }
        }
        unreachable!("the loop ends by itself")
    }

    #[test]
    fn one_takes_all_and_a_second_gets_half() {
        let mut owners = BTreeMap::new();
        settle(12, &[id(1)], &mut owners);
        assert!(owners.len() == 12 && owners.values().all(|owner| *owner == id(1)));
        settle(12, &[id(1), id(2)], &mut owners);
        assert_eq!(owners.values().filter(|owner| **owner == id(2)).count(), 6);
        assert_eq!(plan(12, &[], &owners).surplus.len(), 2, "those who leave keep nothing");
    }

    proptest! {
        #[test]
        fn it_comes_out_even_and_moves_no_more_than_it_must(
            partitions in 1u32..40,
            before in proptest::collection::btree_set(0u8..8, 1..6),
            after in proptest::collection::btree_set(0u8..8, 1..6),
        ) {
            let members = |of: &std::collections::BTreeSet<u8>| of.iter().map(|number| id(*number)).collect::<Vec<_>>();
            let mut owners = BTreeMap::new();
            settle(partitions, &members(&before), &mut owners);
            let earlier = owners.clone();
            let after = members(&after);
            settle(partitions, &after, &mut owners);

            prop_assert_eq!(owners.len(), partitions as usize);
            let share = partitions as usize / after.len();
            let mut missing = 0;
            for member in &after {
                let has = owners.values().filter(|owner| *owner == member).count();
                prop_assert!((share..=share + 1).contains(&has));
                missing += has.saturating_sub(earlier.values().filter(|owner| *owner == member).count());
            }
            let moved = owners.iter().filter(|(partition, owner)| earlier[partition] != **owner).count();
            prop_assert_eq!(moved, missing);
        }
    }
}
