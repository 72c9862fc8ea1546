package view

// Every statement is here, so that a test can ask SQLite for the plan of each.
const (
	selectForFold = `SELECT num, polls, state FROM predictions WHERE source = ? AND id = ?`

	insertPrediction = `INSERT INTO predictions (num, source, id, model, status, reference, tenant, first_seen, closed, due, claimed, state)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updatePrediction = `UPDATE predictions SET model = ?2, status = ?3, reference = ?4, tenant = ?5, closed = ?6, due = ?7, claimed = ?8, state = ?9 WHERE num = ?1`
	deletePrediction = `DELETE FROM predictions WHERE num = ?`

	insertEvent  = `INSERT OR IGNORE INTO events (seq, prediction, id, kind, status, origin, stored, received, conflict) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	deleteEvents = `DELETE FROM events WHERE prediction = ?`

	addMinute = `INSERT INTO minutes (minute, source, model, status, n, queued_n, queued, inference_n, inference, webhook_n, webhook)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
