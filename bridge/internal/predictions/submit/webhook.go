package submit

import (
	"net/url"
	"strings"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// webhookURL returns the webhook address of the submission.
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

// parameter returns the submission's value of a query parameter.
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

// escape writes spaces as %20, which every reader of a URL understands.
func escape(value string) string { return strings.ReplaceAll(url.QueryEscape(value), "+", "%20") }
