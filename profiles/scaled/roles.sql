-- Roles for rigs and for readers, in the database of logins (psql "$RDAQ_TILED_LOGINS_DB" -f roles.sql; again does no harm).
--
-- Tiled's own "user" may not register files that lie outside, and its "admin" may make keys for everybody.
-- A rig needs both scopes of deletion: what an outage left of a run is taken away before the run is written whole.
INSERT INTO roles (name, description, scopes) VALUES
  ('rdaq-writer', 'A rig: writes runs, registers its files, begins an interrupted run anew.',
   '["read:metadata", "read:data", "write:metadata", "write:data", "create:node", "register", "delete:node", "delete:revision"]'),
  ('rdaq-reader', 'Reads and subscribes.',
   '["read:metadata", "read:data"]')
ON CONFLICT (name) DO UPDATE SET description = EXCLUDED.description, scopes = EXCLUDED.scopes;
