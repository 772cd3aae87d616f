-- Roles for rigs and for readers, in the database of logins (psql .../rdaq_logins -f roles.sql; again does no harm).
--
-- Tiled's own "user" may not register files that lie outside, and its "admin" may make keys for everybody.
-- Neither of these may delete: what an outage left of a run is completed where it is. Tiled's client makes a key for each
-- subscription, for a minute; so readers may make keys, which can do no more than their own.
INSERT INTO roles (name, description, scopes) VALUES
  ('rdaq-writer', 'A rig: writes runs, registers its files, completes what an outage interrupted.',
   '["read:metadata", "read:data", "write:metadata", "write:data", "create:node", "register"]'),
  ('rdaq-reader', 'Reads and subscribes.',
   '["read:metadata", "read:data", "create:apikeys", "revoke:apikeys"]')
ON CONFLICT (name) DO UPDATE SET description = EXCLUDED.description, scopes = EXCLUDED.scopes;
