-- The instances that divide the partitions between each other. `lock_key` is a session-level advisory lock that the
-- member's own connection holds: free means dead. Unlogged, because a crash of the server ends every such connection,
-- and everybody joins anew. Who may write is decided by `partitions.epoch` alone.
CREATE UNLOGGED TABLE muster_log.members (
    member_id uuid PRIMARY KEY,
    url text NOT NULL,
    lock_key bigint NOT NULL,
    session_timeout_ms bigint NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    leaving boolean NOT NULL DEFAULT false
);

-- A partition without a row is free.
CREATE UNLOGGED TABLE muster_log.owners (
    partition integer PRIMARY KEY,
    member_id uuid NOT NULL REFERENCES muster_log.members ON DELETE CASCADE
);
