package view

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
)

// MaxSince is the longest time that a question about models can span: counts are kept for twice
// as long.
const MaxSince = 30 * 24 * time.Hour

const (
	// minutesUpTo and hoursUpTo are how long a time may be that is read by minutes and by hours.
	minutesUpTo, hoursUpTo = 3 * time.Hour, 72 * time.Hour
	// maxActivityRows bounds what one question reads by minutes or hours; a longer answer is
	// read by a longer span.
	maxActivityRows = 50_000
	// topErrors is how many groups of errors a model shows.
	topErrors = 5
)

// errRows: the question would read too much.
var errRows = errors.New("too many rows")

// ModelQuery selects models with events. Every set field must match.
type ModelQuery struct {
	// Since is how long before Now the time begins that is asked for; from a minute to
	// [MaxSince].
	Since time.Duration
	Now   time.Time
	// Model is a glob as in [bridge.Filter].
	Source, Model string
	// Newest orders by the last event, otherwise by failing share × ends: by how many failed.
	Newest bool
	// Cursor and Limit are as in [Query].
	Cursor string
	Limit  int
}

// ModelFigures is what happened to the predictions of a model of a source.
type ModelFigures struct {
	Source, Model string
	// Completed, Failed and Canceled predictions ended within the time. Before has those of the
	// time before, which is as long.
	Completed, Failed, Canceled int64
	Before                      struct{ Completed, Failed, Canceled int64 }
	// LastAt is when the last span began in which something happened.
	LastAt time.Time
	// Queued is from the creation until the model ran, Inference as long as it ran, Webhook from
	// the end until the webhook came.
	Queued, Inference, Webhook Lag
	// Errors are the most frequent groups of errors of failed predictions, at most five.
	Errors []FailureGroup

	lags  lags
	start int64
}

// FailureGroup is failed predictions with the same normalised error.
type FailureGroup struct {
	// Error is what the errors have in common. "#" alone is those of no other group too.
	Error string
	N     int64
	// Source and Prediction are of the last one; empty when the view does not have it any more.
	Source, Prediction string

	last uint64
}

// ModelsPage is a page of models.
type ModelsPage struct {
	// From and Until bound the time that is counted, Step is how exactly.
	From, Until time.Time
	Step        time.Duration
	Models      []ModelFigures
	// Next is the cursor of the following page, empty at the end.
	Next string
}

type modelKey struct{ source, model string }

// Models returns what happened to predictions by source and model. The error wraps [ErrCursor]
// also for the cursor of a model that is not selected any more.
func (v *View) Models(ctx context.Context, q ModelQuery) (page ModelsPage, err error) {
	_, limit, err := pageOf("", q.Limit)
	if err != nil {
		return page, err
	}
	if q.Since < time.Minute || q.Since > MaxSince {
		return page, fmt.Errorf("models since %s: a minute to %s are possible", q.Since, MaxSince)
	}
	err = v.read(ctx, func(c *conn) error {
		for i, span := range spans {
			longest := i == len(spans)-1
			if !longest && q.Since > []time.Duration{minutesUpTo, hoursUpTo}[i] {
				continue
			}
			page = ModelsPage{Step: time.Duration(span.minutes) * time.Minute}
			most := maxActivityRows
			if longest {
				most = maxActivity
			}
			err := page.read(c, q, span.minutes, limit, most)
			if longest || !errors.Is(err, errRows) {
				return err
			}
		}
		return nil
	})
	return page, err
}

func (p *ModelsPage) read(c *conn, q ModelQuery, span int64, limit, most int) error {
	now, since := q.Now.Unix()/60, int64(q.Since/time.Minute)
	from, until := floor(now-since, span), floor(now, span)+span
	p.From, p.Until = time.Unix(from*60, 0).UTC(), q.Now.UTC()
	models := map[modelKey]*ModelFigures{}
	rows := 0
	err := c.query(selectActivity, func(s *sqlite3.Stmt) error {
		if rows++; rows > most {
			return errRows
		}
		key := modelKey{s.ColumnText(1), s.ColumnText(2)}
		m := models[key]
		if m == nil {
			if q.Source != "" && q.Source != key.source || q.Model != "" && !matches(q.Model, key.model) {
				return nil
			}
			m = &ModelFigures{Source: key.source, Model: key.model}
			models[key] = m
		}
		return m.add(s, from)
	}, span, floor(from-since, span), until, most+1)
	if err != nil {
		return err
	}
	if err := p.cut(models, q, limit); err != nil {
		return err
	}
	return p.fails(c, span, from, until)
}

