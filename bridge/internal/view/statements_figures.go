package view

// Groups of dead letters.
const (
	groupByID    = `SELECT family, n, first, last_seq, last, histogram FROM dead_groups WHERE id = ?`
	groupByRow   = `SELECT n, first, last_seq, last, histogram FROM dead_groups WHERE family = ?`
	insertGroup  = `INSERT INTO dead_groups (id, consumer, cause, error, n, first, last_seq, last, histogram) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING family`
	updateGroup  = `UPDATE dead_groups SET n = ?2, first = ?3, last_seq = ?4, last = ?5, histogram = ?6 WHERE family = ?1`
	deleteGroup  = `DELETE FROM dead_groups WHERE family = ?`
	firstOfGroup = `SELECT seq, stored FROM dead WHERE family = ? ORDER BY seq LIMIT 1`
	lastOfGroup  = `SELECT seq, stored FROM dead WHERE family = ? ORDER BY seq DESC LIMIT 1`
	numsByGroup  = `SELECT seq FROM dead WHERE family = ? AND seq < ? ORDER BY seq DESC LIMIT ?`

	nextDeadSource = `SELECT min(source) FROM dead WHERE source > ? AND prediction IS NOT NULL`

	numsOfGroups        = `SELECT last_seq FROM dead_groups WHERE last_seq < ? ORDER BY last_seq DESC LIMIT ?`
	numsOfGroupsAmong   = `SELECT last_seq FROM dead_groups WHERE consumer = ? AND last_seq < ? ORDER BY last_seq DESC LIMIT ?`
	selectGroupByLatest = `SELECT id, consumer, cause, error, n, first, last_seq, last, histogram FROM dead_groups WHERE last_seq = ?`
)

// Counts.
const (
	lagsOfActivity = `SELECT lags FROM activity WHERE span = ? AND start = ? AND source = ? AND model = ? AND status = ?`
	addActivity    = `INSERT INTO activity (span, start, source, model, status, n, lags) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET n = n + excluded.n, lags = coalesce(excluded.lags, lags)`
	selectActivity = `SELECT start, source, model, status, n, lags FROM activity WHERE span = ? AND start >= ? AND start < ? LIMIT ?`
	deleteActivity = `DELETE FROM activity WHERE span = ? AND start < ?`
	countActivity  = `SELECT count(*), min(start) FROM activity WHERE span = ?`

	addTally      = `INSERT INTO tallies (span, start, source, what, n) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n`
	selectTallies = `SELECT start, what, n FROM tallies WHERE span = ? AND start >= ? AND start < ?`
	deleteTallies = `DELETE FROM tallies WHERE span = ? AND start < ?`
	countTallies  = `SELECT count(*), min(start) FROM tallies WHERE span = ?`

	hasFailure = `SELECT 1 FROM failures WHERE span = ? AND start = ? AND source = ? AND model = ? AND error = ?`
	// A row when there are more errors than that.
	hasFailures = `SELECT 1 FROM failures WHERE span = ? AND start = ? AND source = ? AND model = ? LIMIT 1 OFFSET ?`
	addFailure  = `INSERT INTO failures (span, start, source, model, error, n, last) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET n = n + excluded.n, last = max(last, excluded.last)`
	selectFailures = `SELECT source, model, error, n, last FROM failures WHERE span = ? AND start >= ? AND start < ?`
	deleteFailures = `DELETE FROM failures WHERE span = ? AND start < ?`
	countFailures  = `SELECT count(*), min(start) FROM failures WHERE span = ?`

	selectAlarms = `SELECT seq, kind, subject, body, stored FROM alarms WHERE seq <= ? ORDER BY seq DESC LIMIT ?`

	predictionOfEvent = `SELECT source, id FROM predictions WHERE num = (SELECT prediction FROM events WHERE seq = ?)`
	countExpiring     = `SELECT count(*), min(expires) FROM predictions WHERE expires > ?`
	countExpired      = `SELECT count(*) FROM predictions WHERE expires <= ?`
	oldestKept        = `SELECT stored FROM kept WHERE stream = ? ORDER BY seq LIMIT 1`
)

// How consumers do.
const (
	setBacklog    = `INSERT INTO backlogs (start, consumer, pending) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET pending = excluded.pending`
	selectBacklog = `SELECT start, pending FROM backlogs WHERE consumer = ? AND start > ? ORDER BY start`
	deleteBacklog = `DELETE FROM backlogs WHERE start <= ?`

	attemptsOfConsumer = `SELECT took, verdict, at FROM lanes WHERE consumer = ? AND seq > ?`
)

// The list of events.
const (
	numsOfEvents     = `SELECT seq FROM events WHERE seq < ? ORDER BY seq DESC LIMIT ?`
	numsByPrediction = `SELECT seq FROM events WHERE prediction = ? AND seq < ? ORDER BY seq DESC LIMIT ?`
	selectEvent      = `SELECT events.id, kind, events.status, origin, stored, received, bytes, source, predictions.id, model
		FROM events JOIN predictions ON num = prediction WHERE seq = ?`
	lastEvent = `SELECT max(seq) FROM events`
	eventFrom = `SELECT seq, stored FROM events WHERE seq >= ? ORDER BY seq LIMIT 1`

	selectHorizon = `SELECT seq FROM horizon WHERE one = 1`
	raiseHorizon  = `INSERT INTO horizon (one, seq) SELECT 1, coalesce(max(seq), 0) FROM events WHERE prediction = ?
		ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)`
)
