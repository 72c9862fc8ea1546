-- The view: what is listed, searched, counted and shown. It is derived from the streams;
-- whoever changes this file raises schemaVersion, and every view is made anew.
--
-- Times are nanoseconds since 1970. A prediction's num is the stream sequence of its first
-- event, so "newest first" is the order of the table itself.

-- How far the view is in each stream. created tells a stream from a later one of the same
-- name. A row and what was folded up to it are written in one transaction.
CREATE TABLE positions (
  stream  TEXT PRIMARY KEY,
  created INTEGER NOT NULL,
  seq     INTEGER NOT NULL,   -- of the last message that was folded
  stored  INTEGER,            -- when that message was stored
  goal    INTEGER NOT NULL    -- the last message of the stream when the view was made
) WITHOUT ROWID;

-- One row a prediction. state is its bridge.PredictionState as JSON; the other columns are
-- what queries ask for.
CREATE TABLE predictions (
  num        INTEGER PRIMARY KEY,
  source     TEXT NOT NULL,
  id         TEXT NOT NULL,
  model      TEXT NOT NULL,
  status     TEXT NOT NULL,
  reference  TEXT,                         -- of its announcement
  tenant     TEXT,
  first_seen INTEGER NOT NULL,
  closed     INTEGER,                      -- when it ended or was given up; NULL: it is open
  due        INTEGER,                      -- when to poll for it next; NULL: never
  polls      INTEGER NOT NULL DEFAULT 0,
  claimed    INTEGER NOT NULL DEFAULT 0,   -- 1: only claims told of it
  unheard    INTEGER NOT NULL DEFAULT 0,   -- 1: it ended or was given up, and no webhook told so
  expires    INTEGER,                      -- when the provider deletes outputs that no archive has; NULL: it does not
  goes       INTEGER,                      -- view.keep before it goes; NULL: it is open
  state      BLOB NOT NULL
);
CREATE UNIQUE INDEX predictions_id        ON predictions (source, id);
CREATE INDEX        predictions_status    ON predictions (source, status);
CREATE INDEX        predictions_model     ON predictions (model, status);
CREATE INDEX        predictions_reference ON predictions (reference) WHERE reference IS NOT NULL;
CREATE INDEX        predictions_tenant    ON predictions (tenant) WHERE tenant IS NOT NULL;
CREATE INDEX        predictions_closed    ON predictions (closed) WHERE closed IS NOT NULL;
CREATE INDEX        predictions_unheard   ON predictions (unheard) WHERE unheard = 1;
CREATE INDEX        predictions_expires   ON predictions (expires) WHERE expires IS NOT NULL;
CREATE INDEX        predictions_goes      ON predictions (goes) WHERE goes IS NOT NULL;
-- The poll queue: the least often polled first, then those due first. Nothing but the index is
-- read to count it, so it has closed too.
CREATE INDEX        predictions_due       ON predictions (source, claimed, polls, due, closed) WHERE closed IS NULL;

-- One row an event. id lacks the prediction's id that it begins with; another id is behind a
-- "=".
CREATE TABLE events (
  seq        INTEGER PRIMARY KEY,
  prediction INTEGER NOT NULL,
  id         TEXT NOT NULL,
  kind       TEXT NOT NULL,
  status     TEXT NOT NULL,
  origin     TEXT NOT NULL,
  stored     INTEGER NOT NULL,
  received   INTEGER,
  conflict   INTEGER NOT NULL,
  bytes      INTEGER NOT NULL              -- of the body
);
CREATE INDEX events_prediction ON events (prediction);

-- The newest event that went with its prediction: every later one that was folded is there.
CREATE TABLE horizon (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  seq INTEGER NOT NULL
);

-- What happened to predictions, by the minute, the hour and the day: n events. A page about a
-- month reads days, not minutes.
CREATE TABLE activity (
  span   INTEGER NOT NULL,                 -- 1, 60 or 1440 minutes
  start  INTEGER NOT NULL,                 -- minutes since 1970
  source TEXT NOT NULL,
  model  TEXT NOT NULL,
  status TEXT NOT NULL,
  n      INTEGER NOT NULL,
  lags   BLOB,                             -- the known times of those that ended, by logarithmic buckets
  PRIMARY KEY (span, start, source, model, status)
) WITHOUT ROWID;

-- What happened at a source, by the same spans: see activity.go for the words.
CREATE TABLE tallies (
  span   INTEGER NOT NULL,
  start  INTEGER NOT NULL,
  source TEXT NOT NULL,
  what   TEXT NOT NULL,
  n      INTEGER NOT NULL,
  PRIMARY KEY (span, start, source, what)
) WITHOUT ROWID;

