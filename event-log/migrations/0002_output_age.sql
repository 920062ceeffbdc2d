-- When a line came, by the database's clock: its own timestamp is the agent's, and may be anything.
ALTER TABLE muster_log.agent_output ADD COLUMN appended_at timestamptz NOT NULL DEFAULT now();
