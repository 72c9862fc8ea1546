package contracts

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/housekeeping"
	"github.com/hookspan/hookspan/bridge/internal/predictions/watches"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

var update = flag.Bool("update", false, "write the schemas anew")

// payloads are the types that the schemas are made of.
var payloads = map[string]any{
	"prediction": bridge.PredictionState{}, "archived": bridge.Archived{}, "watch": bridge.Watch{}, "lost": bridge.Lost{}, "erased": bridge.Erased{},
	"alarm": bridge.Alarm{}, "progress": bridge.Progress{}, "attempts": []bridge.Attempt{}, "history": []bridge.FailedAttempt{}, "expired": housekeeping.Expired{},
	"watch-request": bridge.WatchRequest{}, "watch-answer": watches.Answer{},
}

// titles are what is said of payloads whose comment is not that of a type.
var titles = map[string]string{
	"attempts": "Attempts of one consumer as they end, at most 1000 and 256 KiB.",
	"history":  "The failed attempts of a dead letter: the first and the last of them.",
}

// links are what comments of Go name, as the wire has it.
var links = map[string]string{
	"DeadNotFound": "not_found", "DeadUnfinished": "unfinished", "AlarmStoreBackwards": "store_backwards", "OriginPoll": "poll",
	"KindArchived": "outputs.archived", "KindWatch": "watch.set", "KindLost": "watch.lost", "KindErased": "prediction.erased",
	"ErasedHash": "the SHA-256 of the source's name, a slash and the prediction's id, in lower-case hex", "PredictionState": "state of the prediction",
	"MaxQueryKeys": fmt.Sprint(bridge.MaxQueryKeys), "MaxQueryValue": fmt.Sprint(bridge.MaxQueryValue), "MaxStateOutputs": fmt.Sprint(fold.MaxStateOutputs), "VerdictDone": "done", "Names.EventsStream": "the stream of events",
	"CheckName": "[a-z0-9][a-z0-9_-]{0,31}", "Names.AttemptsTold": "hookspan.attempts", "Names.Progress": "hookspan.progress", "Names.WatchRequests": "hookspan.watch",
	"Watch": "an announcement", "WatchRequest": "a request", "Alarmer": "bridge", "Stored": "stored", "Duplicate": "duplicate", "Spooled": "spooled",
}

// words are what the values of members can be.
var words = map[string][]string{
	"OutputState.custody": {string(bridge.CustodyPending), string(bridge.CustodyStored), string(bridge.CustodyFailed), string(bridge.CustodyExpired)},
	"Lost.cause":          {string(bridge.DeadNotFound), string(bridge.DeadUnfinished)},
	"Alarm.kind":          bridge.AlarmKinds,
	"Expired.reason":      {"room", "age"},
	"Answer.result":       {string(bridge.Stored), string(bridge.Duplicate), string(bridge.Spooled)},
}

// The schemas that are served are those that the types make.
func TestSchemasAreUpToDate(t *testing.T) {
	t.Parallel()
	for name, payload := range payloads {
		made := makeSchema(t, name, payload)
		if *update {
			require.NoError(t, os.WriteFile(filepath.Join("schemas", name+".json"), made, 0o644)) //nolint:gosec // it is a source file
			continue
		}
		require.Equal(t, string(made), string(Schemas()[name]), "run: go test ./bridge/internal/contracts -run TestSchemasAreUpToDate -update")
	}
	if !*update {
		require.Len(t, Schemas(), len(payloads))
	}
}

var goLink = regexp.MustCompile(`\[([A-Z][A-Za-z.]*)\]`)

func makeSchema(t *testing.T, name string, payload any) []byte {
	t.Helper()
	r := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true}
	for _, folder := range []string{"../..", "../housekeeping", "../predictions/watches"} {
		addComments(t, &r, folder)
	}
	r.LookupComment = func(typ reflect.Type, field string) string {
		comment := strings.Join(strings.Fields(r.CommentMap[strings.TrimSuffix(typ.PkgPath()+"."+typ.Name()+"."+field, ".")]), " ")
		comment = goLink.ReplaceAllStringFunc(comment, func(link string) string {
			word, known := links[strings.Trim(link, "[]")]
			require.True(t, known, "%s.%s speaks of %s, which is not a word of the wire", typ, field, link)
			return word
		})
		for i := 0; typ.Kind() == reflect.Struct && i < typ.NumField(); i++ { // of which the comment speaks
			f := typ.Field(i)
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			comment = regexp.MustCompile(`\b`+f.Name+`\b`).ReplaceAllLiteralString(comment, key)
		}
		return strings.NewReplacer(" is nil ", " is absent ", " nil when ", " absent when ", "one of the verdict… constants", "done, retry, dead, snoozed, given_back, left or skipped").Replace(comment)
	}
	schema := r.Reflect(payload)
	schema.Title = "Hookspan: " + name
	if title := titles[name]; title != "" {
		schema.Description = title
	}
	all := maps.Clone(schema.Definitions)
	if all == nil {
		all = jsonschema.Definitions{}
	}
	all[reflect.TypeOf(payload).Name()] = schema
	for path, values := range words {
		typ, key, _ := strings.Cut(path, ".")
		if of := all[typ]; of != nil && of.Properties != nil {
			member, ok := of.Properties.Get(key)
			if !ok && typ == "Answer" {
				continue
			}
			require.True(t, ok, path)
			for _, word := range values {
				member.Enum = append(member.Enum, word)
			}
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(schema))
	return out.Bytes()
}

// addComments reads the comments of one package. The library would read those below it too.
func addComments(t *testing.T, r *jsonschema.Reflector, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			require.NoError(t, r.AddGoComments(reflect.TypeFor[here]().PkgPath(), file, jsonschema.WithFullComment()))
		}
	}
}

// here names this package.
type here struct{}
