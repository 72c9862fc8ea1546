package view

// Every statement is here, so that a test can ask SQLite for the plan of each.
const (
	insertPrediction = `INSERT INTO predictions (num, source, id, model, status, reference, tenant, first_seen, closed, due, claimed, state)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updatePrediction = `UPDATE predictions SET model = ?2, status = ?3, reference = ?4, tenant = ?5, closed = ?6, due = ?7, claimed = ?8, state = ?9 WHERE num = ?1`
	deletePrediction = `DELETE FROM predictions WHERE num = ?`

	insertEvent  = `INSERT OR IGNORE INTO events (seq, prediction, id, kind, status, origin, stored, received, conflict) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	deleteEvents = `DELETE FROM events WHERE prediction = ?`

	addActivity = `INSERT INTO activity (span, start, source, model, status, n, queued_n, queued, inference_n, inference, webhook_n, webhook)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET n = n + excluded.n, queued_n = queued_n + excluded.queued_n, queued = queued + excluded.queued,
			inference_n = inference_n + excluded.inference_n, inference = inference + excluded.inference,
			webhook_n = webhook_n + excluded.webhook_n, webhook = webhook + excluded.webhook`

	selectPositions = `SELECT stream, created, seq, stored, goal FROM positions`
	setPosition     = `INSERT OR REPLACE INTO positions (stream, created, seq, stored, goal) VALUES (?, ?, ?, ?, ?)`

	selectPrediction = `SELECT state FROM predictions WHERE source = ? AND id = ?`

	setDue       = `UPDATE predictions SET due = ?3, polls = ?4 WHERE source = ?1 AND id = ?2 AND closed IS NULL`
	nextPolls    = `SELECT min(polls) FROM predictions WHERE source = ? AND claimed = ? AND polls > ? AND closed IS NULL`
	selectDue    = `SELECT state, due FROM predictions WHERE source = ? AND claimed = ? AND polls = ? AND due <= ? AND closed IS NULL ORDER BY due LIMIT ?`
	firstDue     = `SELECT min(due) FROM predictions WHERE source = ? AND claimed = ? AND polls = ? AND closed IS NULL`
	countOpen    = `SELECT count(*) FROM predictions WHERE source = ? AND closed IS NULL`
	countOverdue = `SELECT count(*), min(num) FROM predictions WHERE source = ? AND claimed = ? AND polls = ? AND due <= ? AND closed IS NULL`
	selectSeen   = `SELECT first_seen FROM predictions WHERE num = ?`
)

// Statements of the leader of the polling.
const (
	nextOpenSource = `SELECT min(source) FROM predictions WHERE source > ? AND closed IS NULL`
	openWithEvents = `SELECT seq, prediction FROM events WHERE seq >= ?1 AND seq < ?2
		AND EXISTS (SELECT 1 FROM predictions WHERE num = prediction AND closed IS NULL) ORDER BY seq LIMIT ?3`
	selectByNum = `SELECT state FROM predictions WHERE num = ?`
	lastClosed  = `SELECT state FROM predictions WHERE closed IS NOT NULL ORDER BY closed DESC LIMIT ?`
)

// Lists: numbers, the newest first. Each reads an index alone.
const (
	numsOfAll       = `SELECT num FROM predictions WHERE num < ? ORDER BY num DESC LIMIT ?`
	numsByStatus    = `SELECT num FROM predictions WHERE source = ? AND status = ? AND num < ? ORDER BY num DESC LIMIT ?`
	numsByModel     = `SELECT num FROM predictions WHERE model = ? AND status = ? AND num < ? ORDER BY num DESC LIMIT ?`
	numsByReference = `SELECT num FROM predictions WHERE reference = ? AND num < ? ORDER BY num DESC LIMIT ?`
	numsByTenant    = `SELECT num FROM predictions WHERE tenant = ? AND num < ? ORDER BY num DESC LIMIT ?`

	nextSource     = `SELECT min(source) FROM predictions WHERE source > ?`
	nextModel      = `SELECT min(model) FROM predictions WHERE model > ?`
	sourceStatuses = `SELECT min(status) FROM predictions WHERE source = ? AND status > ?`
	modelStatuses  = `SELECT min(status) FROM predictions WHERE model = ? AND status > ?`

	lastNum        = `SELECT max(num) FROM predictions`
	numFrom        = `SELECT num, first_seen FROM predictions WHERE num >= ? ORDER BY num LIMIT 1`
	selectRow      = `SELECT source, status, reference, tenant, model, first_seen, closed, due, polls, state FROM predictions WHERE num = ?`
	selectByPrefix = `SELECT due, polls, state FROM predictions WHERE source = ? AND id >= ? AND id < ? ORDER BY id LIMIT ?`
)

