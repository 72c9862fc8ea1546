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
