-- Snapshots of what is in a partition, which may be thrown away at any time. `snapshots` has a row once all chunks of
-- one are there; `ordinal` says which is the newest, whatever the clock does.
CREATE TABLE muster_log.snapshots (
    snapshot_id uuid PRIMARY KEY,
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    partition integer NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX snapshots_partition ON muster_log.snapshots (partition, ordinal);

CREATE TABLE muster_log.snapshot_chunks (
    partition integer NOT NULL,
    snapshot_id uuid NOT NULL,
    chunk integer NOT NULL,
    content bytea NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, snapshot_id, chunk)
);
-- Whoever makes a snapshot compresses it, or not, as it knows best.
ALTER TABLE muster_log.snapshot_chunks ALTER COLUMN content SET STORAGE EXTERNAL;