// Attempts and lanes.
const (
	hasEvent = `SELECT prediction FROM events WHERE seq = ?`
	setLane  = `INSERT INTO lanes (seq, consumer, mark, at, took, try, verdict, error, next) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET mark = excluded.mark, at = excluded.at, took = excluded.took, try = excluded.try, verdict = excluded.verdict,
			error = excluded.error, next = excluded.next WHERE excluded.at >= at`
	addAttempt    = `INSERT OR IGNORE INTO attempts (seq, consumer, at, took, try, verdict, error) VALUES (?, ?, ?, ?, ?, ?, ?)`
	boundAttempts = `DELETE FROM attempts WHERE seq = ?1 AND consumer = ?2
		AND at <= (SELECT at FROM attempts WHERE seq = ?1 AND consumer = ?2 ORDER BY at DESC LIMIT 1 OFFSET ?3)`
	deleteLanes    = `DELETE FROM lanes WHERE seq IN (SELECT seq FROM events WHERE prediction = ?)`
	deleteAttempts = `DELETE FROM attempts WHERE seq IN (SELECT seq FROM events WHERE prediction = ?)`

	// Lanes that were told before their message was folded, which is no event.
	deleteStrayLanes    = `DELETE FROM lanes WHERE seq > ? AND seq <= ? AND NOT EXISTS (SELECT 1 FROM events WHERE events.seq = lanes.seq)`
	deleteStrayAttempts = `DELETE FROM attempts WHERE seq > ? AND seq <= ? AND NOT EXISTS (SELECT 1 FROM events WHERE events.seq = attempts.seq)`

	// A row when the event has that many lanes, and the consumer none.
	hasOtherLanes = `SELECT 1 FROM lanes WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM lanes WHERE seq = ?1 AND consumer = ?2) LIMIT 1 OFFSET ?3 - 1`

	selectNum      = `SELECT num, state FROM predictions WHERE source = ? AND id = ?`
	selectEvents   = `SELECT seq, id, kind, status, origin, stored, received, conflict FROM events WHERE prediction = ? AND seq < ? ORDER BY seq DESC LIMIT ?`
	selectLanes    = `SELECT consumer, mark, at, took, try, verdict, error, next FROM lanes WHERE seq = ? ORDER BY consumer LIMIT ?`
	selectAttempts = `SELECT at, took, try, verdict, error FROM attempts WHERE seq = ? AND consumer = ? ORDER BY at`
)

// Dead letters, kept deliveries, alarms and counts.
const (
	insertDead = `INSERT OR REPLACE INTO dead (seq, consumer, cause, fault, error, attempts, redrives, at, stored, source, prediction, event, model, status)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	selectDead           = `SELECT seq, consumer, cause, fault, error, attempts, redrives, at, stored, source, prediction, event, model, status FROM dead WHERE seq = ?`
	selectDeadOf         = `SELECT seq, consumer, cause, fault, error, attempts, redrives, at, stored, source, prediction, event, model, status FROM dead WHERE source = ? AND prediction = ? ORDER BY seq DESC LIMIT ?`
	numsOfDead           = `SELECT seq FROM dead WHERE seq < ? ORDER BY seq DESC LIMIT ?`
	numsOfDeadPrediction = `SELECT seq FROM dead WHERE source = ? AND prediction = ? AND seq < ? ORDER BY seq DESC LIMIT ?`
	numsByConsumer       = `SELECT seq FROM dead WHERE consumer = ? AND cause = ? AND seq < ? ORDER BY seq DESC LIMIT ?`
	nextConsumer         = `SELECT min(consumer) FROM dead WHERE consumer > ?`
	consumerCauses       = `SELECT min(cause) FROM dead WHERE consumer = ? AND cause > ?`
	deleteDeadSeq        = `DELETE FROM dead WHERE seq = ?`
	deleteDeadTo         = `DELETE FROM dead WHERE seq < ?`

	insertKept    = `INSERT OR REPLACE INTO kept (stream, seq, source, cause, detail, received, stored, remote, request, bytes, truncated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	numsOfKept    = `SELECT seq FROM kept WHERE stream = ? AND seq < ? ORDER BY seq DESC LIMIT ?`
	selectKept    = `SELECT source, cause, detail, received, stored, remote, request, bytes, truncated FROM kept WHERE stream = ? AND seq = ?`
	deleteKeptSeq = `DELETE FROM kept WHERE stream = ? AND seq = ?`
	deleteKeptTo  = `DELETE FROM kept WHERE stream = ? AND seq < ?`

	insertAlarm    = `INSERT OR REPLACE INTO alarms (seq, kind, subject, body, stored) VALUES (?, ?, ?, ?, ?)`
	numsOfAlarms   = `SELECT seq FROM alarms WHERE seq < ? ORDER BY seq DESC LIMIT ?`
	selectAlarm    = `SELECT kind, subject, body, stored FROM alarms WHERE seq = ?`
	deleteAlarmSeq = `DELETE FROM alarms WHERE seq = ?`
	deleteAlarmsTo = `DELETE FROM alarms WHERE seq < ?`

	selectActivity = `SELECT start, source, model, status, n, queued_n, queued, inference_n, inference, webhook_n, webhook FROM activity
		WHERE span = ? AND start >= ? AND start < ? LIMIT ?`
)

// What goes when its time is over.
const (
	expiredPredictions = `SELECT num FROM predictions WHERE closed < ? AND closed IS NOT NULL ORDER BY closed LIMIT ?`
	deleteActivity     = `DELETE FROM activity WHERE span = ? AND start < ?`
	countActivity      = `SELECT count(*), min(start) FROM activity WHERE span = ?`
)

// What is erased.
const (
	countPrediction = `SELECT count(*) FROM predictions WHERE source = ? AND id = ?`
	countDeadOf     = `SELECT count(*) FROM dead WHERE source = ? AND prediction = ?`
	deleteDeadOf    = `DELETE FROM dead WHERE source = ? AND prediction = ?`
	nextKeys        = `SELECT source, id FROM predictions WHERE (source, id) > (?, ?) ORDER BY source, id LIMIT ?`
)
