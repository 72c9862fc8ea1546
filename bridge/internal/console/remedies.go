package console

import (
	"html/template"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// remedy leads from a problem to the page where somebody can act, or see more.
type remedy struct {
	Label string
	Path  template.URL
}

// remedies are those of problems, by kind. Those of a consumer or a source add it.
var remedies = map[string]func(subject string) remedy{
	"missing": func(source string) remedy {
		return remedy{"See which", "/predictions" + query("q", "missing "+term("source", source))}
	},
	"quarantine":                 func(string) remedy { return remedy{"See the causes", "/quarantine"} },
	bridge.AlarmDeadLetters:      func(string) remedy { return remedy{"Look and redrive", "/dead"} },
	bridge.AlarmArchiveExpires:   func(string) remedy { return remedy{"See which", "/predictions" + query("q", "expires<24h")} },
	bridge.AlarmConsumerFailing:  ofConsumer("Open the consumer", ""),
	"consumer_missing":           ofConsumer("Open the consumer", ""),
	bridge.AlarmConsumerUnread:   ofConsumer("See how to read it", "#client"),
	bridge.AlarmConsumerOrphaned: ofConsumer("Look and remove", ""),
	bridge.AlarmPredictionLost: func(string) remedy {
		return remedy{"Look and redrive", "/dead" + query("consumer", bridge.PredictionsConsumer)}
	},
	bridge.AlarmJournalFailed: func(string) remedy { return remedy{"See the journal", "/system#journal"} },
	bridge.AlarmJournalBehind: func(string) remedy { return remedy{"See the journal", "/system#journal"} },
	bridge.AlarmSetAside:      func(string) remedy { return remedy{"See what is set aside", "/system#journal"} },
	bridge.AlarmViewFailed:    func(string) remedy { return remedy{"See the view", "/system#streams"} },
	bridge.AlarmViewBehind:    func(string) remedy { return remedy{"See the view", "/system#streams"} },
	bridge.AlarmRefused: func(source string) remedy {
		return remedy{"See the causes", "/quarantine" + query("stream", "refused", "source", source)}
	},
	bridge.AlarmQuarantined: func(string) remedy { return remedy{"See the causes", "/quarantine"} },
	bridge.AlarmSilence:     func(string) remedy { return remedy{"See the sources", "/system#sources"} },
	bridge.AlarmPolling:     func(string) remedy { return remedy{"See the sources", "/system#sources"} },
	bridge.AlarmLeftBehind:  func(string) remedy { return remedy{"See the consumers", "/consumers"} },
	"not_ready":             func(string) remedy { return remedy{"Ask the doctor", "/system/doctor"} },
	"unknown":               func(string) remedy { return remedy{"Ask the doctor", "/system/doctor"} },
}

func ofConsumer(label string, at template.URL) func(string) remedy {
	return func(consumer string) remedy {
		return remedy{label, template.URL("/consumers/"+escaped(consumer)) + at} //nolint:gosec // escaped
	}
}

// remedyOf returns where a problem leads: that of an alarm leads to its alarm.
func remedyOf(p adminapi.Problem) remedy {
	if of, ok := remedies[p.Kind]; ok {
		return of(p.Subject)
	}
	return remedy{"See the alarm", "/system/alarms" + query("q", p.Kind)}
}