-- Failed predictions by their normalised error.
CREATE TABLE failures (
  span   INTEGER NOT NULL,
  start  INTEGER NOT NULL,
  source TEXT NOT NULL,
  model  TEXT NOT NULL,
  error  TEXT NOT NULL,
  n      INTEGER NOT NULL,
  last   INTEGER NOT NULL,                 -- the event of the last one
  PRIMARY KEY (span, start, source, model, error)
) WITHOUT ROWID;

-- One row an event and consumer: the last attempt that was told of. Attempts are told at
-- most once, so the row may be older than the truth, or missing.
CREATE TABLE lanes (
  seq        INTEGER NOT NULL,             -- of the event
  consumer   TEXT NOT NULL,
  prediction INTEGER,                      -- the event's; NULL until the event is folded
  mark       INTEGER NOT NULL,             -- a hash of the event's id
  at         INTEGER NOT NULL,             -- when the attempt ended
  took       REAL NOT NULL,                -- seconds
  try        INTEGER NOT NULL,
  verdict    TEXT NOT NULL,
  error      TEXT,
  next       INTEGER,                      -- when the event is tried again
  PRIMARY KEY (seq, consumer)
) WITHOUT ROWID;
CREATE INDEX lanes_failing ON lanes (consumer, prediction) WHERE verdict = 'retry';

-- The last failed attempts of a lane.
CREATE TABLE attempts (
  seq      INTEGER NOT NULL,
  consumer TEXT NOT NULL,
  at       INTEGER NOT NULL,
  took     REAL NOT NULL,
  try      INTEGER NOT NULL,
  verdict  TEXT NOT NULL,
  error    TEXT,
  PRIMARY KEY (seq, consumer, at)
) WITHOUT ROWID;

-- How many events waited for a consumer. The streams do not know it.
CREATE TABLE backlogs (
  start    INTEGER NOT NULL,               -- of five minutes
  consumer TEXT NOT NULL,
  pending  INTEGER NOT NULL,
  PRIMARY KEY (consumer, start)
) WITHOUT ROWID;
CREATE INDEX backlogs_start ON backlogs (start);

-- One row a dead letter. seq is the one in the stream of dead letters, at the place in the
-- stream of events where the consumer read the event. A record of events that expired has
-- no event.
CREATE TABLE dead (
  seq        INTEGER PRIMARY KEY,
  consumer   TEXT NOT NULL,
  cause      TEXT NOT NULL,
  fault      TEXT NOT NULL,
  error      TEXT NOT NULL,
  attempts   INTEGER NOT NULL,
  redrives   INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  stored     INTEGER NOT NULL,
  source     TEXT,
  prediction TEXT,
  event      TEXT,
  model      TEXT,
  status     TEXT,
  problem    TEXT,                         -- why it holds no event, although it should
  family     INTEGER NOT NULL,             -- its row in dead_groups
  num        INTEGER                       -- of the prediction; NULL while the view does not know it
);
CREATE INDEX dead_family     ON dead (family);
CREATE INDEX dead_num        ON dead (consumer, num) WHERE num IS NOT NULL;
CREATE INDEX dead_consumer   ON dead (consumer, cause);
CREATE INDEX dead_prediction ON dead (source, prediction) WHERE prediction IS NOT NULL;

-- One row a consumer, cause and normalised error of dead letters. It goes with its last one.
CREATE TABLE dead_groups (
  family    INTEGER PRIMARY KEY,
  id        TEXT NOT NULL UNIQUE,          -- a hash of the next three
  consumer  TEXT NOT NULL,
  cause     TEXT NOT NULL,
  error     TEXT NOT NULL,
  n         INTEGER NOT NULL,
  first     INTEGER NOT NULL,              -- when the first one was stored
  last_seq  INTEGER NOT NULL,              -- of the last one
  last      INTEGER NOT NULL,
  histogram BLOB NOT NULL                  -- of when they were stored
);
CREATE INDEX dead_groups_last     ON dead_groups (last_seq);
CREATE INDEX dead_groups_consumer ON dead_groups (consumer, last_seq);

-- One row a delivery in quarantine or in the ring of refused ones.
CREATE TABLE kept (
  stream    TEXT NOT NULL,
  seq       INTEGER NOT NULL,
  source    TEXT NOT NULL,
  cause     TEXT NOT NULL,
  detail    TEXT NOT NULL,
  received  INTEGER,
  stored    INTEGER NOT NULL,
  remote    TEXT NOT NULL,
  request   TEXT NOT NULL,
  bytes     INTEGER NOT NULL,              -- of the body as it came
  truncated INTEGER NOT NULL,
  PRIMARY KEY (stream, seq)
) WITHOUT ROWID;

-- One row an alarm.
CREATE TABLE alarms (
  seq     INTEGER PRIMARY KEY,
  kind    TEXT NOT NULL,
  subject TEXT NOT NULL,
  body    BLOB NOT NULL,                   -- the alarm as JSON
  stored  INTEGER NOT NULL
);
