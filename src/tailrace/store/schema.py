"""The schema of the store, as numbered steps that are never changed once released.

Rows of one run stand together: ``span.id``, ``event.id`` and ``checkpoint.id`` are
``run << 28 | number``, ``journal.id`` is ``run << 32 | sequence``. A checkpoint has the number of
its span. The run is thus read off the key and costs no bytes.

Most nodes succeed at their first attempt, between two writes. Such a node and its attempt are one
row: ``span.attempt`` is the shape of the attempt, whose number is the next one and whose name,
start and duration are the node's.

Failures stand in the group of their own fingerprint; a group that was merged into another one
names it in ``alias``, and counts are added up when they are read. ``failure_flood`` counts, by
minute, the failures that got no row. ``version`` numbers code versions in the order of their first
appearance.

``recall`` names, for each key of a cached task's code and inputs, the checkpoints that were
recorded under it. A checkpoint whose codec begins with ``file:`` holds the reference to a file
beside the database; those few stand in an index of their own, by which such files are counted.

Traces from elsewhere come in batches (``foreign_batch.id`` is ``trace << 28 | number``), each a
MessagePack array of ``StoredSpan``. Traces that are over are sealed into segments: columns that
queries are evaluated over. ``segment`` of a run or a foreign trace names it (0: not yet), ``place``
the number of the trace in it. The rows of a run stay as they are; the batches of some foreign
traces together become a compressed ``segment_body`` (its id is ``segment << 28 | place`` of the
first of them). ``segment_dead`` names the traces of a segment that are gone from it, because they
were deleted or because more of their spans came. Spans from elsewhere that belong to one of our
runs have a foreign trace with the run's id: both are one trace, with one place, and deleted
together. ``start`` and ``"end"`` of a segment are those of the earliest and the latest of the
starts of its traces; columns ``least`` and ``most`` bound the values of a column.

Deleting a run deletes all rows of it: by a trigger over key ranges, so in every program, whatever
its ``PRAGMA foreign_keys``, and without an index on each table. The foreign keys are declared all
the same; ``PRAGMA foreign_key_check`` verifies them.

In an index ``remote_trace`` says which tenant sent a trace that is no run (``joins``: it may add to
the runs of others), and ``remote_group`` what people have decided about groups of failures.

The views have the names and columns of older programs. They show what has been projected.
"""

from __future__ import annotations

_SPAN_ID = """printf('%08x%08x',
  ((r.span_base >> 32) & 4294967295) + (((r.span_base & 4294967295) + {n}) >> 32) & 4294967295,
  ((r.span_base & 4294967295) + {n}) & 4294967295)"""
_TIME = (
    "strftime('%Y-%m-%dT%H:%M:%S', {ns} / 1000000000, 'unixepoch')"
    " || printf('.%06dZ', {ns} % 1000000000 / 1000)"
)
_ATTRIBUTES = """json_insert(
  substr(h.attributes, 1, length(h.attributes) - 1)
  || iif(h.attributes = '{}' OR coalesce(s.attributes, '{}') = '{}', '', ',')
  || substr(coalesce(s.attributes, '{}'), 2),
  iif(h.type IN ('node', 'container', 'iteration', 'branch'), '$."tailrace.node.path"', '$[#]'),
  iif(s.path = '', s.name, s.path))"""
_SPANS = """SELECT {span_id} AS span_id, r.run_id AS trace_id, {parent} AS parent_span_id,
  f.name AS service_name, h.type AS kind, h.prefix || s.name AS name, {attributes} AS attributes,
  {status} AS status, {error} AS error, {start} AS start_time, {end} AS end_time,
  json_extract(h.attributes, '$."tailrace.policy"') AS policy_snapshot, {timeout} AS timeout
FROM run AS r
JOIN span AS s ON s.id BETWEEN r.no << 28 AND ((r.no + 1) << 28) - 1
JOIN shape AS h ON h.id = {shape}
JOIN flow AS f ON f.id = r.flow"""
_NUMBER = "(s.id & 268435455)"
_TIMES = {"start": _TIME.format(ns="s.start"), "end": _TIME.format(ns="(s.start + s.duration)")}
_PARENT = f"""CASE WHEN s.parent > 0 THEN {_SPAN_ID.format(n="s.parent")}
    ELSE nullif(r.parent_span_id, '') END"""