// add counts a row of activities, which belongs to the time or to that before.
func (m *ModelFigures) add(s *sqlite3.Stmt, from int64) error {
	start, status, n := s.ColumnInt64(0), s.ColumnText(3), s.ColumnInt64(4)
	completed, failed, canceled := &m.Completed, &m.Failed, &m.Canceled
	if start < from {
		completed, failed, canceled = &m.Before.Completed, &m.Before.Failed, &m.Before.Canceled
	} else {
		m.start = max(m.start, start)
	}
	switch status {
	case bridge.StatusCompleted:
		*completed += n
	case bridge.StatusFailed:
		*failed += n
	case bridge.StatusCanceled:
		*canceled += n
	}
	if start < from || s.ColumnType(5) == sqlite3.NULL {
		return nil
	}
	return m.lags.addEncoded(s.ColumnRawBlob(5))
}

// cut orders the models and keeps those of the page.
func (p *ModelsPage) cut(models map[modelKey]*ModelFigures, q ModelQuery, limit int) error {
	list := make([]*ModelFigures, 0, len(models))
	for _, m := range models {
		if m.start > 0 {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b *ModelFigures) int {
		first := cmp.Compare(b.Failed, a.Failed)
		if q.Newest {
			first = cmp.Compare(b.start, a.start)
		}
		return cmp.Or(first, cmp.Compare(b.Completed+b.Canceled, a.Completed+a.Canceled), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Model, b.Model))
	})
	if q.Cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		at := slices.IndexFunc(list, func(m *ModelFigures) bool { return m.Source+"\x00"+m.Model == string(raw) })
		if err != nil || at < 0 {
			return fmt.Errorf("%.20q: %w", q.Cursor, ErrCursor)
		}
		list = list[at+1:]
	}
	if len(list) > limit {
		list = list[:limit]
		last := list[limit-1]
		p.Next = base64.RawURLEncoding.EncodeToString([]byte(last.Source + "\x00" + last.Model))
	}
	for _, m := range list {
		m.Queued, m.Inference, m.Webhook = m.lags.lag(queued), m.lags.lag(inference), m.lags.lag(webhook)
		m.LastAt = time.Unix(m.start*60, 0).UTC()
		p.Models = append(p.Models, *m)
	}
	return nil
}

// fails adds the groups of errors of the page's models.
func (p *ModelsPage) fails(c *conn, span, from, until int64) error {
	type group struct {
		modelKey
		error string
	}
	groups := map[group]*FailureGroup{}
	shown := map[modelKey]bool{}
	for i := range p.Models {
		shown[modelKey{p.Models[i].Source, p.Models[i].Model}] = p.Models[i].Failed > 0
	}
	err := c.query(selectFailures, func(s *sqlite3.Stmt) error {
		key := group{modelKey{s.ColumnText(0), s.ColumnText(1)}, s.ColumnText(2)}
		if !shown[key.modelKey] {
			return nil
		}
		f := groups[key]
		if f == nil {
			f = &FailureGroup{Error: key.error}
			groups[key] = f
		}
		f.N, f.last = f.N+s.ColumnInt64(3), max(f.last, uint64(s.ColumnInt64(4))) //nolint:gosec // as it was written
		return nil
	}, span, from, until)
	if err != nil {
		return err
	}
	of := map[modelKey][]FailureGroup{}
	for key, f := range groups {
		of[key.modelKey] = append(of[key.modelKey], *f)
	}
	for i := range p.Models {
		m := &p.Models[i]
		list := of[modelKey{m.Source, m.Model}]
		slices.SortFunc(list, func(a, b FailureGroup) int { return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Error, b.Error)) })
		m.Errors = list[:min(len(list), topErrors)]
		for j := range m.Errors {
			f := &m.Errors[j]
			err := c.query(predictionOfEvent, func(s *sqlite3.Stmt) error { f.Source, f.Prediction = s.ColumnText(0), s.ColumnText(1); return nil }, f.last)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
