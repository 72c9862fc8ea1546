package submit

import (
	"net/url"
	"strings"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// webhookURL is where the provider sends its webhook of the submission.
func webhookURL(public string, sub *adminapi.Submission, s Source) string {
	var u strings.Builder
	u.WriteString(strings.TrimSuffix(public, "/") + "/webhooks/" + sub.Source)
	if len(s.PathToken) > 0 {
		u.WriteString("/" + string(s.PathToken))
	}
	sep := "?"
	for _, name := range s.Query {
		if value := parameter(sub, name); value != "" {
			u.WriteString(sep + name + "=" + escape(value))
			sep = "&"
		}
	}
	return u.String()
}

// parameter is what the submission says for a parameter of that name.
func parameter(sub *adminapi.Submission, name string) string {
	if value := sub.Metadata[name]; value != "" {
		return value
	}
	switch name {
	case "ref", "reference":
		return sub.Reference
	case "tenant":
		return sub.Tenant
	}
	return ""
}

// escape writes a space so that every reader of a URL reads one.
func escape(value string) string { return strings.ReplaceAll(url.QueryEscape(value), "+", "%20") }
