-- How often one record was begun and not finished, counted before it is read. Starts alone do not say that: a process
-- may be stopped from outside at any time.
alter table projection_offsets add column unfinished integer not null default 0;
