package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// defaultLimit and maxLimit bound a page.
	defaultLimit, maxLimit = 50, 1000
	// maxExamined bounds the rows that one page looks at: a page of a rare combination is
	// short, or empty, and has a cursor nevertheless.
	maxExamined = 2000
	// maxBranches bounds the lists that are merged into one.
	maxBranches = 64
)

// ErrCursor is wrapped when a cursor is none that a list returned.
var ErrCursor = adminapi.ErrCursor

// Query selects predictions. Every set field must match.
type Query struct {
	Source, Status    string
	Reference, Tenant string
	// Model is a glob as in [bridge.Filter].
	Model string
	// IDPrefix begins the ids.
	IDPrefix string
	// Consumers say how consumers did.
	Consumers []Standing
	// Open selects those that have neither ended nor been given up.
	Open bool
	// Missing selects those whose end was expected and that no webhook has told of: those that
	// polls found ended, were given up, or are open and overdue.
	Missing bool
	// ExpiresBefore selects those with outputs that no archive has and that the provider
	// deletes from now on until then.
	ExpiresBefore time.Time
	// Since and Until bound when the first event was stored: from Since on, before Until.
	Since, Until time.Time
	// Cursor is what the page before returned; empty begins with the newest.
	Cursor string
	// Limit is how many predictions a page has at most, 50 when zero, at most 1,000.
	Limit int

	listed int // maxListed when zero, less in tests
}

// Row is one prediction of a list.
type Row struct {
	State *bridge.PredictionState
	// Due is when it is polled next, zero for never, and Polls how often it was.
	Due   time.Time
	Polls int
	// Expires is when the provider deletes outputs that no archive has, zero when there are
	// none, or when it keeps them.
	Expires time.Time
	// Standings are those of the consumers that told of an event of the prediction, by name: with
	// each the worst of its last events. Only [View.Predictions] has them.
	Standings []Standing
}

// Predictions returns a page of predictions, the newest first: those whose first event was
// stored last. Next is the cursor of the following page, empty at the end. A page can have
// fewer rows than the limit, also none, and be followed by others. The error wraps
// [ErrCursor] or [ErrUnavailable].
func (v *View) Predictions(ctx context.Context, q Query) (page []Row, next string, err error) {
	before, limit, err := pageOf(q.Cursor, q.Limit)
	if err != nil {
		return nil, "", err
	}
	now, most := time.Now(), maxExamined
	if len(q.Consumers) > 0 {
		most = maxStood
	}
	err = v.read(ctx, func(c *conn) error {
		branches, err := c.branches(q, now)
		if err != nil {
			return err
		}
		lower := int64(minCursor)
		if !q.Since.IsZero() {
			if lower, err = c.firstAt(lastNum, numFrom, q.Since); err != nil {
				return err
			}
		}
		if !q.Until.IsZero() {
			until, err := c.firstAt(lastNum, numFrom, q.Until)
			if err != nil {
				return err
			}
			before = min(before, until)
		}
		next, err = c.newest(branches, lower, before, limit, most, func(num int64) (bool, error) {
			row, err := c.row(q, num, now)
			if row == nil || err != nil {
				return false, err
			}
			row.Standings, err = c.standings(num, row.State.Source, row.State.ID)
			page = append(page, *row)
			return true, err
		})
		return err
	})
	return page, next, err
}

const (
	minCursor = -1 << 62
	maxCursor = 1 << 62
)

// pageOf reads the cursor and the limit of a request.
func pageOf(cursor string, limit int) (before int64, most int, err error) {
	before = maxCursor
	if cursor != "" {
		if before, err = strconv.ParseInt(cursor, 36, 64); err != nil || before < minCursor || before > maxCursor {
			return 0, 0, fmt.Errorf("%.20q: %w", cursor, ErrCursor)
		}
	}
	if limit <= 0 {
		limit = defaultLimit
	}
	return before, min(limit, maxLimit), nil
}

// cursorOf is the cursor of what follows the number.
func cursorOf(num int64) string { return strconv.FormatInt(num, 36) }

// branch is a list of numbers, the newest first: a statement whose last two arguments are the
// number to stay below and the limit, or the numbers themselves.
type branch struct {
	sql  string
	args []any
	nums []int64
}

// below adds up to limit numbers of the branch below before.
func (c *conn) below(b branch, before int64, limit int, nums []int64) ([]int64, error) {
	if b.sql == "" {
		from, _ := slices.BinarySearchFunc(b.nums, before-1, newestFirst)
		return append(nums, b.nums[from:min(from+limit, len(b.nums))]...), nil
	}
	args := append(slices.Clone(b.args), before, limit)
	err := c.query(b.sql, func(s *sqlite3.Stmt) error { nums = append(nums, s.ColumnInt64(0)); return nil }, args...)
	return nums, err
}

func newestFirst(a, b int64) int { return cmp.Compare(b, a) }

