package view

// Every statement is here, so that a test can ask SQLite for the plan of each.
const (
	insertPrediction = `INSERT INTO predictions (num, model, status, reference, tenant, closed, due, claimed, unheard, expires, goes, state, source, id, first_seen)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updatePrediction = `UPDATE predictions SET model = ?2, status = ?3, reference = ?4, tenant = ?5, closed = ?6, due = ?7, claimed = ?8, unheard = ?9,
		expires = ?10, goes = ?11, state = ?12 WHERE num = ?1`
	deletePrediction = `DELETE FROM predictions WHERE num = ?`

	insertEvent  = `INSERT OR IGNORE INTO events (seq, prediction, id, kind, status, origin, stored, received, conflict, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	deleteEvents = `DELETE FROM events WHERE prediction = ?`

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
	nextTenant     = `SELECT min(tenant) FROM predictions WHERE tenant > ?`
	nextModel      = `SELECT min(model) FROM predictions WHERE model > ?`
	sourceStatuses = `SELECT min(status) FROM predictions WHERE source = ? AND status > ?`
	modelStatuses  = `SELECT min(status) FROM predictions WHERE model = ? AND status > ?`

	// numsByUnheard reads those that ended or were given up.
	numsByUnheard = `SELECT num FROM predictions WHERE unheard = 1 AND num < ? ORDER BY num DESC LIMIT ?`
	numsByFailing = `SELECT DISTINCT prediction FROM lanes WHERE consumer = ? AND verdict = 'retry' AND prediction < ? ORDER BY prediction DESC LIMIT ?`
	numsByDead    = `SELECT DISTINCT num FROM dead WHERE consumer = ? AND num < ? ORDER BY num DESC LIMIT ?`

	lastNum        = `SELECT max(num) FROM predictions`
	numFrom        = `SELECT num, first_seen FROM predictions WHERE num >= ? ORDER BY num LIMIT 1`
	selectRow      = `SELECT source, status, reference, tenant, model, first_seen, closed, due, polls, id, unheard, expires, state FROM predictions WHERE num = ?`
	selectByPrefix = `SELECT due, polls, state FROM predictions WHERE source = ? AND id >= ? AND id < ? ORDER BY id LIMIT ?`

	// In no order.
	numsByPrefix  = `SELECT num FROM predictions WHERE source = ? AND id >= ? AND id < ? LIMIT ?`
	numsByExpires = `SELECT num FROM predictions WHERE expires > ? AND expires <= ? LIMIT ?`
)

// Attempts and lanes.
const (
	hasEvent = `SELECT prediction FROM events WHERE seq = ?`
	setLane  = `INSERT INTO lanes (seq, consumer, prediction, mark, at, took, try, verdict, error, next) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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

	// Lanes that were told before their event was folded.
	placeLanes = `UPDATE lanes SET prediction = (SELECT prediction FROM events WHERE events.seq = lanes.seq) WHERE seq > ? AND seq <= ?`

	// A row when the event has that many lanes, and the consumer none.
	hasOtherLanes = `SELECT 1 FROM lanes WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM lanes WHERE seq = ?1 AND consumer = ?2) LIMIT 1 OFFSET ?3 - 1`

	selectNum      = `SELECT num, state FROM predictions WHERE source = ? AND id = ?`
	selectEvents   = `SELECT seq, id, kind, status, origin, stored, received, conflict FROM events WHERE prediction = ? AND seq < ? ORDER BY seq DESC LIMIT ?`
	selectLanes    = `SELECT consumer, mark, at, took, try, verdict, error, next FROM lanes WHERE seq = ? ORDER BY consumer LIMIT ?`
	selectStanding = `SELECT events.seq, events.id, lanes.mark, lanes.at, lanes.verdict FROM events CROSS JOIN lanes ON lanes.seq = events.seq AND lanes.consumer = ?
		WHERE events.prediction = ? ORDER BY events.seq DESC LIMIT ?`
	selectStandings = `SELECT events.id, lanes.consumer, lanes.mark, lanes.at, lanes.verdict FROM events CROSS JOIN lanes ON lanes.seq = events.seq
		WHERE events.prediction = ? ORDER BY events.seq DESC LIMIT ?`
	selectAttempts = `SELECT at, took, try, verdict, error FROM attempts WHERE seq = ? AND consumer = ? ORDER BY at`
)

// Dead letters, kept deliveries, alarms and counts.
const (
	insertDead = `INSERT OR IGNORE INTO dead (seq, consumer, cause, fault, error, attempts, redrives, at, stored, source, prediction, event, model, status, problem, family, num)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, (SELECT num FROM predictions WHERE source = ?10 AND id = ?11))`
	placeDead   = `UPDATE dead SET num = ?1 WHERE source = ?2 AND prediction = ?3`
	unplaceDead = `UPDATE dead SET num = NULL WHERE source = (SELECT source FROM predictions WHERE num = ?1) AND prediction = (SELECT id FROM predictions WHERE num = ?1)`
	selectDead  = `SELECT seq, consumer, cause, fault, error, attempts, redrives, at, stored, source, prediction, event, model, status, problem, id
		FROM (SELECT * FROM dead WHERE seq = ?) JOIN (SELECT family, id FROM dead_groups) USING (family)`
	selectDeadOf = `SELECT seq, consumer, cause, fault, error, attempts, redrives, at, stored, source, prediction, event, model, status, problem, NULL
		FROM dead WHERE source = ? AND prediction = ? ORDER BY seq DESC LIMIT ?`
	numsOfDead           = `SELECT seq FROM dead WHERE seq < ? ORDER BY seq DESC LIMIT ?`
	numsOfDeadPrediction = `SELECT seq FROM dead WHERE source = ? AND prediction = ? AND seq < ? ORDER BY seq DESC LIMIT ?`
	numsByConsumer       = `SELECT seq FROM dead WHERE consumer = ? AND cause = ? AND seq < ? ORDER BY seq DESC LIMIT ?`
	nextConsumer         = `SELECT min(consumer) FROM dead WHERE consumer > ?`
	consumerCauses       = `SELECT min(cause) FROM dead WHERE consumer = ? AND cause > ?`
	deleteDeadSeq        = `DELETE FROM dead WHERE seq = ? RETURNING family, stored`
	deleteDeadTo         = `DELETE FROM dead WHERE seq < ? RETURNING family, stored`

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
)

// What goes when its time is over.
const (
	expiredPredictions = `SELECT num FROM predictions WHERE goes < ? AND goes IS NOT NULL ORDER BY goes LIMIT ?`
)

// What is erased.
const (
	countPrediction = `SELECT count(*) FROM predictions WHERE source = ? AND id = ?`
	countDeadOf     = `SELECT count(*) FROM dead WHERE source = ? AND prediction = ?`
	deleteDeadOf    = `DELETE FROM dead WHERE source = ? AND prediction = ? RETURNING family, stored`
	nextKeys        = `SELECT source, id FROM predictions WHERE (source, id) > (?, ?) ORDER BY source, id LIMIT ?`
)
