-- An index for each table of events (sudo -u postgres psql rdaq_tables < tables.sql; again does no harm).
--
-- Tiled 0.2.20 gives its index the same name for every table. In PostgreSQL a name is there once, so only the first table gets
-- one, and of each other one all rows of all runs are looked through to read those of one. A superuser has to do this:
-- PostgreSQL lets nobody else make what acts on each new table.
CREATE OR REPLACE FUNCTION rdaq_index(tables text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (_dataset_id, _partition_id)', tables || '_rows', tables);
END $$;

CREATE OR REPLACE FUNCTION rdaq_index_new() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE made record;
BEGIN
  FOR made IN SELECT c.relname FROM pg_event_trigger_ddl_commands() d JOIN pg_class c ON c.oid = d.objid
              WHERE d.object_type = 'table' AND c.relname ~ '^table_[0-9a-f]{32}$'
  LOOP
    PERFORM rdaq_index(made.relname);
  END LOOP;
END $$;

DROP EVENT TRIGGER IF EXISTS rdaq_index_new;
CREATE EVENT TRIGGER rdaq_index_new ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION rdaq_index_new();

SELECT rdaq_index(relname) FROM pg_class WHERE relkind = 'r' AND relname ~ '^table_[0-9a-f]{32}$';