// newest merges branches, from below before down to lower, and calls take with each number
// until limit were taken, or most were looked at. It returns the cursor of what follows.
func (c *conn) newest(branches []branch, lower, before int64, limit, most int, take func(num int64) (taken bool, err error)) (next string, err error) {
	chunk := limit
	for examined := 0; ; {
		var nums []int64
		for _, b := range branches {
			if nums, err = c.below(b, before, chunk, nums); err != nil {
				return "", err
			}
		}
		slices.SortFunc(nums, newestFirst)
		more := len(nums) >= chunk
		nums = slices.Compact(nums) // a number can be in several branches
		for _, num := range nums[:min(len(nums), chunk)] {
			if num < lower && num > 0 {
				before, more = 1, true // restored predictions are below, in an order of their own
				break
			}
			taken, err := take(num)
			if err != nil {
				return "", err
			}
			examined++
			if before = num; taken {
				limit--
			}
			if limit == 0 || examined >= most {
				return cursorOf(num), nil
			}
		}
		if !more {
			return "", nil
		}
		chunk = min(2*chunk, maxLimit)
	}
}

// branchesBy returns a branch for each key and each of its statuses, or that of everything
// when there are too many.
func (c *conn) branchesBy(q Query, sql, statuses, all string, keys func(visit func(string) bool) error) (out []branch, err error) {
	var failed error
	err = keys(func(key string) bool {
		if q.Status != "" {
			out = append(out, branch{sql: sql, args: []any{key, q.Status}})
			return len(out) <= maxBranches
		}
		failed = c.skip(statuses, "", func(status string) bool {
			if !q.Open || !bridge.Terminal(status) {
				out = append(out, branch{sql: sql, args: []any{key, status}})
			}
			return len(out) <= maxBranches
		}, key)
		return failed == nil && len(out) <= maxBranches
	})
	if len(out) > maxBranches || errors.Is(err, errMany) {
		return []branch{{sql: all}}, failed
	}
	return out, errors.Join(err, failed)
}

// errMany: there are more keys than one page may look at.
var errMany = errors.New("too many keys")

// models calls visit with the models that the glob matches. The error can be errMany.
func (c *conn) models(glob string, visit func(model string) bool) error {
	prefix, _, globbed := strings.Cut(glob, "*")
	if !globbed {
		visit(glob)
		return nil
	}
	if matches(glob, "") && !visit("") {
		return nil
	}
	examined := 0
	// The skip begins behind a key, so the prefix itself is looked at first.
	if prefix != "" && matches(glob, prefix) && !visit(prefix) {
		return nil
	}
	err := c.skip(nextModel, prefix, func(model string) bool {
		if !strings.HasPrefix(model, prefix) {
			return false
		}
		examined++
		return examined <= maxExamined && (!matches(glob, model) || visit(model))
	})
	if examined > maxExamined {
		err = errors.Join(err, errMany)
	}
	return err
}

// skip calls visit with each distinct value behind the one given, in order, until it returns
// false. The statement's last argument is the value to begin behind.
func (c *conn) skip(sql, behind string, visit func(value string) bool, args ...any) error {
	for {
		found := false
		err := c.query(sql, func(s *sqlite3.Stmt) error {
			found, behind = s.ColumnType(0) != sqlite3.NULL, s.ColumnText(0)
			return nil
		}, append(slices.Clone(args), behind)...)
		if err != nil || !found || !visit(behind) {
			return err
		}
	}
}

// Find returns up to limit predictions whose id begins with the prefix, by source and id. An
// empty source is every one.
func (v *View) Find(ctx context.Context, source, prefix string, limit int) (rows []Row, err error) {
	_, limit, err = pageOf("", limit)
	if err != nil {
		return nil, err
	}
	err = v.read(ctx, func(c *conn) error {
		var failed error
		in := func(source string) bool {
			failed = c.query(selectByPrefix, func(s *sqlite3.Stmt) error {
				state, err := stateOf(s, 2)
				rows = append(rows, Row{State: state, Due: timeOf(s, 0), Polls: s.ColumnInt(1)})
				return err
			}, source, prefix, prefix+"\xff", limit-len(rows)) // behind every UTF-8
			return failed == nil && len(rows) < limit
		}
		if source != "" {
			in(source)
			return failed
		}
		err := c.skip(nextSource, "", in)
		return errors.Join(err, failed)
	})
	return rows, err
}

// matches reports whether the model matches the glob.
func matches(glob, model string) bool {
	return bridge.Filter{Model: glob}.Match(&bridge.Event{Model: model})
}

// Tenant returns the first name of a tenant, in their order, for which is returns true, "" when
// there is none. The error wraps [ErrUnavailable].
func (v *View) Tenant(ctx context.Context, is func(name string) bool) (found string, err error) {
	err = v.read(ctx, func(c *conn) error {
		return c.skip(nextTenant, "", func(name string) bool {
			if is(name) {
				found = name
			}
			return found == ""
		})
	})
	return found, err
}