_STATUS = "CASE WHEN s.status = 2 THEN 'ERROR' WHEN s.duration IS NULL THEN 'RUNNING' ELSE 'OK' END"
_SPANS_HAVING_ROWS = _SPANS.format(
    span_id=_SPAN_ID.format(n=_NUMBER),
    parent=_PARENT,
    attributes=_ATTRIBUTES,
    status=_STATUS,
    error="iif(s.status = 2, s.message, NULL)",
    timeout="coalesce(json_extract(s.attributes, '$.timeout'), 0)",
    shape="s.shape",
    **_TIMES,
)
_ONLY_ATTEMPTS = _SPANS.format(
    span_id=_SPAN_ID.format(n=f"{_NUMBER} + 1"),
    parent=_SPAN_ID.format(n=_NUMBER),
    attributes="h.attributes",
    status="'OK'",
    error="NULL",
    timeout="0",
    shape="s.attempt",
    **_TIMES,
)
_VERSION_1 = (
    """CREATE TABLE flow (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  hash TEXT NOT NULL,
  source TEXT NOT NULL,
  UNIQUE (name, hash, source)
)""",
    """CREATE TABLE run (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL UNIQUE,
  flow INTEGER NOT NULL REFERENCES flow (id),
  source TEXT NOT NULL,
  status TEXT NOT NULL,
  start INTEGER NOT NULL,
  "end" INTEGER,
  span_base INTEGER NOT NULL,
  parent_span_id TEXT NOT NULL DEFAULT '',
  writer TEXT NOT NULL,
  shapes BLOB,
  spans INTEGER NOT NULL DEFAULT 0,
  events INTEGER NOT NULL DEFAULT 0,
  failed_node TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '',
  handled_failures INTEGER NOT NULL DEFAULT 0
)""",
    "CREATE INDEX run_start ON run (start)",
    "CREATE INDEX run_status ON run (status, start)",
    "CREATE INDEX run_flow ON run (flow, start)",
    """CREATE INDEX run_open ON run (no) WHERE "end" IS NULL""",
    """CREATE TABLE shape (
  id INTEGER PRIMARY KEY,
  type TEXT NOT NULL,
  construct TEXT NOT NULL,
  task TEXT NOT NULL,
  prefix TEXT NOT NULL,
  attributes TEXT NOT NULL,
  UNIQUE (type, construct, task, attributes)
)""",
    """CREATE TABLE span (
  id INTEGER PRIMARY KEY,
  run INTEGER AS (id >> 28) VIRTUAL REFERENCES run (no),
  parent INTEGER NOT NULL,
  shape INTEGER NOT NULL REFERENCES shape (id),
  name TEXT NOT NULL,
  path TEXT NOT NULL,
  start INTEGER NOT NULL,
  duration INTEGER,
  status INTEGER NOT NULL DEFAULT 0,
  message TEXT NOT NULL DEFAULT '',
  attributes TEXT,
  dropped INTEGER NOT NULL DEFAULT 0,
  attempt INTEGER REFERENCES shape (id)
)""",
    """CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  run INTEGER AS (id >> 28) VIRTUAL REFERENCES run (no),
  span INTEGER NOT NULL,
  time INTEGER NOT NULL,
  name TEXT NOT NULL,
  attributes TEXT NOT NULL
)""",
    """CREATE TABLE checkpoint (
  id INTEGER PRIMARY KEY REFERENCES span (id),
  codec TEXT NOT NULL,
  body BLOB NOT NULL
)""",
    """CREATE TABLE journal (
  id INTEGER PRIMARY KEY,
  body BLOB NOT NULL
)""",
    """CREATE TRIGGER run_deleted AFTER DELETE ON run BEGIN
  DELETE FROM checkpoint WHERE id BETWEEN old.no << 28 AND ((old.no + 1) << 28) - 1;
  DELETE FROM event WHERE id BETWEEN old.no << 28 AND ((old.no + 1) << 28) - 1;
  DELETE FROM span WHERE id BETWEEN old.no << 28 AND ((old.no + 1) << 28) - 1;
  DELETE FROM journal WHERE id BETWEEN old.no << 32 AND ((old.no + 1) << 32) - 1;
END""",
    f"""CREATE VIEW runs AS
SELECT r.run_id, f.name AS flow, f.name AS pipeline_name, r.status,
  {_TIME.format(ns="r.start")} AS start_time, {_TIME.format(ns='r."end"')} AS end_time,
  {_TIME.format(ns="r.start")} AS created_at,
  {_TIME.format(ns='coalesce(r."end", r.start)')} AS updated_at,
  r.failed_node, r.reason, r.spans, r.handled_failures, r.source,
  f.hash AS flow_hash, f.source AS flow_source
FROM run AS r JOIN flow AS f ON f.id = r.flow""",  # noqa: S608 - constant text
    f"""CREATE VIEW spans AS
{_SPANS_HAVING_ROWS}
UNION ALL
{_ONLY_ATTEMPTS}""",
    """CREATE VIEW traces AS
SELECT span_id, trace_id AS run_id, parent_span_id, name, start_time, end_time,
  attributes AS attributes_json
FROM spans""",
)
_VERSION_2 = (
    "CREATE TABLE version (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "ALTER TABLE checkpoint ADD COLUMN extra BLOB",
    """CREATE TABLE plan (
  flow INTEGER NOT NULL REFERENCES flow (id),
  version INTEGER NOT NULL REFERENCES version (id),
  nodes BLOB NOT NULL,
  PRIMARY KEY (flow, version)
) WITHOUT ROWID""",
    "ALTER TABLE run ADD COLUMN version INTEGER REFERENCES version (id)",
    "ALTER TABLE run ADD COLUMN lineage TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE run ADD COLUMN resumed_from TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE run ADD COLUMN letter TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE run ADD COLUMN generation INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE run ADD COLUMN digest TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE run ADD COLUMN policies TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX run_lineage ON run (lineage) WHERE lineage <> ''",
    """CREATE TABLE stack (
  id INTEGER PRIMARY KEY,
  stack_id TEXT NOT NULL UNIQUE,
  body BLOB NOT NULL
)""",
    """CREATE TABLE failure_group (
  id INTEGER PRIMARY KEY,
  fp TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  type TEXT NOT NULL,
  category TEXT NOT NULL,
  class TEXT NOT NULL,
  location TEXT NOT NULL DEFAULT '',
  flow TEXT NOT NULL DEFAULT '',
  node TEXT NOT NULL DEFAULT '',
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  count INTEGER NOT NULL,
  suppressed INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'open',
  ignored_until INTEGER NOT NULL DEFAULT 0,
  alias INTEGER REFERENCES failure_group (id),
  last_version INTEGER REFERENCES version (id),
  resolved_version INTEGER REFERENCES version (id),
  last_failure TEXT NOT NULL DEFAULT ''
)""",
    "CREATE INDEX failure_group_count ON failure_group (count)",
    "CREATE INDEX failure_group_alias ON failure_group (alias) WHERE alias IS NOT NULL",
    "CREATE TABLE template (id INTEGER PRIMARY KEY, fp TEXT NOT NULL UNIQUE)",
    """CREATE TABLE failure (
  id INTEGER PRIMARY KEY,
  failure_id TEXT NOT NULL UNIQUE,
  grp INTEGER NOT NULL REFERENCES failure_group (id),
  at INTEGER NOT NULL,
  run INTEGER REFERENCES run (no),
  flow TEXT NOT NULL DEFAULT '',
  node TEXT NOT NULL DEFAULT '',
  type TEXT NOT NULL,
  category TEXT NOT NULL,
  class TEXT NOT NULL,
  disposition TEXT NOT NULL,
  template INTEGER REFERENCES template (id),
  stack INTEGER REFERENCES stack (id),
  version INTEGER REFERENCES version (id),
  tags TEXT NOT NULL DEFAULT '[]',
  body BLOB NOT NULL
)""",
    "CREATE INDEX failure_at ON failure (at)",
    "CREATE INDEX failure_grp ON failure (grp, at)",
    "CREATE INDEX failure_run ON failure (run) WHERE run IS NOT NULL",
    """CREATE TABLE failure_flood (
  grp INTEGER NOT NULL REFERENCES failure_group (id),
  minute INTEGER NOT NULL,
  category TEXT NOT NULL,
  class TEXT NOT NULL,
  disposition TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (grp, minute, category, class, disposition)
) WITHOUT ROWID""",
    """CREATE TABLE dead_letter (
  dl_id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  task_key TEXT NOT NULL,
  run TEXT NOT NULL DEFAULT '',
  flow TEXT NOT NULL DEFAULT '',
  node TEXT NOT NULL DEFAULT '',
  failure_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  category TEXT NOT NULL,
  class TEXT NOT NULL,
  type TEXT NOT NULL,
  fp TEXT NOT NULL,
  template TEXT NOT NULL DEFAULT '',
  version TEXT NOT NULL DEFAULT '',
  attempts_total INTEGER NOT NULL,
  crash_attempts INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'open'
    CHECK (state IN ('open', 'parked', 'redriving', 'resolved', 'discarded')),
  generation INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  expires INTEGER NOT NULL DEFAULT 0,
  claimer TEXT NOT NULL DEFAULT '',
  tags TEXT NOT NULL DEFAULT '[]',
  body BLOB NOT NULL
) WITHOUT ROWID""",
    "CREATE INDEX dead_letter_state ON dead_letter (state, created)",
    "CREATE INDEX dead_letter_fp ON dead_letter (fp)",
    "CREATE INDEX dead_letter_run ON dead_letter (run)",
    """CREATE TABLE redrive_batch (
  batch_id TEXT PRIMARY KEY,
  created INTEGER NOT NULL,
  state TEXT NOT NULL,
  body BLOB NOT NULL
) WITHOUT ROWID""",
    """CREATE TABLE redrive (
  dl_id TEXT NOT NULL REFERENCES dead_letter (dl_id),
  generation INTEGER NOT NULL,
  batch_id TEXT NOT NULL,
  run TEXT NOT NULL DEFAULT '',
  outcome TEXT NOT NULL DEFAULT '',
  at INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (dl_id, generation)
) WITHOUT ROWID""",
    "CREATE INDEX redrive_batch_id ON redrive (batch_id)",
    """CREATE TABLE recovery_action (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  subject TEXT NOT NULL,
  action TEXT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL,
  prev_hash TEXT NOT NULL,
  hash TEXT NOT NULL
)""",
    "CREATE INDEX recovery_action_subject ON recovery_action (subject, seq)",
    """CREATE TABLE stream_event (
  seq INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL UNIQUE,
  legacy_id TEXT NOT NULL DEFAULT '',
  ts INTEGER NOT NULL,
  type TEXT NOT NULL,
  source TEXT NOT NULL,
  status TEXT NOT NULL,
  parent_id TEXT NOT NULL DEFAULT '',
  attempt_id TEXT NOT NULL DEFAULT '',
  failure_id TEXT NOT NULL DEFAULT '',
  category TEXT NOT NULL DEFAULT '',
  class TEXT NOT NULL DEFAULT '',
  fp TEXT NOT NULL DEFAULT '',
  body TEXT NOT NULL
)""",
    "CREATE INDEX stream_event_status ON stream_event (status) WHERE status <> 'success'",
    "CREATE INDEX stream_event_parent ON stream_event (parent_id) WHERE parent_id <> ''",
    "CREATE INDEX stream_event_legacy ON stream_event (legacy_id) WHERE legacy_id <> ''",
    """CREATE TABLE stream_attempt (
  attempt_id TEXT PRIMARY KEY,
  task_key TEXT NOT NULL,
  generation INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  state TEXT NOT NULL,
  started INTEGER NOT NULL,
  ended INTEGER,
  owner TEXT NOT NULL DEFAULT '',
  next_retry INTEGER,
  failure_id TEXT NOT NULL DEFAULT '',
  body TEXT NOT NULL DEFAULT '{}',
  UNIQUE (task_key, generation, attempt)
) WITHOUT ROWID""",
    "CREATE INDEX stream_attempt_open ON stream_attempt (state) WHERE ended IS NULL",
    """CREATE TABLE stream_import (
  source TEXT NOT NULL,
  offset INTEGER NOT NULL,
  digest TEXT NOT NULL,
  seq INTEGER,
  line BLOB,
  PRIMARY KEY (digest, source, offset)
) WITHOUT ROWID""",
    "DROP TRIGGER run_deleted",
    """CREATE TRIGGER run_deleted AFTER DELETE ON run BEGIN
  DELETE FROM checkpoint WHERE id BETWEEN old.no << 28 AND ((old.no + 1) << 28) - 1;
  DELETE FROM event WHERE id BETWEEN old.no << 28 AND ((old.no + 1) << 28) - 1;
  DELETE FROM span WHERE id BETWEEN old.no << 28 AND ((old.no + 1) << 28) - 1;
  DELETE FROM journal WHERE id BETWEEN old.no << 32 AND ((old.no + 1) << 32) - 1;
  DELETE FROM failure WHERE run = old.no;
END""",
)
_VERSION_3 = (
    """CREATE TABLE recall (
  key TEXT NOT NULL,
  at INTEGER NOT NULL,
  checkpoint INTEGER NOT NULL REFERENCES checkpoint (id),
  PRIMARY KEY (key, at, checkpoint)
) WITHOUT ROWID""",
    "CREATE INDEX recall_checkpoint ON recall (checkpoint)",
    """CREATE INDEX checkpoint_file ON checkpoint (codec, body)
WHERE codec >= 'file:' AND codec < 'file;'""",
    "DROP TRIGGER run_deleted",
    """CREATE TRIGGER run_deleted AFTER DELETE ON run BEGIN
  DELETE FROM recall WHERE checkpoint BETWEEN old.no << 28 AND ((old.no + 1) << 28) - 1;
  DELETE FROM checkpoint WHERE id BETWEEN old.no << 28 AND ((old.no + 1) << 28) - 1;
  DELETE FROM event WHERE id BETWEEN old.no << 28 AND ((old.no + 1) << 28) - 1;
  DELETE FROM span WHERE id BETWEEN old.no << 28 AND ((old.no + 1) << 28) - 1;
  DELETE FROM journal WHERE id BETWEEN old.no << 32 AND ((old.no + 1) << 32) - 1;
  DELETE FROM failure WHERE run = old.no;
END""",
)
_VERSION_4 = (
    "CREATE TABLE resource (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE)",
    "CREATE TABLE scope (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE)",
    """CREATE TABLE segment (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  traces INTEGER NOT NULL,
  spans INTEGER NOT NULL,
  start INTEGER NOT NULL,
  "end" INTEGER NOT NULL,
  longest INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  dead INTEGER NOT NULL DEFAULT 0
)""",
    'CREATE INDEX segment_end ON segment ("end")',
    """CREATE TABLE segment_column (
  id INTEGER PRIMARY KEY,
  segment INTEGER NOT NULL REFERENCES segment (id),
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  type TEXT NOT NULL,
  least,
  most,
  body BLOB NOT NULL,
  UNIQUE (segment, owner, name, type)
)""",
    """CREATE TABLE segment_dead (
  segment INTEGER NOT NULL REFERENCES segment (id),
  trace INTEGER NOT NULL,
  PRIMARY KEY (segment, trace)
) WITHOUT ROWID""",
    "ALTER TABLE run ADD COLUMN segment INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE run ADD COLUMN place INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX run_unsealed ON run (no) WHERE segment = 0",
    """CREATE TABLE foreign_trace (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  trace_id TEXT NOT NULL UNIQUE,
  start INTEGER NOT NULL,
  "end" INTEGER NOT NULL,
  spans INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  root_name TEXT NOT NULL,
  root_service TEXT NOT NULL,
  root_status INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '',
  updated INTEGER NOT NULL,
  batches INTEGER NOT NULL DEFAULT 0,
  segment INTEGER NOT NULL DEFAULT 0,
  place INTEGER NOT NULL DEFAULT 0
)""",
    "CREATE INDEX foreign_trace_start ON foreign_trace (start)",
    "CREATE INDEX foreign_trace_unsealed ON foreign_trace (no) WHERE segment = 0",
    """CREATE TABLE foreign_batch (
  id INTEGER PRIMARY KEY,
  trace INTEGER AS (id >> 28) VIRTUAL REFERENCES foreign_trace (no),
  body BLOB NOT NULL
)""",
    """CREATE TABLE segment_body (
  id INTEGER PRIMARY KEY,
  segment INTEGER AS (id >> 28) VIRTUAL REFERENCES segment (id),
  body BLOB NOT NULL
)""",
    """CREATE TRIGGER segment_dead_added AFTER INSERT ON segment_dead BEGIN
  UPDATE segment SET dead = dead + 1 WHERE id = new.segment;
END""",
    """CREATE TRIGGER foreign_trace_deleted AFTER DELETE ON foreign_trace BEGIN
  DELETE FROM foreign_batch WHERE id BETWEEN old.no << 28 AND ((old.no + 1) << 28) - 1;
  INSERT OR IGNORE INTO segment_dead (segment, trace)
    SELECT old.segment, old.place WHERE old.segment > 0;
  UPDATE run SET segment = 0, place = 0 WHERE run_id = old.trace_id AND segment > 0;
END""",
    """CREATE TRIGGER run_left_segment AFTER DELETE ON run BEGIN
  INSERT OR IGNORE INTO segment_dead (segment, trace)
    SELECT old.segment, old.place WHERE old.segment > 0;
  DELETE FROM foreign_trace WHERE trace_id = old.run_id;
END""",
    """CREATE TRIGGER segment_deleted AFTER DELETE ON segment BEGIN
  DELETE FROM segment_column WHERE segment = old.id;
  DELETE FROM segment_body WHERE id BETWEEN old.id << 28 AND ((old.id + 1) << 28) - 1;
  DELETE FROM segment_dead WHERE segment = old.id;
END""",
)
_VERSION_5 = ("ALTER TABLE run ADD COLUMN nodes BLOB",)
"""What each node of the run did, where ``plan`` has something else for its version."""
_VERSION_6 = (
    "ALTER TABLE run ADD COLUMN batches INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE remote_kind (
  id INTEGER PRIMARY KEY,
  status TEXT NOT NULL,
  flow TEXT NOT NULL,
  tag TEXT NOT NULL,
  tenant TEXT NOT NULL,
  runs INTEGER NOT NULL DEFAULT 0,
  UNIQUE (status, flow, tag, tenant)
)""",
    """CREATE TABLE remote_run (
  seq INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  kind INTEGER NOT NULL REFERENCES remote_kind (id),
  state INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  workflow TEXT NOT NULL DEFAULT '',
  body BLOB NOT NULL
)""",
    "CREATE INDEX remote_run_kind ON remote_run (kind)",
    "CREATE INDEX remote_run_workflow ON remote_run (workflow, kind) WHERE workflow <> ''",
    """CREATE TABLE remote_cancel (
  run_id TEXT PRIMARY KEY,
  seq INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  body BLOB NOT NULL
) WITHOUT ROWID""",
    """CREATE TABLE remote_letter (
  seq INTEGER PRIMARY KEY,
  dl_id TEXT NOT NULL UNIQUE,
  tenant TEXT NOT NULL
)""",
    """CREATE TABLE remote_position (
  stream TEXT PRIMARY KEY,
  created TEXT NOT NULL,
  seq INTEGER NOT NULL,
  traced INTEGER NOT NULL
) WITHOUT ROWID""",
)
_VERSION_7 = (
    """CREATE TABLE remote_trace (
  trace_id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  joins INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID""",
    """CREATE TABLE remote_group (
  tenant TEXT NOT NULL,
  fp TEXT NOT NULL,
  seq INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (tenant, fp)
) WITHOUT ROWID""",
    """CREATE TRIGGER foreign_trace_owned AFTER DELETE ON foreign_trace BEGIN
  DELETE FROM remote_trace WHERE trace_id = old.trace_id;
END""",
)
STEPS: tuple[tuple[str, ...], ...] = (
    _VERSION_1,
    _VERSION_2,
    _VERSION_3,
    _VERSION_4,
    _VERSION_5,
    _VERSION_6,
    _VERSION_7,
)
"""Statements that lead from each schema version to the next; version 0 is an empty file."""
