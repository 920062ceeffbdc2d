//! Who owns which partition, and whether this instance is ready. It must never tell what is in a partition.

use muster_schemas::api::PartitionStatus;
use muster_service_kit::Readiness;

use super::CommandService;
use crate::partition::Standing;

impl CommandService {
    /// Every partition in order.
    pub fn partitions(&self) -> Vec<PartitionStatus> {
        let owners = self.0.ownership.owners();
        let numbered = (0..).zip(&self.0.partitions);
        let status = numbered.map(|(partition, handle)| {
            let standing = handle.standing();
            let has_it = standing != Standing::Idle;
            let log_offset = has_it.then(|| u64::try_from(handle.committed().next().0).unwrap_or(0));
            PartitionStatus {
                partition,
                owner: owners.get(&partition).map(ToString::to_string),
                state: standing.name().to_owned(),
                log_offset,
                waiting_commands: handle.waiting() as u64,
            }
        });
        status.collect()
    }

    /// Whether this instance has its place, and every partition it owns takes commands.
    pub fn is_recovered(&self) -> bool {
        self.unready().is_none()
    }

    /// Adds the check `command-service`: joined, not leaving, and every partition owned has read its history.
    pub fn register_readiness(&self, readiness: &Readiness) {
        let service = self.clone();
        readiness.register("command-service", move || {
            let unready = service.unready();
            async move { unready.map_or(Ok(()), Err) }
        });
    }

    fn unready(&self) -> Option<String> {
        let ownership = &self.0.ownership;
        if !ownership.has_joined() {
            return Some("joining the other instances".to_owned());
        }
        if ownership.is_leaving() {
            return Some("leaving the other instances".to_owned());
        }
        let owners = ownership.owners();
        if owners.is_empty() && self.0.partitions.iter().all(|handle| handle.standing() == Standing::Idle) {
            return Some("no partition has an owner yet".to_owned());
        }
        let missing: Vec<String> = (0..)
            .zip(&self.0.partitions)
            .filter(|(partition, handle)| match handle.standing() {
                Standing::TakingOver => true,
                Standing::Idle => owners.get(partition) == Some(ownership.url()),
                Standing::Serving | Standing::GivingBack => false,
            })
            .map(|(partition, _)| partition.to_string())
            .collect();
        let names = missing.join(", ");
        (!missing.is_empty()).then(|| format!("{} partitions are being taken over: {names}", missing.len()))
    }
}
