package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// predictionFlags name a prediction that is known already.
type predictionFlags struct {
	ID     string `arg:"" help:"The prediction's id, as the provider wrote it."`
	Source string `placeholder:"NAME" help:"The source that it is of; only needed when several have one of this id."`
}

// whichPages bounds the search for an id, in pages of ids that begin with it.
const whichPages = 20

// which sets the source, unless it is named: that of the prediction with this id, or of one that
// is not known the only one that there is. The error of an ambiguous id says what to type.
func (f *apiFlag) which(e *env, p *predictionFlags) error {
	if p.Source != "" {
		return bridge.CheckName("source", p.Source)
	}
	if err := bridge.CheckPredictionID(p.ID); err != nil {
		return err
	}
	sources := map[string]bool{}
	query := map[string]string{"q": `id:"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p.ID) + `"`, "limit": "1000"}
	for range whichPages {
		var list adminapi.PredictionList
		if err := f.get(e, apiRoute("predictions"), query, &list); err != nil {
			return err
		}
		for i := range list.Predictions {
			if list.Predictions[i].ID == p.ID {
				sources[list.Predictions[i].Source] = true
			}
		}
		if query["cursor"] = list.Next; list.Next == "" {
			break
		}
	}
	names, why := slices.Sorted(maps.Keys(sources)), "several sources have a prediction %.80q"
	if len(names) == 0 {
		var view adminapi.ViewStatus
		if err := f.get(e, apiRoute("view"), nil, &view); err != nil {
			return err
		}
		names, why = slices.Sorted(maps.Keys(view.Sources)), "the view does not know %.80q, and there is not one source alone"
	}
	if len(names) == 1 {
		p.Source = names[0]
		return nil
	}
	return &usageError{fmt.Errorf(why+": name one with --source %s", p.ID, strings.Join(names, " or --source "))}
}
