package search_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/search"
	"github.com/hookspan/hookspan/internal/adminapi"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestParse(t *testing.T) {
	t.Parallel()
	type sel = adminapi.PredictionSelection
	failing := []adminapi.ConsumerStanding{{Consumer: "billing", State: adminapi.StandingFailing}}
	for text, want := range map[string]sel{
		"":                           {},
		" \t\n ":                     {},
		"pred_1":                     {IDPrefix: "pred_1"},
		"id:pred_1":                  {IDPrefix: "pred_1"},
		`"pred 1"`:                   {IDPrefix: "pred 1"},
		`id:"a:b"`:                   {IDPrefix: "a:b"},
		`"missing"`:                  {IDPrefix: "missing"},
		"id:missing":                 {IDPrefix: "missing"},
		"a=b":                        {IDPrefix: "a=b"},
		`a"b:c`:                      {IDPrefix: `a"b:c`},
		`"a\"b\\c\d"`:                {IDPrefix: `a"b\c\d`},
		"id:%_*'--":                  {IDPrefix: "%_*'--"},
		"\"\x00\u202e\"":             {IDPrefix: "\x00\u202e"},
		"model:google/*":             {Model: "google/*"},
		"model:a:b<c":                {Model: "a:b<c"},
		"status:failed":              {Status: "failed"},
		"source:get3w":               {Source: "get3w"},
		`ref:"order 7"`:              {Reference: "order 7"},
		"tenant:acme ref:x":          {Tenant: "acme", Reference: "x"},
		`tenant:"'; DROP TABLE x--"`: {Tenant: "'; DROP TABLE x--"},
		"consumer:billing=failing":   {Consumers: failing},
		"consumer:billing=failed":    {Consumers: failing},
		`consumer:"billing=failing"`: {Consumers: failing},
		"consumer:a=handled consumer:b=dead": {Consumers: []adminapi.ConsumerStanding{
			{Consumer: "a", State: adminapi.StandingHandled}, {Consumer: "b", State: adminapi.StandingDead},
		}},
		"missing":                    {Missing: true},
		"expires<24h":                {ExpiresBefore: noon.Add(24 * time.Hour)},
		"expires<7d":                 {ExpiresBefore: noon.Add(7 * 24 * time.Hour)},
		"since:90m":                  {Since: noon.Add(-90 * time.Minute)},
		"since:2026-01-01T00:00:00Z": {Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		"\u00a0missing\u2003pred\n":  {Missing: true, IDPrefix: "pred"},
	} {
		got, err := search.Parse(text, noon)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, got, "%q", text)
	}
	for text, why := range map[string]string{
		"color:red":                       `there is no key "color": possible are`,
		"pred:1":                          "whatever else is in quotes begins an id",
		"a<b":                             `there is no key "a"`,
		"Status:failed":                   `no key "Status"`,
		"missing:x":                       `no key "missing"`,
		":x":                              `no key ""`,
		"expires:24h":                     "write expires<24h",
		"model<x":                         "write model:",
		"status:":                         "a value is missing",
		`""`:                              "a value is missing",
		`ref:""`:                          "a value is missing",
		`"open`:                           "the closing quote is missing",
		`ref:"a\"`:                        "the closing quote is missing",
		`"a"b`:                            "a space must follow",
		"source:A":                        `source "A"`,
		"consumer:billing":                "consumer:NAME=STATE",
		"consumer:billing=paused":         "handled, failing (or failed) or dead",
		"consumer:B=dead":                 `consumer "B"`,
		"expires<soon":                    "90m, 24h or 7d",
		"expires<-1h":                     "90m, 24h or 7d",
		"expires<367d":                    "at most 366d",
		"expires<9999999999d":             "at most 366d",
		"since:0s":                        "2026-01-31T15:04:05Z",
		"since:yesterday":                 "2026-01-31T15:04:05Z",
		"a b":                             `"b": id is there twice`,
		"missing missing":                 "missing is there twice",
		"consumer:a=dead consumer:a=dead": "consumer is there twice",
		"id:" + strings.Repeat("x", 257):  "at most 256 bytes",
		strings.Repeat("x", 1025):         "1025 bytes, at most 1024",
		strings.Repeat("y", 10<<10):       "10240 bytes",
		"\xff":                            "not UTF-8",
		"ref:\u202ex \x1b[2J\x00:":        `"\x1b[2J\x00:": there is no key`,
		terms(17):                         "more than 16 terms",
	} {
		_, err := search.Parse(text, noon)
		require.ErrorContains(t, err, why, "%q", text)
		require.Less(t, len(err.Error()), 1000)
	}
	_, err := search.Parse(terms(16), noon)
	require.NoError(t, err)
}

func terms(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "consumer:c%d=dead ", i)
	}
	return out.String()
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`model:google/* "pred 1" consumer:billing=failing`, "expires<24h since:2h missing", `ref:"a\"b" tenant:x source:get3w status:failed`, "id:\x00\u202e", `"`, "::<\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sel, err := search.Parse(text, noon)
		if err != nil {
			require.True(t, utf8.ValidString(err.Error()))
			require.False(t, strings.ContainsFunc(err.Error(), unicode.IsControl), "%q", err)
			require.Less(t, len(err.Error()), 2000)
			return
		}
		// What an id may be can be searched, in quotes.
		if sel.IDPrefix != "" {
			quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(sel.IDPrefix) + `"`
			again, err := search.Parse(quoted, noon)
			require.NoError(t, err)
			require.Equal(t, adminapi.PredictionSelection{IDPrefix: sel.IDPrefix}, again)
		}
	})
}
