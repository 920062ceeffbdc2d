-- Beside the read models' own database, which the image creates: one for the schema registry.
create database registry;
