package console

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// configData is the configuration in force.
type configData struct {
	adminapi.Config

	// All: defaults are shown too. Query is a part of the keys.
	All   bool
	Query string
	Shown []adminapi.Setting
}

func configuration(v *visit) (any, error) {
	query := v.request.URL.Query()
	d := configData{All: query.Get("all") == "1", Query: strings.TrimSpace(query.Get("q"))}
	var err error
	d.Config, err = ask[adminapi.Config](v, "/config", nil)
	for _, s := range d.Settings {
		if (d.All || s.Line > 0 || s.Flag) && strings.Contains(s.Key+" "+setting(s.Value), d.Query) {
			d.Shown = append(d.Shown, s)
		}
	}
	return d, err
}

// setting writes the value of a key as YAML, which JSON is.
func setting(value any) string {
	if s, ok := value.(string); ok {
		return text(s)
	}
	out, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return text(strings.ReplaceAll(strings.ReplaceAll(string(out), `","`, `", "`), `":`, `": `))
}
