package admin

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/clientaddr"
)

// Audit keeps who changed what.
type Audit interface {
	// Append gives the change its sequence and keeps it. It tells nobody but the log when it
	// cannot: the change is made.
	Append(change adminapi.Change)
	// List returns at most limit changes before the sequence, the newest first; zero is from
	// the newest on. Next is where the following page begins, zero at the end. Lost counts
	// what could not be kept.
	List(before uint64, limit int) (changes []adminapi.Change, next, lost uint64, err error)
}

// Limits of a line, in bytes.
const (
	maxAuditPath      = 512
	maxAuditSelection = 2048
)

// RegisterAudit adds the route that lists the audit.
func RegisterAudit(api *echo.Group, audit Audit) {
	api.GET("/audit", get(func(c echo.Context) (list adminapi.AuditList, err error) {
		limit, before := defaultEntries, uint64(0)
		if text := c.QueryParam("limit"); text != "" {
			if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxEntries {
				return list, badRequest("limit is 1 to %d", maxEntries)
			}
		}
		if text := c.QueryParam("cursor"); text != "" {
			if before, err = strconv.ParseUint(text, 36, 64); err != nil || before == 0 {
				return list, errCursor
			}
		}
		changes, next, lost, err := audit.List(before, limit)
		if err != nil {
			return list, err
		}
		list.Changes, list.Lost = append([]adminapi.Change{}, changes...), lost
		if next > 0 {
			list.Next = strconv.FormatUint(next, 36)
		}
		return list, nil
	}))
}

// line is what a handler tells of the change that it makes, see [selects] and [changes].
type line struct {
	selection string
	count     *int
	dryRun    bool
	path      string // in place of the call's
}

// lineKey is where the context of a request has its line.
const lineKey = "audit"

// selects tells the audit what the call selects: the call itself, unless that holds what the
// audit must not keep. The last one counts. A call whose JSON has a true dry_run leaves no line.
func selects(c echo.Context, call any) {
	l, ok := c.Get(lineKey).(*line)
	if !ok {
		return // it is not audited
	}
	text, err := json.Marshal(call)
	if err != nil {
		return // the line says where and when all the same
	}
	var how struct {
		DryRun bool `json:"dry_run"`
	}
	// What is no object has no dry run.
	l.dryRun = json.Unmarshal(text, &how) == nil && how.DryRun
	text = pseudonymous(text)
	if l.selection = cut(string(text), maxAuditSelection); l.selection == "{}" {
		l.selection = ""
	}
}

// customers are the fields of calls that name a customer's prediction, or a customer.
var customers = []string{"prediction", "tenant"}

// pseudonymous replaces names in a call by their hashes: the audit stays when a prediction is
// erased. The hash is [bridge.ErasedHash] with the source of the call, empty when it has none.
func pseudonymous(call []byte) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(call, &fields) != nil {
		return call
	}
	changed, source := false, ""
	_ = json.Unmarshal(fields["source"], &source)
	for _, name := range customers {
		var text string
		if json.Unmarshal(fields[name], &text) == nil && text != "" {
			changed, fields[name] = true, json.RawMessage(`"`+adminapi.HashedName(source, text)+`"`)
		}
	}
	if !changed {
		return call
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return nil
	}
	return out
}

// pathOf is the path of the call, with the hash of a prediction in place of its id.
func pathOf(c echo.Context) string {
	if strings.HasPrefix(strings.TrimPrefix(c.Path(), APIPrefix), "/predictions/:source/:id") {
		source, id, err := predictionOf(c)
		if err != nil {
			return ""
		}
		return "/predictions/" + source + "/" + adminapi.HashedName(source, id)
	}
	return cut(strings.TrimPrefix(c.Request().URL.EscapedPath(), APIPrefix), maxAuditPath)
}

// becomes tells the audit the path of what the call has made.
func becomes(c echo.Context, path string) {
	if l, ok := c.Get(lineKey).(*line); ok {
		l.path = path
	}
}

// changes tells the audit how many things the call has changed.
func changes(c echo.Context, count int) {
	if l, ok := c.Get(lineKey).(*line); ok {
		l.count = &count
	}
}

// audited runs a handler that changes something, and appends its line before the end of the
// answer is sent. What was refused changed nothing and leaves none.
func (s *Server) audited(c echo.Context, who caller, scope string, next echo.HandlerFunc) error {
	l, r := &line{}, c.Request()
	c.Set(lineKey, l)
	err := recovering(next)(c)
	status := c.Response().Status
	if err != nil && !c.Response().Committed {
		status = problemOf(err).Status
	}
	if l.dryRun || status >= http.StatusBadRequest && status < http.StatusInternalServerError {
		return err
	}
	s.audit.Append(adminapi.Change{
		At: time.Now().UTC(), Who: who.name, Scope: scope,
		Route: r.Method + " " + strings.TrimPrefix(c.Path(), APIPrefix), Path: cmp.Or(l.path, pathOf(c)),
		Selection: l.selection, Count: l.count, Status: status,
		From: clientaddr.Parse(r.RemoteAddr).String(), RequestID: requestID(c),
	})
	return err
}

// cut returns at most limit bytes of a text, of whole characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
